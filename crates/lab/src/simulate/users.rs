//! Users of the simulated shop: the traits and relations that the shop knows from the first day on, and the state
//! that a user carries from visit to visit.

use super::calendar::Day;
use super::catalogue::CategoryId;
use super::counter::Counter;
use super::event::{ShopEvent, ShopEventKind};
use super::habits::UserType;
use super::plan::UserTruth;
use super::sampling;
use portrait_profile::{TimeDelta, Timestamp};
use portrait_proto::{time, v1};
use rand::RngExt;
use rand::rngs::StdRng;

/// Lines of a cart; one more removes the oldest.
pub(super) const CART_LINES_MAX: usize = 6;
/// Returns and reviews that one user may have pending; further ones are dropped.
pub(super) const DEFERRED_ACTIONS_MAX: usize = 8;

/// State of one user from visit to visit.
#[derive(Debug)]
pub(super) struct SimulatedUser {
    /// Category that the user likes second best.
    pub(super) second: CategoryId,
    /// Content of the cart, at most [`CART_LINES_MAX`] lines.
    pub(super) cart: Vec<CartLine>,
    /// Pending returns and reviews, at most [`DEFERRED_ACTIONS_MAX`].
    pub(super) deferred_actions: Vec<DeferredAction>,
    /// End of the newest visit; the next begins after it.
    pub(super) busy_until: Timestamp,
}

/// Item with its quantity.
#[derive(Clone, Debug)]
pub(super) struct CartLine {
    pub(super) item_id: String,
    pub(super) category: CategoryId,
    pub(super) brand: &'static str,
    /// Regular unit price, in cents.
    pub(super) cents: u32,
    pub(super) quantity: u32,
    /// Order id; empty before the purchase.
    pub(super) order_id: String,
    /// Unit price at the purchase, in the shop's currency.
    pub(super) paid: Option<f64>,
}

/// Return or review of a purchased item on a later day.
#[derive(Debug)]
pub(super) struct DeferredAction {
    pub(super) not_before: Day,
    pub(super) action: v1::Action,
    pub(super) line: CartLine,
}

impl SimulatedUser {
    pub(super) fn new(rng: &mut StdRng, truth: &UserTruth) -> Self {
        let second = sampling::one_of(rng, &truth.user_type.habits().categories);
        Self { second, cart: Vec::new(), deferred_actions: Vec::new(), busy_until: Timestamp::EPOCH }
    }
}

/// Emits a new user's traits, and relations to up to three of `others`, within the first minutes of the day of
/// arrival.
pub(super) fn emit_arrival(
    rng: &mut StdRng,
    truth: &UserTruth,
    others: &[UserTruth],
    counter: &mut Counter,
    events: &mut Vec<ShopEvent>,
) {
    // Within ten minutes after midnight: traits precede nearly all visits of the day.
    let at = truth.arrives_on.midnight().plus(TimeDelta::from_secs(rng.random_range(0..600)));
    let update = v1::TraitsUpdate {
        source: String::new(),
        event_id: counter.next("t"),
        user_id: truth.user_id.clone(),
        occurred_at: Some(time::to_wire(at)),
        traits: traits(rng, truth.user_type),
    };
    events.push(ShopEvent { at, kind: ShopEventKind::Traits(update) });
    // Up to three relations: the degree distribution of the graph is not under test.
    for _ in 0..rng.random_range(0..4) {
        let other = &others[rng.random_range(0..others.len())];
        if other.user_id != truth.user_id {
            let at = at.plus(TimeDelta::from_secs(rng.random_range(1..1800)));
            emit_relation(rng, truth, other, at, counter, events);
        }
    }
}

fn traits(rng: &mut StdRng, user_type: UserType) -> std::collections::HashMap<String, String> {
    let ages = match user_type {
        UserType::NightBuyer => [0.45, 0.35, 0.15, 0.04, 0.01],
        UserType::LoyalRegular => [0.05, 0.20, 0.30, 0.25, 0.20],
        UserType::GiftBuyer => [0.05, 0.15, 0.25, 0.30, 0.25],
        UserType::BargainHunter | UserType::WindowShopper | UserType::WeekendBrowser => [0.2; 5],
    };
    let memberships = match user_type {
        UserType::LoyalRegular => [0.1, 0.3, 0.6],
        UserType::WindowShopper => [0.9, 0.1, 0.0],
        UserType::BargainHunter | UserType::NightBuyer | UserType::GiftBuyer | UserType::WeekendBrowser => {
            [0.5, 0.35, 0.15]
        }
    };
    let age_band = ["18-24", "25-34", "35-44", "45-54", "55-64"][sampling::weighted(rng, &ages)];
    let membership = ["basic", "silver", "gold"][sampling::weighted(rng, &memberships)];
    let gender = ["female", "male", "diverse"][sampling::weighted(rng, &[0.49, 0.49, 0.02])];
    let region = sampling::one_of(rng, &["north", "south", "east", "west", "capital"]);
    [("age_band", age_band), ("membership", membership), ("gender", gender), ("region", region)]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// Emits one edge, or one in each direction for mutual relations.
fn emit_relation(
    rng: &mut StdRng,
    from: &UserTruth,
    to: &UserTruth,
    at: Timestamp,
    counter: &mut Counter,
    events: &mut Vec<ShopEvent>,
) {
    use v1::RelationKind::{Colleague, Family, Follows, Friend, Stranger};
    let kinds = [Friend, Family, Colleague, Follows, Stranger];
    let kind = kinds[sampling::weighted(rng, &[0.45, 0.15, 0.15, 0.2, 0.05])];
    let weight = f64::from(rng.random_range(20..=100_u32)) / 100.0;
    let mut emit = |user_id: &str, other_user_id: &str| {
        let relation = v1::Relation {
            source: String::new(),
            event_id: counter.next("r"),
            user_id: user_id.to_owned(),
            other_user_id: other_user_id.to_owned(),
            kind: kind.into(),
            weight,
            occurred_at: Some(time::to_wire(at)),
        };
        events.push(ShopEvent { at, kind: ShopEventKind::Relation(relation) });
    };
    emit(&from.user_id, &to.user_id);
    // Only following is one-sided.
    if kind != Follows {
        emit(&to.user_id, &from.user_id);
    }
}
