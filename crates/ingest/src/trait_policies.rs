//! Application of the policies: the shop's own policy of a name first, then the kinds of personal data, then the policy of other
//! traits.

use crate::losses::DropReason;
use crate::personal::{PersonalKind, kind_of_name, kind_of_value, normalized};
use crate::policy::TraitPolicy;
use crate::redact;
use crate::trait_keys::{FILE_KEY, NonceSource, REMEDY, TraitKeys};
use portrait_profile::{TraitValue, check_text};
use portrait_runtime::config::InvalidValue;
use quick_cache::sync::Cache;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Longest name of a trait or property, in bytes.
pub(crate) const NAME_MAX_BYTES: usize = 64;
/// Longest stored value, in bytes.
pub(crate) const VALUE_MAX_BYTES: usize = 256;
/// Names whose meaning is remembered. A shop has some dozens; to find the words of a name takes microseconds.
const NAMES_CACHED: usize = 4096;
/// Class of a value that is not in its table.
const OTHER_CLASS: &str = "other";
const TRAITS_KEY: &str = "ingest.traits";
const TABLES_KEY: &str = "ingest.trait_tables";

/// Classes by value; values are trimmed and in lower case.
type ClassTable = BTreeMap<String, String>;

/// Policies of a shop, checked, without their keys.
#[derive(Clone, Debug)]
pub(crate) struct TraitRules {
    /// Policies by normalised name.
    named: BTreeMap<String, Arc<TraitPolicy>>,
    other: Arc<TraitPolicy>,
    tables: BTreeMap<String, ClassTable>,
}

/// Policies of a shop with what they need to be applied.
pub(crate) struct TraitPolicies {
    rules: TraitRules,
    keys: Option<TraitKeys>,
    nonces: NonceSource,
    names: Cache<String, NameMeaning>,
}

/// Meaning of a name under the rules of the shop.
#[derive(Clone)]
enum NameMeaning {
    /// Name with a policy of the shop.
    Named(Arc<TraitPolicy>),
    Personal(PersonalKind),
    Other,
}

/// Trait or property after its policy.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum PolicyResult {
    /// Value to store.
    Kept(TraitValue),
    /// Value that is written nowhere.
    Dropped(DropReason),
}

/// Error for a value that its policy cannot be applied to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PolicyError {
    /// Value without a band.
    #[error("is kept as a band and must be a whole number from 0")]
    NotANumber,
    /// Value without a year.
    #[error("is kept as its year and must be a date, as 1990-05-17")]
    NotADate,
    /// Value that is too long once it is encrypted.
    #[error("is encrypted and has {bytes} bytes, {max_bytes} are allowed")]
    TooLongToEncrypt {
        /// Length of the value.
        bytes: usize,
        /// Limit of the length.
        max_bytes: usize,
    },
    /// Policy that needs a key in a process without one.
    #[error("needs a key: set ingest.trait_keys_file")]
    NoKey,
}

impl TraitRules {
    /// Checks the policies of a configuration. `has_keys` is true if a file of keys is named.
    ///
    /// # Errors
    /// Fails if two names are one, a policy needs a key and there is no file, or a table is missing or ambiguous.
    pub(crate) fn new(
        traits: &BTreeMap<String, TraitPolicy>,
        other: &TraitPolicy,
        tables: &BTreeMap<String, BTreeMap<String, String>>,
        has_keys: bool,
    ) -> Result<Self, InvalidValue> {
        let tables = tables
            .iter()
            .map(|(name, table)| class_table(name, table).map(|classes| (name.clone(), classes)))
            .collect::<Result<BTreeMap<_, _>, InvalidValue>>()?;
        let mut named = BTreeMap::new();
        let mut spellings = BTreeMap::new();
        for (name, policy) in traits {
            check_needs(&format!("{name} = {policy}"), policy, &tables, has_keys)?;
            let normal = normalized(name);
            if let Some(earlier) = spellings.insert(normal.clone(), name) {
                let problem = format!("names {earlier:?} and {name:?}, which are one name");
                return Err(InvalidValue::new(TRAITS_KEY, problem, "write one of them; `age` has a default"));
            }
            named.insert(normal, Arc::new(policy.clone()));
        }
        check_needs(&format!("other_traits = {other}"), other, &tables, has_keys)?;
        Ok(Self { named, other: Arc::new(other.clone()), tables })
    }
}

/// Checks that a policy has its key or table.
fn check_needs(
    setting: &str,
    policy: &TraitPolicy,
    tables: &BTreeMap<String, ClassTable>,
    has_keys: bool,
) -> Result<(), InvalidValue> {
    match policy {
        TraitPolicy::Hash | TraitPolicy::Encrypt if !has_keys => {
            let problem = format!("names no file, and the policy {setting} needs a key");
            Err(InvalidValue::new(FILE_KEY, problem, format!("name a file, and {REMEDY}")))
        }
        TraitPolicy::Category(table) if !tables.contains_key(table) => {
            let problem = format!("has the policy {setting}, and {TABLES_KEY} has no table {table}");
            Err(InvalidValue::new(TRAITS_KEY, problem, format!("write [{TABLES_KEY}.{table}]")))
        }
        TraitPolicy::Keep
        | TraitPolicy::Drop
        | TraitPolicy::Band(_)
        | TraitPolicy::Hash
        | TraitPolicy::Encrypt
        | TraitPolicy::Truncate
        | TraitPolicy::First(_)
        | TraitPolicy::Year
        | TraitPolicy::Mask
        | TraitPolicy::Category(_) => Ok(()),
    }
}

