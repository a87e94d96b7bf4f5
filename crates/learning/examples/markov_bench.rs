//! One side of `scripts/bench_markov`. `FOLDER SYMBOLS FROM TO UNIFORM GLOBAL SEGMENT HABIT OWN` reads who did what, in the order of
//! time, from `users` (u32) and `symbols` (u16), and foretells each event between the shares `FROM` and `TO` of all events from
//! those before it, then learns it. Segments are of the shoppers' shares of symbols before `FROM`. Writes `losses`: by event, how many
//! events of the shopper were before, and the logarithmic loss of the global chain and of the shopper's (f64). With `chosen` for
//! `OWN` all pseudo-counts are chosen from the events before `FROM`, and printed in that order.

use ndarray::Array2;
use portrait_learning::prediction::markov::{
    Chain, Params, TransitionCount, UserCounts, choose_pseudo_counts,
};
use portrait_learning::segmentation::{Params as Clustering, fit};
use std::collections::HashMap;
use std::path::Path;

const SEGMENTS: usize = 8;
/// Users with fewer events are in no segment.
const EVENTS_MIN: f32 = 5.0;

#[derive(Clone, Default)]
struct BenchUser {
    events: usize,
    last: Option<u16>,
    own: Vec<(u16, u16, f64)>,
    /// Where in `own` a pair is.
    places: HashMap<(u16, u16), usize>,
    segment: Option<u32>,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |place: usize| arguments[place].parse::<f64>().expect("a number");
    let (folder, symbols) = (Path::new(&arguments[0]), number(1) as u16);
    let bytes = |name| std::fs::read(folder.join(name)).expect("the file is there");
    let users: Vec<u32> =
        bytes("users").as_chunks::<4>().0.iter().map(|value| u32::from_le_bytes(*value)).collect();
    let done: Vec<u16> =
        bytes("symbols").as_chunks::<2>().0.iter().map(|value| u16::from_le_bytes(*value)).collect();
    let [first, end] = [2, 3].map(|place| (number(place) * users.len() as f64) as usize);
    let mut shoppers =
        vec![BenchUser::default(); users.iter().max().map_or(0, |largest| *largest as usize + 1)];
    let segments = segments(&users[..first], &done[..first], shoppers.len(), usize::from(symbols));
    shoppers.iter_mut().zip(segments).for_each(|(shopper, segment)| shopper.segment = segment);
    let params = if arguments[8] == "chosen" {
        chosen(&users[..first], &done[..first], &shoppers, symbols)
    } else {
        let [uniform, global, segment, habit, own] = [4, 5, 6, 7, 8].map(number);
        Params { user: own, habit, segment, global, uniform }
    };
    let mut chain = Chain::train(symbols, &[], params).expect("they make sense");
    let mut losses = Vec::new();
    for (event, (user, symbol)) in users.iter().zip(&done).enumerate().take(end) {
        let shopper = &mut shoppers[*user as usize];
        if event >= first {
            let loss = |shares: Vec<f64>| -shares[usize::from(*symbol)].ln();
            let global = loss(chain.next(None, &[], shopper.last));
            let own = loss(chain.next(shopper.segment, &shopper.own, shopper.last));
            losses.extend([shopper.events as f64, global, own]);
        }
        shopper.does(*symbol, &mut chain);
    }
    let bytes: Vec<u8> = losses.iter().flat_map(|value| value.to_le_bytes()).collect();
    std::fs::write(folder.join("losses"), bytes).expect("the folder can be written to");
}

impl BenchUser {
    fn does(&mut self, symbol: u16, chain: &mut Chain) {
        if let Some(last) = self.last {
            let place = *self.places.entry((last, symbol)).or_insert_with(|| {
                self.own.push((last, symbol, 0.0));
                self.own.len() - 1
            });
            self.own[place].2 += 1.0;
            let count = TransitionCount { segment: self.segment, from: last, to: symbol, weight: 1.0 };
            chain.learn(count).expect("symbols of the alphabet");
        }
        self.last = Some(symbol);
        self.events += 1;
    }
}

/// From what was done before.
fn chosen(users: &[u32], done: &[u16], shoppers: &[BenchUser], symbols: u16) -> Params {
    let mut known = shoppers.to_vec();
    let mut nowhere = Chain::train(symbols, &[], Params::default()).expect("they make sense");
    users.iter().zip(done).for_each(|(user, symbol)| known[*user as usize].does(*symbol, &mut nowhere));
    let own: Vec<UserCounts<'_>> = known.iter().map(|shopper| &*shopper.own).collect();
    let Params { user: own, habit, segment, global, uniform } =
        choose_pseudo_counts(symbols, &own, Params::default());
    println!("{uniform} {global} {segment} {habit} {own}");
    Params { user: own, habit, segment, global, uniform }
}

/// Users with enough events for a segment.
fn segments(users: &[u32], done: &[u16], shoppers: usize, symbols: usize) -> Vec<Option<u32>> {
    let mut shares = Array2::<f32>::zeros((shoppers, symbols));
    users.iter().zip(done).for_each(|(user, symbol)| shares[(*user as usize, usize::from(*symbol))] += 1.0);
    let known: Vec<usize> = (0..shoppers).filter(|user| shares.row(*user).sum() >= EVENTS_MIN).collect();
    let mut rows = shares.select(ndarray::Axis(0), &known);
    rows.outer_iter_mut().for_each(|mut row| row /= row.sum());
    let found = fit(rows.view(), SEGMENTS, &Clustering::default()).expect("enough shoppers");
    let mut segments = vec![None; shoppers];
    known.into_iter().zip(found.labels).for_each(|(user, label)| segments[user] = Some(label));
    segments
}
