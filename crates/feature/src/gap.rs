//! What live profiles are worth, measured while they are served: an event of some shoppers is foretold by the served model from the
//! profile as it is, and from what it was when the day began, as a profile is that was rebuilt last night. In come a profile and the
//! event that is about to be folded into it, out goes how well both did. Nothing of it is stored: who is owned anew in the middle of a
//! day is looked at from the next day on.

use portrait_learning::{Model, ServedModel};
use portrait_profile::{Body, Event, Profile, Record, Timestamp, UserId};
use std::collections::HashMap;
use xxhash_rust::xxh64::xxh64;

/// Shoppers of one partition whose profiles of this morning are kept at once. One takes a few KB.
const KEPT_MAX: usize = 64;
/// An item is found if it is among so many that are recommended, a category among so many that are liked.
const ITEMS: usize = 20;
const CATEGORIES: usize = 3;
/// Who is looked at is drawn apart from who is in which partition.
const SEED: u64 = 0x6761_7000;
const DAY_MS: i64 = 86_400_000;

/// Which of a partition's events are foretold, and what from.
pub(crate) struct Gap {
    /// One in so many shoppers; 0: none.
    one_in: u32,
    /// Items are foretold so often a second at most.
    items_per_second: f64,
    /// How often they may be now, and since when.
    items_left: f64,
    filled_at: Timestamp,
    model: ServedModel,
    /// The day, counted from the epoch, and the profile when it began.
    mornings: HashMap<UserId, (i64, Profile)>,
    found: Found,
}

/// What was foretold since it was taken last, from either profile.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Found {
    pub(crate) live: Tally,
    pub(crate) frozen: Tally,
}

/// What was foretold from one kind of profile.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Tally {
    /// Actions, how many were the most likely, and the sum of the negative logarithms of their probabilities.
    pub(crate) actions: u64,
    pub(crate) actions_found: u64,
    pub(crate) action_nats: f64,
    /// Items, and how many were recommended.
    pub(crate) items: u64,
    pub(crate) items_found: u64,
    /// Categories, and how many were among the liked ones.
    pub(crate) categories: u64,
    pub(crate) categories_found: u64,
}

impl Gap {
    /// Looks at one in so many shoppers, and foretells items so often a second at most.
    pub(crate) fn new(one_in: u32, items_per_second: f64) -> Self {
        Self {
            one_in,
            items_per_second,
            items_left: 0.0,
            filled_at: Timestamp::EPOCH,
            model: None,
            mornings: HashMap::new(),
            found: Found::default(),
        }
    }

    /// Forgets everything: what is owned anew may have changed elsewhere.
    pub(crate) fn clear(&mut self) {
        self.mornings.clear();
        self.found = Found::default();
    }

    /// Forgets a shopper.
    pub(crate) fn forget(&mut self, user_id: &UserId) {
        self.mornings.remove(user_id);
    }

    /// Foretells by `model` from `now` on.
    pub(crate) fn begin(&mut self, model: ServedModel, now: Timestamp) {
        self.model = model;
        let seconds = now.since(self.filled_at).as_secs_f64();
        self.filled_at = self.filled_at.max(now);
        // What was not used for a second is lost.
        self.items_left =
            (self.items_left + seconds * self.items_per_second).min(self.items_per_second.max(1.0));
    }

    /// Foretells an event that is about to be folded into `profile`.
    pub(crate) fn look(&mut self, profile: &Profile, record: &Record) {
        let Body::Event(event) = &record.body else { return };
        let at = record.occurred_at;
        // What comes late is not foretold: the profile knows already what came after.
        let late = profile.newest_event_at().is_none_or(|newest| newest > at);
        if late || !self.is_drawn(&record.user_id) {
            return;
        }
        let Some(model) = self.model.clone() else { return };
        if !self.wakes(profile, at) {
            return;
        }
        let with_items = self.items_left >= 1.0 && suits(&model, event);
        let Some((_, frozen)) = self.mornings.get(&record.user_id) else { return };
        self.found.live.add(&model, profile, event, at, with_items);
        self.found.frozen.add(&model, frozen, event, at, with_items);
        if with_items {
            self.items_left -= 1.0;
        }
    }

