//! Names say what defines a segment, and no two are the same.

use ndarray::{Array2, Axis, concatenate};
use portrait_learning::segmentation::{SegmentDescription, describe_segments, is_numbered};
use portrait_profile::{Dimension, FeatureComponent, FeatureSchema};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::collections::HashSet;

type Scores<'a> = &'a [(&'a str, f32)];

fn centroids(rows: &[Scores]) -> Array2<f32> {
    let components = FeatureSchema::current().components();
    let mut centroids = Array2::zeros((rows.len(), components.len()));
    for (row, scores) in rows.iter().enumerate() {
        for (name, z) in *scores {
            let column = components.iter().position(|component| component.name == *name);
            centroids[[row, column.unwrap_or_else(|| panic!("there is no {name}"))]] = *z;
        }
    }
    centroids
}

fn portrayed(rows: &[Scores], taken: &[&str]) -> Vec<SegmentDescription> {
    let components = FeatureSchema::current().components();
    let taken: Vec<String> = taken.iter().map(ToString::to_string).collect();
    let shares: Vec<f64> = (0..rows.len()).map(|row| 1.0 / (row + 2) as f64).collect();
    // Raw means with the sign of the z-scores: money that is above the mean is money spent.
    let centroids = centroids(rows);
    let all = describe_segments(centroids.view(), centroids.view(), &shares, components, &taken);
    all.iter().for_each(|one| sane(one, components));
    all
}

fn names(rows: &[Scores], taken: &[&str]) -> Vec<String> {
    portrayed(rows, taken).into_iter().map(|one| one.name).collect()
}

fn sane(one: &SegmentDescription, components: &[FeatureComponent]) {
    assert!(!one.name.is_empty() && one.name.chars().count() <= 48, "{one:?}");
    assert_eq!(one.name, one.name.to_lowercase());
    assert!(!is_numbered(&one.name), "{one:?}");
    assert!(!one.name.contains("cluster") && !one.name.contains("segment"), "{one:?}");
    assert!(one.description.ends_with('.') && one.description.chars().count() <= 240, "{one:?}");
    assert!(one.defining.len() <= 6, "{one:?}");
    assert!(one.defining.iter().all(|it| it.z.abs() >= 0.3 && it.component < components.len()), "{one:?}");
    assert!(one.defining.windows(2).all(|pair| pair[0].z.abs() >= pair[1].z.abs()), "{one:?}");
}

/// What a centroid says, and the name it must have.
const NAMED: [(Scores, &str); 29] = [
    (
        &[
            ("behavior.purchase.90d", 1.8),
            ("behavior.money.90d", 1.0),
            ("behavior.sessions.90d", 1.5),
            ("behavior.night_share", 2.0),
        ],
        "frequent night buyers",
    ),
    (
        &[("behavior.purchase.90d", 0.9), ("behavior.money.90d", 2.0), ("behavior.recency", 1.1)],
        "big spenders, quiet lately",
    ),
    (&[("behavior.view.90d", 1.0), ("behavior.weekend_share", 1.6)], "weekend browsers"),
    (&[("behavior.orders.90d", 0.9), ("preference.price_level", -1.0)], "bargain hunters"),
    (
        &[
            ("behavior.sessions.90d", -0.9),
            ("behavior.view.90d", -0.6),
            ("behavior.tenure", -0.4),
            ("preference.price_level", -0.8),
            ("preference.category_entropy", -0.9),
        ],
        "occasional visitors",
    ),
    (&[("behavior.favorite.90d", 2.2), ("behavior.view.90d", 0.7)], "favourite collectors"),
    (
        &[
            ("behavior.tenure", 1.2),
            ("behavior.sessions.90d", 1.5),
            ("behavior.view.90d", 0.9),
            ("behavior.purchase.90d", 0.8),
        ],
        "loyal regulars",
    ),
    (&[("behavior.search.7d", 1.4), ("behavior.morning_share", 0.8)], "morning searchers"),
    (&[("behavior.add_to_cart.90d", 1.4), ("behavior.purchase.90d", -0.4)], "cart fillers"),
    (&[("behavior.remove_from_cart.90d", 1.4)], "hesitators"),
    (&[("behavior.refund.90d", 1.9), ("behavior.purchase.90d", 1.0)], "returners"),
    (&[("behavior.review.90d", 1.9)], "reviewers"),
    (&[("behavior.share.90d", 1.9), ("social.edges", 1.0)], "connected sharers"),
    (&[("behavior.click.90d", 1.0), ("preference.price_level", -0.8)], "thrifty browsers"),
    (&[("behavior.click.90d", 1.0), ("preference.price_level", 0.8)], "upmarket browsers"),
    (&[("behavior.view.90d", 1.9), ("behavior.money.90d", 0.7)], "big-spending browsers"),
    (&[("behavior.view.7d", 0.6), ("behavior.tenure", -1.0)], "new browsers"),
    (&[("behavior.view.90d", 0.6), ("behavior.recency", 1.0)], "lapsed browsers"),
    (&[("behavior.view.90d", 0.6), ("behavior.recency", -1.0)], "active browsers"),
    (&[("behavior.add_to_cart.90d", 0.6), ("behavior.recency", 1.0)], "cart fillers, quiet lately"),
    (
        &[
            ("behavior.view.90d", 1.0),
            ("preference.category_entropy", 1.0),
            ("preference.brand_entropy", 0.6),
        ],
        "varied browsers",
    ),
    (
        &[("behavior.view.90d", 1.0), ("preference.category_entropy", -1.0), ("behavior.evening_share", 0.9)],
        "focused evening browsers",
    ),
    (
        &[("behavior.purchase.90d", 1.0), ("behavior.sessions.90d", -0.7), ("behavior.afternoon_share", 0.9)],
        "occasional afternoon buyers",
    ),
    // Buying is what a shop is for: a little more looking does not hide it.
    (&[("behavior.purchase.90d", 1.7), ("behavior.view.90d", 1.9)], "buyers"),
    (&[("behavior.purchase.90d", 0.4), ("behavior.view.90d", 1.9)], "browsers"),
    (
        &[("behavior.view.90d", 1.0), ("behavior.session_events", 1.4), ("behavior.session_seconds", 0.6)],
        "thorough browsers",
    ),
    (&[("behavior.purchase.90d", 1.0), ("behavior.session_events", -1.2)], "quick buyers"),
    (&[], "everyday shoppers"),
    (&[("behavior.night_share", 0.8)], "night shoppers"),
];

#[test]
fn a_name_says_what_a_segment_does_more_than_others() {
    for (scores, expected) in NAMED {
        assert_eq!(names(&[scores], &[]), [expected], "{scores:?}");
    }
}

#[test]
fn a_description_says_how_it_differs_and_by_how_much() {
    let rows: [(Scores, &str); 5] = [
        (
            &[("behavior.night_share", 1.8), ("behavior.orders.90d", -0.9), ("behavior.orders.7d", -0.8)],
            "Much higher share of activity between 0 and 6 o'clock (+1.8), fewer orders of the last months (-0.9) \
             than the average shopper.",
        ),
        (
            &[
                ("preference.brand_count", -0.5),
                ("preference.brand_entropy", -1.0),
                ("behavior.money.7d", -0.4),
            ],
            "Much lower variety in the liking of brand (-1.0), fewer kinds of brand liked (-0.5), less money spent \
             in the last weeks (-0.4) than the average shopper.",
        ),
        (
            &[("social.edges", 0.7), ("social.edge_weight", 0.6), ("preference.price_level", 0.5)],
            "More others known (+0.7), higher weight of others known (+0.6), higher mean price of what is liked \
             (+0.5) than the average shopper.",
        ),
        (
            &[("behavior.session_seconds", 3.0), ("behavior.add_to_cart.1h", 2.0)],
            "Much greater length of a visit (+3.0), far more add-to-cart events of the last hours (+2.0) than the \
             average shopper.",
        ),
        (&[("behavior.view.7d", 0.29)], "Much like the average shopper in everything."),
    ];
    for (scores, expected) in rows {
        assert_eq!(portrayed(&[scores], &[])[0].description, expected, "{scores:?}");
    }
}

#[test]
fn of_one_measure_the_strongest_span_defines() {
    let scores: Scores = &[
        ("behavior.view.1h", 1.0),
        ("behavior.view.7d", -1.5),
        ("behavior.view.90d", 1.2),
        ("behavior.recency", 0.3),
        ("behavior.tenure", 0.2),
    ];
    let components = FeatureSchema::current().components();
    let defining: Vec<(&str, f32)> = portrayed(&[scores], &[])[0]
        .defining
        .iter()
        .map(|one| (components[one.component].name.as_str(), one.z))
        .collect();
    assert_eq!(defining, [("behavior.view.7d", -1.5), ("behavior.recency", 0.3)]);
}

#[test]
fn of_two_alike_the_smaller_gets_the_word_that_tells_them_apart() {
    let night: Scores = &[
        ("behavior.view.90d", 1.0),
        ("behavior.night_share", 0.9),
        ("behavior.sessions.90d", 0.8),
        ("behavior.recency", -0.45),
    ];
    let wide: Scores = &[
        ("behavior.view.90d", 1.0),
        ("behavior.night_share", 0.9),
        ("behavior.sessions.90d", 0.8),
        ("behavior.recency", -0.45),
        ("preference.category_entropy", 0.4),
        ("preference.brand_entropy", 0.4),
    ];
    let expected = ["frequent night browsers", "frequent varied night browsers"];
    assert_eq!(names(&[night, wide], &[]), expected);
    // What visitors like is not worth a word, unless nothing else tells them apart.
    let visitors: Scores = &[("behavior.sessions.90d", -0.9), ("preference.category_entropy", -0.9)];
    assert_eq!(names(&[visitors, visitors], &[]), ["occasional visitors", "focused occasional visitors"]);
    // The same words for both: how much so tells them apart.
    let thorough: [Scores; 3] = [
        &[("behavior.view.90d", 1.0), ("behavior.session_events", 1.4), ("behavior.session_seconds", 1.4)],
        &[("behavior.view.90d", 3.5), ("behavior.session_events", 3.0), ("behavior.session_seconds", 3.0)],
        &[("behavior.view.90d", 0.5), ("behavior.session_events", 0.7), ("behavior.session_seconds", 0.7)],
    ];
    let expected_degrees = ["thorough browsers", "very thorough browsers", "fairly thorough browsers"];
    assert_eq!(names(&thorough, &[]), expected_degrees);
    // Nothing tells the third from both.
    let third = names(&[night, wide, wide], &[]);
    assert_eq!(third[..2], expected);
    assert_eq!(third[2], "active frequent night browsers");
    let plain: Scores = &[("behavior.view.90d", 1.0)];
    assert_eq!(names(&[plain, plain, plain], &[]), ["browsers", "browsers, group b", "browsers, group c"]);
    // A comparison tells them apart where no word does.
    let evening: Scores = &[("behavior.view.90d", 1.0), ("behavior.evening_share", 0.25)];
    let morning: Scores = &[("behavior.view.90d", 1.0), ("behavior.morning_share", 0.2)];
    assert_eq!(names(&[plain, evening], &[]), ["browsers", "browsers, more often in the evening"]);
    let expected_hours = ["browsers", "browsers, more often in the morning"];
    assert_eq!(names(&[evening, morning], &[]), ["browsers", "browsers, less often in the evening"]);
    assert_eq!(names(&[plain, morning], &[]), expected_hours);
}

#[test]
fn a_name_that_a_kept_segment_has_is_not_given_again() {
    let weekend: Scores =
        &[("behavior.view.90d", 1.0), ("behavior.weekend_share", 0.9), ("behavior.tenure", -0.4)];
    let rows: [(&[&str], &str); 4] = [
        (&[], "weekend browsers"),
        (&["weekend browsers"], "new weekend browsers"),
        (&["Weekend Browsers", "other"], "new weekend browsers"),
        (
            &["weekend browsers", "new weekend browsers", "weekend browsers 2"],
            "weekend browsers, looking at more",
        ),
    ];
    for (taken, expected) in rows {
        assert_eq!(names(&[weekend], taken), [expected], "{taken:?}");
    }
}

#[test]
fn twelve_segments_have_twelve_names_and_always_the_same() {
    let components = FeatureSchema::current().components();
    for seed in 0..50 {
        let mut random = StdRng::seed_from_u64(seed);
        let centroids =
            Array2::from_shape_simple_fn((12, components.len()), || random.random_range(-1.5..1.5_f32));
        let shares = [1.0 / 12.0; 12];
        let described = |taken: &[String]| {
            describe_segments(centroids.view(), centroids.view(), &shares, components, taken)
        };
        let all = described(&[]);
        all.iter().for_each(|one| sane(one, components));
        let names: HashSet<&str> = all.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names.len(), 12, "{names:?}");
        assert_eq!(described(&[]), all);
        let taken: Vec<String> = all.iter().map(|one| one.name.clone()).collect();
        let others = described(&taken);
        others.iter().for_each(|one| sane(one, components));
        assert!(others.iter().all(|one| !taken.contains(&one.name)), "{others:?}");
    }
}

/// Describes `centroids` of equal shares, which are their own raw means.
fn described(centroids: &Array2<f32>, components: &[FeatureComponent]) -> Vec<SegmentDescription> {
    let shares = vec![f64::NAN; centroids.nrows()];
    let all = describe_segments(centroids.view(), centroids.view(), &shares, components, &[]);
    all.iter().for_each(|one| sane(one, components));
    all
}

#[test]
fn only_who_spends_is_a_spender() {
    let components = FeatureSchema::current().components();
    let rows: [Scores; 1] = [&[("behavior.money.90d", 1.4), ("behavior.mean_basket", 1.4)]];
    let centroids = centroids(&rows);
    for (mean, expected) in [(35.0, "big spenders"), (0.0, "everyday shoppers"), (-2.0, "everyday shoppers")]
    {
        // Where most give back more than they keep, nothing at all is far above the mean.
        let raw = Array2::from_elem(centroids.dim(), mean);
        let all = describe_segments(centroids.view(), raw.view(), &[1.0], components, &[]);
        assert_eq!(all[0].name, expected, "{mean} spent");
    }
    // Nor does one of two spend more than the other, if both spend nothing.
    let pair = concatenate(Axis(0), &[centroids.view(), (&centroids * 0.5).view()]).expect("one width");
    let all = describe_segments(pair.view(), (&pair * 0.0).view(), &[0.5, 0.5], components, &[]);
    let names: Vec<&str> = all.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["everyday shoppers", "everyday shoppers, spending less"]);
}

