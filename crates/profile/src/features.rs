//! Feature vectors: one raw vector per user, and the schema of its components. Scaling is learned and belongs to a model.

mod inputs;

use crate::action::ActionKind;
use crate::decay::Decayed;
use crate::dimensions::Dimensions;
use crate::time::Timestamp;
use crate::view::Affinity;
use inputs::FeatureInputs;
use std::fmt;
use std::sync::LazyLock;
use xxhash_rust::xxh64::xxh64;

/// Days since an event that never happened, and the upper limit of every recency.
const NEVER_DAYS: f64 = 365.0;
/// Initial capacity of a vector, above the number of components.
const FEATURES_CAPACITY: usize = 96;

/// Description of each component of a feature vector.
///
/// ```
/// use portrait_profile::{FeatureSchema, Profile, Timestamp, UserId};
///
/// let schema = FeatureSchema::current();
/// let vector = Profile::new(UserId::parse("lena")?).features_at(Timestamp::EPOCH);
/// assert_eq!(vector.len(), schema.components().len());
///
/// // Components are found by name; a user without events was last seen "a year ago".
/// let recency = schema.position("behavior.recency").unwrap();
/// assert_eq!(schema.components()[recency].unit, "days");
/// assert_eq!(vector[recency], 365.0);
/// # Ok::<(), portrait_profile::TextError>(())
/// ```
#[derive(Debug)]
pub struct FeatureSchema {
    components: Vec<FeatureComponent>,
    hash: u64,
}

/// Component of the feature vector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeatureComponent {
    /// Stable name, as `behavior.view.7d`.
    pub name: String,
    /// Unit of the value, as `events` or `days`.
    pub unit: &'static str,
    /// Meaning of the component in words.
    pub description: String,
    /// Dimension of the profile that it belongs to.
    pub dimension: Dimension,
    /// Time span that the value covers.
    pub memory: FeatureMemory,
    /// Aspect of shopping that it measures; none for traits, edges, and values that follow the clock.
    pub facet: Option<Facet>,
}

/// Time span that a component covers: older events have practically no weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeatureMemory {
    /// The current visit; the value follows the hours of the day.
    Hours,
    /// Interests of the current weeks.
    Weeks,
    /// Lasting interests. For a new user the value grows for months with any behaviour.
    Months,
    /// Unlimited span, or a duration that grows with the clock.
    Ever,
}

/// Aspect of shopping behaviour. Segments weigh all facets equally, independent of their numbers of components.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Facet {
    /// Amount and kinds of actions.
    Activity,
    /// Purchases and their consequences.
    Purchasing,
    /// Hours and days of activity.
    Rhythm,
    /// Recency of the newest activity.
    Presence,
    /// Variety and price level of the interests.
    Taste,
}

/// Dimension of a profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dimension {
    /// Identity and traits of the user.
    Basic,
    /// Actions of the user.
    Behavior,
    /// Interests of the user.
    Preference,
    /// Relations to other users.
    Social,
}

impl Facet {
    /// All facets, in the order of their declaration.
    pub const ALL: [Self; 5] = [Self::Activity, Self::Purchasing, Self::Rhythm, Self::Presence, Self::Taste];
}

impl Dimension {
    /// Returns the name in lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Basic => "basic",
            Self::Behavior => "behavior",
            Self::Preference => "preference",
            Self::Social => "social",
        }
    }
}

impl FeatureSchema {
    /// Returns the schema of [`Profile::features_at`](crate::Profile::features_at).
    pub fn current() -> &'static Self {
        static CURRENT: LazyLock<FeatureSchema> = LazyLock::new(|| {
            let mut names = NameVisitor(Vec::new());
            walk(&mut names, &FeatureInputs::empty());
            let components = names.0;
            // Names and units only: a better description must not invalidate trained models.
            let text: String = components
                .iter()
                .map(|component| format!("{}:{};", component.name, component.unit))
                .collect();
            FeatureSchema { hash: xxh64(text.as_bytes(), 0), components }
        });
        &CURRENT
    }

    /// Returns the XXH64 (seed 0) of names and units in order: equal hashes mean comparable vectors.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// Returns the index of a component in the vector; none for an unknown name.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.components.iter().position(|component| component.name == name)
    }

    /// Returns the components in the order of the vector.
    pub fn components(&self) -> &[FeatureComponent] {
        &self.components
    }
}

