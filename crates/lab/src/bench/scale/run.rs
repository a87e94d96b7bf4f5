//! Settings of a scale run.

use super::super::env::BenchEnv;
use indicatif::ProgressBar;
use std::str::FromStr;

/// Events of one measured throughput.
pub(super) const MEASURED_EVENTS: usize = 100_000;

/// Number of users, written with a suffix, as 10k or 1M.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Size(pub(in super::super) usize);

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (digits, unit) = match text.strip_suffix(['k', 'K']) {
            Some(digits) => (digits, 1_000),
            None => text.strip_suffix(['m', 'M']).map_or((text, 1), |digits| (digits, 1_000_000)),
        };
        let count: usize = digits.parse().map_err(|_| "write a number of users, as 10k or 1M".to_owned())?;
        if count.saturating_mul(unit) < 1_000 {
            return Err("at least 1k users are needed for a model".to_owned());
        }
        Ok(Self(count.saturating_mul(unit)))
    }
}

/// Settings of a run.
pub(in super::super) struct ScaleRun<'a> {
    pub(in super::super) env: &'a BenchEnv,
    /// Numbers of users, ascending.
    pub(in super::super) sizes: &'a [Size],
    /// Number of items of the largest shop; a smaller one has at most a fifth as many as users.
    pub(in super::super) items: usize,
    /// Seconds of each latency.
    pub(in super::super) seconds: u64,
    pub(in super::super) bar: &'a ProgressBar,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_written_with_a_suffix() {
        for (text, users) in [("10k", 10_000), ("1M", 1_000_000), ("2500000", 2_500_000)] {
            assert_eq!(text.parse(), Ok(Size(users)), "{text}");
        }
        for text in ["", "k", "1.5M", "-1k", "12"] {
            assert!(text.parse::<Size>().is_err(), "{text}");
        }
    }
}
