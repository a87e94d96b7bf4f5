//! One side of `scripts/bench_social`. `FOLDER COLUMNS` reads compressed rows of what listeners took up from `starts` (u64), `places`
//! (u32) and `weights` (f32), and ties of weight 1 from `ties` (pairs of u32); writes `scores` (f32, a row a listener): what each item
//! is worth to the listener's own vector; and `around`: what it is worth to the mean of their friends' vectors.

use ndarray::Array2;
use portrait_learning::prediction::factors::{InteractionMatrix, Params, train};
use portrait_learning::prediction::social::SocialGraph;
use std::path::Path;

/// What a search before ended at (`tests/clients/als_bench.py`).
const UNOBSERVED: f32 = 0.02;
const REGULARISATION: f32 = 0.03;
const TIES: usize = 200;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (folder, columns) = (Path::new(&arguments[0]), arguments[1].parse().expect("a number"));
    let words = |name: &str| -> Vec<u32> {
        let bytes = std::fs::read(folder.join(name)).expect("the file is there");
        bytes.as_chunks::<4>().0.iter().map(|value| u32::from_le_bytes(*value)).collect()
    };
    let starts: Vec<usize> =
        words("starts").as_chunks::<2>().0.iter().map(|[low, _]| *low as usize).collect();
    let weights = words("weights").into_iter().map(f32::from_bits).collect();
    let rows = InteractionMatrix::new(columns, starts, words("places"), weights).expect("compressed rows");
    let params = Params { unobserved: UNOBSERVED, regularisation: REGULARISATION, ..Params::default() };
    let found = train(&rows, &params).expect("they can be learned from");
    let ties = words("ties").as_chunks::<2>().0.iter().map(|[from, to]| (*from, *to, 1.0)).collect();
    let ties = SocialGraph::new(rows.rows(), ties, TIES).expect("ties among listeners");
    let around = ties.aggregate(found.users.view()).expect("a vector each");
    let items = found.factors.items();
    write(folder, "scores", &found.users.dot(&items.t()));
    write(folder, "around", &around.dot(&items.t()));
}

fn write(folder: &Path, name: &str, rows: &Array2<f32>) {
    let bytes: Vec<u8> = rows.iter().flat_map(|value| value.to_le_bytes()).collect();
    std::fs::write(folder.join(name), bytes).expect("the folder can be written to");
}
