//! Figures of a profile that the demo prints. Absent parts of the profile give zeros and empty lists.

use portrait_client::text::{chart, words};
use portrait_profile::TimeDelta;
use portrait_proto::v1::{Action, Affinity, Profile};

/// Figures of one profile.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct ProfileFacts {
    /// Number of actions over all time.
    pub(super) actions: u64,
    /// Time from the first event to the newest.
    pub(super) active_for: TimeDelta,
    pub(super) orders: u64,
    pub(super) money: f64,
    /// Category with the highest weight at a half-life of 90 days.
    pub(super) quarterly: Option<String>,
    /// Categories with their share of the weight at a half-life of 7 days, in descending order.
    pub(super) weekly: Vec<(String, f64)>,
    /// Share of activity by hour of the day; 24 values or none.
    pub(super) hours: Vec<f64>,
    /// Most frequent other action after a view, with its probability.
    pub(super) after_view: Option<(String, f64)>,
}

impl ProfileFacts {
    /// Extracts the figures of a profile.
    pub(super) fn of(profile: &Profile) -> Self {
        let mut facts = Self::default();
        if let Some(behavior) = &profile.behavior {
            facts.actions = behavior.actions.iter().map(|count| count.total).sum();
            let first = words::format_wire_timestamp(behavior.first_event_at.as_ref());
            let newest = words::format_wire_timestamp(behavior.newest_event_at.as_ref());
            facts.active_for =
                first.zip(newest).map_or(TimeDelta::ZERO, |(first, newest)| newest.since(first));
            let rfm = behavior.rfm.as_ref();
            facts.orders = rfm.map_or(0, |rfm| rfm.orders_total);
            facts.money = rfm.map_or(0.0, |rfm| rfm.money_total);
            facts.hours.clone_from(&behavior.hour_share);
            // A view mostly follows a view: the most likely other action says more about the user.
            let next = behavior
                .transitions
                .iter()
                .find(|step| step.from() == Action::View && step.to() != Action::View);
            facts.after_view = next.map(|step| (words::action_words(step.to, ""), step.probability));
        }
        if let Some(preference) = &profile.preference {
            let quarterly =
                preference.categories.iter().max_by(|a, b| quarter_weight(a).total_cmp(&quarter_weight(b)));
            facts.quarterly = quarterly.map(|category| category.name.clone());
            facts.weekly = preference
                .categories
                .iter()
                .map(|category| (category.name.clone(), category.share))
                .collect();
        }
        facts
    }

    /// Actions per week, over the time from the first event to the newest, at least a week.
    pub(super) fn actions_per_week(&self) -> f64 {
        self.actions as f64 / (self.active_for.as_days_f64() / 7.0).max(1.0)
    }

    /// Category with the largest share over a week.
    pub(super) fn top_category_week(&self) -> Option<&str> {
        self.weekly.first().map(|(name, _)| name.as_str())
    }

    /// Share of a category over a week.
    pub(super) fn category_share_week(&self, category: &str) -> f64 {
        self.weekly.iter().find(|(name, _)| name == category).map_or(0.0, |(_, share)| *share)
    }

    /// Hour of the day with most activity.
    pub(super) fn peak_hour(&self) -> Option<u32> {
        chart::peak(&self.hours).and_then(|hour| u32::try_from(hour).ok())
    }

    /// Share of activity between 22:00 and 04:00.
    pub(super) fn night_share(&self) -> f64 {
        [22, 23, 0, 1, 2, 3].iter().filter_map(|hour| self.hours.get(*hour)).sum()
    }
}

fn quarter_weight(category: &Affinity) -> f64 {
    category.weight.map_or(0.0, |weight| weight.quarter)
}

/// True if an hour lies within hours that may pass midnight, or in the hour after, which visits reach into.
pub(super) fn is_within(hour: u32, (from, to): (u32, u32)) -> bool {
    // Counted from the first hour, so that hours beyond midnight compare as numbers.
    (hour + 24 - from) % 24 <= (to + 24 - from) % 24
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_may_pass_midnight() {
        let rows = [
            (22, (22, 2), true),
            (0, (22, 2), true),
            (2, (22, 2), true),
            (3, (22, 2), false),
            (21, (22, 2), false),
            (11, (11, 14), true),
            (14, (11, 14), true),
            (15, (11, 14), false),
        ];
        for (hour, hours, within) in rows {
            assert_eq!(is_within(hour, hours), within, "{hour} in {hours:?}");
        }
    }

    #[test]
    fn an_empty_profile_gives_empty_figures() {
        let facts = ProfileFacts::of(&Profile::default());
        assert_eq!(facts, ProfileFacts::default());
        assert_eq!(
            (facts.peak_hour(), facts.top_category_week(), facts.actions_per_week()),
            (None, None, 0.0)
        );
    }
}
