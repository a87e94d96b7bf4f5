//! One side of `scripts/bench_als`. `FOLDER COLUMNS EPOCHS UNOBSERVED REGULARISATION FREQUENCY SEED` reads compressed rows from
//! `starts` (u64), `places` (u32) and `weights` (f32) in the folder, times the training alone, folds in the rows of `fold-starts`,
//! `fold-places` and `fold-weights`, times folding in 40 items, and writes `users`, `items` and `folded` (f32). Prints the seconds
//! of the training and the median microseconds of folding in. Nothing here measures reading or writing.

#![allow(clippy::disallowed_methods, reason = "a benchmark measures real time")]

use ndarray::Array2;
use portrait_learning::prediction::factors::{Confidence, InteractionMatrix, Params, train};
use std::path::Path;
use std::time::Instant;

const WIDTH: usize = 64;
/// What is folded in when it is timed.
const ITEMS: usize = 40;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |place: usize| arguments[place].parse::<f32>().expect("a number");
    let (folder, columns) = (Path::new(&arguments[0]), arguments[1].parse().expect("a number"));
    let params = Params {
        width: WIDTH,
        epochs: arguments[2].parse().expect("a number"),
        unobserved: number(3),
        regularisation: number(4),
        frequency: number(5),
        confidence: Confidence::One,
        seed: arguments[6].parse().expect("a number"),
    };
    let interactions = read(folder, "", columns);
    let begun = Instant::now();
    let found = train(&interactions, &params).expect("they can be learned from");
    let seconds = begun.elapsed().as_secs_f64();
    write(folder, "users", &found.users);
    write(folder, "items", &found.factors.items().to_owned());

    let rows = read(folder, "fold-", columns);
    let mut folded = Array2::zeros((rows.rows(), WIDTH));
    let mut times = Vec::new();
    for (row, mut vector) in folded.outer_iter_mut().enumerate() {
        let (places, weights) = rows.row(row);
        let entries: Vec<(u32, f32)> = places.iter().copied().zip(weights.iter().copied()).collect();
        vector.assign(&found.factors.fold_in(&entries));
        let begun = Instant::now();
        if let Some(entries) = entries.get(..ITEMS) {
            std::hint::black_box(found.factors.fold_in(entries));
            times.push(begun.elapsed().as_secs_f64() * 1e6);
        }
    }
    write(folder, "folded", &folded);
    times.sort_by(f64::total_cmp);
    println!("{seconds} {}", times.get(times.len() / 2).copied().unwrap_or(f64::NAN));
}

fn read(folder: &Path, prefix: &str, columns: usize) -> InteractionMatrix {
    let bytes = |name| std::fs::read(folder.join(format!("{prefix}{name}"))).expect("the file is there");
    let (starts, places, weights) = (bytes("starts"), bytes("places"), bytes("weights"));
    let starts = starts.as_chunks::<8>().0.iter().map(|value| u64::from_le_bytes(*value) as usize);
    let places = places.as_chunks::<4>().0.iter().map(|value| u32::from_le_bytes(*value));
    let weights = weights.as_chunks::<4>().0.iter().map(|value| f32::from_le_bytes(*value));
    InteractionMatrix::new(columns, starts.collect(), places.collect(), weights.collect())
        .expect("compressed rows")
}

fn write(folder: &Path, name: &str, rows: &Array2<f32>) {
    let bytes: Vec<u8> = rows.iter().flat_map(|value| value.to_le_bytes()).collect();
    std::fs::write(folder.join(name), bytes).expect("the folder can be written to");
}
