//! Fold of a log into profiles in memory, as the server folds events, for commands that need no server. Takes events
//! in the order of the log; returns feature vectors at a time.

use anyhow::{Context, Result, bail};
use ndarray::Array2;
use portrait_profile::{
    Action, Body, FeatureSchema, ItemId, OrderId, Profile, Record, RecordId, Timestamp, UserId,
};
use portrait_proto::time;
use portrait_proto::v1::{self, Event};
use std::collections::BTreeMap;

/// Profiles of all users of a log.
#[derive(Debug, Default)]
pub(crate) struct Replay {
    profiles: BTreeMap<UserId, Profile>,
    newest: Timestamp,
}

impl Replay {
    /// Folds an event into its user's profile. Duplicates are not detected.
    pub(crate) fn fold(&mut self, event: &Event) -> Result<()> {
        self.fold_record(&record(event)?);
        Ok(())
    }

    /// Folds a record into its user's profile. Duplicates are not detected.
    pub(crate) fn fold_record(&mut self, record: &Record) {
        self.newest = self.newest.max(record.occurred_at);
        // Ordered by user id: rows of vectors and lists of categories line up.
        let profile = self.profiles.entry(record.user_id.clone());
        profile.or_insert_with(|| Profile::new(record.user_id.clone())).apply(record);
    }

    /// Time of the newest event.
    pub(crate) fn newest(&self) -> Timestamp {
        self.newest
    }

    /// Category of each user's latest event, in the order of user ids.
    pub(crate) fn latest(&self) -> Vec<Option<&str>> {
        self.profiles.values().map(Profile::latest_category).collect()
    }

    /// Raw feature vectors of all users at `at`, `n x d`, in the order of user ids.
    pub(crate) fn vectors(&self, at: Timestamp) -> Result<Array2<f32>> {
        let values: Vec<f32> = self.profiles.values().flat_map(|profile| profile.features_at(at)).collect();
        let width = FeatureSchema::current().components().len();
        // Vectors are concatenated in the order of the map, which is that of `latest`.
        Ok(Array2::from_shape_vec((self.profiles.len(), width), values)?)
    }
}

/// Converts an event to the record that the server logs and folds, without validation.
///
/// # Errors
/// If the event has no time, an invalid id, or a custom action.
pub(crate) fn record(event: &Event) -> Result<Record> {
    let occurred_at = event.occurred_at.as_ref().context("an event without a time")?;
    let occurred_at = time::from_wire(occurred_at)?;
    let body = Body::Event(portrait_profile::Event {
        action: action(event.action())?,
        utc_offset_minutes: 0,
        item_id: (!event.item_id.is_empty()).then(|| ItemId::parse(&event.item_id)).transpose()?,
        category: non_empty(&event.category),
        brand: non_empty(&event.brand),
        price: event.price,
        quantity: event.quantity.unwrap_or(1.0),
        order_id: (!event.order_id.is_empty()).then(|| OrderId::parse(&event.order_id)).transpose()?,
        order_line: event.order_line,
        strength: None,
        context: None,
    });
    Ok(Record {
        user_id: UserId::parse(&event.user_id)?,
        record_id: Some(RecordId::parse(&event.event_id)?),
        occurred_at,
        // A log has no times of acceptance: an event counts as accepted when it occurred.
        accepted_at: occurred_at,
        trace: None,
        source: None,
        body,
    })
}

/// Text of a wire field; the wire has no absent strings, only empty ones.
fn non_empty(text: &str) -> Option<Box<str>> {
    (!text.is_empty()).then(|| Box::from(text))
}

fn action(action: v1::Action) -> Result<Action> {
    Ok(match action {
        v1::Action::View => Action::View,
        v1::Action::Search => Action::Search,
        v1::Action::Click => Action::Click,
        v1::Action::AddToCart => Action::AddToCart,
        v1::Action::RemoveFromCart => Action::RemoveFromCart,
        v1::Action::Favorite => Action::Favorite,
        v1::Action::Purchase => Action::Purchase,
        v1::Action::Refund => Action::Refund,
        v1::Action::Review => Action::Review,
        v1::Action::Share => Action::Share,
        v1::Action::Custom | v1::Action::Unspecified => bail!("custom actions cannot be replayed"),
    })
}
