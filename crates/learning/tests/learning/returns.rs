//! Items that are often given back: they lose their rank for everybody, and their buyers have no history of them.

use portrait_learning::prediction::factors::Params;
use portrait_learning::prediction::recommend::{History, ItemRecommender};
use portrait_profile::{Action, Body, Event, ItemId, Profile, Record, Timestamp, UserId};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

const USERS: usize = 300;
const ITEMS: usize = 60;
const PURCHASES: usize = 8;
/// One of so many items is often given back: with a probability of 0.8, all others with 0.05. A fifth of all purchases come back.
const OFTEN_RETURNED_EVERY: usize = 5;

fn item(index: usize) -> ItemId {
    ItemId::parse(&format!("item-{index:02}")).expect("an id")
}

fn apply(profile: &mut Profile, action: Action, index: usize, minute: i64) {
    let at = Timestamp::from_millis(1_700_000_000_000 + minute * 60_000);
    let event = Event {
        action,
        utc_offset_minutes: 0,
        item_id: Some(item(index)),
        category: None,
        brand: None,
        price: Some(10.0),
        quantity: 1.0,
        order_id: None,
        order_line: 0,
        strength: None,
        context: None,
    };
    profile.apply(&Record {
        user_id: profile.user_id().clone(),
        record_id: None,
        occurred_at: at,
        accepted_at: at,
        body: Body::Event(event),
        trace: None,
        source: None,
    });
}

fn is_often_returned(index: usize) -> bool {
    index.is_multiple_of(OFTEN_RETURNED_EVERY)
}

/// Profiles of users who buy within one of six groups of items, with or without the returns.
fn profiles(with_returns: bool) -> Vec<Profile> {
    let mut rng = StdRng::seed_from_u64(3);
    let of_user = |user: usize| {
        let mut profile = Profile::new(UserId::parse(&format!("user-{user}")).expect("an id"));
        for purchase in 0..PURCHASES {
            let index = user % 6 * 10 + rng.random_range(0..10);
            let minute = (user + purchase * 1000) as i64;
            apply(&mut profile, Action::Purchase, index, minute);
            let is_returned = rng.random_bool(if is_often_returned(index) { 0.8 } else { 0.05 });
            if is_returned && with_returns {
                apply(&mut profile, Action::Refund, index, minute + 500);
            }
        }
        profile
    };
    (0..USERS).map(of_user).collect()
}

fn learned(profiles: &[Profile]) -> ItemRecommender {
    let ids: Vec<ItemId> = (0..ITEMS).map(item).collect();
    let index = |id: &str| ids.iter().position(|known| known.as_str() == id).map(|index| index as u32);
    let histories: Vec<History> =
        profiles.iter().map(|profile| History::from_items(profile, index)).collect();
    let latent = Params { width: 8, ..Params::default() };
    ItemRecommender::learn(ids.clone(), &histories, 0, &latent)
        .expect("valid histories")
        .expect("there are items")
}

/// Mean rank of the often returned items for a user without a history, among 60.
fn mean_rank(items: &ItemRecommender) -> f64 {
    let ranked = items.ranked(&History::default(), ITEMS, |_| true);
    let ranks = (0..ITEMS).filter(|index| is_often_returned(*index)).map(|index| {
        ranked.iter().position(|known| *known == index as u32).expect("every item is ranked") as f64
    });
    ranks.sum::<f64>() / ITEMS.div_ceil(OFTEN_RETURNED_EVERY) as f64
}

#[test]
fn items_that_are_often_given_back_lose_their_rank() {
    let ranks = [true, false].map(|with_returns| mean_rank(&learned(&profiles(with_returns))));
    // Twelve of sixty: 53.5 if they are the last ones, 29.5 if nothing tells them from others.
    assert!(ranks[0] > 50.0 && ranks[1] < 40.0, "{} with returns, {} without", ranks[0], ranks[1]);
}

#[test]
fn a_returned_item_is_not_in_the_history_of_its_buyer() {
    let profiles = profiles(true);
    let items = learned(&profiles);
    for profile in &profiles {
        let history = items.history(profile, None);
        let rejected = profile.recent_items().filter(|item| item.is_rejected());
        for rejected in rejected.filter_map(|item| items.index(item.item_id.as_str())) {
            assert!(history.interactions.iter().all(|interaction| interaction.item != rejected));
        }
    }
}
