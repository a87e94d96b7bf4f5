//! Cards of a full profile (compared literally), of an empty one, and of one with invalid values.

use super::*;
use portrait_proto::v1;
use std::collections::HashMap;

fn at(seconds: i64) -> Option<prost_types::Timestamp> {
    Some(prost_types::Timestamp { seconds, nanos: 0 })
}

/// Time of reading: 2025-10-31T00:00:00Z.
const READ_AT: i64 = 1_761_868_800;

fn decayed(week: f64) -> Option<v1::Decayed> {
    Some(v1::Decayed { hour: week / 8.0, week, quarter: week * 2.0 })
}

fn behavior() -> v1::Behavior {
    let count = |action: v1::Action, total| v1::ActionCount {
        action: action.into(),
        total,
        decayed: decayed(total as f64),
        ..Default::default()
    };
    let step = |from: v1::Action, to: v1::Action, probability| v1::Transition {
        from: from.into(),
        to: to.into(),
        weight: 10.0 * probability,
        probability,
    };
    use v1::Action::{AddToCart, Purchase, View};
    let mut hour_share = vec![0.0; 24];
    (hour_share[7], hour_share[8], hour_share[20]) = (0.3, 0.6, 0.1);
    v1::Behavior {
        actions: vec![count(View, 1_204), count(AddToCart, 31), count(Purchase, 12)],
        first_event_at: at(READ_AT - 59 * 86_400),
        newest_event_at: at(READ_AT - 3 * 3_600),
        rfm: Some(v1::Rfm {
            last_purchase_at: at(READ_AT - 4 * 86_400),
            orders: decayed(3.0),
            money: decayed(120.0),
            orders_total: 11,
            money_total: 1_310.4,
            mean_basket: 119.13,
            unmatched_refunds: 20.0,
            ..Default::default()
        }),
        sessions: Some(v1::Sessions {
            total: 140,
            mean_events: 8.9,
            mean_seconds: 252.0,
            ..Default::default()
        }),
        hour_share,
        weekday_share: vec![0.2, 0.2, 0.1, 0.1, 0.1, 0.3, 0.0],
        transitions: vec![step(View, View, 0.7), step(View, AddToCart, 0.1), step(AddToCart, Purchase, 0.25)],
        late_events: 2,
    }
}

fn profile() -> v1::Profile {
    let affinity = |name: &str, share: f64, quarter| v1::Affinity {
        name: name.to_owned(),
        weight: Some(v1::Decayed { hour: share, week: share * 9.0, quarter }),
        share,
    };
    let traits = [("membership", "gold"), ("age_band", "25-34"), ("region", "north")];
    let touch = |item: &str, state: v1::ItemState| v1::ItemTouch {
        item_id: item.to_owned(),
        action: v1::Action::View.into(),
        at: at(READ_AT - 3 * 3_600),
        count: 1,
        state: state.into(),
    };
    v1::Profile {
        user_id: "lena-0042".to_owned(),
        version: 1_031,
        applied_events: 1_250,
        fingerprint: 0x0123_4567_89ab_cdef,
        updated_at: at(READ_AT - 60),
        basic: Some(v1::Basic {
            traits: HashMap::from(traits.map(|(name, value)| (name.to_owned(), value.to_owned()))),
        }),
        behavior: Some(behavior()),
        preference: Some(v1::Preference {
            loyalty: 0.5,
            categories: vec![
                affinity("groceries", 0.62, 31.0),
                affinity("books", 0.3, 60.0),
                affinity("化妆品", 0.08, 9.0),
            ],
            brands: vec![affinity("Feldfrisch", 1.0, 12.0)],
            price_bands: vec![affinity("8-16", 0.75, 5.0), affinity("16-32", 0.25, 5.0)],
            recent_items: vec![
                touch("groceries-018", v1::ItemState::Seen),
                touch("books-003", v1::ItemState::Returned),
            ],
        }),
        social: Some(v1::Social {
            edges: vec![v1::Edge {
                user_id: "ben-0003".to_owned(),
                kind: v1::RelationKind::Friend.into(),
                weight: 0.8,
                since: at(READ_AT - 86_400),
            }],
        }),
        segment: Some(v1::SegmentMembership {
            segment_id: "s3".to_owned(),
            name: "frequent morning buyers".to_owned(),
            distance: 2.5,
            model_version: 4,
            since: at(READ_AT - 9 * 86_400),
        }),
        read_at: at(READ_AT),
        bot: false,
    }
}

