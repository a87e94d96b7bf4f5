//! Time of the kernels that trainings and answers are made of: one pass of K-Means, one epoch of ALS, folding in one user, ranking
//! items, and one step of a Markov chain. Inputs follow from seeds. `-- --test` runs each once.

use criterion::{BatchSize, Criterion};
use ndarray::Array2;
use portrait_learning::prediction::factors::{InteractionMatrix, Params, train, train_from};
use portrait_learning::prediction::markov::{self, Chain, TransitionCount};
use portrait_learning::prediction::recommend::{History, Interaction, ItemRecommender};
use portrait_learning::segmentation::assign;
use portrait_profile::{ItemId, Timestamp};
use rand_xoshiro::Xoshiro256Plus;
use rand_xoshiro::rand_core::{RngCore, SeedableRng};
use std::hint::black_box;
use std::time::Duration;

/// Seeded random numbers, of the generator that trainings use.
struct Random(Xoshiro256Plus);

impl Random {
    fn new(seed: u64) -> Self {
        Self(Xoshiro256Plus::seed_from_u64(seed))
    }

    fn below(&mut self, end: u32) -> u32 {
        (self.0.next_u64() >> 32) as u32 % end
    }

    /// From -1 to 1.
    fn value(&mut self) -> f32 {
        self.below(2001) as f32 / 1000.0 - 1.0
    }

    /// `count` different numbers below `end`, or a few less.
    fn distinct(&mut self, count: usize, end: u32) -> Vec<u32> {
        let mut numbers: Vec<u32> = (0..count).map(|_| self.below(end)).collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    }
}

/// 10,000 rows of 64 components and 12 centroids: a shop's usual training, in small.
fn kmeans(criterion: &mut Criterion) {
    let mut random = Random::new(1);
    let rows = Array2::from_shape_simple_fn((10_000, 64), || random.value());
    let centroids = Array2::from_shape_simple_fn((12, 64), || random.value());
    criterion.bench_function("kmeans/assign 10000 x 64, k 12", |bencher| {
        bencher.iter(|| assign(black_box(rows.view()), centroids.view()));
    });
}

/// 2,000 users with 20 items of 1,000 each, vectors of 64.
fn als(criterion: &mut Criterion) {
    let (users, items) = (2_000, 1_000);
    let mut random = Random::new(2);
    let entries = (0..users).flat_map(|user| {
        random.distinct(20, items).into_iter().map(move |item| (user, item, 1.0)).collect::<Vec<_>>()
    });
    let interactions = InteractionMatrix::from_entries(users as usize, items as usize, entries.collect())
        .expect("weights above 0");
    let params = Params { epochs: 1, ..Params::default() };
    let trained = train(&interactions, &params).expect("there are entries");
    criterion.bench_function("als/epoch 2000 x 1000, width 64", |bencher| {
        let start = trained.factors.items();
        bencher.iter(|| train_from(black_box(&interactions), start, &params).expect("there are entries"));
    });
    let taken_up: Vec<(u32, f32)> = random.distinct(40, items).into_iter().map(|item| (item, 1.0)).collect();
    criterion.bench_function("als/fold in 40 items, width 64", |bencher| {
        bencher.iter(|| trained.factors.fold_in(black_box(&taken_up)));
    });
}

/// 5,000 items learned from 500 users; what is ranked is all of them for one user.
fn recommend(criterion: &mut Criterion) {
    let count = 5_000;
    let mut random = Random::new(3);
    let mut past = |length: usize| {
        let touched = random.distinct(length, count).into_iter().enumerate().map(|(rank, thing)| {
            Interaction { item: thing, at: Timestamp::from_millis(-(rank as i64) * 60_000), count: 1.0 }
        });
        History { interactions: touched.collect(), segment: None }
    };
    let pasts: Vec<History> = (0..500).map(|_| past(20)).collect();
    let ids = (0..count).map(|item| ItemId::parse(&format!("item-{item:06}")).expect("an id"));
    let latent = Params { width: 32, epochs: 1, ..Params::default() };
    let items =
        ItemRecommender::learn(ids.collect(), &pasts, 0, &latent).expect("it can be learned").expect("items");
    let past = past(40);
    criterion.bench_function("recommend/rank 5000 items, past of 40", |bencher| {
        bencher.iter(|| items.ranked(black_box(&past), 20, |_| true));
    });
}

/// An alphabet of 300 categories.
fn markov(criterion: &mut Criterion) {
    let symbols = 300_u16;
    let mut random = Random::new(4);
    let mut symbol = || random.below(u32::from(symbols)) as u16;
    let counts: Vec<TransitionCount> = (0..20_000)
        .map(|number| TransitionCount {
            segment: Some(number % 8),
            from: symbol(),
            to: symbol(),
            weight: 1.0,
        })
        .collect();
    let chain = Chain::train(symbols, &counts, markov::Params::default()).expect("counts of the alphabet");
    let own: Vec<(u16, u16, f64)> = (0..40).map(|_| (symbol(), symbol(), 1.0)).collect();
    criterion.bench_function("markov/next of 300 symbols", |bencher| {
        bencher.iter(|| chain.next(Some(3), black_box(&own), Some(7)));
    });
    criterion.bench_function("markov/learn 20000 counts", |bencher| {
        let empty = || Chain::train(symbols, &[], markov::Params::default()).expect("an alphabet");
        bencher.iter_batched(
            empty,
            |mut chain| counts.iter().try_for_each(|count| chain.learn(*count)).map(|()| chain),
            BatchSize::LargeInput,
        );
    });
}

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    kmeans(&mut criterion);
    als(&mut criterion);
    recommend(&mut criterion);
    markov(&mut criterion);
    criterion.final_summary();
}
