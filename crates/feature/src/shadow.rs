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
    /// Tokens for item predictions, and the time of the last refill.
    item_budget: f64,
    refilled_at: Timestamp,
    model: ServedModel,
    /// Profile at the start of a day, with the day since the epoch, by user.
    day_start_snapshots: HashMap<UserId, (i64, Profile)>,
    counts: LiveVsStale,
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
    /// Predicted actions, hits of the likeliest one, and the sum of negative log-probabilities in nats.
    pub(crate) actions: u64,
    pub(crate) actions_hit: u64,
    pub(crate) action_log_loss: f64,
    /// Predicted items, and hits among the recommendations.
    pub(crate) items: u64,
    pub(crate) items_hit: u64,
    /// Categories of events, and hits among the preferred ones.
    pub(crate) categories: u64,
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
        let late = profile.newest_event_at().is_none_or(|newest| newest > at);
        if late || !self.is_sampled(&record.user_id) {
            return;
        }
        let Some(model) = self.model.clone() else { return };
        if !self.snapshot_at_day_start(profile, at) {
            return;
        }
        let with_items = self.item_budget >= 1.0 && model_knows_item(&model, event);
        let Some((_, frozen)) = self.day_start_snapshots.get(&record.user_id) else { return };
        self.counts.live.add(&model, profile, event, at, with_items);
        self.counts.day_start.add(&model, frozen, event, at, with_items);
        if with_items {
            self.item_budget -= 1.0;
        }
    }

    /// Returns the counts since the last call and resets them.
    pub(crate) fn take_counts(&mut self) -> LiveVsStale {
        std::mem::take(&mut self.counts)
    }

    fn is_sampled(&self, user_id: &UserId) -> bool {
        self.one_in > 0 && xxh64(user_id.as_str().as_bytes(), SAMPLING_SEED).is_multiple_of(u64::from(self.one_in))
    }

    /// Stores the profile at the first event of a day. False: the profile at the start of the day is unknown.
    fn snapshot_at_day_start(&mut self, profile: &Profile, at: Timestamp) -> bool {
        let day = at.millis().div_euclid(DAY_MS);
        if self.day_start_snapshots.get(profile.user_id()).is_some_and(|(kept, _)| *kept == day) {
            return true;
        }
        let slept = profile.newest_event_at().is_some_and(|newest| newest.millis().div_euclid(DAY_MS) < day);
        if !slept {
        // Without an event before this day the stored profile began during the day, or is new: there is nothing to compare.
            return false;
        }
        if self.day_start_snapshots.len() >= SNAPSHOTS_MAX {
            self.day_start_snapshots.retain(|_, (kept, _)| *kept >= day);
        // Snapshots of earlier days go first; a snapshot of the current day never makes room for another user.
        }
        if self.day_start_snapshots.len() < SNAPSHOTS_MAX || self.day_start_snapshots.contains_key(profile.user_id()) {
            self.day_start_snapshots.insert(profile.user_id().clone(), (day, profile.clone()));
            return true;
        }
        false
    }
}

impl PredictionCounts {
    fn add(&mut self, model: &Model, profile: &Profile, event: &Event, at: Timestamp, with_items: bool) {
        let place = model.segment_index_of(profile);
        if let Some(behavior) = &model.predictors().behavior {
            let (kind, next) = (event.action.kind(), behavior.predict(profile, place, at));
            let share =
                next.shares.iter().find(|(action, _)| *action == kind).map_or(0.0, |(_, share)| *share);
            self.actions += 1;
            self.actions_hit += u64::from(next.shares.first().is_some_and(|(action, _)| *action == kind));
            self.action_log_loss -= share.max(f64::MIN_POSITIVE).ln();
        }
        if let Some(category) = &event.category {
            self.categories += 1;
            self.categories_hit += u64::from(profile.top_categories(CATEGORIES_TOP).contains(&&**category));
        }
        if let (true, Some(items), Some(item)) = (with_items, &model.predictors().items, &event.item_id) {
            let thing = items.index(item.as_str());
            let past = items.history(profile, place);
            let wanted = items.recommend(&past, ITEMS_TOP, |_| true);
            self.items += 1;
            self.items_hit += u64::from(wanted.iter().any(|found| Some(found.item) == thing));
        }
    }
}