const CARD: &str = "\
lena-0042                                             as of 2025-10-31 00:00 UTC
────────────────────────────────────────────────────────────────────────────────
age band: 25-34 · membership: gold · region: north

Segment  frequent morning buyers (s3) · since 9 days ago · model 4

Active   last seen 3 hours ago · first 59 days ago · 140 visits
         8.9 actions and 4 min a visit
         1,204 view, 31 add to cart, 12 purchase
         hours  ·······▄█···········▂···  most between 8:00 and 9:00
                0     6     12    18
         days   Mo ▆ Tu ▆ We ▃ Th ▃ Fr ▃ Sa █ Su ·  most on Sa

Buys     11 orders · 1,310.40 in all · 119.13 an order · last 4 days ago
         refunds of 20.00 without a purchase

Likes                                                              lately months
         categories  groceries              ██████████████▉           62%    31%
                     books                  ███████▎                  30%    60%
                     化妆品                 █▉                         8%     9%
         brands      Feldfrisch             ████████████████████████ 100%   100%
         prices      8-16                   ██████████████████        75%    50%
                     16-32                  ██████                    25%    50%
         newest: groceries-018 (view), books-003 (returned)

Next     after view: view 70%, add to cart 10%
         after add to cart: purchase 25%

Knows    ben-0003 (friend, 0.8)

Record   version 1,031 · made from 1,250 records · fingerprint 0123456789abcdef
         updated 2025-10-30 23:59 UTC · 2 events came late
";

#[test]
fn a_card_shows_every_section_of_a_full_profile() {
    let card = card(&profile(), Paint::PLAIN);
    assert_eq!(card, CARD, "\n{card}");
    assert!(card.lines().all(|line| chart::width(line) <= 80), "\n{card}");
}

#[test]
fn an_empty_profile_is_a_short_card() {
    let card = card(&v1::Profile { user_id: "unknown".to_owned(), ..Default::default() }, Paint::PLAIN);
    let expected = format!(
        "unknown\n{}\nno traits are known\n\nRecord   version 0 · made from 0 records · fingerprint 0000000000000000\n",
        "─".repeat(80)
    );
    assert_eq!(card, expected);
}

#[test]
fn invalid_values_neither_panic_nor_exceed_the_width() {
    let mut profile = profile();
    profile.user_id = "用".repeat(60);
    let behavior = profile.behavior.as_mut().expect("it has behaviour");
    behavior.hour_share = vec![f64::NAN, f64::INFINITY, -1.0];
    behavior.weekday_share = vec![0.1; 40];
    behavior.actions[0].action = 99;
    behavior.transitions[0].from = -7;
    behavior.transitions[0].probability = f64::NAN;
    behavior.newest_event_at = Some(prost_types::Timestamp { seconds: i64::MAX, nanos: -1 });
    behavior.first_event_at = at(READ_AT + 1_000_000);
    behavior.rfm.as_mut().expect("it has orders").money_total = f64::NEG_INFINITY;
    profile.preference.as_mut().expect("it has preferences").categories[0].share = f64::INFINITY;
    profile.social.as_mut().expect("it has edges").edges[0].kind = 77;
    for text in [card(&profile, Paint::PLAIN), card(&v1::Profile::default(), Paint::PLAIN)] {
        assert!(text.lines().all(|line| chart::width(line) <= 80), "\n{text}");
    }
    assert_eq!(profile_json(&profile)["behavior"]["actions"][0]["action"], 99);
}

#[test]
fn json_uses_the_field_names_of_the_api() {
    let json = profile_json(&profile());
    let rows = [
        ("/user_id", serde_json::json!("lena-0042")),
        ("/fingerprint", serde_json::json!("0123456789abcdef")),
        ("/read_at", serde_json::json!("2025-10-31T00:00:00Z")),
        ("/basic/traits/age_band", serde_json::json!("25-34")),
        ("/behavior/actions/0/action", serde_json::json!("ACTION_VIEW")),
        ("/behavior/rfm/orders_total", serde_json::json!(11)),
        ("/behavior/transitions/2/to", serde_json::json!("ACTION_PURCHASE")),
        ("/preference/categories/0/weight/week", serde_json::json!(0.62 * 9.0)),
        ("/preference/recent_items/1/item_id", serde_json::json!("books-003")),
        ("/social/edges/0/kind", serde_json::json!("RELATION_KIND_FRIEND")),
    ];
    for (pointer, expected) in rows {
        assert_eq!(json.pointer(pointer), Some(&expected), "{pointer}");
    }
}
