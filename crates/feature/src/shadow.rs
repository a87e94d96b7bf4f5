//! Shadow evaluation: value of live profiles, measured in production. For a sample of users the served model predicts each
//! event twice: from the live profile, and from the profile at the start of the day, as a nightly rebuild would have it.
//! Counts reach the metrics once the commit succeeded. Nothing is stored: users of a partition that is acquired during a day
//! are evaluated from the next day on.

use portrait_learning::{Model, ServedModel};
use portrait_profile::{Body, Event, Profile, Record, Timestamp, UserId};
use std::collections::HashMap;
use xxhash_rust::xxh64::xxh64;

/// Day-start snapshots per partition. A profile takes a few KB, so the bound keeps a partition below about 1 MB.
const SNAPSHOTS_MAX: usize = 64;
/// Hit limits: an item is a hit among so many recommendations, a category among so many preferred ones.
const ITEMS_TOP: usize = 20;
const CATEGORIES_TOP: usize = 3;
/// Seed of the sampling hash. It differs from the hash that routes users to partitions, or only some partitions would be sampled.
const SAMPLING_SEED: u64 = 0x6761_7000;
const DAY_MS: i64 = 86_400_000;

/// Shadow evaluator of one partition.
pub(crate) struct ShadowEvaluator {
    /// Inverse of the sampled fraction of users; 0 turns the evaluation off.
    one_in: u32,
    /// Item predictions per second, at most. Each one scores all items.
    items_per_second: f64,
    /// Tokens for item predictions, refilled at `items_per_second`.
    item_budget: f64,
    refilled_at: Timestamp,
    model: ServedModel,
    day_start_snapshots: HashMap<UserId, DayStart>,
    counts: LiveVsStale,
}

/// Profile of a user at the start of a day.
struct DayStart {
    /// Days since the epoch.
    day: i64,
    profile: Profile,
}

/// Predictions from both profiles since the last commit.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct LiveVsStale {
    pub(crate) live: PredictionCounts,
    pub(crate) day_start: PredictionCounts,
}

/// Predictions from one kind of profile.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct PredictionCounts {
    /// Number of predicted actions.
    pub(crate) actions: u64,
    /// Actions that were the likeliest one.
    pub(crate) actions_hit: u64,
    /// Sum of the negative log-probabilities of the actions, in nats.
    pub(crate) action_log_loss: f64,
    /// Number of predicted items.
    pub(crate) items: u64,
    /// Items among the recommendations.
    pub(crate) items_hit: u64,
    /// Number of events with a category.
    pub(crate) categories: u64,
    /// Categories among the preferred ones.
    pub(crate) categories_hit: u64,
}

impl ShadowEvaluator {
    /// Creates an evaluator for one in `one_in` users with a limit of item predictions per second.
    pub(crate) fn new(one_in: u32, items_per_second: f64) -> Self {
        Self {
            one_in,
            items_per_second,
            item_budget: 0.0,
            refilled_at: Timestamp::EPOCH,
            model: None,
            day_start_snapshots: HashMap::new(),
            counts: LiveVsStale::default(),
        }
    }

    /// Drops snapshots and counts: another owner may have changed the profiles.
    pub(crate) fn clear(&mut self) {
        self.day_start_snapshots.clear();
        self.counts = LiveVsStale::default();
    }

    /// Drops the snapshot of an erased user.
    pub(crate) fn forget(&mut self, user_id: &UserId) {
        self.day_start_snapshots.remove(user_id);
    }

    /// Begins a batch at `now` with the served model and refills the item tokens.
    pub(crate) fn begin_batch(&mut self, model: ServedModel, now: Timestamp) {
        self.model = model;
        let seconds = now.since(self.refilled_at).as_secs_f64();
        self.refilled_at = self.refilled_at.max(now);
        // Tokens of more than a second are discarded: a burst of item predictions would delay the events behind it.
        self.item_budget =
            (self.item_budget + seconds * self.items_per_second).min(self.items_per_second.max(1.0));
    }

    /// Predicts an event that is about to be folded into `profile`.
    pub(crate) fn observe(&mut self, profile: &Profile, record: &Record) {
        let Body::Event(event) = &record.body else { return };
        let at = record.occurred_at;
        // Late events are skipped: the live profile contains later ones already.
        let is_late = profile.newest_event_at().is_none_or(|newest| newest > at);
        if is_late || !self.is_sampled(&record.user_id) {
            return;
        }
        let Some(model) = self.model.clone() else { return };
        if !self.snapshot_at_day_start(profile, at) {
            return;
        }
        let with_items = self.item_budget >= 1.0 && model_knows_item(&model, event);
        let Some(day_start) = self.day_start_snapshots.get(&record.user_id) else { return };
        self.counts.live.add(&model, profile, event, at, with_items);
        self.counts.day_start.add(&model, &day_start.profile, event, at, with_items);
        if with_items {
            self.item_budget -= 1.0;
        }
    }