/// Returns the feature vector at `at`, or at the newest event if that is later.
pub(crate) fn vector(dimensions: &Dimensions, at: Timestamp) -> Vec<f32> {
    let mut values = ValueVisitor(Vec::with_capacity(FEATURES_CAPACITY));
    walk(&mut values, &FeatureInputs::of(dimensions, at));
    values.0
}

/// Visitor of all components in order. One visitor collects the descriptions and another the values, so that the two can
/// never disagree.
///
/// Name and words are passed unformatted: the visitor of the values never formats them.
trait ComponentVisitor {
    fn component(
        &mut self,
        kind: ComponentKind,
        name: fmt::Arguments<'_>,
        description: fmt::Arguments<'_>,
        value: f64,
    );
}

/// Properties of a component besides its name and description.
#[derive(Clone, Copy)]
struct ComponentKind {
    dimension: Dimension,
    unit: &'static str,
    memory: FeatureMemory,
    facet: Option<Facet>,
}

struct NameVisitor(Vec<FeatureComponent>);
struct ValueVisitor(Vec<f32>);

impl ComponentVisitor for NameVisitor {
    fn component(
        &mut self,
        kind: ComponentKind,
        name: fmt::Arguments<'_>,
        description: fmt::Arguments<'_>,
        _: f64,
    ) {
        let ComponentKind { dimension, unit, memory, facet } = kind;
        let name = format!("{}.{name}", dimension.name());
        let description = description.to_string();
        self.0.push(FeatureComponent { name, unit, description, dimension, memory, facet });
    }
}

impl ComponentVisitor for ValueVisitor {
    fn component(&mut self, _: ComponentKind, _: fmt::Arguments<'_>, _: fmt::Arguments<'_>, value: f64) {
        // Sums are f64 and may exceed f32; a view contains no NaN.
        self.0.push((value as f32).clamp(f32::MIN, f32::MAX));
    }
}

fn walk(visitor: &mut impl ComponentVisitor, inputs: &FeatureInputs) {
    walk_basic(visitor, inputs);
    walk_actions(visitor, inputs);
    walk_rfm(visitor, inputs);
    walk_rhythm(visitor, inputs);
    walk_preference(visitor, inputs);
    walk_social(visitor, inputs);
}

fn walk_basic(visitor: &mut impl ComponentVisitor, inputs: &FeatureInputs) {
    let kind = ComponentKind {
        dimension: Dimension::Basic,
        unit: "traits",
        memory: FeatureMemory::Ever,
        facet: None,
    };
    let traits = inputs.traits as f64;
    visitor.component(kind, format_args!("traits"), format_args!("how many traits are known"), traits);
}

fn walk_actions(visitor: &mut impl ComponentVisitor, inputs: &FeatureInputs) {
    for action in ActionKind::ALL {
        let mut sums = Decayed::default();
        for count in inputs.behavior.actions.iter().filter(|count| count.action.kind() == action) {
            sums.hour += count.decayed.hour;
            sums.week += count.decayed.week;
            sums.quarter += count.decayed.quarter;
        }
        let facet = match action {
            ActionKind::Purchase | ActionKind::Refund | ActionKind::Review => Facet::Purchasing,
            _ => Facet::Activity,
        };
        for (span, memory, facet, words, value) in [
            // No facet: the last hours are no evidence of how a user usually shops, and segments should not change within a visit.
            ("1h", FeatureMemory::Hours, None, "of the last hours", sums.hour),
            ("7d", FeatureMemory::Weeks, Some(facet), "of the last weeks", sums.week),
            ("90d", FeatureMemory::Months, Some(facet), "of the last months", sums.quarter),
        ] {
            let kind = ComponentKind { dimension: Dimension::Behavior, unit: "events", memory, facet };
            let action = action.name();
            visitor.component(
                kind,
                format_args!("{action}.{span}"),
                format_args!("{action} events {words}, decayed"),
                value,
            );
        }
    }
}