    /// What was found since it was asked last.
    pub(crate) fn take(&mut self) -> Found {
        std::mem::take(&mut self.found)
    }

    fn is_drawn(&self, user_id: &UserId) -> bool {
        self.one_in > 0 && xxh64(user_id.as_str().as_bytes(), SEED).is_multiple_of(u64::from(self.one_in))
    }

    /// Keeps the profile if this is its first event of a day. False: what it was when the day began is not known.
    fn wakes(&mut self, profile: &Profile, at: Timestamp) -> bool {
        let day = at.millis().div_euclid(DAY_MS);
        if self.mornings.get(profile.user_id()).is_some_and(|(kept, _)| *kept == day) {
            return true;
        }
        let slept = profile.newest_event_at().is_some_and(|newest| newest.millis().div_euclid(DAY_MS) < day);
        if !slept {
            return false;
        }
        if self.mornings.len() >= KEPT_MAX {
            self.mornings.retain(|_, (kept, _)| *kept >= day);
        }
        if self.mornings.len() < KEPT_MAX || self.mornings.contains_key(profile.user_id()) {
            self.mornings.insert(profile.user_id().clone(), (day, profile.clone()));
            return true;
        }
        false
    }
}

impl Tally {
    fn add(&mut self, model: &Model, profile: &Profile, event: &Event, at: Timestamp, with_items: bool) {
        let place = model.place_of(profile);
        if let Some(behavior) = &model.learned().behavior {
            let (kind, next) = (event.action.kind(), behavior.next(profile, place, at));
            let share =
                next.shares.iter().find(|(action, _)| *action == kind).map_or(0.0, |(_, share)| *share);
            self.actions += 1;
            self.actions_found += u64::from(next.shares.first().is_some_and(|(action, _)| *action == kind));
            self.action_nats -= share.max(f64::MIN_POSITIVE).ln();
        }
        if let Some(category) = &event.category {
            self.categories += 1;
            self.categories_found += u64::from(profile.top_categories(CATEGORIES).contains(&&**category));
        }
        if let (true, Some(items), Some(item)) = (with_items, &model.learned().items, &event.item_id) {
            let thing = items.number(item.as_str());
            let past = items.past(profile, place);
            let wanted = items.recommend(&past, ITEMS, |_| true);
            self.items += 1;
            self.items_found += u64::from(wanted.iter().any(|found| Some(found.thing) == thing));
        }
    }
}

