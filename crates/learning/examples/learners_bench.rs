//! One side of `scripts/bench_learners`. `FOLDER COLUMNS KIND SEED` reads `rows` (f32) and `labels` (u8), oldest first, and `others`
//! (f32), learns by `tree`, `network`, `logistic`, or all of them (`champion`), and writes `shares` (f64), the probabilities of the
//! others. Prints which learner it was and the seconds of the learning.

#![allow(clippy::disallowed_methods, reason = "a benchmark measures real time")]

use ndarray::Array2;
use portrait_learning::prediction::learners::{LearnerKind, Params, learn};
use std::path::Path;
use std::time::Instant;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (folder, columns) = (Path::new(&arguments[0]), arguments[1].parse().expect("a number"));
    let kinds = match arguments[2].as_str() {
        "tree" => vec![LearnerKind::Tree],
        "network" => vec![LearnerKind::Network],
        "logistic" => vec![LearnerKind::Logistic],
        _ => LearnerKind::ALL.to_vec(),
    };
    let params = Params { kinds, seed: arguments[3].parse().expect("a number"), ..Params::default() };
    let (rows, others) = (read(folder, "rows", columns), read(folder, "others", columns));
    let labels = std::fs::read(folder.join("labels")).expect("the file is there");
    let labels: Vec<bool> = labels.into_iter().map(|label| label == 1).collect();
    let begun = Instant::now();
    let scorer = learn(rows.view(), &labels, None, &params).expect("they can be learned from");
    let seconds = begun.elapsed().as_secs_f64();
    let share = |row| scorer.score(row).expect("a row like those").probability;
    let shares: Vec<u8> = others.outer_iter().flat_map(|row| share(row).to_le_bytes()).collect();
    std::fs::write(folder.join("shares"), shares).expect("the folder can be written to");
    println!("{:?} {seconds}", scorer.kind());
}

fn read(folder: &Path, name: &str, columns: usize) -> Array2<f32> {
    let bytes = std::fs::read(folder.join(name)).expect("the file is there");
    let values: Vec<f32> = bytes.as_chunks::<4>().0.iter().map(|value| f32::from_le_bytes(*value)).collect();
    Array2::from_shape_vec((values.len() / columns, columns), values).expect("whole rows")
}
