//! Labelled snapshots of a user's earlier features, the training examples of the scores. Events and outcomes are folded in;
//! examples come out, and all features of an example are older than its label.
//!
//! A profile keeps a few snapshots of two kinds. A sample of the visits, drawn by a hash, is labelled by a purchase within
//! [`LABEL_WINDOW`]. Orders are labelled by an outcome that names them. The features of an order include all of its lines:
//! they are recorded when the next event that is not one of its lines arrives, before that event is folded in.
//!
//! Invariant: no feature of a snapshot includes anything that happened after it.

use crate::features::FeatureSchema;
use crate::id::OrderId;
use crate::record::{Outcome, ScoreTarget};
use crate::time::{TimeDelta, Timestamp};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh64::xxh64;

/// Period after a snapshot in which a purchase labels it as positive.
pub const LABEL_WINDOW: TimeDelta = TimeDelta::from_days(7);
/// Maximum numbers of snapshots of each kind; the oldest is evicted.
// Each costs up to 187 bytes of a profile. A visit is labelled after a week, so that two are one labelled and one pending.
const VISITS_MAX: usize = 2;
const ORDERS_MAX: usize = 3;
/// Sampling rate: one in this many events can become the snapshot of a visit, so that it is not always the first event.
const SAMPLE_ONE_IN: u64 = 4;
/// Maximum size of all snapshots of a profile: two bytes and a mask bit for each component, and 34 bytes of other fields.
pub(crate) const SNAPSHOTS_MAX_BYTES: usize = (VISITS_MAX + ORDERS_MAX) * (COMPONENTS_MAX * 17 / 8 + 34);
/// Upper limit of the number of components of a schema.
const COMPONENTS_MAX: usize = 72;

/// Snapshots of one user.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Snapshots {
    /// Snapshots of visits, oldest first.
    visits: Vec<Snapshot>,
    /// Snapshots of orders, oldest first.
    orders: Vec<Snapshot>,
}

/// Features at one time, with labels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Snapshot {
    at: Timestamp,
    /// Hash of the order that the event belongs to.
    order: Option<u64>,
    /// Features at that time; none while more lines of the order may arrive.
    features: Option<PackedFeatures>,
    /// Label: a purchase followed within [`LABEL_WINDOW`].
    bought: bool,
    /// Label: the reported outcome of the order.
    risk: Option<bool>,
}

/// Feature vector in packed form.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct PackedFeatures {
    /// Lower half of the schema's hash; vectors of another schema are not comparable.
    schema: u32,
    /// Mask with a bit for each component that is not 0, then the upper half of the bits of each of those.
    packed: Vec<u8>,
}

/// Snapshot with its labels.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainingExample {
    /// Time of the snapshot.
    pub at: Timestamp,
    /// Features at that time: one value per component of [`FeatureSchema::current`], with 8 significant bits.
    pub values: Vec<f32>,
    /// Kind of the snapshot.
    pub kind: SnapshotKind,
    /// True if a purchase followed within [`LABEL_WINDOW`]; none until that has passed.
    pub bought: Option<bool>,
    /// Reported outcome of the order; none if not reported.
    pub risk: Option<bool>,
}

/// Kind of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotKind {
    /// Sampled event of a visit.
    Visit,
    /// Order of the user.
    Order,
}

/// Properties of a folded event that snapshots depend on.
pub(crate) struct SnapshotEvent {
    /// Time of the event.
    pub(crate) at: Timestamp,
    /// Time of the newest event, this one or an earlier one; features are read at this time.
    pub(crate) newest_at: Timestamp,
    pub(crate) purchase: bool,
    /// Hash of the order that the event is a line of.
    pub(crate) order: Option<u64>,
    /// True for an event that arrived too late for a snapshot.
    pub(crate) late: bool,
}

impl Snapshots {
    /// Returns the time of the open order if `order` is another one: its features must be recorded before the event is
    /// folded in.
    pub(crate) fn closing_order(&self, order: Option<u64>) -> Option<Timestamp> {
        let open = self.orders.last().filter(|order| order.features.is_none())?;
        (order.is_none() || open.order != order).then_some(open.at)
    }

