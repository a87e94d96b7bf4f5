//! Moments of a shopper that are looked back at: what was known of the shopper then, and what came of it. In come events and
//! outcomes as they are folded; out go rows to learn from, whose numbers are older than their labels.
//!
//! Two sorts are kept, a few of each. Some visits, drawn by a hash, answer whether a purchase follows within [`LABEL_WINDOW`]. Orders wait
//! for an outcome that names them. What was known at an order includes all of its lines: it is written down when the next event
//! that is no line of it arrives, before that event counts.
//!
//! Invariant: nothing that happened after a moment is in what was known at it.

use crate::features::FeatureSchema;
use crate::id::OrderId;
use crate::record::{Outcome, ScoreTarget};
use crate::time::{TimeDelta, Timestamp};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh64::xxh64;

/// How long after a moment a purchase counts as having come of it.
pub const LABEL_WINDOW: TimeDelta = TimeDelta::from_days(7);
/// How many moments of each sort a profile keeps; the oldest gives way.
const VISITS_MAX: usize = 2;
const ORDERS_MAX: usize = 3;
/// Of the events that may become the moment of a visit, one in so many does: not always the first of a visit.
const SAMPLE_ONE_IN: u64 = 4;
/// What all moments of a profile take at most: numbers of two bytes, a bit for each, and what stands around them.
pub(crate) const SNAPSHOTS_MAX_BYTES: usize = (VISITS_MAX + ORDERS_MAX) * (COMPONENTS_MAX * 17 / 8 + 34);
/// No schema has more components.
const COMPONENTS_MAX: usize = 72;

/// What is looked back at.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Snapshots {
    /// Oldest first.
    visits: Vec<Snapshot>,
    /// Oldest first.
    orders: Vec<Snapshot>,
}

/// One moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Snapshot {
    at: Timestamp,
    /// The hash of the order it is a moment of.
    order: Option<u64>,
    /// What was known; none as long as more lines may come.
    features: Option<PackedFeatures>,
    /// Whether a purchase followed within the horizon.
    bought: bool,
    /// What was reported of it.
    risk: Option<bool>,
}

/// A feature vector in few bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct PackedFeatures {
    /// The lower half of the schema's hash: of another schema nothing can be learned.
    schema: u32,
    /// A bit for each component that is not 0, and for each of those the upper half of its bits.
    packed: Vec<u8>,
}

/// A moment and what came of it.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainingExample {
    /// When it was.
    pub at: Timestamp,
    /// What was known then: a value a component of [`FeatureSchema::current`], of 8 significant bits.
    pub values: Vec<f32>,
    /// Whether it was drawn at random among events, or is that of an order.
    pub kind: SnapshotKind,
    /// Whether a purchase followed within [`LABEL_WINDOW`]; none before that has passed.
    pub bought: Option<bool>,
    /// Whether the risk came about, if anybody said.
    pub risk: Option<bool>,
}

/// Why a moment is looked back at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotKind {
    /// It was drawn among a shopper's events.
    Visit,
    /// Something was ordered.
    Order,
}

/// What an event is, to moments.
pub(crate) struct SnapshotEvent {
    /// When it was.
    pub(crate) at: Timestamp,
    /// When the newest event was, this one or one before: what is known is known as of then.
    pub(crate) newest_at: Timestamp,
    pub(crate) purchase: bool,
    /// The hash of the order it is a line of.
    pub(crate) order: Option<u64>,
    /// It came too late to be looked back at.
    pub(crate) late: bool,
}

impl Snapshots {
    /// The moment of the order that ends with an event, if that is no line of it: what was known is to be written down.
    pub(crate) fn closing_order(&self, order: Option<u64>) -> Option<Timestamp> {
        let open = self.orders.last().filter(|moment| moment.features.is_none())?;
        (order.is_none() || open.order != order).then_some(open.at)
    }

    /// Writes down what was known at the newest order, and nothing that came later.
    pub(crate) fn close_order(&mut self, values: &[f32]) {
        if let Some(open) = self.orders.last_mut() {
            open.features = Some(PackedFeatures::of(values));
        }
    }

    /// Takes an event that was folded; `known` gives what is known after it.
    pub(crate) fn record(&mut self, step: &SnapshotEvent, salt: u64, known: impl FnOnce() -> Vec<f32>) {
        if step.purchase {
            self.bought(step.at, step.order);
        }
        if step.late {
            return;
        }
        if step.purchase {
            self.ordered(step.newest_at, step.order);
        }
        let at = step.newest_at;
        let drawn = xxh64(&at.millis().to_le_bytes(), salt).is_multiple_of(SAMPLE_ONE_IN);
        let due = self.visits.last().is_none_or(|visit| at.since(visit.at) >= LABEL_WINDOW);
        if drawn && due {
            let known = Some(PackedFeatures::of(&known()));
            let moment = Snapshot { at, order: step.order, features: known, bought: false, risk: None };
            push(&mut self.visits, VISITS_MAX, moment);
        }
    }

