//! Recommendations: explanations sum to scores, co-occurrence is found, and encoding round-trips.

use super::data::Random;
use portrait_learning::prediction::factors::Params;
use portrait_learning::prediction::recommend::{
    History, HoldoutExample, Interaction, ItemDescription, ItemRecommender, Recommender, ScorePart,
    ScoreWeights, TrainingSet, WeightFitOptions, fit_weights,
};
use portrait_profile::{ItemId, Timestamp};

const THINGS: usize = 60;

/// A past of these things, oldest first, a minute apart.
fn past(things: &[u32]) -> History {
    let touched = things.iter().enumerate().rev().map(|(minute, thing)| Interaction {
        item: *thing,
        at: Timestamp::from_millis(minute as i64 * 60_000),
        count: 1.0,
    });
    History { interactions: touched.collect(), segment: None }
}

/// Shoppers of three tastes who go through the things of their taste in the order of their numbers, from anywhere.
fn shop(shoppers: usize, seed: u64) -> Vec<History> {
    let mut random = Random::new(seed);
    let mut one = |shopper: usize| {
        let taste = shopper % 3;
        let first = (random.normal().abs() * 7.0) as usize % 15;
        let things: Vec<u32> = (first..first + 5).map(|step| (taste * 20 + step % 20) as u32).collect();
        History { segment: Some(taste as u32), ..past(&things) }
    };
    (0..shoppers).map(&mut one).collect()
}

fn taught(pasts: &[History]) -> Recommender {
    let latent = Params { width: 8, epochs: 5, ..Params::default() };
    let teaching = TrainingSet { items: THINGS, segments: 3, histories: pasts, latent: Some(&latent) };
    Recommender::learn(&teaching).expect("it can be learned")
}

#[test]
fn successors_are_predicted_and_fitted_weights_beat_single_parts() {
    let recommender = taught(&shop(600, 1));
    let examples: Vec<HoldoutExample> = shop(300, 2)
        .into_iter()
        .map(|past| HoldoutExample {
            next: past.interactions[0].item,
            history: History { interactions: past.interactions[1..].to_vec(), ..past },
        })
        .collect();
    let found =
        |parts: &[ScorePart]| fit_weights(&recommender, &examples, WeightFitOptions { parts, hit_top: 3 }).1;
    let all = found(&ScorePart::ALL);
    assert!(all > 0.95, "{all} are found");
    for part in ScorePart::ALL {
        assert!(found(&[part]) <= all, "{part:?} alone");
    }
    assert!(found(&[ScorePart::Sequence]) > 0.8 && found(&[ScorePart::Popular]) < 0.3);
}

/// Shoppers who had ten things, five of them of a kind that is had again and again, each at another time; all had as often so far.
fn keepers(shoppers: usize, seed: u64) -> Vec<History> {
    let mut random = Random::new(seed);
    let mut one = |_| {
        let mut things: Vec<u32> = (0..10).map(|thing| thing * 2 + random.below(2) as u32 * 20).collect();
        things.iter_mut().skip(1).step_by(2).for_each(|thing| *thing += 1);
        (0..things.len()).rev().for_each(|place| things.swap(place, random.below(place + 1)));
        past(&things)
    };
    (0..shoppers).map(&mut one).collect()
}

#[test]
fn fitted_weights_are_finite_however_small_the_factors_are() {
    let users = shop(300, 1);
    let holdout = |history: History| HoldoutExample {
        next: history.interactions[0].item,
        history: History { interactions: history.interactions[1..].to_vec(), ..history },
    };
    let examples: Vec<HoldoutExample> = shop(100, 2).into_iter().map(holdout).collect();
    // Strong regularisation shrinks the factors with every epoch, to numbers whose reciprocal is infinite.
    for regularisation in (0..12).map(|exponent| 10_f32.powi(exponent)) {
        let latent = Params { width: 4, epochs: 4, regularisation, ..Params::default() };
        let set = TrainingSet { items: THINGS, segments: 3, histories: &users, latent: Some(&latent) };
        let recommender = Recommender::learn(&set).expect("it can be learned");
        for parts in [&ScorePart::ALL[..], &[ScorePart::Latent]] {
            let (weights, _) = fit_weights(&recommender, &examples, WeightFitOptions { parts, hit_top: 3 });
            let served = Recommender::learn(&set).expect("it can be learned").with_weights(weights);
            let decoded = Recommender::decode(&served.encode());
            assert!(decoded.is_ok(), "regularisation {regularisation}: {:?}", decoded.err());
        }
    }
}

