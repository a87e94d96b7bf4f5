//! The words for one segment. In comes what its centroid says, out go a noun from what it does more than others, and the
//! adjectives that fit, strongest first. Whether a name is still free is not known here.

use super::scores::{CentroidScores, Z_MIN};

/// The longest name.
const NAME_MAX_CHARACTERS: usize = 48;

/// From here on an adjective is used without need.
const STRONG: f32 = 0.5;

/// From here on money says more than the number of orders.
const BIG_MONEY: f32 = 0.8;

/// How far buying may be behind another action and still gives the noun: it is what a shop is for.
const PURCHASE_LEAD: f32 = 0.3;

/// Adjectives that are used without need.
const ADJECTIVES_DEFAULT: usize = 2;

const BUYERS: &str = "buyers";
/// Of whom so little is known that what they like says little, and what that costs nothing.
const VISITORS: &str = "occasional visitors";

/// The nouns, and the actions that make one; of equals the first.
const NOUNS: [(&str, &[&str]); 9] = [
    (BUYERS, &["behavior.purchase.90d", "behavior.orders.90d", "behavior.purchase.7d", "behavior.orders.7d"]),
    ("browsers", &["behavior.view.90d", "behavior.click.90d", "behavior.view.7d", "behavior.click.7d"]),
    ("searchers", &["behavior.search.90d", "behavior.search.7d"]),
    ("cart fillers", &["behavior.add_to_cart.90d", "behavior.add_to_cart.7d"]),
    ("hesitators", &["behavior.remove_from_cart.90d", "behavior.remove_from_cart.7d"]),
    ("favourite collectors", &["behavior.favorite.90d", "behavior.favorite.7d"]),
    ("returners", &["behavior.refund.90d", "behavior.refund.7d"]),
    ("reviewers", &["behavior.review.90d", "behavior.review.7d"]),
    ("sharers", &["behavior.share.90d", "behavior.share.7d"]),
];

const RHYTHMS: [(&str, &str); 5] = [
    ("night", "behavior.night_share"),
    ("morning", "behavior.morning_share"),
    ("afternoon", "behavior.afternoon_share"),
    ("evening", "behavior.evening_share"),
    ("weekend", "behavior.weekend_share"),
];

/// The noun for a segment and the adjectives that fit it.
pub(super) struct NameWords {
    noun: &'static str,
    adjectives: Vec<Adjective>,
    default_count: usize,
}

/// One word about one aspect.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Adjective {
    pub(super) word: &'static str,
    /// Said before it, where the word alone is another segment's.
    pub(super) degree: &'static str,
    aspect: Aspect,
    pub(super) z: f32,
}

/// What an adjective is about, in the order in which they are said. No two of a name are about the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Aspect {
    Tenure,
    Frequency,
    Variety,
    Depth,
    Social,
    Money,
    Rhythm,
    /// Said after the noun.
    Recency,
}

impl NameWords {
    /// The words for a centroid.
    pub(super) fn of(reading: &CentroidScores) -> Self {
        let (noun, said) = noun(reading);
        // "Lapsed buyers", but "big spenders, quiet lately": two words take no third before them lightly.
        let standing = if noun.contains(' ') { recency(reading) } else { tenure(reading) };
        let known = [
            standing,
            frequency(reading),
            variety(reading),
            depth(reading),
            strong("connected", Aspect::Social, reading.z("social.edges")),
            money(reading),
            rhythm(reading),
        ];
        let mut adjectives: Vec<Adjective> =
            known.into_iter().flatten().filter(|adjective| !said.contains(&adjective.aspect)).collect();
        let weak = |adjective: &Adjective| noun == VISITORS && adjective.aspect == Aspect::Variety;
        adjectives.sort_by(|a, b| weak(a).cmp(&weak(b)).then_with(|| b.z.abs().total_cmp(&a.z.abs())));
        let used = |adjective: &&Adjective| adjective.z.abs() >= STRONG && !weak(adjective);
        let usual = adjectives.iter().take(ADJECTIVES_DEFAULT).filter(used).count();
        Self { noun, adjectives, default_count: usual }
    }

    /// The adjectives that are used without need.
    pub(super) fn defaults(&self) -> &[Adjective] {
        &self.adjectives[..self.default_count]
    }

    /// Those that fit too, strongest first.
    pub(super) fn further(&self) -> &[Adjective] {
        &self.adjectives[self.default_count..]
    }

    /// The noun with some adjectives, with the first of them that fit the longest name less `reserve`.
    pub(super) fn name(&self, adjectives: &[Adjective], reserve: usize) -> String {
        let mut used: Vec<Adjective> = Vec::new();
        let mut name = self.joined(&used);
        for adjective in adjectives {
            used.push(*adjective);
            let longer = self.joined(&used);
            if longer.len() + reserve <= NAME_MAX_CHARACTERS {
                name = longer;
            } else {
                used.pop();
            }
        }
        name
    }

