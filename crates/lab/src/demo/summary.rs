//! What the profiles say, held against what was planted: in go profiles and the truth, out come a table by planted type and
//! how often the profiles are right. Nothing is tuned to agree: the figures are the profiles' own.

use super::facts::{self, Facts};
use crate::simulate::{Day, ShopperTruth, ShopperType};
use comfy_table::{CellAlignment, Table, presets};
use portrait_client::text::{chart, words};
use std::collections::BTreeMap;

/// A shopper with fewer actions has shown too little to be judged by.
pub(super) const ACTIONS_MIN: u64 = 30;

/// How many of how many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// Those that are so.
    pub found: u64,
    /// All that were looked at.
    pub of: u64,
}

/// The profiles so far.
#[derive(Debug, Default)]
pub(super) struct Summary {
    rows: BTreeMap<ShopperType, Row>,
    changed: Share,
}

/// What the profiles of one planted type add up to.
#[derive(Debug, Default)]
struct Row {
    shoppers: u64,
    actions_per_week: f64,
    orders: u64,
    money: f64,
    categories: BTreeMap<String, u64>,
    hours: Vec<f64>,
    favourite: Share,
    rhythm: Share,
}

impl Share {
    /// As a number from 0 to 1; 0 of nothing.
    pub fn ratio(self) -> f64 {
        if self.of == 0 { 0.0 } else { self.found as f64 / self.of as f64 }
    }

    fn note(&mut self, found: bool) {
        self.found += u64::from(found);
        self.of += 1;
    }
}

impl Summary {
    /// Takes a profile's figures, as they are on the last day.
    pub(super) fn take(&mut self, truth: &ShopperTruth, facts: &Facts, last_day: Day) {
        if facts.actions < ACTIONS_MIN {
            return;
        }
        if truth.change.is_some() {
            // A week of new habits weighs more than what was before; who is too seldom there cannot show it.
            if truth.change.is_some_and(|change| last_day.since(change.on) >= 7) {
                self.changed.note(facts.top_lately() == Some(truth.category_on(last_day)));
            }
            return;
        }
        let row = self.rows.entry(truth.shopper_type).or_default();
        row.shoppers += 1;
        row.actions_per_week += facts.actions_per_week();
        row.orders += facts.orders;
        row.money += facts.money;
        if let Some(category) = &facts.lasting {
            *row.categories.entry(category.clone()).or_default() += 1;
        }
        row.hours.resize(24, 0.0);
        row.hours.iter_mut().zip(&facts.hours).for_each(|(sum, share)| *sum += share);
        row.favourite.note(facts.lasting.as_deref() == Some(truth.category));
        let hours = truth.shopper_type.hours();
        row.rhythm.note(facts.peak_hour().is_some_and(|hour| facts::is_within(hour, hours)));
    }

    /// Whose category of 90 days is the planted one.
    pub(super) fn favourite(&self) -> Share {
        total(self.rows.values().map(|row| row.favourite))
    }

    /// Whose busiest hour is one of the planted ones.
    pub(super) fn rhythm(&self) -> Share {
        total(self.rows.values().map(|row| row.rhythm))
    }

    /// Whose category of the last week is that of the new habits.
    pub(super) fn changed(&self) -> Share {
        self.changed
    }

    /// A line for each planted type.
    pub(super) fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_preset(presets::ASCII_MARKDOWN);
        table.set_header([
            "planted type",
            "shoppers",
            "actions a week",
            "orders",
            "money",
            "what their profiles like most",
            "busiest hour",
            "favourite right",
            "hours right",
        ]);
        for (kind, row) in &self.rows {
            table.add_row(row.cells(*kind));
        }
        for column in table.column_iter_mut().filter(|column| !matches!(column.index, 0 | 5)) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        table
    }
}

impl Row {
    fn cells(&self, kind: ShopperType) -> [String; 9] {
        let shoppers = self.shoppers.max(1) as f64;
        let mut categories: Vec<(&String, &u64)> = self.categories.iter().collect();
        categories.sort_by(|one, other| other.1.cmp(one.1));
        let liked =
            |(name, count): &(&String, &u64)| format!("{name} {}", words::percent(**count as f64 / shoppers));
        let categories: Vec<String> = categories.iter().take(3).map(liked).collect();
        [
            kind.to_string(),
            words::count(self.shoppers),
            format!("{:.1}", self.actions_per_week / shoppers),
            format!("{:.1}", self.orders as f64 / shoppers),
            words::money(self.money / shoppers),
            categories.join(", "),
            chart::peak(&self.hours).map_or_else(String::new, |hour| format!("{hour}:00")),
            words::percent(self.favourite.ratio()),
            words::percent(self.rhythm.ratio()),
        ]
    }
}

fn total(shares: impl Iterator<Item = Share>) -> Share {
    shares
        .fold(Share::default(), |sum, share| Share { found: sum.found + share.found, of: sum.of + share.of })
}
