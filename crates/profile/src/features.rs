//! The numbers of a profile: one raw vector a shopper, and the schema that says in words what each component is. Scaling is
//! learned and belongs to a model; nothing here depends on one.

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

/// Days since something that never happened, and the most that any recency says.
const NEVER_DAYS: f64 = 365.0;

/// What each component of a feature vector means.
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

/// One component of the vector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeatureComponent {
    /// Its stable name, as `behavior.view.7d`.
    pub name: String,
    /// Its unit.
    pub unit: &'static str,
    /// What it says.
    pub description: String,
    /// Which dimension of the profile it belongs to.
    pub dimension: Dimension,
    /// How far back it looks.
    pub memory: FeatureMemory,
    /// Which side of shopping it tells of; none if it says nothing of how somebody shops, or moves by itself.
    pub facet: Option<Facet>,
}

/// How far back a component looks: after about so long it has forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeatureMemory {
    /// What just happened; follows the hours of the day.
    Hours,
    /// What is going on.
    Weeks,
    /// What the shopper is like; of a young shopper it grows for months whatever is done.
    Months,
    /// It never forgets, or it is a time that grows by itself.
    Ever,
}

/// A side of how somebody shops. Segments weigh all of them the same, however many components tell of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Facet {
    /// How much is done, and what.
    Activity,
    /// What is bought, and what happens to it.
    Purchasing,
    /// At which hours and on which days.
    Rhythm,
    /// How lately.
    Presence,
    /// How varied and how dear what is liked is.
    Taste,
}

/// The four dimensions of a profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dimension {
    /// Who the shopper is.
    Basic,
    /// What the shopper does.
    Behavior,
    /// What the shopper likes.
    Preference,
    /// Whom the shopper is connected to.
    Social,
}

impl Facet {
    /// Every facet.
    pub const ALL: [Self; 5] = [Self::Activity, Self::Purchasing, Self::Rhythm, Self::Presence, Self::Taste];
}

impl Dimension {
    /// Its name in lower case.
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
    /// The schema of [`Profile::features_at`](crate::Profile::features_at).
    pub fn current() -> &'static Self {
        static CURRENT: LazyLock<FeatureSchema> = LazyLock::new(|| {
            let mut names = NameVisitor(Vec::new());
            walk(&mut names, &FeatureInputs::empty());
            let components = names.0;
            let text: String = components.iter().map(|one| format!("{}:{};", one.name, one.unit)).collect();
            FeatureSchema { hash: xxh64(text.as_bytes(), 0), components }
        });
        &CURRENT
    }

    /// XXH64 (seed 0) of names and units in order: equal hashes mean comparable vectors.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// The place of a component in the vector.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.components.iter().position(|component| component.name == name)
    }

    /// The components in the order of the vector.
    pub fn components(&self) -> &[FeatureComponent] {
        &self.components
    }
}

/// The feature vector at `at`, or at the newest event if that is later.
pub(crate) fn vector(dimensions: &Dimensions, at: Timestamp) -> Vec<f32> {
    let mut values = ValueVisitor(Vec::with_capacity(96));
    walk(&mut values, &FeatureInputs::of(dimensions, at));
    values.0
}

/// Takes one component after the other: either its meaning or its value, so that the two can never disagree.
///
/// Names and words are put together only by who wants them: a value needs none.
trait ComponentVisitor {
    fn component(&mut self, kind: ComponentKind, name: fmt::Arguments<'_>, words: fmt::Arguments<'_>, value: f64);
}

/// What a component is, beside its name and its words.
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
    fn component(&mut self, kind: ComponentKind, name: fmt::Arguments<'_>, words: fmt::Arguments<'_>, _: f64) {
        let ComponentKind { dimension, unit, memory, facet } = kind;
        let name = format!("{}.{name}", dimension.name());
        let description = words.to_string();
        self.0.push(FeatureComponent { name, unit, description, dimension, memory, facet });
    }
}