    /// Returns the counts since the last call and resets them.
    pub(crate) fn take_counts(&mut self) -> LiveVsStale {
        std::mem::take(&mut self.counts)
    }

    fn is_sampled(&self, user_id: &UserId) -> bool {
        self.one_in > 0
            && xxh64(user_id.as_str().as_bytes(), SAMPLING_SEED).is_multiple_of(u64::from(self.one_in))
    }

    /// Stores the profile at the first event of a day. False: the profile at the start of the day is unknown.
    fn snapshot_at_day_start(&mut self, profile: &Profile, at: Timestamp) -> bool {
        let day = at.millis().div_euclid(DAY_MS);
        if self.day_start_snapshots.get(profile.user_id()).is_some_and(|known| known.day == day) {
            return true;
        }
        // With an event of this day the profile has changed since the day began, and without any event there is none.
        let is_first_of_day =
            profile.newest_event_at().is_some_and(|newest| newest.millis().div_euclid(DAY_MS) < day);
        if !is_first_of_day {
            return false;
        }
        // Only snapshots of earlier days are evicted: replacing one of this day would end the comparison of its user early.
        if self.day_start_snapshots.len() >= SNAPSHOTS_MAX {
            self.day_start_snapshots.retain(|_, known| known.day >= day);
        }
        if self.day_start_snapshots.len() < SNAPSHOTS_MAX
            || self.day_start_snapshots.contains_key(profile.user_id())
        {
            self.day_start_snapshots
                .insert(profile.user_id().clone(), DayStart { day, profile: profile.clone() });
            return true;
        }
        false
    }
}

impl PredictionCounts {
    /// Predicts an event from `profile` and adds the hits.
    fn add(&mut self, model: &Model, profile: &Profile, event: &Event, at: Timestamp, with_items: bool) {
        let segment_index = model.segment_index_of(profile);
        if let Some(behavior) = &model.predictors().behavior {
            let kind = event.action.kind();
            let next = behavior.predict(profile, segment_index, at);
            let probability =
                next.shares.iter().find(|(action, _)| *action == kind).map_or(0.0, |(_, share)| *share);
            self.actions += 1;
            self.actions_hit += u64::from(next.shares.first().is_some_and(|(action, _)| *action == kind));
            // Bounded from below: a single impossible action would make the sum infinite.
            self.action_log_loss -= probability.max(f64::MIN_POSITIVE).ln();
        }
        if let Some(category) = &event.category {
            self.categories += 1;
            self.categories_hit += u64::from(profile.top_categories(CATEGORIES_TOP).contains(&&**category));
        }
        if let (true, Some(items), Some(item)) = (with_items, &model.predictors().items, &event.item_id) {
            let item = items.index(item.as_str());
            let history = items.history(profile, segment_index);
            let recommended = items.recommend(&history, ITEMS_TOP, |_| true);
            self.items += 1;
            self.items_hit += u64::from(recommended.iter().any(|hit| Some(hit.item) == item));
        }
    }
}

