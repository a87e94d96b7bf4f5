//! What shoppers come for: how they spread over the categories of what they did last. In go names, one a shopper; out come the
//! categories whose share is another than it was. A week of low prices, or a fashion, is seen here long before it is seen in
//! what anybody likes most.

use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, Normal};
use std::collections::{BTreeMap, BTreeSet};

/// Categories that are told apart; those of fewer shoppers count as all others.
const CATEGORIES_MAX: usize = 1_000;
/// The least change that is worth an alarm: in points of everybody, and by what factor.
const POINTS_MIN: f64 = 0.02;
const FACTOR_MIN: f64 = 1.5;
/// How often one comparison of all categories may find a difference where there is none.
const FALSE_ALARMS: f64 = 0.001;

/// How shoppers spread over categories.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mix {
    /// All, those of categories that are not told apart among them.
    shoppers: u64,
    counts: BTreeMap<String, u64>,
}

/// A category that has another share now.
#[derive(Clone, Debug, PartialEq)]
pub struct ShareMoved {
    /// The category.
    pub name: String,
    /// Its share of shoppers, 0 to 1.
    pub before: f64,
    /// Its share now.
    pub now: f64,
    /// By how many standard errors the shares differ.
    pub z: f64,
}

impl Mix {
    /// Of shoppers, each by the name of one category.
    pub fn of<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        let (mut shoppers, mut counts) = (0, BTreeMap::<&str, u64>::new());
        for name in names {
            shoppers += 1;
            *counts.entry(name).or_default() += 1;
        }
        let mut counts: Vec<(&str, u64)> = counts.into_iter().collect();
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        counts.truncate(CATEGORIES_MAX);
        let counts = counts.into_iter().map(|(name, count)| (name.to_owned(), count)).collect();
        Self { shoppers, counts }
    }

    /// The categories whose share in `now` differs from that in this mix, the surest first: by more than chance, as the test of
    /// two proportions has it (Fleiss, "Statistical Methods for Rates and Proportions", section 2.3) at a thousandth divided
    /// among the categories after Bonferroni, and by enough to matter.
    pub fn moved(&self, now: &Self) -> Vec<ShareMoved> {
        if self.shoppers == 0 || now.shoppers == 0 {
            return Vec::new();
        }
        let names: BTreeSet<&String> = self.counts.keys().chain(now.counts.keys()).collect();
        let tail = FALSE_ALARMS / (2.0 * names.len().max(1) as f64);
        let critical = Normal::standard().inverse_cdf(1.0 - tail);
        let compared = names.into_iter().map(|name| {
            let (before, after, z) = (self.share(name), now.share(name), self.z(now, name));
            ShareMoved { name: name.clone(), before, now: after, z }
        });
        let matters = |one: &ShareMoved| {
            let (least, most) = (one.before.min(one.now), one.before.max(one.now));
            most - least >= POINTS_MIN && most >= FACTOR_MIN * least
        };
        let mut moved: Vec<ShareMoved> =
            compared.filter(|one| one.z.abs() > critical && matters(one)).collect();
        moved.sort_by(|one, other| other.z.abs().total_cmp(&one.z.abs()));
        moved
    }

    fn count(&self, name: &str) -> f64 {
        self.counts.get(name).copied().unwrap_or_default() as f64
    }

    fn share(&self, name: &str) -> f64 {
        self.count(name) / self.shoppers as f64
    }

    fn z(&self, now: &Self, name: &str) -> f64 {
        let (before, after) = (self.shoppers as f64, now.shoppers as f64);
        let pooled = (self.count(name) + now.count(name)) / (before + after);
        let error = (pooled * (1.0 - pooled) * (1.0 / before + 1.0 / after)).sqrt();
        if error > 0.0 { (now.share(name) - self.share(name)) / error } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many shoppers of each category.
    fn mix(counts: &[(&'static str, usize)]) -> Mix {
        Mix::of(counts.iter().flat_map(|(name, count)| std::iter::repeat_n(*name, *count)))
    }

    #[test]
    fn a_share_has_moved_if_neither_chance_nor_a_trifle_explains_it() {
        let before = mix(&[("shoes", 50), ("books", 450), ("toys", 500)]);
        for (what, now, moved) in [
            ("the same", mix(&[("shoes", 50), ("books", 450), ("toys", 500)]), vec![]),
            ("twice as many", mix(&[("shoes", 110), ("books", 420), ("toys", 470)]), vec!["shoes"]),
            ("chance", mix(&[("shoes", 8), ("books", 45), ("toys", 47)]), vec![]),
            ("nobody any more", mix(&[("books", 500), ("toys", 500)]), vec!["shoes"]),
            ("a new one", mix(&[("shoes", 50), ("books", 430), ("toys", 470), ("tea", 50)]), vec!["tea"]),
            ("sure, but by a quarter only", mix(&[("shoes", 50), ("books", 562), ("toys", 388)]), vec![]),
            ("nobody came", mix(&[]), vec![]),
        ] {
            let found: Vec<String> = before.moved(&now).into_iter().map(|one| one.name).collect();
            assert_eq!(found, moved, "{what}");
        }
        let many = |share: usize| mix(&[("tea", share), ("others", 1_000_000 - share)]);
        assert!(many(1_000).moved(&many(9_000)).is_empty(), "sure, but a trifle of everybody");
        let nobody = mix(&[]);
        assert!(nobody.moved(&before).is_empty(), "nothing to compare with");
    }

    #[test]
    fn z_is_that_of_two_proportions() {
        // Pooled 160 of 2,000: 0.06 / sqrt(0.08 * 0.92 * 2 / 1,000).
        let moved = mix(&[("a", 50), ("b", 950)]).moved(&mix(&[("a", 110), ("b", 890)]));
        assert_eq!((moved[0].before, moved[0].now, moved.len()), (0.05, 0.11, 1));
        assert!((moved[0].z - 4.94535).abs() < 1e-4, "{}", moved[0].z);
    }

    #[test]
    fn what_few_come_for_is_not_told_apart_but_counts() {
        let names: Vec<String> = (0..3_000).map(|number| format!("c{number}")).collect();
        let twice = names.iter().take(100).chain(&names).map(String::as_str);
        let mix = Mix::of(twice);
        assert_eq!((mix.shoppers, mix.counts.len()), (3_100, CATEGORIES_MAX));
        assert!(names[..100].iter().all(|name| mix.counts[name] == 2));
    }
}
