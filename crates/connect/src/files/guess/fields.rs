//! Columns of a sample by the field that they seem to be.

use super::super::cell::without_zero_fraction;
use super::super::mapping::Field;
use super::names;
use super::table::SampleTable;
use super::times::{self, TimeSpelling};
use portrait_profile::ActionKind;

/// Most values of a column that names actions.
const ACTIONS_MAX: usize = 20;

/// Columns by the field that they seem to be.
#[derive(Debug, Default)]
pub(super) struct GuessedFields {
    /// Columns in the order of preference.
    pub(super) columns: Vec<(Field, Vec<usize>)>,
    pub(super) time: Option<(usize, TimeSpelling)>,
    /// Values of the column of actions, and what they seem to be.
    pub(super) actions: Vec<(String, Option<ActionKind>)>,
    pub(super) is_catalogue: bool,
}

impl GuessedFields {
    pub(super) fn of(table: &SampleTable) -> Self {
        let mut fields = Self::default();
        fields.find_time(table);
        let time = fields.time.as_ref().map(|(column, _)| *column);
        for field in Field::ALL {
            let columns = names::columns_of(field, &table.names).into_iter();
            let columns = columns.filter(|column| Some(*column) != time && !fields.is_taken(*column));
            let columns: Vec<usize> = columns.filter(|column| fits(field, &table.values(*column))).collect();
            // A second name of a category or brand stands in where the first is empty; else one column is one field.
            let kept = if field == Field::Category { 2 } else { 1 };
            if !columns.is_empty() {
                fields.columns.push((field, columns.into_iter().take(kept).collect()));
            }
        }
        fields.settle(table);
        fields
    }

    /// Returns the columns of a field.
    pub(super) fn get(&self, field: Field) -> Option<&[usize]> {
        self.columns.iter().find(|(known, _)| *known == field).map(|(_, columns)| columns.as_slice())
    }

    /// Returns the fields that a mapping needs and that no column was found for.
    pub(super) fn missing(&self) -> Vec<&'static str> {
        let needed: &[Field] = if self.is_catalogue { &[Field::Item] } else { &[Field::User] };
        let missing = needed.iter().filter(|field| self.get(**field).is_none()).map(|field| field.key());
        let time = (!self.is_catalogue && self.time.is_none()).then_some("time");
        missing.chain(time).collect()
    }

    fn is_taken(&self, column: usize) -> bool {
        self.columns.iter().any(|(_, columns)| columns.contains(&column))
    }

    /// Finds the column of the time: by its name, else by its values.
    fn find_time(&mut self, table: &SampleTable) {
        let by_name = names::times(&table.names);
        let others = (0..table.names.len()).filter(|column| !by_name.contains(column));
        let mut columns = by_name.iter().copied().chain(others);
        self.time = columns.find_map(|column| Some((column, times::spelling(&table.values(column))?)));
    }

    /// Decides what single columns cannot tell.
    fn settle(&mut self, table: &SampleTable) {
        if self.get(Field::Price).is_some() {
            self.columns.retain(|(field, _)| *field != Field::Amount);
        }
        if let Some(column) = self.get(Field::Action).and_then(|columns| columns.first().copied()) {
            self.actions = actions(&table.values(column));
        }
        // Without a user, a session is one.
        if self.get(Field::User).is_none()
            && let Some(at) = self.columns.iter().position(|(field, _)| *field == Field::Session)
        {
            self.columns[at].0 = Field::User;
        }
        // Items have neither a user nor a time.
        self.is_catalogue =
            self.get(Field::User).is_none() && self.time.is_none() && self.get(Field::Item).is_some();
        let of_items = [Field::Title, Field::Available];
        let of_both = [Field::Item, Field::Category, Field::Brand, Field::Price, Field::Currency];
        let is_catalogue = self.is_catalogue;
        self.columns.retain(|(field, _)| of_both.contains(field) || of_items.contains(field) == is_catalogue);
    }
}

/// Returns true if values can be those of a field.
fn fits(field: Field, values: &[&str]) -> bool {
    let numbers = values.iter().filter(|value| value.trim().replace(',', ".").parse::<f64>().is_ok()).count();
    match field {
        // A few may be broken.
        Field::Price | Field::Amount | Field::Quantity => numbers * 10 >= values.len() * 9,
        Field::Action => {
            let known = actions(values);
            !known.is_empty() && known.len() <= ACTIONS_MAX
        }
        _ => true,
    }
}

/// Returns the different values of a column and the actions that they seem to be.
fn actions(values: &[&str]) -> Vec<(String, Option<ActionKind>)> {
    let mut actions: Vec<(String, Option<ActionKind>)> = Vec::new();
    for value in values {
        let value = without_zero_fraction(value.trim());
        if actions.len() <= ACTIONS_MAX && !actions.iter().any(|(known, _)| known == value) {
            actions.push((value.to_owned(), names::action(value)));
        }
    }
    actions
}
