//! Dimension 1, identity: traits by name. For each trait the newest statement wins, in any order of arrival.

use crate::record::TraitValue;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Maximum number of traits of a profile, removed ones included.
pub const TRAITS_MAX: usize = 32;
/// Maximum size of all traits, in bytes.
pub(crate) const TRAITS_BUDGET_BYTES: usize = 2000;

/// Traits of one user, sorted by name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Basic {
    traits: Vec<StatedTrait>,
}

/// Trait with the time of its statement. An empty value is a removal, kept so that an older statement cannot restore the
/// trait.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct StatedTrait {
    name: Box<str>,
    value: Box<str>,
    at: Timestamp,
}

impl StatedTrait {
    fn bytes(&self) -> usize {
        // Encoded: two lengths of at most 2 bytes each and a time of at most 10.
        self.name.len() + self.value.len() + 14
    }
}

impl Basic {
    /// Records values stated at `at`. Beyond the limits the oldest statements are evicted.
    pub(crate) fn set_traits(&mut self, at: Timestamp, values: &[TraitValue]) {
        for TraitValue { name, value } in values {
            let stated = StatedTrait { name: name.clone(), value: value.clone(), at };
            match self.traits.binary_search_by(|known| known.name.cmp(name)) {
                Ok(index) => {
                    let known = &mut self.traits[index];
                    // Of two statements at one time the larger value wins, so that the order of arrival does not matter.
                    if (stated.at, &stated.value) > (known.at, &known.value) {
                        *known = stated;
                    }
                }
                Err(index) => self.traits.insert(index, stated),
            }
        }
        self.enforce_limits();
    }

    /// Returns the traits with a value, by name.
    pub(crate) fn active(&self) -> impl Iterator<Item = (&str, &str)> {
        self.traits
            .iter()
            .filter(|stated| !stated.value.is_empty())
            .map(|stated| (&*stated.name, &*stated.value))
    }

    fn enforce_limits(&mut self) {
        let mut bytes: usize = self.traits.iter().map(StatedTrait::bytes).sum();
        // Removals are evicted like values: one that is evicted can be undone by a statement older than any that is kept.
        while self.traits.len() > TRAITS_MAX || bytes > TRAITS_BUDGET_BYTES {
            let Some(oldest) = (0..self.traits.len()).min_by_key(|index| self.traits[*index].at) else {
                return;
            };
            bytes -= self.traits.remove(oldest).bytes();
        }
    }
}
