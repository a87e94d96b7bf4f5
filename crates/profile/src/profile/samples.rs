//! Sample profile with a value in every field, for tests of the encoding.

use crate::{
    Action, Body, CustomAction, Event, ItemId, ModelVersion, OrderId, Profile, Record, RecordId, Relation,
    RelationKind, SegmentId, SegmentMembership, TimeDelta, Timestamp, TraitValue, UserId,
};

/// Returns a profile of two weeks in May 2023.
pub(super) fn rich() -> Profile {
    let user_id = UserId::parse("lena").expect("an id");
    let begin = Timestamp::from_millis(1_683_000_000_000);
    let mut profile = Profile::new(user_id.clone());
    let custom = Action::Custom(CustomAction::parse("wish").expect("a name"));
    let actions = [Action::View, Action::AddToCart, Action::Purchase, Action::Refund, custom];
    let events = (0..60_u32).map(|number| {
        let order_id = format!("o{}", number / 5);
        Body::Event(Event {
            action: actions[(number % 5) as usize].clone(),
            utc_offset_minutes: 120,
            item_id: ItemId::parse(&if number % 3 == 0 {
                format!("{}", number % 7)
            } else {
                format!("shoe-{}", number % 20)
            })
            .ok(),
            category: Some(format!("category {}", number % 6).into()),
            brand: (number % 2 == 0).then(|| "b7".into()),
            price: Some(f64::from(number) * 3.7),
            quantity: 1.0,
            order_id: OrderId::parse(&order_id).ok(),
            order_line: 0,
            strength: None,
            context: None,
        })
    });
    let traits = Body::Traits(vec![TraitValue { name: "city".into(), value: "Graz".into() }]);
    let kind = RelationKind::Friend;
    let other_user_id = UserId::parse("tom").expect("an id");
    let relation = Body::Relation(Relation { other_user_id, kind, weight: 0.5 });
    for (number, body) in events.chain([traits, relation]).enumerate() {
        let at = begin.plus(TimeDelta::from_minutes(number as i64 * 331));
        let record_id = RecordId::parse(&format!("e{number}")).ok();
        let record = Record {
            user_id: user_id.clone(),
            record_id,
            occurred_at: at,
            accepted_at: at,
            body,
            trace: None,
            source: None,
        };
        profile.apply(&record);
    }
    profile.advance_version();
    profile.set_segment(Some(SegmentMembership {
        segment_id: SegmentId::new(3),
        distance: 1.5,
        model_version: ModelVersion::FIRST,
        since: begin,
    }));
    profile
}