    /// Records the features of the open order.
    pub(crate) fn close_order(&mut self, values: &[f32]) {
        if let Some(open) = self.orders.last_mut() {
            open.features = Some(PackedFeatures::of(values));
        }
    }

    /// Records a folded event; `features` returns the features after it.
    pub(crate) fn record(&mut self, step: &SnapshotEvent, salt: u64, features: impl FnOnce() -> Vec<f32>) {
        // A late purchase still labels the snapshots before it.
        if step.purchase {
            self.label_purchase(step.at, step.order);
        }
        if step.late {
            return;
        }
        if step.purchase {
            self.record_order(step.newest_at, step.order);
        }
        let at = step.newest_at;
        // A hash instead of a random number: a rebuild from the log finds the same snapshots.
        let is_sampled = xxh64(&at.millis().to_le_bytes(), salt).is_multiple_of(SAMPLE_ONE_IN);
        // The intervals of two labels must not overlap, or one purchase would label both.
        let is_due = self.visits.last().is_none_or(|visit| at.since(visit.at) >= LABEL_WINDOW);
        if is_sampled && is_due {
            let features = Some(PackedFeatures::of(&features()));
            let visit = Snapshot { at, order: step.order, features, bought: false, risk: None };
            push(&mut self.visits, VISITS_MAX, visit);
        }
    }

    /// Records an outcome reported for the time `at`.
    pub(crate) fn record_label(&mut self, at: Timestamp, outcome: &Outcome) {
        let order = outcome.order_id.as_ref().map(OrderId::hash);
        match outcome.target {
            ScoreTarget::Propensity if outcome.happened => self.label_purchase(at, order),
            // No purchase is the default label.
            ScoreTarget::Propensity => {}
            ScoreTarget::Risk => {
                // From the newest: an outcome without an order is about the newest order at its time.
                let mut newest_first = self.orders.iter_mut().rev();
                let labelled = match order {
                    Some(_) => newest_first.find(|snapshot| snapshot.order == order),
                    None => newest_first.find(|snapshot| snapshot.at <= at),
                };
                if let Some(snapshot) = labelled {
                    snapshot.risk = Some(outcome.happened);
                }
            }
        }
    }

    /// Returns the snapshots as examples at `as_of`; `newest` supplies the features of an order whose lines may be
    /// incomplete.
    pub(crate) fn training_examples(
        &self,
        as_of: Timestamp,
        newest: impl Fn(Timestamp) -> Vec<f32>,
    ) -> Vec<TrainingExample> {
        let visits = self.visits.iter().map(|snapshot| (SnapshotKind::Visit, snapshot));
        let orders = self.orders.iter().map(|snapshot| (SnapshotKind::Order, snapshot));
        visits
            .chain(orders)
            .filter_map(|(kind, snapshot)| {
                let values = match &snapshot.features {
                    Some(packed) => packed.values()?,
                    None => round_to_bf16(newest(snapshot.at)),
                };
                // Until the window has passed, no purchase yet is not the same as no purchase.
                let is_labelled = as_of.since(snapshot.at) >= LABEL_WINDOW;
                let bought = is_labelled.then_some(snapshot.bought);
                Some(TrainingExample { at: snapshot.at, values, kind, bought, risk: snapshot.risk })
            })
            .collect()
    }

    fn label_purchase(&mut self, at: Timestamp, order: Option<u64>) {
        for snapshot in self.visits.iter_mut().chain(&mut self.orders) {
            // Another line of the snapshot's own order is part of its features, not of its label.
            let is_other_order = order.is_none() || snapshot.order != order;
            snapshot.bought |= is_other_order && at > snapshot.at && at.since(snapshot.at) <= LABEL_WINDOW;
        }
    }

    fn record_order(&mut self, at: Timestamp, order: Option<u64>) {
        match self.orders.last_mut() {
            // A further line of the open order moves it to the newest line.
            Some(open) if order.is_some() && open.order == order => open.at = at,
            _ => push(
                &mut self.orders,
                ORDERS_MAX,
                Snapshot { at, order, features: None, bought: false, risk: None },
            ),
        }
    }
}

