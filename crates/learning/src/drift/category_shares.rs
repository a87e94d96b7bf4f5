//! Shares of users by the category of their last action, and the categories whose share has changed. A sale or a fashion shows here
//! long before it shows in preferred categories, which average over months.

use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, Normal};
use std::collections::{BTreeMap, BTreeSet};

/// Number of categories counted separately; users of rarer ones count only in the total.
const CATEGORIES_MAX: usize = 1_000;
/// Least change for an alarm: in points of all users, and as a factor.
const SHARE_CHANGE_MIN: f64 = 0.02;
const SHARE_RATIO_MIN: f64 = 1.5;
/// Probability of a false alarm in one comparison of all categories.
const FALSE_ALARMS: f64 = 0.001;

/// Number of users by category of their last action.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CategoryShares {
    /// All users, including those of categories that are not counted separately.
    users: u64,
    counts: BTreeMap<String, u64>,
}

/// Category with a significant change of its share.
#[derive(Clone, Debug, PartialEq)]
pub struct CategoryShift {
    /// Name of the category.
    pub name: String,
    /// Share of users at the reference time, 0 to 1.
    pub before: f64,
    /// Share of users in the newer sample, 0 to 1.
    pub now: f64,
    /// Difference of the shares in standard errors (two-proportion z).
    pub z: f64,
}

impl CategoryShares {
    /// Counts users, given one category name per user.
    pub fn from_categories<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        let mut users = 0;
        let mut counts = BTreeMap::<&str, u64>::new();
        for name in names {
            users += 1;
            *counts.entry(name).or_default() += 1;
        }
        let mut counts: Vec<(&str, u64)> = counts.into_iter().collect();
        // Stable over the order of names: of equal counts the same categories are kept on every machine.
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        counts.truncate(CATEGORIES_MAX);
        let counts = counts.into_iter().map(|(name, count)| (name.to_owned(), count)).collect();
        Self { users, counts }
    }

    /// Categories whose share in `now` differs from the share in `self`, the most significant first: by the two-proportion z-test
    /// (Fleiss, "Statistical Methods for Rates and Proportions", section 2.3) at 0.001 for all categories together (Bonferroni), and
    /// by at least 2 points and a factor of 1.5.
    pub fn shifts(&self, now: &Self) -> Vec<CategoryShift> {
        if self.users == 0 || now.users == 0 {
            return Vec::new();
        }
        // Names of either side: the share of a new or of a vanished category is 0 on the other one.
        let names: BTreeSet<&String> = self.counts.keys().chain(now.counts.keys()).collect();
        // Halved for the two tails, and divided among the categories.
        let tail = FALSE_ALARMS / (2.0 * names.len().max(1) as f64);
        let critical = Normal::standard().inverse_cdf(1.0 - tail);
        let mut shifts: Vec<CategoryShift> = names
            .into_iter()
            .map(|name| CategoryShift {
                name: name.clone(),
                before: self.share(name),
                now: now.share(name),
                z: self.z(now, name),
            })
            .filter(|shift| shift.z.abs() > critical && shift.is_large())
            .collect();
        shifts.sort_by(|left, right| right.z.abs().total_cmp(&left.z.abs()));
        shifts
    }

    fn count(&self, name: &str) -> f64 {
        self.counts.get(name).copied().unwrap_or_default() as f64
    }

    fn share(&self, name: &str) -> f64 {
        self.count(name) / self.users as f64
    }

    fn z(&self, now: &Self, name: &str) -> f64 {
        let users_before = self.users as f64;
        let users_now = now.users as f64;
        // Pooled, because the hypothesis to refute is that both samples have the same share.
        let pooled = (self.count(name) + now.count(name)) / (users_before + users_now);
        let error = (pooled * (1.0 - pooled) * (1.0 / users_before + 1.0 / users_now)).sqrt();
        // Without an error all users of both samples are in the category, or none: the shares are equal.
        if error > 0.0 { (now.share(name) - self.share(name)) / error } else { 0.0 }
    }
}

impl CategoryShift {
    /// With many users any difference is significant, so its size counts too.
    fn is_large(&self) -> bool {
        let min = self.before.min(self.now);
        let max = self.before.max(self.now);
        max - min >= SHARE_CHANGE_MIN && max >= SHARE_RATIO_MIN * min
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Category shares of the given number of users per category.
    fn shares(counts: &[(&'static str, usize)]) -> CategoryShares {
        CategoryShares::from_categories(
            counts.iter().flat_map(|(name, count)| std::iter::repeat_n(*name, *count)),
        )
    }

    #[test]
    fn a_share_shifts_if_the_difference_is_significant_and_large() {
        let before = shares(&[("shoes", 50), ("books", 450), ("toys", 500)]);
        for (case, now, shifted) in [
            ("the same", shares(&[("shoes", 50), ("books", 450), ("toys", 500)]), vec![]),
            ("twice as many", shares(&[("shoes", 110), ("books", 420), ("toys", 470)]), vec!["shoes"]),
            ("chance", shares(&[("shoes", 8), ("books", 45), ("toys", 47)]), vec![]),
            ("none left", shares(&[("books", 500), ("toys", 500)]), vec!["shoes"]),
            ("a new one", shares(&[("shoes", 50), ("books", 430), ("toys", 470), ("tea", 50)]), vec!["tea"]),
            (
                "significant, but by a quarter only",
                shares(&[("shoes", 50), ("books", 562), ("toys", 388)]),
                vec![],
            ),
            ("no users", shares(&[]), vec![]),
        ] {
            let names: Vec<String> = before.shifts(&now).into_iter().map(|shift| shift.name).collect();
            assert_eq!(names, shifted, "{case}");
        }
        let of_a_million = |count: usize| shares(&[("tea", count), ("others", 1_000_000 - count)]);
        assert!(of_a_million(1_000).shifts(&of_a_million(9_000)).is_empty(), "significant, but small");
        assert!(shares(&[]).shifts(&before).is_empty(), "nothing to compare with");
    }

    #[test]
    fn z_is_the_statistic_of_the_two_proportion_test() {
        // Pooled 160 of 2,000: 0.06 / sqrt(0.08 * 0.92 * 2 / 1,000).
        let shifts = shares(&[("a", 50), ("b", 950)]).shifts(&shares(&[("a", 110), ("b", 890)]));
        assert_eq!((shifts[0].before, shifts[0].now, shifts.len()), (0.05, 0.11, 1));
        assert!((shifts[0].z - 4.94535).abs() < 1e-4, "{}", shifts[0].z);
    }

    #[test]
    fn users_of_rare_categories_count_in_the_total_only() {
        let names: Vec<String> = (0..3_000).map(|index| format!("c{index}")).collect();
        let twice = names.iter().take(100).chain(&names).map(String::as_str);
        let shares = CategoryShares::from_categories(twice);
        assert_eq!((shares.users, shares.counts.len()), (3_100, CATEGORIES_MAX));
        assert!(names[..100].iter().all(|name| shares.counts[name] == 2));
    }
}
