//! Comparison of profiles with the planted truth: a table by planted type, and the share of profiles that are right.
//! Nothing is tuned to agree.

use super::facts::{self, ProfileFacts};
use crate::simulate::{Day, UserTruth, UserType};
use comfy_table::{CellAlignment, Table, presets};
use portrait_client::text::{chart, words};
use std::collections::BTreeMap;

/// Actions below which a user is left out of the comparison.
pub(super) const ACTIONS_MIN: u64 = 30;

/// Hits among a number of trials.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MatchRate {
    /// Number of hits among the trials.
    pub hits: u64,
    /// Number of trials in all.
    pub of: u64,
}

/// Sums over profiles, by planted type.
#[derive(Debug, Default)]
pub(super) struct DemoSummary {
    rows: BTreeMap<UserType, SummaryRow>,
    changed: MatchRate,
}

/// Sums over the profiles of one planted type.
#[derive(Debug, Default)]
struct SummaryRow {
    users: u64,
    actions_per_week: f64,
    orders: u64,
    money: f64,
    categories: BTreeMap<String, u64>,
    hours: Vec<f64>,
    favourite: MatchRate,
    rhythm: MatchRate,
}

impl MatchRate {
    /// Share from 0 to 1; 0 without trials.
    pub fn ratio(self) -> f64 {
        if self.of == 0 { 0.0 } else { self.hits as f64 / self.of as f64 }
    }

    fn note(&mut self, hit: bool) {
        self.hits += u64::from(hit);
        self.of += 1;
    }
}

impl DemoSummary {
    /// Adds a profile's figures on the last day.
    pub(super) fn take(&mut self, truth: &UserTruth, facts: &ProfileFacts, last_day: Day) {
        if facts.actions < ACTIONS_MIN {
            return;
        }
        // Users who changed match neither of their types over 90 days.
        if truth.change.is_some() {
            // Below a week of new habits the old ones still dominate at a half-life of 7 days.
            if truth.change.is_some_and(|change| last_day.since(change.on) >= 7) {
                self.changed.note(facts.top_category_week() == Some(truth.category_on(last_day)));
            }
            return;
        }
        let row = self.rows.entry(truth.user_type).or_default();
        row.users += 1;
        row.actions_per_week += facts.actions_per_week();
        row.orders += facts.orders;
        row.money += facts.money;
        if let Some(category) = &facts.quarterly {
            *row.categories.entry(category.clone()).or_default() += 1;
        }
        row.hours.resize(24, 0.0);
        // Shares, so that every user counts the same.
        row.hours.iter_mut().zip(&facts.hours).for_each(|(sum, share)| *sum += share);
        row.favourite.note(facts.quarterly.as_deref() == Some(truth.category));
        let hours = truth.user_type.hours();
        row.rhythm.note(facts.peak_hour().is_some_and(|hour| facts::is_within(hour, hours)));
    }

    /// Users whose category over 90 days is the planted one.
    pub(super) fn favourite(&self) -> MatchRate {
        total(self.rows.values().map(|row| row.favourite))
    }

    /// Users whose busiest hour is a planted one.
    pub(super) fn rhythm(&self) -> MatchRate {
        total(self.rows.values().map(|row| row.rhythm))
    }

    /// Users with new habits whose category over a week is the new one.
    pub(super) fn changed(&self) -> MatchRate {
        self.changed
    }

    /// Table with a row for each planted type.
    pub(super) fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_preset(presets::ASCII_MARKDOWN);
        table.set_header([
            "planted type",
            "shoppers",
            "actions a week",
            "orders",
            "money",
            "favourites by profile",
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

impl SummaryRow {
    fn cells(&self, kind: UserType) -> [String; 9] {
        let users = self.users.max(1) as f64;
        let mut categories: Vec<(&String, &u64)> = self.categories.iter().collect();
        categories.sort_by(|a, b| b.1.cmp(a.1));
        let liked =
            |(name, count): &(&String, &u64)| format!("{name} {}", words::percent(**count as f64 / users));
        let categories: Vec<String> = categories.iter().take(3).map(liked).collect();
        [
            kind.to_string(),
            words::count(self.users),
            format!("{:.1}", self.actions_per_week / users),
            format!("{:.1}", self.orders as f64 / users),
            words::money(self.money / users),
            categories.join(", "),
            chart::peak(&self.hours).map_or_else(String::new, |hour| format!("{hour}:00")),
            words::percent(self.favourite.ratio()),
            words::percent(self.rhythm.ratio()),
        ]
    }
}

fn total(shares: impl Iterator<Item = MatchRate>) -> MatchRate {
    shares.fold(MatchRate::default(), |sum, share| MatchRate {
        hits: sum.hits + share.hits,
        of: sum.of + share.of,
    })
}
