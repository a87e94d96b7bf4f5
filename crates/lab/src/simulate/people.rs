//! Shoppers as the shop meets them: in goes the truth about one, out come the traits and acquaintances that the shop is told
//! on the first day, and the little that is carried from visit to visit.

use super::calendar::Day;
use super::catalogue::CategoryId;
use super::chance;
use super::counter::Counter;
use super::habits::ShopperType;
use super::plan::ShopperTruth;
use super::{Happening, What};
use portrait_profile::{Span, Timestamp};
use portrait_proto::{time, v1};
use rand::RngExt;
use rand::rngs::StdRng;

/// What a cart holds at most; one more and the oldest is taken out.
pub(super) const CART_LINES_MAX: usize = 6;
/// How many returns and reviews a shopper can owe at most; one more is forgotten.
pub(super) const ERRANDS_MAX: usize = 8;

/// What one shopper carries from visit to visit.
#[derive(Debug)]
pub(super) struct Shopper {
    /// The category liked second best.
    pub(super) second: CategoryId,
    /// What waits in the cart, at most [`CART_LINES_MAX`] lines.
    pub(super) cart: Vec<Line>,
    /// Returns and reviews still to be made, at most [`ERRANDS_MAX`].
    pub(super) errands: Vec<Errand>,
    /// The end of the newest visit: the next begins after it.
    pub(super) busy_until: Timestamp,
}

/// One item, and how many of it.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) item_id: String,
    pub(super) category: CategoryId,
    pub(super) brand: &'static str,
    /// The usual price of one.
    pub(super) cents: u32,
    pub(super) quantity: u32,
    /// Empty until it is bought.
    pub(super) order_id: String,
    /// What was paid for one, once it is bought.
    pub(super) paid: Option<f64>,
}

/// Something to do about an item that was bought.
#[derive(Debug)]
pub(super) struct Errand {
    pub(super) not_before: Day,
    pub(super) action: v1::Action,
    pub(super) line: Line,
}

impl Shopper {
    pub(super) fn of(chance: &mut StdRng, truth: &ShopperTruth) -> Self {
        let second = chance::one_of(chance, &truth.shopper_type.habits().categories);
        Self { second, cart: Vec::new(), errands: Vec::new(), busy_until: Timestamp::EPOCH }
    }
}

/// Tells who somebody is and whom he or she knows of `others`, early on the day of arrival.
pub(super) fn introduce(
    chance: &mut StdRng,
    truth: &ShopperTruth,
    others: &[ShopperTruth],
    counter: &mut Counter,
    happenings: &mut Vec<Happening>,
) {
    let at = truth.arrives_on.begins().plus(Span::from_secs(chance.random_range(0..600)));
    let update = v1::TraitsUpdate {
        event_id: counter.next("t"),
        user_id: truth.user_id.clone(),
        occurred_at: Some(time::to_wire(at)),
        traits: traits(chance, truth.shopper_type),
    };
    happenings.push(Happening { at, what: What::Traits(update) });
    for _ in 0..chance.random_range(0..4) {
        let other = &others[chance.random_range(0..others.len())];
        if other.user_id != truth.user_id {
            let at = at.plus(Span::from_secs(chance.random_range(1..1800)));
            acquaint(chance, truth, other, at, counter, happenings);
        }
    }
}

fn traits(chance: &mut StdRng, shopper_type: ShopperType) -> std::collections::HashMap<String, String> {
    let ages = match shopper_type {
        ShopperType::NightBuyer => [0.45, 0.35, 0.15, 0.04, 0.01],
        ShopperType::LoyalRegular => [0.05, 0.20, 0.30, 0.25, 0.20],
        ShopperType::GiftBuyer => [0.05, 0.15, 0.25, 0.30, 0.25],
        ShopperType::BargainHunter | ShopperType::WindowShopper | ShopperType::WeekendBrowser => [0.2; 5],
    };
    let memberships = match shopper_type {
        ShopperType::LoyalRegular => [0.1, 0.3, 0.6],
        ShopperType::WindowShopper => [0.9, 0.1, 0.0],
        ShopperType::BargainHunter
        | ShopperType::NightBuyer
        | ShopperType::GiftBuyer
        | ShopperType::WeekendBrowser => [0.5, 0.35, 0.15],
    };
    let age_band = ["18-24", "25-34", "35-44", "45-54", "55-64"][chance::weighted(chance, &ages)];
    let membership = ["basic", "silver", "gold"][chance::weighted(chance, &memberships)];
    let gender = ["female", "male", "diverse"][chance::weighted(chance, &[0.49, 0.49, 0.02])];
    let region = chance::one_of(chance, &["north", "south", "east", "west", "capital"]);
    [("age_band", age_band), ("membership", membership), ("gender", gender), ("region", region)]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// One edge, or two if both say it.
fn acquaint(
    chance: &mut StdRng,
    one: &ShopperTruth,
    other: &ShopperTruth,
    at: Timestamp,
    counter: &mut Counter,
    happenings: &mut Vec<Happening>,
) {
    use v1::RelationKind::{Colleague, Family, Follows, Friend, Stranger};
    let kinds = [Friend, Family, Colleague, Follows, Stranger];
    let kind = kinds[chance::weighted(chance, &[0.45, 0.15, 0.15, 0.2, 0.05])];
    let weight = f64::from(chance.random_range(20..=100_u32)) / 100.0;
    let mut state = |user_id: &str, other_user_id: &str| {
        let relation = v1::Relation {
            event_id: counter.next("r"),
            user_id: user_id.to_owned(),
            other_user_id: other_user_id.to_owned(),
            kind: kind.into(),
            weight,
            occurred_at: Some(time::to_wire(at)),
        };
        happenings.push(Happening { at, what: What::Relation(relation) });
    };
    state(&one.user_id, &other.user_id);
    if kind != Follows {
        state(&other.user_id, &one.user_id);
    }
}
