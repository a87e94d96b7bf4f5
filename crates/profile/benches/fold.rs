//! Benchmark of the work per record: folding it into a profile, and encoding, features and view of the profile. `-- --test` runs each
//! case once.

use criterion::{BatchSize, Criterion};
use portrait_profile::{
    Action, Body, Event, ItemId, OrderId, Profile, Record, RecordId, TimeDelta, Timestamp, UserId,
};
use std::hint::black_box;
use std::time::Duration;

/// 2024-01-01T00:00:00Z.
const BEGIN_MS: i64 = 1_704_067_200_000;

fn user_id() -> UserId {
    UserId::parse("user-0001").expect("an id")
}

/// Returns record `number` of a user with mostly views and some purchases.
fn record(number: u32) -> Record {
    let actions = [Action::View, Action::View, Action::View, Action::AddToCart, Action::Purchase];
    let at = Timestamp::from_millis(BEGIN_MS).plus(TimeDelta::from_minutes(i64::from(number) * 97));
    let event = Event {
        action: actions[number as usize % actions.len()].clone(),
        utc_offset_minutes: 60,
        item_id: ItemId::parse(&format!("item-{}", number * 7 % 151)).ok(),
        category: Some(format!("category-{}", number % 11).into()),
        brand: Some(format!("brand-{}", number % 5).into()),
        price: Some(f64::from(number % 90) + 0.5),
        quantity: 1.0,
        order_id: OrderId::parse(&format!("order-{}", number / 5)).ok(),
        order_line: 0,
        strength: None,
        context: None,
    };
    Record {
        user_id: user_id(),
        record_id: RecordId::parse(&format!("record-{number}")).ok(),
        occurred_at: at,
        accepted_at: at,
        body: Body::Event(event),
        trace: None,
        source: None,
    }
}

fn fold(criterion: &mut Criterion) {
    let mut profile = Profile::new(user_id());
    for number in 0..300 {
        profile.apply(&record(number));
    }
    let next = record(300);
    criterion.bench_function("profile/apply 1 event to 300", |bencher| {
        bencher.iter_batched_ref(
            || profile.clone(),
            |profile| profile.apply(black_box(&next)),
            BatchSize::SmallInput,
        );
    });
    let bytes = profile.encode();
    criterion.bench_function("profile/encode", |bencher| bencher.iter(|| black_box(&profile).encode()));
    criterion.bench_function("profile/decode", |bencher| {
        bencher.iter(|| Profile::decode(black_box(&bytes)).expect("what was encoded"));
    });
    let now = next.occurred_at;
    criterion.bench_function("profile/feature vector", |bencher| {
        bencher.iter(|| black_box(&profile).features_at(now));
    });
    criterion.bench_function("profile/view", |bencher| bencher.iter(|| black_box(&profile).view_at(now)));
    let line = next.encode();
    criterion.bench_function("record/decode", |bencher| {
        bencher.iter(|| Record::decode(black_box(&line)).expect("what was encoded"));
    });
}

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    fold(&mut criterion);
    criterion.final_summary();
}
