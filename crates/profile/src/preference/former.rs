//! The preferences as the profile formats 1 and 2 had them: everything in full.

use super::{Preference, Touch};
use crate::decay::DecayedSum;
use compact_str::CompactString;
use serde::Deserialize;

/// See [`Preference`].
#[derive(Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
pub(crate) struct FormerPreference {
    categories: Vec<(CompactString, DecayedSum)>,
    brands: Vec<(CompactString, DecayedSum)>,
    price_bands: Vec<(u8, DecayedSum)>,
    recent: Vec<Touch>,
}

impl From<FormerPreference> for Preference {
    fn from(former: FormerPreference) -> Self {
        let FormerPreference { categories, brands, price_bands, recent } = former;
        Self { categories, brands, price_bands, recent: recent.into_iter().collect() }
    }
}

#[cfg(test)]
impl From<Preference> for FormerPreference {
    fn from(preference: Preference) -> Self {
        let Preference { categories, brands, price_bands, recent } = preference;
        Self { categories, brands, price_bands, recent: recent.iter().cloned().collect() }
    }
}