    /// Takes what came of something.
    pub(crate) fn record_label(&mut self, at: Timestamp, outcome: &Outcome) {
        let order = outcome.order_id.as_ref().map(OrderId::hash);
        match outcome.target {
            ScoreTarget::Propensity if outcome.happened => self.bought(at, order),
            ScoreTarget::Propensity => {}
            ScoreTarget::Risk => {
                let named = |moment: &&mut Snapshot| match order {
                    Some(_) => moment.order == order,
                    None => moment.at <= at,
                };
                if let Some(moment) = self.orders.iter_mut().rev().find(named) {
                    moment.risk = Some(outcome.happened);
                }
            }
        }
    }

    /// The moments as they look at `as_of`; what is known at an order whose lines may not all be there is `newest`.
    pub(crate) fn training_examples(
        &self,
        as_of: Timestamp,
        newest: impl Fn(Timestamp) -> Vec<f32>,
    ) -> Vec<TrainingExample> {
        let sorts = [(SnapshotKind::Visit, &self.visits), (SnapshotKind::Order, &self.orders)];
        let all = sorts.into_iter().flat_map(|(sort, moments)| moments.iter().map(move |one| (sort, one)));
        all.filter_map(|(sort, moment)| {
            let values = match &moment.features {
                Some(known) => known.values()?,
                None => round_to_bf16(newest(moment.at)),
            };
            let over = as_of.since(moment.at) >= LABEL_WINDOW;
            let bought = over.then_some(moment.bought);
            Some(TrainingExample { at: moment.at, values, kind: sort, bought, risk: moment.risk })
        })
        .collect()
    }

    fn bought(&mut self, at: Timestamp, order: Option<u64>) {
        for moment in self.visits.iter_mut().chain(&mut self.orders) {
            let another = order.is_none() || moment.order != order;
            moment.bought |= another && at > moment.at && at.since(moment.at) <= LABEL_WINDOW;
        }
    }