/// Returns true if the model contains the item. For an unknown item both profiles predict the same.
fn model_knows_item(model: &Model, event: &Event) -> bool {
    let (items, item) = (&model.predictors().items, &event.item_id);
    items.as_ref().zip(item.as_ref()).is_some_and(|(items, item)| items.index(item.as_str()).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use portrait_learning::Model;
    use portrait_learning::prediction::Predictors;
    use portrait_learning::prediction::next_action::{NextActionModel, UserTransitions};
    use portrait_learning::prediction::factors::Params;
    use portrait_learning::prediction::recommend::{ItemRecommender, History, Interaction};
    use portrait_learning::testing::{by_views, view};
    use portrait_profile::{ActionKind, ItemId, ModelVersion, TimeDelta};
    use std::sync::Arc;

    const ITEM_COUNT: usize = 60;

    fn at(day: i64, minutes: i64) -> Timestamp {
        Timestamp::EPOCH.plus(TimeDelta::from_days(20_000 + day)).plus(TimeDelta::from_millis(minutes * 60_000))
    }

    fn item(number: usize) -> ItemId {
        ItemId::parse(&format!("item-{number:02}")).expect("an id")
    }

    fn looks(user: &str, number: usize, at: Timestamp) -> Record {
        let mut record = view(user, number, at);
        if let Body::Event(event) = &mut record.body {
            event.item_id = Some(item(number));
            event.category = Some(format!("category-{number}").into());
        }
        record
    }

    /// After a view comes another; of items the first twenty are what everybody has.
    fn model() -> ServedModel {
        let view = ActionKind::View.index() as u16;
        let begins = ActionKind::Search.index() as u16;
        let steps = UserTransitions { segment: None, transitions: vec![(view, view, 50.0), (begins, begins, 50.0)] };
        let past = |one: usize| {
            let things = [one % 20, (one + 1) % 20].into_iter().chain((one == 0).then_some(ITEM_COUNT - 1));
            let touched = things.map(|thing| Interaction { item: thing as u32, at: at(0, 0), count: 1.0 });
            History { interactions: touched.collect(), segment: None }
        };
        let pasts: Vec<History> = (0..200).map(past).collect();
        let latent = Params { width: 4, ..Params::default() };
        let items = ItemRecommender::learn((0..ITEM_COUNT).map(item).collect(), &pasts, 2, &latent).expect("pasts");
        let learned = Predictors {
            items: items.map(Arc::new),
            behavior: NextActionModel::learn(&[steps]).expect("steps").map(Arc::new),
            ..Predictors::default()
        };
        let made: Model = by_views(ModelVersion::new(1).expect("not 0"), [1, 2], at(0, 0));
        Some(Arc::new(made.with_predictors(learned).expect("parts of this model")))
    }

    /// What is found when these are folded into one profile in turn.
    fn found(gap: &mut ShadowEvaluator, profile: &mut Profile, records: &[Record]) -> LiveVsStale {
        for record in records {
            gap.begin_batch(model(), record.occurred_at);
            gap.observe(profile, record);
            profile.apply(record);
        }
        gap.take_counts()
    }

    #[test]
    fn a_live_profile_knows_what_was_done_since_the_morning() {
        let mut profile = Profile::new(UserId::parse("lena").expect("an id"));
        let mut gap = ShadowEvaluator::new(1, 10.0);
        let new = ITEM_COUNT - 1;
        let yesterday = [looks("lena", 3, at(1, 600)), looks("lena", 4, at(1, 601))];
        let first = found(&mut gap, &mut profile, &yesterday);
        assert_eq!(first, LiveVsStale::default(), "of the first day no morning is known");
        let today =
            [looks("lena", new, at(2, 600)), looks("lena", 5, at(2, 601)), looks("lena", new, at(2, 602))];
        let LiveVsStale { live, day_start: frozen } = found(&mut gap, &mut profile, &today);
        assert_eq!((live.actions, frozen.actions, live.items, live.categories), (3, 3, 3, 3));
        // Only the live one knows that a view has gone before, and of which item and category.
        assert!(live.action_log_loss < frozen.action_log_loss, "{live:?} {frozen:?}");
        assert_eq!((live.items_hit, frozen.items_hit), (2, 1));
        assert_eq!((live.categories_hit, frozen.categories_hit), (1, 0));
    }

    #[test]
    fn what_comes_late_or_too_often_and_who_is_not_drawn_are_left_out() {
        let mut profile = Profile::new(UserId::parse("lena").expect("an id"));
        let visits =
            [looks("lena", 3, at(1, 600)), looks("lena", 4, at(2, 600)), looks("lena", 5, at(1, 700))];
        let mut gap = ShadowEvaluator::new(1, 0.0);
        let LiveVsStale { live, day_start: frozen } = found(&mut gap, &mut profile, &visits);
        assert_eq!((live.actions, live.items), (1, 0), "one was late, and items are never foretold");
        assert_eq!(live, frozen, "the first event of a day finds the profile of the morning");
        let mut nobody = ShadowEvaluator::new(0, 10.0);
        assert_eq!(found(&mut nobody, &mut profile, &[looks("lena", 6, at(3, 600))]), LiveVsStale::default());
    }

    #[test]
    fn mornings_are_bounded_and_give_way_to_those_of_the_next_day() {
        let mut gap = ShadowEvaluator::new(1, 0.0);
        gap.begin_batch(model(), at(2, 0));
        let profile = |number: usize| {
            let user = format!("shopper-{number}");
            let mut profile = Profile::new(UserId::parse(&user).expect("an id"));
            profile.apply(&looks(&user, 3, at(1, 0)));
            profile
        };
        for number in 0..2 * SNAPSHOTS_MAX {
            gap.observe(&profile(number), &looks(&format!("shopper-{number}"), 4, at(2, 0)));
        }
        assert_eq!((gap.day_start_snapshots.len(), gap.take_counts().live.actions), (SNAPSHOTS_MAX, SNAPSHOTS_MAX as u64));
        gap.observe(&profile(SNAPSHOTS_MAX + 1), &looks(&format!("shopper-{}", SNAPSHOTS_MAX + 1), 4, at(3, 0)));
        assert_eq!((gap.day_start_snapshots.len(), gap.take_counts().live.actions), (1, 1));
    }
}