#[test]
fn items_with_a_higher_repeat_rate_rank_higher_at_equal_counts() {
    // Users of the training have even items five times, odd ones once.
    let mut taught_by = keepers(300, 4);
    let often = |thing: u32| if thing.is_multiple_of(2) { 5.0 } else { 1.0 };
    taught_by.iter_mut().flat_map(|past| &mut past.interactions).for_each(|one| one.count = often(one.item));
    let recommender = taught(&taught_by);
    let examples: Vec<HoldoutExample> = keepers(300, 5)
        .into_iter()
        .filter_map(|past| {
            let next = past.interactions.iter().rev().find(|one| one.item.is_multiple_of(2))?.item;
            Some(HoldoutExample { history: past, next })
        })
        .collect();
    let own = WeightFitOptions { parts: &[ScorePart::Repeat], hit_top: 5 };
    let (_, found) = fit_weights(&recommender, &examples, own);
    assert!(found > 0.95, "{found}, by rank alone what was had longest ago is last");
}

#[test]
fn repeated_interest_decays_by_time_and_not_by_rank_alone() {
    // Both had it twice, with as much after it: one a minute ago, the other a month ago.
    let minutes = |ago: i64| Timestamp::from_millis((60_000 - ago) * 60_000);
    let touched = |thing, ago, times| Interaction { item: thing, at: minutes(ago), count: times };
    let past_of =
        |ago| History { interactions: vec![touched(0, 0, 1.0), touched(7, ago, 2.0)], segment: None };
    let pasts: Vec<History> = (0..60_i64).map(|day| past_of(day * 900)).collect();
    let recommender = taught(&pasts);
    let examples: Vec<HoldoutExample> = (0..100)
        .map(|number| match number % 2 {
            0 => HoldoutExample { history: past_of(1), next: 7 },
            _ => HoldoutExample { history: past_of(43_200), next: 0 },
        })
        .collect();
    let (_, found) =
        fit_weights(&recommender, &examples, WeightFitOptions { parts: &[ScorePart::Repeat], hit_top: 1 });
    assert!(found > 0.95, "{found}");
}

#[test]
fn contributions_sum_to_the_score() {
    let recommender = taught(&shop(600, 1)).with_weights(ScoreWeights::default_weights());
    for past in shop(20, 3).iter().chain([&History::default(), &past(&[1, 59, 1_000])]) {
        let mut scores = Vec::new();
        recommender.score(past, None, &mut scores);
        for recommended in recommender.recommend(past, 10, |_| true) {
            let sum: f32 = recommended.parts.iter().map(|(_, adds)| adds).sum();
            let score = scores[recommended.item as usize];
            assert!(
                (sum - score).abs() < 1e-4 && (recommended.score - score).abs() < 1e-4,
                "{recommended:?}, scored {score}"
            );
        }
        let ranked = recommender.ranked(past, 10, |thing| thing != 3);
        assert!(!ranked.contains(&3), "what is not allowed is not recommended");
        assert!(ranked.is_sorted_by(|one, next| scores[*one as usize] >= scores[*next as usize]));
    }
}

#[test]
fn unknown_users_get_the_items_of_their_segment() {
    let recommender = taught(&shop(600, 1));
    let stranger = History { segment: Some(2), ..History::default() };
    let best = recommender.ranked(&stranger, 5, |_| true);
    assert!(best.iter().all(|thing| (40..60).contains(thing)), "{best:?}");
}

fn ids() -> Vec<ItemId> {
    (0..THINGS).map(|number| ItemId::parse(&format!("item-{number:03}")).expect("an id")).collect()
}

fn items() -> ItemRecommender {
    let latent = Params { width: 8, epochs: 3, ..Params::default() };
    let mut pasts = shop(600, 1);
    // Every holdout example must have a preference.
    pasts.sort_by_key(|past| past.segment);
    ItemRecommender::learn(ids(), &pasts, 3, &latent).expect("it can be learned").expect("there are items")
}