/// Whether the model knows the item: of one it does not know, both profiles say the same.
fn suits(model: &Model, event: &Event) -> bool {
    let (items, item) = (&model.learned().items, &event.item_id);
    items.as_ref().zip(item.as_ref()).is_some_and(|(items, item)| items.number(item.as_str()).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use portrait_learning::Model;
    use portrait_learning::prediction::Learned;
    use portrait_learning::prediction::behavior::{Behavior, OwnSteps};
    use portrait_learning::prediction::factors::Params;
    use portrait_learning::prediction::recommend::{Items, Past, Touched};
    use portrait_learning::testing::{by_views, view};
    use portrait_profile::{ActionKind, ItemId, ModelVersion, Span};
    use std::sync::Arc;

    const ITEM_COUNT: usize = 60;

    fn at(day: i64, minutes: i64) -> Timestamp {
        Timestamp::EPOCH.plus(Span::from_days(20_000 + day)).plus(Span::from_millis(minutes * 60_000))
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
        let steps = OwnSteps { segment: None, steps: vec![(view, view, 50.0), (begins, begins, 50.0)] };
        let past = |one: usize| {
            let things = [one % 20, (one + 1) % 20].into_iter().chain((one == 0).then_some(ITEM_COUNT - 1));
            let touched = things.map(|thing| Touched { thing: thing as u32, at: at(0, 0), times: 1.0 });
            Past { touched: touched.collect(), segment: None }
        };
        let pasts: Vec<Past> = (0..200).map(past).collect();
        let latent = Params { width: 4, ..Params::default() };
        let items = Items::learn((0..ITEM_COUNT).map(item).collect(), &pasts, 2, &latent).expect("pasts");
        let learned = Learned {
            items: items.map(Arc::new),
            behavior: Behavior::learn(&[steps]).expect("steps").map(Arc::new),
            ..Learned::default()
        };
        let made: Model = by_views(ModelVersion::new(1).expect("not 0"), [1, 2], at(0, 0));
        Some(Arc::new(made.with_learned(learned).expect("parts of this model")))
    }

    /// What is found when these are folded into one profile in turn.
    fn found(gap: &mut Gap, profile: &mut Profile, records: &[Record]) -> Found {
        for record in records {
            gap.begin(model(), record.occurred_at);
            gap.look(profile, record);
            profile.apply(record);
        }
        gap.take()
    }

    #[test]
    fn a_live_profile_knows_what_was_done_since_the_morning() {
        let mut profile = Profile::new(UserId::parse("lena").expect("an id"));
        let mut gap = Gap::new(1, 10.0);
        let new = ITEM_COUNT - 1;
        let yesterday = [looks("lena", 3, at(1, 600)), looks("lena", 4, at(1, 601))];
        let first = found(&mut gap, &mut profile, &yesterday);
        assert_eq!(first, Found::default(), "of the first day no morning is known");
        let today =
            [looks("lena", new, at(2, 600)), looks("lena", 5, at(2, 601)), looks("lena", new, at(2, 602))];
        let Found { live, frozen } = found(&mut gap, &mut profile, &today);
        assert_eq!((live.actions, frozen.actions, live.items, live.categories), (3, 3, 3, 3));
        // Only the live one knows that a view has gone before, and of which item and category.
        assert!(live.action_nats < frozen.action_nats, "{live:?} {frozen:?}");
        assert_eq!((live.items_found, frozen.items_found), (2, 1));
        assert_eq!((live.categories_found, frozen.categories_found), (1, 0));
    }

    #[test]
    fn what_comes_late_or_too_often_and_who_is_not_drawn_are_left_out() {
        let mut profile = Profile::new(UserId::parse("lena").expect("an id"));
        let visits =
            [looks("lena", 3, at(1, 600)), looks("lena", 4, at(2, 600)), looks("lena", 5, at(1, 700))];
        let mut gap = Gap::new(1, 0.0);
        let Found { live, frozen } = found(&mut gap, &mut profile, &visits);
        assert_eq!((live.actions, live.items), (1, 0), "one was late, and items are never foretold");
        assert_eq!(live, frozen, "the first event of a day finds the profile of the morning");
        let mut nobody = Gap::new(0, 10.0);
        assert_eq!(found(&mut nobody, &mut profile, &[looks("lena", 6, at(3, 600))]), Found::default());
    }

    #[test]
    fn mornings_are_bounded_and_give_way_to_those_of_the_next_day() {
        let mut gap = Gap::new(1, 0.0);
        gap.begin(model(), at(2, 0));
        let profile = |number: usize| {
            let user = format!("shopper-{number}");
            let mut profile = Profile::new(UserId::parse(&user).expect("an id"));
            profile.apply(&looks(&user, 3, at(1, 0)));
            profile
        };
        for number in 0..2 * KEPT_MAX {
            gap.look(&profile(number), &looks(&format!("shopper-{number}"), 4, at(2, 0)));
        }
        assert_eq!((gap.mornings.len(), gap.take().live.actions), (KEPT_MAX, KEPT_MAX as u64));
        gap.look(&profile(KEPT_MAX + 1), &looks(&format!("shopper-{}", KEPT_MAX + 1), 4, at(3, 0)));
        assert_eq!((gap.mornings.len(), gap.take().live.actions), (1, 1));
    }
}