fn walk_rfm(visitor: &mut impl ComponentVisitor, inputs: &FeatureInputs) {
    use Facet::{Activity, Presence, Purchasing};
    use FeatureMemory::{Ever, Hours, Months, Weeks};
    let rfm = &inputs.behavior.rfm;
    let sessions = &inputs.behavior.sessions;
    let orders = rfm.orders;
    let money = rfm.money;
    let visits = sessions.decayed;
    let newest = inputs.behavior.newest_event_at;
    let first = inputs.behavior.first_event_at;
    let days = |at: Option<Timestamp>| days_since(inputs.read_at, at);
    for (name, unit, memory, facet, words, value) in [
        ("recency", "days", Hours, Some(Presence), "days since the newest event", days(newest)),
        // No facet: it grows by itself, so that it would move users without any event.
        ("tenure", "days", Ever, None, "days since the first event", days(first)),
        (
            "purchase_recency",
            "days",
            Months,
            Some(Purchasing),
            "days since the newest purchase",
            days(rfm.last_purchase_at),
        ),
        ("orders.7d", "orders", Weeks, Some(Purchasing), "orders of the last weeks, decayed", orders.week),
        (
            "orders.90d",
            "orders",
            Months,
            Some(Purchasing),
            "orders of the last months, decayed",
            orders.quarter,
        ),
        ("money.7d", "money", Weeks, Some(Purchasing), "money spent in the last weeks, decayed", money.week),
        (
            "money.90d",
            "money",
            Months,
            Some(Purchasing),
            "money spent in the last months, decayed",
            money.quarter,
        ),
        ("mean_basket", "money", Ever, Some(Purchasing), "money by order", rfm.mean_basket),
        ("sessions.7d", "visits", Weeks, Some(Activity), "visits of the last weeks, decayed", visits.week),
        (
            "sessions.90d",
            "visits",
            Months,
            Some(Activity),
            "visits of the last months, decayed",
            visits.quarter,
        ),
        ("session_events", "events", Ever, Some(Activity), "events in a visit", sessions.mean_events),
        ("session_seconds", "seconds", Ever, Some(Activity), "length of a visit", sessions.mean_seconds),
    ] {
        let kind = ComponentKind { dimension: Dimension::Behavior, unit, memory, facet };
        visitor.component(kind, format_args!("{name}"), format_args!("{words}"), value);
    }
}

fn walk_rhythm(visitor: &mut impl ComponentVisitor, inputs: &FeatureInputs) {
    let kind = |unit, facet| ComponentKind {
        dimension: Dimension::Behavior,
        unit,
        memory: FeatureMemory::Months,
        facet: Some(facet),
    };
    for (name, words, range) in [
        ("night_share", "share of activity between 0 and 6 o'clock", 0..6),
        ("morning_share", "share of activity between 6 and 12 o'clock", 6..12),
        ("afternoon_share", "share of activity between 12 and 18 o'clock", 12..18),
        ("evening_share", "share of activity between 18 and 24 o'clock", 18..24),
    ] {
        visitor.component(
            kind("share", Facet::Rhythm),
            format_args!("{name}"),
            format_args!("{words}"),
            sum_of(&inputs.behavior.hour_share, range),
        );
    }
    visitor.component(
        kind("share", Facet::Rhythm),
        format_args!("weekend_share"),
        format_args!("share of activity on Saturday and Sunday"),
        sum_of(&inputs.behavior.weekday_share, 5..7),
    );
    let steps = inputs.behavior.transitions.iter().map(|step| step.weight);
    visitor.component(
        kind("bits", Facet::Activity),
        format_args!("transition_entropy"),
        format_args!("how varied the steps from action to action are"),
        entropy_bits(steps),
    );
}