#[test]
fn cold_start_items_score_as_the_mean_of_similar_items() {
    let described = |id: &str, category: &str, brand: &str| ItemDescription {
        id: ItemId::parse(id).expect("an id"),
        category: category.into(),
        brand: brand.into(),
    };
    let kind = |number: usize| ["coats", "shoes", "hats"][number / 20];
    let known = ids().into_iter().enumerate();
    let mut catalogue: Vec<ItemDescription> =
        known.map(|(number, id)| described(id.as_str(), kind(number), "")).collect();
    // Of one brand of shoes there are enough to tell it from the rest.
    (20..26).for_each(|number| catalogue[number].brand = "swift".into());
    for (id, category, brand) in [
        ("new-coat", "coats", "unknown brand"),
        ("new-hat", "hats", ""),
        ("new-shoe", "shoes", ""),
        ("new-swift", "shoes", "swift"),
        ("new-tent", "tents", ""),
    ] {
        catalogue.push(described(id, category, brand));
    }
    let items = items().with_cold_start(&catalogue);
    let numbers = ["new-coat", "new-hat", "new-shoe", "new-swift"].map(|id| items.index(id).expect("kin"));
    assert_eq!(items.index("new-tent"), None, "nothing is known of tents");
    let past = History { segment: Some(1), ..past(&[20, 21, 22]) };
    let found = items.recommend(&past, 2, |thing| numbers.contains(&thing));
    let recommended: Vec<&str> =
        found.iter().filter_map(|one| items.id(one.item)).map(ItemId::as_str).collect();
    assert_eq!(recommended, ["new-swift", "new-shoe"]);
    let best = items.recommend(&past, 1, |_| true).remove(0);
    assert!(best.score > found[0].score && best.item < THINGS as u32, "an average does not beat the best");
    for one in &found {
        let sum: f32 = one.parts.iter().map(|(_, adds)| adds).sum();
        assert!(
            (sum - one.score).abs() < 1e-4 && one.parts.iter().all(|(part, _)| *part != ScorePart::Repeat)
        );
    }
    let ranked = items.ranked(&past, 64, |_| true);
    let place = |thing: u32| ranked.iter().position(|one| *one == thing).expect("all are ranked");
    assert!(place(found[0].item) < place(numbers[0]), "explained scores have the order of the ranking");
    assert_eq!(ItemRecommender::decode(&items.encode()).expect("what was encoded"), items);
}

#[test]
fn approximate_scoring_keeps_the_order_of_exact_scores() {
    let kind = |number: usize| ["coats", "shoes", "hats"][number / 20];
    let described =
        |id: ItemId, category: &str| ItemDescription { id, category: category.into(), brand: "".into() };
    let mut catalogue: Vec<ItemDescription> =
        ids().into_iter().enumerate().map(|(number, id)| described(id, kind(number))).collect();
    catalogue.push(described(ItemId::parse("new-hat").expect("an id"), "hats"));
    let items = items().with_cold_start(&catalogue);
    let all: Vec<u32> = (0..=THINGS as u32).collect();
    for seed in 0..200_u32 {
        let had: Vec<u32> =
            (0..1 + seed % 5).map(|step| (seed * 7 + step * step * 11) % THINGS as u32).collect();
        let past = past(&had);
        let mut exact: Vec<f32> = items.explained(&past, &all).iter().map(|one| one.score).collect();
        assert_eq!(exact.len(), all.len());
        exact.sort_by(|one, other| other.total_cmp(one));
        let found = items.recommend(&past, 10, |_| true);
        let apart = found.iter().zip(&exact).map(|(one, exact)| (one.score - exact).abs());
        assert!(apart.fold(0.0, f32::max) < 1e-5, "{had:?}: {found:?} {exact:?}");
    }
}

#[test]
fn histories_of_one_item_train_popularity_only() {
    let pasts: Vec<History> = (0..300).map(|number| past(&[number % 20])).collect();
    let items = ItemRecommender::learn(ids(), &pasts, 0, &Params::default()).expect("it can be learned");
    let items = items.expect("there are items");
    let best = items.ranked(&History::default(), 20, |_| true);
    assert!(best.iter().all(|thing| *thing < 20), "{best:?}");
}

#[test]
fn items_come_back_as_they_were_published_and_damage_is_refused() {
    let items = items();
    let bytes = items.encode();
    let back = ItemRecommender::decode(&bytes).expect("what was encoded");
    assert_eq!(back, items);
    assert_eq!(back.index("item-007"), Some(7));
    assert_eq!((back.id(7).map(ItemId::as_str), back.index("item-999")), (Some("item-007"), None));
    for length in (0..bytes.len()).step_by(97) {
        assert!(ItemRecommender::decode(&bytes[..length]).is_err(), "cut to {length} bytes");
    }
    // A weight that is no number.
    let at =
        bytes.windows(4).rposition(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]]) == 1.0);
    let mut damaged = bytes.clone();
    damaged[at.expect("some share is 1")..][..4].copy_from_slice(&f32::NAN.to_le_bytes());
    assert!(ItemRecommender::decode(&damaged).is_err());
}

#[test]
fn histories_with_unknown_items_are_refused() {
    let teaching = TrainingSet { items: 2, segments: 0, histories: &[past(&[0, 2])], latent: None };
    assert!(Recommender::learn(&teaching).is_err());
}
