//! Samples of trainings and drift checks: bounded, independent of order, and free of invalid vectors.

use super::features::{users, users_with_histories};
use super::sandbox::{Sandbox, config};
use portrait_model::Config;
use portrait_profile::{CatalogueItem, PartitionLedger, SegmentId, Timestamp};
use portrait_proto::time;
use portrait_proto::v1::{CheckDriftRequest, FeatureSnapshot};
use portrait_store::{AckLevel, CatalogueStore};
use std::collections::BTreeSet;

/// Returns the users of the similar-user sample of a new model.
async fn sampled(sandbox: &Sandbox) -> BTreeSet<String> {
    let manifest = sandbox.first().await;
    let model = sandbox.model(&manifest).await;
    let lookalikes = model.predictors().lookalikes.as_ref().expect("a sample of users");
    let anywhere = vec![0.0; model.space.axes().len()];
    lookalikes.nearest(&anywhere, 1000).into_iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn the_sample_of_more_users_keeps_part_of_the_sample_of_fewer() {
    let sandbox = Sandbox::running(Config { rows_max: 200, ..config() }).await;
    sandbox.features.send(users(200, 3));
    let all = sampled(&sandbox).await;
    assert_eq!(all.len(), 200, "all users fit");
    sandbox.features.send(users(900, 3));
    let few = sampled(&sandbox).await;
    assert!((90..=200).contains(&few.len()), "{} of 900", few.len());
    let of_the_first = few.intersection(&all).count();
    let expected = few.len() * 200 / 900;
    assert!(of_the_first.abs_diff(expected) < 20, "{of_the_first} of the first 200, {expected} if uniform");
    // The hash of the id decides: the order in which they come does not.
    let mut backwards = users(900, 3);
    backwards.reverse();
    sandbox.features.send(backwards);
    assert_eq!(sampled(&sandbox).await, few);
}

#[tokio::test]
async fn users_with_an_invalid_id_or_vector_are_left_out() {
    let sandbox = Sandbox::running(config()).await;
    let mut vectors = users(120, 3);
    vectors[3].user_id = "with\ncontrol".to_owned();
    vectors[4].values.pop();
    vectors[5].values.clear();
    sandbox.features.send(vectors);
    assert_eq!(sandbox.first().await.rows, 117);
}

#[tokio::test]
async fn lookalikes_are_the_first_of_the_sample_and_no_more_than_allowed() {
    let sandbox = Sandbox::running(Config { lookalikes_max: 25, ..config() }).await;
    sandbox.features.send(users(120, 3));
    assert_eq!(sampled(&sandbox).await.len(), 25);
}

#[tokio::test]
async fn cold_start_items_of_the_catalogue_are_learned_beside_those_of_histories() {
    let sandbox = Sandbox::running(config()).await;
    sandbox.features.send(users_with_histories(120));
    let item = |id: &str, category: &str| {
        let item = CatalogueItem { category: category.into(), ..CatalogueItem::default() };
        (id.to_owned().into(), item.encode().into())
    };
    let mut items: Vec<_> = (0..7).map(|number| item(&format!("item-0-{number}"), "shoes")).collect();
    items.extend([item("new-shoes", "shoes"), item("new-thing", ""), item("new-tea", "tea")]);
    items.push(("damaged".into(), "no item".into()));
    sandbox.store.put_items(items, AckLevel::Memory).await.expect("the catalogue takes them");
    let model = sandbox.model(&sandbox.first().await).await;
    let recommender = model.predictors().items.as_ref().expect("items");
    let known = |id: &str| recommender.index(id).is_some();
    assert!(
        known("item-0-3") && known("item-2-6") && known("new-shoes"),
        "items of the histories and items similar to them"
    );
    assert!(
        !known("new-thing") && !known("new-tea") && !known("damaged"),
        "items without a known category or similar item"
    );
}

#[tokio::test]
async fn scores_are_learned_from_snapshots_with_an_outcome() {
    let sandbox = Sandbox::running(config()).await;
    let mut vectors = users(120, 3);
    for (number, vector) in vectors.iter_mut().enumerate() {
        let at = Some(time::to_wire(Timestamp::from_millis(number as i64 * 1000)));
        // Buyers buy again; a third of the snapshots has no outcome yet.
        let purchased_within_7_days = (number % 3 != 2).then_some(number % 3 == 1);
        vector.snapshots = vec![FeatureSnapshot {
            at,
            values: vector.values.clone(),
            is_order: false,
            purchased_within_7_days,
            risk: None,
        }];
    }
    sandbox.features.send(vectors.clone());
    let model = sandbox.model(&sandbox.first().await).await;
    let scorer = model.predictors().propensity.as_ref().expect("both outcomes are there");
    let probability = |number: usize| {
        let row = ndarray::ArrayView1::from(&vectors[number].values);
        scorer.score(row).expect("a row of the schema").probability
    };
    assert!(probability(1) > 0.8 && probability(0) < 0.2, "{} {}", probability(1), probability(0));
    assert!(model.predictors().risk.is_none(), "no order has an outcome");
}

#[tokio::test]
async fn a_drift_check_requests_twice_the_needed_share_and_keeps_at_most_drift_rows() {
    let sandbox = Sandbox::running(Config { drift_rows: 100, ..config() }).await;
    sandbox.features.send(users(300, 3));
    sandbox.first().await;
    let mut ledger = PartitionLedger::default();
    (0..1000).for_each(|number| ledger.record_move(None, Some(SegmentId::new(number % 3))));
    for (noted, share) in [(false, 1.0), (true, 0.2)] {
        if noted {
            sandbox.note(&ledger).await;
        }
        let response =
            sandbox.client().check_drift(CheckDriftRequest {}).await.expect("a check").into_inner();
        let rows = response.drift.expect("a status").rows;
        assert!((30..=100).contains(&rows), "{rows} rows");
        let request = sandbox.features.requests().pop().expect("a request");
        assert_eq!(request.sample_fraction, share);
        assert!(!request.include_recent_items && !request.include_transitions && !request.include_snapshots);
    }
}
