//! One side of `scripts/bench_kmeans`. `write FOLDER ROWS K` writes rows from `K` overlapping Gaussians and a start to two files
//! of raw f32; `run FOLDER ROWS K ITERATIONS` reads them, times Lloyd's algorithm alone, and prints seconds, inertia and
//! iterations in one line. Nothing here measures reading or writing.

use ndarray::Array2;
use portrait_learning::segmentation::lloyd;
use rand_xoshiro::Xoshiro256Plus;
use rand_xoshiro::rand_core::{RngCore, SeedableRng};
use std::path::Path;
use std::time::Instant;

const COLUMNS: usize = 64;

/// How far the means are apart, in deviations of a Gaussian: near enough that rows on the border exist in plenty.
const SPREAD: f32 = 0.35;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |place: usize| arguments[place].parse::<usize>().expect("a number");
    let folder = Path::new(&arguments[1]);
    match arguments[0].as_str() {
        "write" => write(folder, number(2), number(3)),
        "run" => run(folder, number(2), number(3), number(4)),
        other => panic!("{other} is neither write nor run"),
    }
}

fn write(folder: &Path, rows: usize, k: usize) {
    let mut random = Xoshiro256Plus::seed_from_u64(7);
    let means: Vec<f32> = (0..k * COLUMNS).map(|_| SPREAD * normal(&mut random)).collect();
    let mut values = Vec::with_capacity(rows * COLUMNS);
    for _ in 0..rows {
        let mean = (random.next_u64() >> 32) as usize % k * COLUMNS;
        values.extend(means[mean..mean + COLUMNS].iter().map(|mean| mean + normal(&mut random)));
    }
    let bytes = |values: &[f32]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
    std::fs::write(folder.join("rows"), bytes(&values)).expect("the folder can be written to");
    // The first rows are as random as any.
    std::fs::write(folder.join("start"), bytes(&values[..k * COLUMNS]))
        .expect("the folder can be written to");
}

fn run(folder: &Path, rows: usize, k: usize, iterations: usize) {
    let read = |name: &str, rows: usize| {
        let bytes = std::fs::read(folder.join(name)).expect("`write` was run before");
        let (values, _) = bytes.as_chunks::<4>();
        let values = values.iter().map(|value| f32::from_le_bytes(*value)).collect();
        Array2::from_shape_vec((rows, COLUMNS), values).expect("the file has as many rows")
    };
    let (rows, start) = (read("rows", rows), read("start", k));
    let begun = Instant::now();
    let found = lloyd(rows.view(), start, iterations, 0.0).expect("rows can be learned from");
    println!("{} {} {}", begun.elapsed().as_secs_f64(), found.inertia, found.iterations);
}

/// By Box and Muller.
fn normal(random: &mut impl RngCore) -> f32 {
    let mut uniform = || ((random.next_u64() >> 40) as f32 + 0.5) / (1_u64 << 24) as f32;
    (-2.0 * uniform().ln()).sqrt() * (std::f32::consts::TAU * uniform()).cos()
}