impl PackedFeatures {
    fn of(values: &[f32]) -> Self {
        let mut packed = vec![0; values.len().div_ceil(8)];
        // With the mask a zero costs one bit instead of two bytes.
        for (index, value) in values.iter().enumerate() {
            let half = bf16_bits(*value);
            if half != 0 {
                packed[index / 8] |= 1 << (index % 8);
                packed.extend(half.to_le_bytes());
            }
        }
        Self { schema: FeatureSchema::current().hash() as u32, packed }
    }

    /// Unpacks the values; none if they are of another schema or damaged.
    fn values(&self) -> Option<Vec<f32>> {
        let schema = FeatureSchema::current();
        let width = schema.components().len();
        let (mask, halves) = self.packed.split_at_checked(width.div_ceil(8))?;
        if self.schema != schema.hash() as u32 {
            return None;
        }
        let mut halves = halves.chunks_exact(2);
        (0..width)
            .map(|index| {
                if mask[index / 8] & (1 << (index % 8)) == 0 {
                    return Some(0.0);
                }
                let half = halves.next()?;
                Some(f32::from_bits(u32::from(u16::from_le_bytes([half[0], half[1]])) << 16))
            })
            .collect()
    }
}

/// Rounds values to the precision of snapshots. Live vectors are rounded before they are scored, so that both have one
/// distribution.
pub(crate) fn round_to_bf16(mut values: Vec<f32>) -> Vec<f32> {
    values.iter_mut().for_each(|value| *value = f32::from_bits(u32::from(bf16_bits(*value)) << 16));
    values
}

/// Returns the bfloat16 bits of a finite number: 8 significant bits, rounded to nearest, ties to even.
fn bf16_bits(value: f32) -> u16 {
    let bits = value.to_bits();
    let rounded = bits.saturating_add(0x7FFF + ((bits >> 16) & 1));
    // A value that would round to infinity is truncated to the largest finite one.
    let finite = if f32::from_bits(rounded & 0xFFFF_0000).is_finite() { rounded } else { bits };
    let half = (finite >> 16) as u16;
    // -0 is 0, so that the mask leaves it out.
    if half == 0x8000 { 0 } else { half }
}

