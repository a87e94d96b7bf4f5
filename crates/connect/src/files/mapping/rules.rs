//! Tables `[actions]`, `[refunds]`, `[rows]` and `[join]` of a mapping.

use super::super::cell::letters;
use super::column::ColumnNames;
use super::error::MappingError;
use super::keys::{KeyValue, Keys};
use portrait_profile::ActionKind;

/// Prefix of the name of a custom action.
const CUSTOM_PREFIX: &str = "custom:";

/// Action of the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::files) struct MappedAction {
    pub(in crate::files) kind: ActionKind,
    /// Name of a custom action, else empty.
    pub(in crate::files) custom: String,
}

/// Meaning of equal rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum RepeatRule {
    /// Equal rows are one event.
    Drop,
    /// Equal rows are repeated actions.
    Count,
}

/// Kind of record that a row becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowKind {
    /// Event of a user.
    Events,
    /// Item of the catalogue.
    Items,
}

/// Signs of a refund among purchases.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::files) struct RefundSigns {
    pub(in crate::files) negative_quantity: bool,
    /// Prefix of the ids of orders that are refunds.
    pub(in crate::files) order_prefix: Option<String>,
}

/// Rules of rows.
#[derive(Clone, Debug)]
pub(in crate::files) struct RowRules {
    pub(in crate::files) repeats: RepeatRule,
    pub(in crate::files) kind: RowKind,
    /// Columns beside the fields that tell rows apart.
    pub(in crate::files) distinguish: Vec<ColumnNames>,
    /// Column and values of the rows that are read; all others are left out.
    pub(in crate::files) only: Vec<(ColumnNames, Vec<String>)>,
}

/// Table beside the file, looked up by a column of both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::files) struct JoinRule {
    /// Name of the file, in the folder of the other.
    pub(in crate::files) file: String,
    pub(in crate::files) on: String,
}

impl MappedAction {
    /// Returns the action of a name of the API; none if there is no such action.
    pub(in crate::files) fn named(name: &str) -> Option<Self> {
        if let Some(custom) = name.strip_prefix(CUSTOM_PREFIX).filter(|custom| !custom.is_empty()) {
            return Some(Self { kind: ActionKind::Custom, custom: custom.to_owned() });
        }
        let wanted = letters(name);
        let kind = ActionKind::ALL.into_iter().find(|kind| letters(kind.name()) == wanted)?;
        // Without a name a custom action cannot be counted.
        (kind != ActionKind::Custom).then(|| Self { kind, custom: String::new() })
    }

    /// Returns the names of all actions for a message.
    pub(in crate::files) fn known() -> String {
        let names =
            ActionKind::ALL.into_iter().filter(|kind| *kind != ActionKind::Custom).map(ActionKind::name);
        names.collect::<Vec<_>>().join(", ")
    }
}

/// Reads `[actions]`: the action of each value of the file.
pub(super) fn actions(mut keys: Keys<'_>) -> Result<Vec<(String, MappedAction)>, MappingError> {
    let actions = keys.take_all().into_iter().map(|(name, value)| Ok((name, action(&value)?)));
    actions.collect()
}

/// Reads the name of an action.
pub(super) fn action(value: &KeyValue<'_>) -> Result<MappedAction, MappingError> {
    let name = value.text()?;
    MappedAction::named(name).ok_or_else(|| {
        let remedy = format!("write {}, or custom:NAME", MappedAction::known());
        value.error(format!("{name:?} is no action"), remedy)
    })
}

impl RefundSigns {
    pub(super) fn of(mut keys: Keys<'_>) -> Result<Self, MappingError> {
        let negative_quantity = keys.take("negative_quantity").map_or(Ok(false), |value| value.flag())?;
        let prefix = keys.take("order_prefix");
        let order_prefix = prefix.map(|value| value.text().map(str::to_owned)).transpose()?;
        keys.finish()?;
        Ok(Self { negative_quantity, order_prefix })
    }
}

impl Default for RowRules {
    fn default() -> Self {
        Self { repeats: RepeatRule::Drop, kind: RowKind::Events, distinguish: Vec::new(), only: Vec::new() }
    }
}

impl RowRules {
    pub(super) fn of(mut keys: Keys<'_>) -> Result<Self, MappingError> {
        let mut rules = Self::default();
        if let Some(value) = keys.take("repeats") {
            rules.repeats = match value.text()? {
                "drop" => RepeatRule::Drop,
                "count" => RepeatRule::Count,
                _ => return Err(value.error("is no meaning of equal rows", "write \"drop\" or \"count\"")),
            };
        }
        if let Some(value) = keys.take("as") {
            rules.kind = row_kind(&value)?;
        }
        if let Some(value) = keys.take("distinguish") {
            let columns = value.texts()?.into_iter();
            rules.distinguish =
                columns.map(|name| ColumnNames { names: vec![name], is_optional: false }).collect();
        }
        if let Some(value) = keys.take("only") {
            for (name, value) in value.table()?.take_all() {
                let columns = ColumnNames { names: vec![name], is_optional: false };
                rules.only.push((columns, value.texts()?));
            }
        }
        keys.finish()?;
        Ok(rules)
    }
}

fn row_kind(value: &KeyValue<'_>) -> Result<RowKind, MappingError> {
    match value.text()? {
        "events" => Ok(RowKind::Events),
        "items" => Ok(RowKind::Items),
        "traits" | "relations" | "outcomes" => {
            Err(value.error("is not read from files", "write events or items, and send others by the API"))
        }
        _ => Err(value.error("is no kind of record", "write \"events\" or \"items\"")),
    }
}

impl JoinRule {
    pub(super) fn of(mut keys: Keys<'_>) -> Result<Self, MappingError> {
        let remedy = "join needs file, the name of a table beside the file, and on, a column of both";
        let (Some(file), Some(on)) = (keys.take("file"), keys.take("on")) else {
            return Err(keys.missing("file", remedy));
        };
        let name = file.text()?.to_owned();
        // Mappings are passed around: one must not reach into other folders.
        if name.contains(['/', '\\']) || name.starts_with('.') {
            return Err(file.error("is not in the folder of the file", "write a name without a folder"));
        }
        let on = on.text()?.to_owned();
        keys.finish()?;
        Ok(Self { file: name, on })
    }
}