impl ComponentVisitor for ValueVisitor {
    fn component(&mut self, _: ComponentKind, _: fmt::Arguments<'_>, _: fmt::Arguments<'_>, value: f64) {
        // A value beyond f32 is the largest f32; there is no NaN in a view.
        self.0.push((value as f32).clamp(f32::MIN, f32::MAX));
    }
}

fn walk(visitor: &mut impl ComponentVisitor, facts: &FeatureInputs) {
    walk_basic(visitor, facts);
    walk_actions(visitor, facts);
    walk_rfm(visitor, facts);
    walk_rhythm(visitor, facts);
    walk_preference(visitor, facts);
    walk_social(visitor, facts);
}

fn walk_basic(visitor: &mut impl ComponentVisitor, facts: &FeatureInputs) {
    let kind = ComponentKind { dimension: Dimension::Basic, unit: "traits", memory: FeatureMemory::Ever, facet: None };
    let known = facts.traits as f64;
    visitor.component(kind, format_args!("traits"), format_args!("how many traits are known"), known);
}

fn walk_actions(visitor: &mut impl ComponentVisitor, facts: &FeatureInputs) {
    for action in ActionKind::ALL {
        let mut sums = Decayed::default();
        for count in facts.behavior.actions.iter().filter(|count| count.action.kind() == action) {
            sums.hour += count.decayed.hour;
            sums.week += count.decayed.week;
            sums.quarter += count.decayed.quarter;
        }
        let facet = match action {
            ActionKind::Purchase | ActionKind::Refund | ActionKind::Review => Facet::Purchasing,
            _ => Facet::Activity,
        };
        for (span, memory, facet, words, value) in [
            // What just happened says nothing of how somebody usually shops.
            ("1h", FeatureMemory::Hours, None, "of the last hours", sums.hour),
            ("7d", FeatureMemory::Weeks, Some(facet), "of the last weeks", sums.week),
            ("90d", FeatureMemory::Months, Some(facet), "of the last months", sums.quarter),
        ] {
            let kind = ComponentKind { dimension: Dimension::Behavior, unit: "events", memory, facet };
            let action = action.name();
            visitor.component(
                kind,
                format_args!("{action}.{span}"),
                format_args!("{action} events {words}, faded"),
                value,
            );
        }
    }
}

fn walk_rfm(visitor: &mut impl ComponentVisitor, facts: &FeatureInputs) {
    use Facet::{Activity, Presence, Purchasing};
    use FeatureMemory::{Ever, Hours, Months, Weeks};
    let (rfm, sessions) = (&facts.behavior.rfm, &facts.behavior.sessions);
    let (orders, money, visits) = (rfm.orders, rfm.money, sessions.decayed);
    let (newest, first) = (facts.behavior.newest_event_at, facts.behavior.first_event_at);
    let days = |at: Option<Timestamp>| days_since(facts.read_at, at);
    for (name, unit, memory, facet, words, value) in [
        ("recency", "days", Hours, Some(Presence), "days since the newest event", days(newest)),
        ("tenure", "days", Ever, None, "days since the first event", days(first)),
        (
            "purchase_recency",
            "days",
            Months,
            Some(Purchasing),
            "days since the newest purchase",
            days(rfm.last_purchase_at),
        ),
        ("orders.7d", "orders", Weeks, Some(Purchasing), "orders of the last weeks, faded", orders.week),
        (
            "orders.90d",
            "orders",
            Months,
            Some(Purchasing),
            "orders of the last months, faded",
            orders.quarter,
        ),
        ("money.7d", "money", Weeks, Some(Purchasing), "money spent in the last weeks, faded", money.week),
        (
            "money.90d",
            "money",
            Months,
            Some(Purchasing),
            "money spent in the last months, faded",
            money.quarter,
        ),
        ("mean_basket", "money", Ever, Some(Purchasing), "money by order", rfm.mean_basket),
        ("sessions.7d", "visits", Weeks, Some(Activity), "visits of the last weeks, faded", visits.week),
        (
            "sessions.90d",
            "visits",
            Months,
            Some(Activity),
            "visits of the last months, faded",
            visits.quarter,
        ),
        ("session_events", "events", Ever, Some(Activity), "events in a visit", sessions.mean_events),
        ("session_seconds", "seconds", Ever, Some(Activity), "length of a visit", sessions.mean_seconds),
    ] {
        let kind = ComponentKind { dimension: Dimension::Behavior, unit, memory, facet };
        visitor.component(kind, format_args!("{name}"), format_args!("{words}"), value);
    }
}