fn push(list: &mut Vec<Snapshot>, max: usize, snapshot: Snapshot) {
    if list.len() == max {
        list.remove(0);
    }
    list.push(snapshot);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(days: i64) -> Timestamp {
        Timestamp::EPOCH.plus(TimeDelta::from_days(15_000 + days))
    }

    fn step(days: i64, purchase: bool, order: Option<u64>) -> SnapshotEvent {
        SnapshotEvent { at: at(days), newest_at: at(days), purchase, order, late: false }
    }

    fn vector(value: f32) -> Vec<f32> {
        vec![value; FeatureSchema::current().components().len()]
    }

    /// Returns a salt for which the visit on `days` is sampled.
    fn salt_sampling(days: i64) -> u64 {
        let is_sampled =
            |salt: &u64| xxh64(&at(days).millis().to_le_bytes(), *salt).is_multiple_of(SAMPLE_ONE_IN);
        (0..1000).find(is_sampled).expect("one in four is sampled")
    }

    #[test]
    fn a_visit_is_labelled_by_a_purchase_within_the_window() {
        let rows = [(1, true), (7, true), (8, false), (-1, false), (0, false)];
        for (days, expected) in rows {
            let mut snapshots = Snapshots::default();
            snapshots.record(&step(0, false, None), salt_sampling(0), || vector(1.0));
            snapshots.record(&step(days, true, Some(3)), salt_sampling(0), || vector(2.0));
            let examples_at = |as_of: i64| {
                let examples = snapshots.training_examples(at(as_of), |_| vector(9.0));
                (examples[0].at, examples[0].bought, examples[0].values[0])
            };
            assert_eq!(examples_at(6), (at(0), None, 1.0), "the window has not passed");
            assert_eq!(examples_at(7), (at(0), Some(expected), 1.0), "a purchase after {days} days");
        }
    }

    #[test]
    fn an_order_has_the_features_of_all_its_lines_and_nothing_after() {
        let mut snapshots = Snapshots::default();
        let never = salt_sampling(0) ^ u64::MAX;
        for line in 0..3 {
            assert_eq!(snapshots.closing_order(Some(7)), None, "line {line} is of the order");
            snapshots.record(&step(0, true, Some(7)), never, || vector(1.0));
        }
        let orders = |snapshots: &Snapshots| {
            let examples = snapshots.training_examples(at(30), |_| vector(3.0));
            examples.into_iter().filter(|example| example.kind == SnapshotKind::Order).collect::<Vec<_>>()
        };
        assert_eq!(orders(&snapshots)[0].values[0], 3.0, "no event has arrived since");
        assert_eq!(snapshots.closing_order(Some(8)), Some(at(0)));
        snapshots.close_order(&vector(4.0));
        snapshots.record(&step(2, true, Some(8)), never, || vector(5.0));
        let risk = |happened, order: Option<&str>| Outcome {
            target: ScoreTarget::Risk,
            happened,
            order_id: order.map(|order| OrderId::parse(order).expect("an id")),
        };
        snapshots.record_label(at(1), &risk(true, None));
        let examples = orders(&snapshots);
        assert_eq!(
            (examples[0].values[0], examples[0].bought, examples[0].risk),
            (4.0, Some(true), Some(true))
        );
        assert_eq!((examples[1].bought, examples[1].risk), (Some(false), None));
        snapshots.record_label(at(40), &risk(true, Some("unknown")));
        assert_eq!(orders(&snapshots), examples, "an unknown order");
    }

    #[test]
    fn snapshots_are_bounded_and_the_oldest_are_evicted() {
        let mut snapshots = Snapshots::default();
        for days in 0..400 {
            if snapshots.closing_order(None).is_some() {
                snapshots.close_order(&vector(1.0));
            }
            snapshots.record(&step(days, true, None), 5, || vector(days as f32));
        }
        assert_eq!((snapshots.visits.len(), snapshots.orders.len()), (VISITS_MAX, ORDERS_MAX));
        let apart = snapshots.visits[1].at.since(snapshots.visits[0].at);
        assert!(apart >= LABEL_WINDOW && snapshots.visits[1].at > at(380), "{snapshots:?}");
    }

    #[test]
    fn snapshots_fit_their_byte_budget() {
        let width = FeatureSchema::current().components().len();
        assert!(width <= COMPONENTS_MAX, "{width} components");
        let far = Timestamp::from_millis(i64::MIN);
        let features = Some(PackedFeatures::of(&vector(1.5)));
        let snapshot = Snapshot { at: far, order: Some(u64::MAX), features, bought: true, risk: Some(true) };
        let snapshots =
            Snapshots { visits: vec![snapshot.clone(); VISITS_MAX], orders: vec![snapshot; ORDERS_MAX] };
        let bytes = postcard::to_allocvec(&snapshots).expect("of known length").len();
        assert!(bytes <= SNAPSHOTS_MAX_BYTES, "{bytes} bytes");
    }

    #[test]
    fn values_keep_eight_bits_and_stay_finite() {
        let rows = [0.0, -0.0, 1.0, 0.333, -17.25, 1e9, f32::MAX, f32::MIN, f32::MIN_POSITIVE];
        for value in rows {
            let rounded = round_to_bf16(vec![value])[0];
            assert!(
                rounded.is_finite() && (rounded - value).abs() <= value.abs() / 256.0,
                "{value} {rounded}"
            );
            let unpacked = PackedFeatures::of(&vector(value)).values().expect("of this schema");
            assert_eq!(unpacked, vector(rounded));
        }
        let other = PackedFeatures { schema: 1, ..PackedFeatures::of(&vector(1.0)) };
        assert_eq!(other.values(), None, "of another schema");
    }
}