#[test]
fn many_segments_of_few_kinds_have_different_names_without_a_number() {
    let components = FeatureSchema::current().components();
    for seed in 0..20 {
        let mut random = StdRng::seed_from_u64(seed);
        let kinds =
            Array2::from_shape_simple_fn((3, components.len()), || random.random_range(-1.5..1.5_f32));
        // Equal centroids, and such that hardly differ.
        let centroids = Array2::from_shape_fn((60, components.len()), |(row, column)| {
            kinds[[row % 3, column]] + (row / 30) as f32 * 0.15
        });
        let all = described(&centroids, components);
        let names: HashSet<&str> = all.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names.len(), 60, "{names:?}");
    }
}

#[test]
fn no_schema_and_no_number_is_too_strange() {
    let components = FeatureSchema::current().components();
    let width = components.len();
    assert_eq!(described(&Array2::zeros((0, width)), components), []);
    let nan = Array2::from_elem((2, width), f32::NAN);
    let names: Vec<String> = described(&nan, components).into_iter().map(|one| one.name).collect();
    assert_eq!(names, ["everyday shoppers", "everyday shoppers, group b"]);
    for value in [f32::INFINITY, f32::NEG_INFINITY, f32::MAX, f32::MIN] {
        described(&Array2::from_elem((3, width), value), components);
    }
    // Rows that are narrower or wider than the schema, raw means that are missing, and a schema of another world.
    for columns in [0, 1, width + 3] {
        described(&Array2::from_elem((2, columns), 1.0), components);
    }
    let rows = Array2::from_elem((2, width), 1.0);
    let all = describe_segments(rows.view(), Array2::zeros((0, 0)).view(), &[], components, &[]);
    all.iter().for_each(|one| sane(one, components));
    let strange = [FeatureComponent {
        facet: None,
        name: "altitude".into(),
        unit: "metres",
        description: "metres above the sea".into(),
        dimension: Dimension::Basic,
        memory: portrait_profile::FeatureMemory::Weeks,
    }];
    let all = described(&Array2::from_elem((1, 1), 2.0), &strange);
    assert_eq!(all[0].name, "everyday shoppers");
    assert_eq!(all[0].description, "Far more metres above the sea (+2.0) than the average shopper.");
}
