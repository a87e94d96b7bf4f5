//! Accounting of what does not reach the log although its item does: dropped traits and properties by kind of personal data, and
//! fields that were cut or left out.

use crate::metrics::Metrics;
use crate::personal::PersonalKind;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

/// Reason why a trait or property is not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DropReason {
    /// Name or form of personal data, without a policy of the shop.
    Personal(PersonalKind),
    /// Policy `drop` of the shop.
    Policy,
}

/// Field of an event that loses itself instead of the event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LossyField {
    /// Words of a search: cut.
    Query,
    /// Session id of the sender: left out, since a cut id could be another one.
    SessionId,
    /// Device id of the sender: left out.
    AnonymousId,
    /// Property: a long value is cut, another defect leaves the property out.
    Properties,
    /// Category: left out, so that the catalogue's applies.
    Category,
    /// Brand: left out, so that the catalogue's applies.
    Brand,
}

/// Losses of the items of a batch, by the label of their metric.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Losses {
    dropped: BTreeMap<&'static str, u64>,
    truncated: BTreeMap<&'static str, u64>,
}

/// Reporter of losses: counts each, and logs the first of its kind.
pub(crate) struct LossReporter {
    metrics: Arc<Metrics>,
    /// Labels that were logged; there are no more than kinds and fields.
    logged: Mutex<BTreeSet<&'static str>>,
}

impl DropReason {
    const fn label(self) -> &'static str {
        match self {
            Self::Personal(kind) => kind.label(),
            Self::Policy => "policy",
        }
    }
}

impl LossyField {
    const fn label(self) -> &'static str {
        match self {
            Self::Query => "query",
            Self::SessionId => "session_id",
            Self::AnonymousId => "anonymous_id",
            Self::Properties => "properties",
            Self::Category => "category",
            Self::Brand => "brand",
        }
    }
}

impl Losses {
    /// Notes a trait or property that is not written.
    pub(crate) fn drop_value(&mut self, reason: DropReason) {
        *self.dropped.entry(reason.label()).or_default() += 1;
    }

    /// Notes a field that is cut or left out.
    pub(crate) fn truncate(&mut self, field: LossyField) {
        self.truncate_many(field, 1);
    }

    /// Notes `count` values of a field that are left out.
    pub(crate) fn truncate_many(&mut self, field: LossyField, count: usize) {
        if count > 0 {
            *self.truncated.entry(field.label()).or_default() += count as u64;
        }
    }
}

impl LossReporter {
    /// Creates a reporter that has logged nothing.
    pub(crate) fn new(metrics: Arc<Metrics>) -> Self {
        Self { metrics, logged: Mutex::default() }
    }

    /// Counts the losses of a batch. The log names kinds and fields, never a name or value of a sender.
    pub(crate) fn report(&self, losses: &Losses) {
        for (&kind, &count) in &losses.dropped {
            self.metrics.dropped(kind, count);
            if kind != DropReason::Policy.label() && self.is_first(kind) {
                tracing::warn!(
                    kind,
                    "personal data was dropped, later ones are only counted: name its policy in ingest.traits to store it"
                );
            }
        }
        for (&field, &count) in &losses.truncated {
            self.metrics.truncated(field, count);
            if self.is_first(field) {
                tracing::warn!(
                    field,
                    "a field was cut or left out, later ones are only counted: see the limits of events"
                );
            }
        }
    }

    fn is_first(&self, label: &'static str) -> bool {
        self.logged.lock().unwrap_or_else(PoisonError::into_inner).insert(label)
    }
}

#[cfg(test)]
impl Losses {
    /// Returns the counts of dropped values by kind, and those of truncated fields.
    pub(crate) fn counts(&self) -> [Vec<(&'static str, u64)>; 2] {
        [&self.dropped, &self.truncated]
            .map(|counts| counts.iter().map(|(label, count)| (*label, *count)).collect())
    }
}
