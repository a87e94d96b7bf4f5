//! The preferences as the profile formats 1 and 2 had them: everything in full.

use super::{Preference, RecentItem};
use crate::action::ActionKind;
use crate::decay::DecayedSum;
use crate::id::ItemId;
use crate::time::Timestamp;
use compact_str::CompactString;
use serde::Deserialize;

/// See [`Preference`].
#[derive(Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
pub(crate) struct FormerPreference {
    categories: Vec<(CompactString, DecayedSum)>,
    brands: Vec<(CompactString, DecayedSum)>,
    price_bands: Vec<(u8, DecayedSum)>,
    recent: Vec<(ItemId, ActionKind, Timestamp)>,
}

impl From<FormerPreference> for Preference {
    fn from(former: FormerPreference) -> Self {
        // How often was not counted: once at the least.
        let touch = |(item_id, kind, at)| RecentItem { item_id, kind, at, times: 1 };
        let FormerPreference { categories, brands, price_bands, recent } = former;
        Self { categories, brands, price_bands, recent: recent.into_iter().map(touch).collect() }
    }
}

#[cfg(test)]
impl From<Preference> for FormerPreference {
    fn from(preference: Preference) -> Self {
        let Preference { categories, brands, price_bands, recent } = preference;
        Self {
            categories,
            brands,
            price_bands,
            recent: recent.iter().map(|touch| (touch.item_id.clone(), touch.kind, touch.at)).collect(),
        }
    }
}