fn walk_rhythm(visitor: &mut impl ComponentVisitor, facts: &FeatureInputs) {
    let kind = |unit, facet| ComponentKind {
        dimension: Dimension::Behavior,
        unit,
        memory: FeatureMemory::Months,
        facet: Some(facet),
    };
    let share = |shares: &[f64], range: std::ops::Range<usize>| {
        shares.get(range).map_or(0.0, |part| part.iter().sum())
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
            share(&facts.behavior.hour_share, range),
        );
    }
    visitor.component(
        kind("share", Facet::Rhythm),
        format_args!("weekend_share"),
        format_args!("share of activity on Saturday and Sunday"),
        share(&facts.behavior.weekday_share, 5..7),
    );
    let steps = facts.behavior.transitions.iter().map(|step| step.weight);
    visitor.component(
        kind("bits", Facet::Activity),
        format_args!("transition_entropy"),
        format_args!("how varied the steps from action to action are"),
        entropy_bits(steps),
    );
}

fn walk_preference(visitor: &mut impl ComponentVisitor, facts: &FeatureInputs) {
    let kind =
        |unit, memory| ComponentKind { dimension: Dimension::Preference, unit, memory, facet: Some(Facet::Taste) };
    for (name, list) in [("category", &facts.categories), ("brand", &facts.brands)] {
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
        ComponentKind { facet: None, ..kind("share", FeatureMemory::Hours) },
        format_args!("constancy"),
        format_args!("share of the newest activity in the category liked most over months"),
        facts.loyalty,
    );
    let level = price_level(&facts.price_bands);
    visitor.component(
        kind("doublings", FeatureMemory::Weeks),
        format_args!("price_level"),
        format_args!("mean price of what is liked, in doublings of 1"),
        level,
    );
    let items = facts.recent_items as f64;
    visitor.component(
        kind("items", FeatureMemory::Ever),
        format_args!("recent_items"),
        format_args!("how many items are remembered"),
        items,
    );
}

fn walk_social(visitor: &mut impl ComponentVisitor, facts: &FeatureInputs) {
    // Whom one knows says nothing of how one shops.
    let kind = |unit| ComponentKind { dimension: Dimension::Social, unit, memory: FeatureMemory::Ever, facet: None };
    let weights: f64 = facts.edges.iter().sum();
    visitor.component(
        kind("edges"),
        format_args!("edges"),
        format_args!("how many others are known"),
        facts.edges.len() as f64,
    );
    visitor.component(
        kind("weight"),
        format_args!("edge_weight"),
        format_args!("how strongly others are known, in all"),
        weights,
    );
}

fn days_since(now: Timestamp, at: Option<Timestamp>) -> f64 {
    at.map_or(NEVER_DAYS, |at| now.since(at).as_days_f64().clamp(0.0, NEVER_DAYS))
}

/// Shannon entropy in bits of weights that need not add up to 1.
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

/// The mean band, by share; a band's number is the doublings of 1 that its upper end is.
fn price_level(bands: &[Affinity]) -> f64 {
    let level = |name: &str| {
        let lower: f64 = name.split(['-', '+']).next().and_then(|text| text.parse().ok()).unwrap_or(0.0);
        if lower < 1.0 { 0.0 } else { lower.log2() + 1.0 }
    };
    bands.iter().map(|band| band.share * level(&band.name)).sum()
}
