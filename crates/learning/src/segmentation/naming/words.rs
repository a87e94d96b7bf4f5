//! Words for one segment: a noun from the action it does more than others, and matching adjectives, strongest first.

use super::scores::{CentroidScores, Z_MIN};

/// Longest name, in characters.
pub(super) const NAME_MAX_CHARACTERS: usize = 48;

/// Z-score from which on an adjective is used by default.
const STRONG: f32 = 0.5;

/// Z-score from which on money determines the noun.
const BIG_MONEY: f32 = 0.8;

/// Lead that another action needs over purchases for the noun: purchases are the purpose of a shop.
const PURCHASE_LEAD: f32 = 0.3;

/// Number of adjectives used by default.
const ADJECTIVES_DEFAULT: usize = 2;

/// Money spent, net of refunds.
const MONEY: [&str; 2] = ["behavior.money.90d", "behavior.money.7d"];

const BUYERS: &str = "buyers";
/// Users with so little activity that their preferences and spending are not described.
const VISITORS: &str = "occasional visitors";

/// Nouns with the actions that select them; the first of equals.
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

/// Noun of a segment with its adjectives.
pub(super) struct NameWords {
    noun: &'static str,
    adjectives: Vec<Adjective>,
    default_count: usize,
}

/// Adjective about one aspect.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Adjective {
    pub(super) word: &'static str,
    /// Degree before the word, where the word alone belongs to another segment's name.
    pub(super) degree: &'static str,
    aspect: Aspect,
    pub(super) z: f32,
}

/// Aspect of an adjective, in the order within a name. A name has at most one adjective per aspect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Aspect {
    Tenure,
    Frequency,
    Variety,
    Depth,
    Social,
    Money,
    Rhythm,
    /// Recency, written after the noun.
    Recency,
}

impl NameWords {
    /// Selects the words for a centroid.
    pub(super) fn of(scores: &CentroidScores) -> Self {
        let (noun, implied) = noun(scores);
        // "Lapsed buyers", but "big spenders, quiet lately": a noun of two words takes no third word before it.
        let tenure = if noun.contains(' ') { recency(scores) } else { tenure(scores) };
        let known = [
            tenure,
            frequency(scores),
            variety(scores),
            depth(scores),
            strong("connected", Aspect::Social, scores.z("social.edges")),
            money(scores),
            rhythm(scores),
        ];
        let mut adjectives: Vec<Adjective> =
            known.into_iter().flatten().filter(|adjective| !implied.contains(&adjective.aspect)).collect();
        adjectives
            .sort_by(|a, b| a.is_weak(noun).cmp(&b.is_weak(noun)).then(b.z.abs().total_cmp(&a.z.abs())));
        let default_count = adjectives
            .iter()
            .take(ADJECTIVES_DEFAULT)
            .filter(|adjective| adjective.z.abs() >= STRONG && !adjective.is_weak(noun))
            .count();
        Self { noun, adjectives, default_count }
    }

    /// Adjectives used by default.
    pub(super) fn defaults(&self) -> &[Adjective] {
        &self.adjectives[..self.default_count]
    }

    /// Further matching adjectives, strongest first.
    pub(super) fn further(&self) -> &[Adjective] {
        &self.adjectives[self.default_count..]
    }

