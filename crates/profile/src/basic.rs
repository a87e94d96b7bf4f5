//! Dimension 1, who the shopper is: traits by name. For each the newest statement wins, whatever the order of arrival.

use crate::record::TraitValue;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// How many traits a profile keeps, removed ones included.
pub const TRAITS_MAX: usize = 32;
/// How many bytes they may take.
pub(crate) const TRAITS_BUDGET_BYTES: usize = 2000;

/// The traits of one shopper, sorted by name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Basic {
    traits: Vec<StatedTrait>,
}

/// A trait and when it was stated; an empty value is a removal, kept so that an older statement cannot bring it back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct StatedTrait {
    name: Box<str>,
    value: Box<str>,
    at: Timestamp,
}

impl StatedTrait {
    fn bytes(&self) -> usize {
        self.name.len() + self.value.len() + 14
    }
}

impl Basic {
    /// Takes statements made at `at`. Above the bounds the oldest statements give way.
    pub(crate) fn state(&mut self, at: Timestamp, values: &[TraitValue]) {
        for TraitValue { name, value } in values {
            let stated = StatedTrait { name: name.clone(), value: value.clone(), at };
            match self.traits.binary_search_by(|known| known.name.cmp(name)) {
                Ok(place) => {
                    let known = &mut self.traits[place];
                    // Of two statements of one moment the greater wins, so that the order of arrival does not matter.
                    if (stated.at, &stated.value) > (known.at, &known.value) {
                        *known = stated;
                    }
                }
                Err(place) => self.traits.insert(place, stated),
            }
        }
        self.enforce_limits();
    }

    /// The traits that hold, by name.
    pub(crate) fn active(&self) -> impl Iterator<Item = (&str, &str)> {
        let holding = self.traits.iter().filter(|stated| !stated.value.is_empty());
        holding.map(|stated| (&*stated.name, &*stated.value))
    }

    fn enforce_limits(&mut self) {
        let mut bytes: usize = self.traits.iter().map(StatedTrait::bytes).sum();
        while self.traits.len() > TRAITS_MAX || bytes > TRAITS_BUDGET_BYTES {
            let Some(oldest) = (0..self.traits.len()).min_by_key(|index| self.traits[*index].at) else {
                return;
            };
            bytes -= self.traits.remove(oldest).bytes();
        }
    }
}