fn walk_preference(visitor: &mut impl ComponentVisitor, inputs: &FeatureInputs) {
    let kind = |unit, memory| ComponentKind {
        dimension: Dimension::Preference,
        unit,
        memory,
        facet: Some(Facet::Taste),
    };
    for (name, list) in [("category", &inputs.categories), ("brand", &inputs.brands)] {
        visitor.component(
            kind("kinds", FeatureMemory::Months),
            format_args!("{name}_count"),
            format_args!("how many kinds of {name} are liked"),
            list.len() as f64,
        );
        let top = list.iter().copied().fold(0.0, f64::max);
        visitor.component(
            kind("share", FeatureMemory::Weeks),
            format_args!("{name}_top_share"),
            format_args!("share of the favourite {name}"),
            top,
        );
        let entropy = entropy_bits(list.iter().copied());
        visitor.component(
            kind("bits", FeatureMemory::Weeks),
            format_args!("{name}_entropy"),
            format_args!("how varied the liking of {name} is"),
            entropy,
        );
    }
    visitor.component(
        // No facet, as for all values of the last hours; its change over all users is a drift signal.
        ComponentKind { facet: None, ..kind("share", FeatureMemory::Hours) },
        format_args!("constancy"),
        format_args!("share of the newest activity in the category liked most over months"),
        inputs.loyalty,
    );
    let level = price_level(&inputs.price_bands);
    visitor.component(
        kind("doublings", FeatureMemory::Weeks),
        format_args!("price_level"),
        format_args!("mean price of what is liked, in doublings of 1"),
        level,
    );
    let items = inputs.recent_items as f64;
    visitor.component(
        kind("items", FeatureMemory::Ever),
        format_args!("recent_items"),
        format_args!("how many items are remembered"),
        items,
    );
}

fn walk_social(visitor: &mut impl ComponentVisitor, inputs: &FeatureInputs) {
    // No facet: relations are no evidence of how a user shops.
    let kind =
        |unit| ComponentKind { dimension: Dimension::Social, unit, memory: FeatureMemory::Ever, facet: None };
    let weights: f64 = inputs.edges.iter().sum();
    visitor.component(
        kind("edges"),
        format_args!("edges"),
        format_args!("how many others are known"),
        inputs.edges.len() as f64,
    );
    visitor.component(
        kind("weight"),
        format_args!("edge_weight"),
        format_args!("how strongly others are known, in all"),
        weights,
    );
}

/// Returns the sum of a range of shares; 0 for a user without activity, who has none.
fn sum_of(shares: &[f64], range: std::ops::Range<usize>) -> f64 {
    shares.get(range).map_or(0.0, |part| part.iter().sum())
}

fn days_since(now: Timestamp, at: Option<Timestamp>) -> f64 {
    at.map_or(NEVER_DAYS, |at| now.since(at).as_days_f64().clamp(0.0, NEVER_DAYS))
}

/// Returns the Shannon entropy in bits of weights that need not sum to 1.
fn entropy_bits(weights: impl Iterator<Item = f64> + Clone) -> f64 {
    let weights = weights.filter(|weight| *weight > 0.0);
    let total: f64 = weights.clone().sum();
    if total <= 0.0 {
        return 0.0;
    }
    weights
        .map(|weight| weight / total)
        .map(|share| if share > 0.0 { -share * share.log2() } else { 0.0 })
        .sum()
}

/// Returns the mean band weighted by share. The number of a band is the base-2 logarithm of its upper end.
fn price_level(bands: &[Affinity]) -> f64 {
    bands.iter().map(|band| band.share * band_level(&band.name)).sum()
}

fn band_level(name: &str) -> f64 {
    // The name has the lower end of the band, as "16-32" or "4194304+".
    let lower: f64 = name.split(['-', '+']).next().and_then(|text| text.parse().ok()).unwrap_or(0.0);
    if lower < 1.0 { 0.0 } else { lower.log2() + 1.0 }
}