/// Checks a table and returns it by normalised value.
fn class_table(name: &str, table: &BTreeMap<String, String>) -> Result<ClassTable, InvalidValue> {
    let mut classes = ClassTable::new();
    for (value, class) in table {
        if class.is_empty() || check_text(class, VALUE_MAX_BYTES).is_err() {
            let problem = format!("has the class {class:?} in {name}");
            return Err(InvalidValue::new(TABLES_KEY, problem, "write 1 to 256 printable bytes"));
        }
        if classes.insert(class_key(value), class.clone()).is_some() {
            let problem = format!("has {value:?} twice in {name}: case and outer spaces do not count");
            return Err(InvalidValue::new(TABLES_KEY, problem, "write one of them"));
        }
    }
    Ok(classes)
}

fn class_key(value: &str) -> String {
    value.trim().to_lowercase()
}

impl TraitPolicies {
    /// Creates the policies of `rules`; `keys` are there if a policy needs one.
    pub(crate) fn new(rules: TraitRules, keys: Option<TraitKeys>, nonces: NonceSource) -> Self {
        Self { rules, keys, nonces, names: Cache::new(NAMES_CACHED) }
    }

    /// Creates the policies of a process that writes nothing: what would need a key is refused.
    pub(crate) fn without_keys(rules: TraitRules) -> Self {
        Self::new(rules, None, Arc::new(|| [0; 12]))
    }

    /// Applies the policy on a trait.
    ///
    /// # Errors
    /// Fails if the value is not of the form that the policy needs.
    pub(crate) fn apply(&self, name: String, value: String) -> Result<PolicyResult, PolicyError> {
        self.apply_or(name, value, &self.rules.other)
    }

    /// Applies the policy on a property of an event: those without a policy of their own are kept unless they are personal.
    ///
    /// # Errors
    /// Fails if the value is not of the form that the policy needs.
    pub(crate) fn apply_to_property(&self, name: String, value: String) -> Result<PolicyResult, PolicyError> {
        self.apply_or(name, value, &TraitPolicy::Keep)
    }

    fn apply_or(
        &self,
        name: String,
        value: String,
        other: &TraitPolicy,
    ) -> Result<PolicyResult, PolicyError> {
        match self.meaning(&name) {
            // The shop's own word for a name precedes everything, `keep` included.
            NameMeaning::Named(policy) => self.apply_policy(&policy, name, value),
            NameMeaning::Personal(kind) if !is_truth(&value) => {
                Ok(PolicyResult::Dropped(DropReason::Personal(kind)))
            }
            NameMeaning::Personal(_) | NameMeaning::Other => match kind_of_value(&value) {
                Some(kind) => Ok(PolicyResult::Dropped(DropReason::Personal(kind))),
                None => self.apply_policy(other, name, value),
            },
        }
    }

    fn meaning(&self, name: &str) -> NameMeaning {
        if let Some(meaning) = self.names.get(name) {
            return meaning;
        }
        let meaning = if let Some(policy) = self.rules.named.get(&normalized(name)) {
            NameMeaning::Named(Arc::clone(policy))
        } else {
            // A sender that uses addresses as names would store them with any value.
            kind_of_name(name)
                .or_else(|| kind_of_value(name))
                .map_or(NameMeaning::Other, NameMeaning::Personal)
        };
        // Longer names are refused in any case, and would take memory.
        if name.len() <= NAME_MAX_BYTES {
            self.names.insert(name.to_owned(), meaning.clone());
        }
        meaning
    }

    fn apply_policy(
        &self,
        policy: &TraitPolicy,
        name: String,
        value: String,
    ) -> Result<PolicyResult, PolicyError> {
        // An empty value removes the trait from the profile. It passes any policy but `drop`, since it reveals nothing.
        let value = match policy {
            TraitPolicy::Drop => return Ok(PolicyResult::Dropped(DropReason::Policy)),
            _ if value.is_empty() => value,
            TraitPolicy::Keep => value,
            TraitPolicy::Band(width) => redact::band(&value, *width).ok_or(PolicyError::NotANumber)?,
            TraitPolicy::Hash => self.keys.as_ref().ok_or(PolicyError::NoKey)?.newest().hash(&value),
            TraitPolicy::Encrypt => self.encrypt(&name, &value)?,
            TraitPolicy::Truncate => redact::truncate(&value),
            TraitPolicy::First(count) => redact::first_characters(&value, *count),
            TraitPolicy::Year => redact::year(&value).ok_or(PolicyError::NotADate)?,
            TraitPolicy::Mask => redact::mask(&value),
            TraitPolicy::Category(table) => {
                let class = self.rules.tables.get(table).and_then(|table| table.get(&class_key(&value)));
                class.map_or(OTHER_CLASS, String::as_str).to_owned()
            }
        };
        Ok(PolicyResult::Kept(TraitValue { name: name.into(), value: value.into() }))
    }

    fn encrypt(&self, name: &str, value: &str) -> Result<String, PolicyError> {
        let key = self.keys.as_ref().ok_or(PolicyError::NoKey)?.newest();
        let max_bytes = key.encrypted_value_max_bytes(VALUE_MAX_BYTES);
        if value.len() > max_bytes {
            return Err(PolicyError::TooLongToEncrypt { bytes: value.len(), max_bytes });
        }
        Ok(key.encrypt(name, value, (self.nonces)()))
    }
}

/// Returns true for a truth value, which no name makes personal: `verified_email` of Shopify is one.
fn is_truth(value: &str) -> bool {
    value.eq_ignore_ascii_case("true") || value.eq_ignore_ascii_case("false")
}

#[cfg(test)]
mod tests;
