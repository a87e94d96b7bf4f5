//! How long a recommendation takes, in the process that has the profile already: 100,000 items, factors of 64 numbers, pasts of 40
//! and 200 items, one call after the other on one thread. In go nothing but seeds, out comes a table.

#![allow(clippy::disallowed_methods, reason = "a benchmark measures real time")]

use portrait_learning::prediction::factors::Params;
use portrait_learning::prediction::recommend::{History, Interaction, ItemRecommender};
use portrait_profile::{ItemId, Timestamp};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{RngCore, SeedableRng};
use std::time::{Duration, Instant};

const ITEMS: u64 = 100_000;
const USERS: usize = 20_000;
const CALLS: usize = 2_000;

fn main() {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(1);
    // Half of what is had is what many have.
    let mut past = |length: usize| {
        let mut things: Vec<u32> = (0..length)
            .map(|_| {
                let span = if random.next_u64().is_multiple_of(2) { ITEMS } else { ITEMS / 50 };
                (random.next_u64() % span) as u32
            })
            .collect();
        things.sort_unstable();
        things.dedup();
        let touched = things.into_iter().enumerate().map(|(rank, thing)| Interaction {
            item: thing,
            at: Timestamp::from_millis(-(rank as i64) * 60_000),
            count: 1.0,
        });
        History { interactions: touched.collect(), segment: None }
    };
    let pasts: Vec<History> = (0..USERS).map(|_| past(40)).collect();
    let ids: Vec<ItemId> =
        (0..ITEMS).map(|item| ItemId::parse(&format!("item-{item:06}")).expect("an id")).collect();
    let begun = Instant::now();
    let latent = Params { epochs: 3, ..Params::default() };
    let items =
        ItemRecommender::learn(ids, &pasts, 0, &latent).expect("it can be learned").expect("there are items");
    println!("learned from {USERS} pasts of {ITEMS} items in {:.1} s", begun.elapsed().as_secs_f64());
    println!("| past | p50 | p99 |\n|---|--:|--:|");
    for length in [40, 200] {
        let mut took: Vec<Duration> = Vec::with_capacity(CALLS);
        for _ in 0..CALLS {
            let past = past(length);
            let begun = Instant::now();
            assert_eq!(items.recommend(&past, 20, |_| true).len(), 20);
            took.push(begun.elapsed());
        }
        took.sort_unstable();
        let at = |share: usize| took[CALLS * share / 100].as_secs_f64() * 1e3;
        println!("| {length} items | {:.2} ms | {:.2} ms |", at(50), at(99));
    }
}