    /// Noun with the first of the given adjectives that fit into the longest name minus `reserve` characters.
    pub(super) fn name(&self, adjectives: &[Adjective], reserve: usize) -> String {
        let mut used: Vec<Adjective> = Vec::new();
        let mut name = self.joined(&used);
        for adjective in adjectives {
            used.push(*adjective);
            let longer = self.joined(&used);
            // All words are ASCII: bytes are characters.
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
        let mut before = String::new();
        let mut after = String::new();
        for Adjective { word, degree, aspect, .. } in &ordered {
            match aspect {
                Aspect::Recency => after.push_str(&format!(", {degree}{word}")),
                _ => before.push_str(&format!("{degree}{word} ")),
            }
        }
        // A bare "shoppers" would read as all users.
        if ordered.is_empty() && self.noun == "shoppers" {
            before.push_str("everyday ");
        }
        format!("{before}{}{after}", self.noun)
    }
}

impl Adjective {
    /// Returns true if the adjective is used last beside `noun`.
    fn is_weak(&self, noun: &str) -> bool {
        // Variety of few events is noise.
        noun == VISITORS && self.aspect == Aspect::Variety
    }
}

/// Noun, and the aspects that it already implies.
fn noun(scores: &CentroidScores) -> (&'static str, &'static [Aspect]) {
    let action = strongest_action(scores);
    let z = action.map_or(0.0, |(_, z)| z);
    let visits = visits(scores).unwrap_or(0.0);
    let money = scores.first(&MONEY).unwrap_or(0.0);
    let price = scores.z("preference.price_level").unwrap_or(0.0);
    let tenure = scores.z("behavior.tenure").unwrap_or(0.0);
    // From the most telling branch to the least: each is reached only where those before it say nothing.
    // Where most give everything back, spending nothing at all is far above the mean.
    if money >= BIG_MONEY && money >= z && scores.is_positive(&MONEY) {
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

/// Noun and z-score of the action that the segment does most above others, if any.
fn strongest_action(scores: &CentroidScores) -> Option<(&'static str, f32)> {
    let mut strongest: Option<(&str, f32)> = None;
    for (noun, names) in NOUNS {
        let Some(z) = scores.largest(names).filter(|z| *z >= Z_MIN) else { continue };
        // Purchases are first in the list: where they stand out, any other action needs the lead over them.
        let ahead = if strongest.is_some_and(|(noun, _)| noun == BUYERS) { PURCHASE_LEAD } else { 0.0 };
        if strongest.is_none_or(|(_, z_max)| z > z_max + ahead) {
            strongest = Some((noun, z));
        }
    }
    strongest
}

fn visits(scores: &CentroidScores) -> Option<f32> {
    scores.first(&[
        "behavior.sessions.90d",
        "behavior.sessions.7d",
        "behavior.view.90d",
        "behavior.click.90d",
    ])
}

/// Adjective for a z-score that is high enough.
fn strong(word: &'static str, aspect: Aspect, z: Option<f32>) -> Option<Adjective> {
    z.filter(|z| *z >= Z_MIN).map(|z| Adjective { word, degree: "", aspect, z })
}

/// Adjective for a high z-score or for a low one.
fn either(high: &'static str, low: &'static str, aspect: Aspect, z: Option<f32>) -> Option<Adjective> {
    strong(high, aspect, z).or_else(|| strong(low, aspect, z.map(|z| -z)))
}

/// Stronger of two adjectives, and the first of equals.
fn stronger(first: Option<Adjective>, second: Option<Adjective>) -> Option<Adjective> {
    match (first, second) {
        (Some(first), Some(second)) => Some(if second.z > first.z { second } else { first }),
        (first, second) => first.or(second),
    }
}

fn tenure(scores: &CentroidScores) -> Option<Adjective> {
    let recency = scores.z("behavior.recency");
    let tenure = scores.z("behavior.tenure");
    let by_recency = either("lapsed", "active", Aspect::Tenure, recency);
    stronger(by_recency, strong("new", Aspect::Tenure, tenure.map(|tenure| -tenure)))
}

fn recency(scores: &CentroidScores) -> Option<Adjective> {
    let quiet = strong("quiet lately", Aspect::Recency, scores.z("behavior.recency"));
    let tenure = scores.z("behavior.tenure");
    stronger(quiet, strong("new", Aspect::Tenure, tenure.map(|tenure| -tenure)))
}

fn frequency(scores: &CentroidScores) -> Option<Adjective> {
    either("frequent", "occasional", Aspect::Frequency, visits(scores))
}

fn variety(scores: &CentroidScores) -> Option<Adjective> {
    let entropy = scores.mean(&["preference.category_entropy", "preference.brand_entropy"]);
    either("varied", "focused", Aspect::Variety, entropy)
}

fn depth(scores: &CentroidScores) -> Option<Adjective> {
    let visit = scores.mean(&["behavior.session_events", "behavior.session_seconds"]);
    either("thorough", "quick", Aspect::Depth, visit)
}

fn money(scores: &CentroidScores) -> Option<Adjective> {
    let spending = ["behavior.money.90d", "behavior.money.7d", "behavior.mean_basket"];
    let spent = scores.first(&spending).filter(|_| scores.is_positive(&spending));
    let level = either("upmarket", "thrifty", Aspect::Money, scores.z("preference.price_level"));
    stronger(strong("big-spending", Aspect::Money, spent), level)
}

fn rhythm(scores: &CentroidScores) -> Option<Adjective> {
    RHYTHMS.into_iter().map(|(word, name)| strong(word, Aspect::Rhythm, scores.z(name))).fold(None, stronger)
}