    fn joined(&self, adjectives: &[Adjective]) -> String {
        let mut ordered = adjectives.to_vec();
        ordered.sort_by_key(|adjective| adjective.aspect);
        let said = |late: bool| {
            ordered.iter().filter(move |adjective| (adjective.aspect == Aspect::Recency) == late)
        };
        let before: String =
            said(false).map(|adjective| format!("{}{} ", adjective.degree, adjective.word)).collect();
        let after: String =
            said(true).map(|adjective| format!(", {}{}", adjective.degree, adjective.word)).collect();
        // Nothing to say is itself something to say.
        let before = if ordered.is_empty() && self.noun == "shoppers" { "everyday ".into() } else { before };
        format!("{before}{}{after}", self.noun)
    }
}

/// The noun, and the aspects that it already says.
fn noun(reading: &CentroidScores) -> (&'static str, &'static [Aspect]) {
    let action = strongest_action(reading);
    let z = action.map_or(0.0, |(_, z)| z);
    let visits = visits(reading).unwrap_or(0.0);
    let money = reading.first(&["behavior.money.90d", "behavior.money.7d"]).unwrap_or(0.0);
    let price = reading.z("preference.price_level").unwrap_or(0.0);
    let tenure = reading.z("behavior.tenure").unwrap_or(0.0);
    if money >= BIG_MONEY && money >= z {
        ("big spenders", &[Aspect::Money])
    } else if action.is_some_and(|(word, _)| word == BUYERS) && price <= -STRONG {
        ("bargain hunters", &[Aspect::Money])
    } else if tenure >= STRONG && visits >= STRONG && visits > z {
        ("loyal regulars", &[Aspect::Frequency])
    } else if let Some((word, _)) = action {
        (word, &[])
    } else if visits <= -Z_MIN {
        (VISITORS, &[Aspect::Frequency, Aspect::Money])
    } else {
        ("shoppers", &[])
    }
}

/// What the segment does more than others, if it does anything more.
fn strongest_action(reading: &CentroidScores) -> Option<(&'static str, f32)> {
    let mut strongest: Option<(&str, f32)> = None;
    for (noun, names) in NOUNS {
        let Some(z) = reading.largest(names).filter(|z| *z >= Z_MIN) else { continue };
        let ahead = if strongest.is_some_and(|(noun, _)| noun == BUYERS) { PURCHASE_LEAD } else { 0.0 };
        if strongest.is_none_or(|(_, most)| z > most + ahead) {
            strongest = Some((noun, z));
        }
    }
    strongest
}

fn visits(reading: &CentroidScores) -> Option<f32> {
    reading.first(&[
        "behavior.sessions.90d",
        "behavior.sessions.7d",
        "behavior.view.90d",
        "behavior.click.90d",
    ])
}

/// The word, if the score says anything.
fn strong(word: &'static str, aspect: Aspect, z: Option<f32>) -> Option<Adjective> {
    z.filter(|z| *z >= Z_MIN).map(|z| Adjective { word, degree: "", aspect, z })
}

/// One word for a high score and one for a low.
fn either(high: &'static str, low: &'static str, aspect: Aspect, z: Option<f32>) -> Option<Adjective> {
    strong(high, aspect, z).or_else(|| strong(low, aspect, z.map(|z| -z)))
}

/// The stronger of two, and the first of equals.
fn stronger(one: Option<Adjective>, other: Option<Adjective>) -> Option<Adjective> {
    match (one, other) {
        (Some(a), Some(b)) => Some(if b.z > a.z { b } else { a }),
        (one, other) => one.or(other),
    }
}

fn tenure(reading: &CentroidScores) -> Option<Adjective> {
    let recency = reading.z("behavior.recency");
    let tenure = reading.z("behavior.tenure");
    let by_recency = either("lapsed", "active", Aspect::Tenure, recency);
    stronger(by_recency, strong("new", Aspect::Tenure, tenure.map(|tenure| -tenure)))
}

fn recency(reading: &CentroidScores) -> Option<Adjective> {
    let quiet = strong("quiet lately", Aspect::Recency, reading.z("behavior.recency"));
    let tenure = reading.z("behavior.tenure");
    stronger(quiet, strong("new", Aspect::Tenure, tenure.map(|tenure| -tenure)))
}

fn frequency(reading: &CentroidScores) -> Option<Adjective> {
    either("frequent", "occasional", Aspect::Frequency, visits(reading))
}

fn variety(reading: &CentroidScores) -> Option<Adjective> {
    let entropy = reading.mean(&["preference.category_entropy", "preference.brand_entropy"]);
    either("varied", "focused", Aspect::Variety, entropy)
}

fn depth(reading: &CentroidScores) -> Option<Adjective> {
    let visit = reading.mean(&["behavior.session_events", "behavior.session_seconds"]);
    either("thorough", "quick", Aspect::Depth, visit)
}

fn money(reading: &CentroidScores) -> Option<Adjective> {
    let spent = reading.first(&["behavior.money.90d", "behavior.money.7d", "behavior.mean_basket"]);
    let level = either("upmarket", "thrifty", Aspect::Money, reading.z("preference.price_level"));
    stronger(strong("big-spending", Aspect::Money, spent), level)
}

fn rhythm(reading: &CentroidScores) -> Option<Adjective> {
    RHYTHMS.into_iter().map(|(word, name)| strong(word, Aspect::Rhythm, reading.z(name))).fold(None, stronger)
}