/// Returns true if the model contains the item. For an unknown item both profiles predict the same.
fn model_knows_item(model: &Model, event: &Event) -> bool {
    let items = model.predictors().items.as_ref();
    items.zip(event.item_id.as_ref()).is_some_and(|(items, item)| items.index(item.as_str()).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use portrait_learning::Model;
    use portrait_learning::prediction::Predictors;
    use portrait_learning::prediction::factors::Params;
    use portrait_learning::prediction::next_action::{NextActionModel, UserTransitions};
    use portrait_learning::prediction::recommend::{History, Interaction, ItemRecommender};
    use portrait_learning::testing::{by_views, view};
    use portrait_profile::{ActionKind, ItemId, ModelVersion, TimeDelta};
    use std::sync::Arc;

    const ITEM_COUNT: usize = 60;

    fn at(day: i64, minutes: i64) -> Timestamp {
        Timestamp::EPOCH
            .plus(TimeDelta::from_days(20_000 + day))
            .plus(TimeDelta::from_millis(minutes * 60_000))
    }

    fn item(index: usize) -> ItemId {
        ItemId::parse(&format!("item-{index:02}")).expect("an id")
    }

    fn view_of_item(user: &str, number: usize, at: Timestamp) -> Record {
        let mut record = view(user, number, at);
        if let Body::Event(event) = &mut record.body {
            event.item_id = Some(item(number));
            event.category = Some(format!("category-{number}").into());
        }
        record
    }

    /// A model in which views follow views and all users have the first twenty items.
    fn model() -> ServedModel {
        let view = ActionKind::View.index() as u16;
        let search = ActionKind::Search.index() as u16;
        let user_transitions =
            UserTransitions { segment: None, transitions: vec![(view, view, 50.0), (search, search, 50.0)] };
        let history = |index: usize| {
            let items =
                [index % 20, (index + 1) % 20].into_iter().chain((index == 0).then_some(ITEM_COUNT - 1));
            let interactions = items.map(|item| Interaction { item: item as u32, at: at(0, 0), count: 1.0 });
            History { interactions: interactions.collect(), segment: None }
        };
        let histories: Vec<History> = (0..200).map(history).collect();
        let latent = Params { width: 4, ..Params::default() };
        let items = ItemRecommender::learn((0..ITEM_COUNT).map(item).collect(), &histories, 2, &latent)
            .expect("histories");
        let predictors = Predictors {
            items: items.map(Arc::new),
            behavior: NextActionModel::learn(&[user_transitions]).expect("transitions").map(Arc::new),
            ..Predictors::default()
        };
        let model: Model = by_views(ModelVersion::new(1).expect("not 0"), [1, 2], at(0, 0));
        Some(Arc::new(model.with_predictors(predictors).expect("parts of this model")))
    }

    /// Folds `records` into a profile and returns the counts of their predictions.
    fn evaluate(evaluator: &mut ShadowEvaluator, profile: &mut Profile, records: &[Record]) -> LiveVsStale {
        for record in records {
            evaluator.begin_batch(model(), record.occurred_at);
            evaluator.observe(profile, record);
            profile.apply(record);
        }
        evaluator.take_counts()
    }

    #[test]
    fn a_live_profile_predicts_better_after_events_of_the_day() {
        let mut profile = Profile::new(UserId::parse("lena").expect("an id"));
        let mut evaluator = ShadowEvaluator::new(1, 10.0);
        let new = ITEM_COUNT - 1;
        let yesterday = [view_of_item("lena", 3, at(1, 600)), view_of_item("lena", 4, at(1, 601))];
        let first = evaluate(&mut evaluator, &mut profile, &yesterday);
        assert_eq!(first, LiveVsStale::default(), "the first day has no snapshot");
        let today = [
            view_of_item("lena", new, at(2, 600)),
            view_of_item("lena", 5, at(2, 601)),
            view_of_item("lena", new, at(2, 602)),
        ];
        let LiveVsStale { live, day_start } = evaluate(&mut evaluator, &mut profile, &today);
        assert_eq!((live.actions, day_start.actions, live.items, live.categories), (3, 3, 3, 3));
        // Only the live profile contains the view before, with its item and category.
        assert!(live.action_log_loss < day_start.action_log_loss, "{live:?} {day_start:?}");
        assert_eq!((live.items_hit, day_start.items_hit), (2, 1));
        assert_eq!((live.categories_hit, day_start.categories_hit), (1, 0));
    }

    #[test]
    fn late_events_exhausted_budgets_and_unsampled_users_are_skipped() {
        let mut profile = Profile::new(UserId::parse("lena").expect("an id"));
        let visits = [
            view_of_item("lena", 3, at(1, 600)),
            view_of_item("lena", 4, at(2, 600)),
            view_of_item("lena", 5, at(1, 700)),
        ];
        let mut evaluator = ShadowEvaluator::new(1, 0.0);
        let LiveVsStale { live, day_start } = evaluate(&mut evaluator, &mut profile, &visits);
        assert_eq!((live.actions, live.items), (1, 0), "one was late, and there is no budget for items");
        assert_eq!(live, day_start, "at the first event of a day both profiles are equal");
        let mut unsampled = ShadowEvaluator::new(0, 10.0);
        assert_eq!(
            evaluate(&mut unsampled, &mut profile, &[view_of_item("lena", 6, at(3, 600))]),
            LiveVsStale::default()
        );
    }

    #[test]
    fn snapshots_are_bounded_and_evicted_by_those_of_the_next_day() {
        let mut evaluator = ShadowEvaluator::new(1, 0.0);
        evaluator.begin_batch(model(), at(2, 0));
        let profile = |number: usize| {
            let user = format!("user-{number}");
            let mut profile = Profile::new(UserId::parse(&user).expect("an id"));
            profile.apply(&view_of_item(&user, 3, at(1, 0)));
            profile
        };
        for number in 0..2 * SNAPSHOTS_MAX {
            evaluator.observe(&profile(number), &view_of_item(&format!("user-{number}"), 4, at(2, 0)));
        }
        assert_eq!(
            (evaluator.day_start_snapshots.len(), evaluator.take_counts().live.actions),
            (SNAPSHOTS_MAX, SNAPSHOTS_MAX as u64)
        );
        evaluator.observe(
            &profile(SNAPSHOTS_MAX + 1),
            &view_of_item(&format!("user-{}", SNAPSHOTS_MAX + 1), 4, at(3, 0)),
        );
        assert_eq!((evaluator.day_start_snapshots.len(), evaluator.take_counts().live.actions), (1, 1));
    }
}