    fn ordered(&mut self, at: Timestamp, order: Option<u64>) {
        match self.orders.last_mut() {
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
        for (place, value) in values.iter().enumerate() {
            let half = bf16_bits(*value);
            if half != 0 {
                packed[place / 8] |= 1 << (place % 8);
                packed.extend(half.to_le_bytes());
            }
        }
        Self { schema: FeatureSchema::current().hash() as u32, packed }
    }

    /// None if they are of another schema, or damaged.
    fn values(&self) -> Option<Vec<f32>> {
        let schema = FeatureSchema::current();
        let width = schema.components().len();
        let (mask, halves) = self.packed.split_at_checked(width.div_ceil(8))?;
        if self.schema != schema.hash() as u32 {
            return None;
        }
        let mut halves = halves.chunks_exact(2);
        let value = |place: usize| {
            if mask[place / 8] & (1 << (place % 8)) == 0 {
                return Some(0.0);
            }
            let half = halves.next()?;
            Some(f32::from_bits(u32::from(u16::from_le_bytes([half[0], half[1]])) << 16))
        };
        (0..width).map(value).collect()
    }
}

/// Values as moments keep them: whoever scores a vector gives it the same precision.
pub(crate) fn round_to_bf16(mut values: Vec<f32>) -> Vec<f32> {
    values.iter_mut().for_each(|value| *value = f32::from_bits(u32::from(bf16_bits(*value)) << 16));
    values
}

/// Of a finite number the nearest of 8 significant bits, ties to even, as its upper half (the format bfloat16).
fn bf16_bits(value: f32) -> u16 {
    let bits = value.to_bits();
    let rounded = bits.saturating_add(0x7FFF + ((bits >> 16) & 1));
    // What would round to infinity stays the largest number.
    let finite = if f32::from_bits(rounded & 0xFFFF_0000).is_finite() { rounded } else { bits };
    let half = (finite >> 16) as u16;
    // A negative 0 is 0.
    if half == 0x8000 { 0 } else { half }
}

fn push(moments: &mut Vec<Snapshot>, most: usize, moment: Snapshot) {
    if moments.len() == most {
        moments.remove(0);
    }
    moments.push(moment);
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

    /// A salt by which a visit is drawn on `days`.
    fn drawing(days: i64) -> u64 {
        let drawn = |salt: &u64| xxh64(&at(days).millis().to_le_bytes(), *salt).is_multiple_of(SAMPLE_ONE_IN);
        (0..1000).find(drawn).expect("one in four is drawn")
    }

    #[test]
    fn a_visit_says_whether_a_purchase_followed_within_the_horizon() {
        let rows = [(1, true), (7, true), (8, false), (-1, false), (0, false)];
        for (days, expected) in rows {
            let mut moments = Snapshots::default();
            moments.record(&step(0, false, None), drawing(0), || vector(1.0));
            moments.record(&step(days, true, Some(3)), drawing(0), || vector(2.0));
            let looked = |as_of: i64| {
                let back = moments.training_examples(at(as_of), |_| vector(9.0));
                (back[0].at, back[0].bought, back[0].values[0])
            };
            assert_eq!(looked(6), (at(0), None, 1.0), "the horizon has not passed");
            assert_eq!(looked(7), (at(0), Some(expected), 1.0), "a purchase after {days} days");
        }
    }

    #[test]
    fn an_order_is_known_with_all_its_lines_and_nothing_after() {
        let mut moments = Snapshots::default();
        let never = drawing(0) ^ u64::MAX;
        for line in 0..3 {
            assert_eq!(moments.closing_order(Some(7)), None, "line {line} is of the order");
            moments.record(&step(0, true, Some(7)), never, || vector(1.0));
        }
        let orders = |moments: &Snapshots| {
            let back = moments.training_examples(at(30), |_| vector(3.0));
            back.into_iter().filter(|one| one.kind == SnapshotKind::Order).collect::<Vec<_>>()
        };
        assert_eq!(orders(&moments)[0].values[0], 3.0, "nothing has come since");
        assert_eq!(moments.closing_order(Some(8)), Some(at(0)));
        moments.close_order(&vector(4.0));
        moments.record(&step(2, true, Some(8)), never, || vector(5.0));
        let risk = |happened, order: Option<&str>| Outcome {
            target: ScoreTarget::Risk,
            happened,
            order_id: order.map(|order| OrderId::parse(order).expect("an id")),
        };
        moments.record_label(at(1), &risk(true, None));
        let back = orders(&moments);
        assert_eq!((back[0].values[0], back[0].bought, back[0].risk), (4.0, Some(true), Some(true)));
        assert_eq!((back[1].bought, back[1].risk), (Some(false), None));
        moments.record_label(at(40), &risk(true, Some("unknown")));
        assert_eq!(orders(&moments), back, "an order that is not known");
    }

    #[test]
    fn few_moments_are_kept_and_the_oldest_give_way() {
        let mut moments = Snapshots::default();
        for days in 0..400 {
            if moments.closing_order(None).is_some() {
                moments.close_order(&vector(1.0));
            }
            moments.record(&step(days, true, None), 5, || vector(days as f32));
        }
        assert_eq!((moments.visits.len(), moments.orders.len()), (VISITS_MAX, ORDERS_MAX));
        let apart = moments.visits[1].at.since(moments.visits[0].at);
        assert!(apart >= LABEL_WINDOW && moments.visits[1].at > at(380), "{moments:?}");
    }

    #[test]
    fn all_moments_fit_what_is_reserved_for_them() {
        let width = FeatureSchema::current().components().len();
        assert!(width <= COMPONENTS_MAX, "{width} components");
        let far = Timestamp::from_millis(i64::MIN);
        let known = Some(PackedFeatures::of(&vector(1.5)));
        let moment = Snapshot { at: far, order: Some(u64::MAX), features: known, bought: true, risk: Some(true) };
        let moments =
            Snapshots { visits: vec![moment.clone(); VISITS_MAX], orders: vec![moment; ORDERS_MAX] };
        let bytes = postcard::to_allocvec(&moments).expect("of known length").len();
        assert!(bytes <= SNAPSHOTS_MAX_BYTES, "{bytes} bytes");
    }

    #[test]
    fn values_keep_eight_bits_and_stay_finite() {
        let rows = [0.0, -0.0, 1.0, 0.333, -17.25, 1e9, f32::MAX, f32::MIN, f32::MIN_POSITIVE];
        for value in rows {
            let kept = round_to_bf16(vec![value])[0];
            assert!(kept.is_finite() && (kept - value).abs() <= value.abs() / 256.0, "{value} {kept}");
            let whole = PackedFeatures::of(&vector(value)).values().expect("of this schema");
            assert_eq!(whole, vector(kept));
        }
        let other = PackedFeatures { schema: 1, ..PackedFeatures::of(&vector(1.0)) };
        assert_eq!(other.values(), None, "of another schema");
    }
}
