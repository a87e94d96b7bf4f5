//! Drift is found where there is some, and nowhere else; the numbers are those of numpy, scipy and river.

use ndarray::Array2;
use portrait_learning::Error;
use portrait_learning::drift::{Adwin, Baseline, FeatureDrift, PSI_ALARM, PSI_ROWS_MIN};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const DELTA: f64 = 0.002;

/// A draw of the normal distribution (Box and Muller, 1958).
fn normal(random: &mut StdRng) -> f64 {
    let radius = (-2.0 * (1.0 - random.random::<f64>()).ln()).sqrt();
    radius * (std::f64::consts::TAU * random.random::<f64>()).cos()
}

fn normals(random: &mut StdRng, rows: usize, columns: usize) -> Array2<f32> {
    Array2::from_shape_simple_fn((rows, columns), || normal(random) as f32)
}

/// Columns as profiles have them: smooth, mostly zero, few values, constant, with a long tail, large, nearly
/// all zero; `moved` shifts them.
fn assorted(random: &mut StdRng, rows: usize, moved: f32) -> Array2<f32> {
    let mut all = Array2::zeros((rows, 7));
    for mut row in all.rows_mut() {
        row[0] = normal(random) as f32 + moved;
        row[1] = if random.random_bool(0.85) { 0.0 } else { (normal(random).abs() as f32) + moved };
        row[2] = random.random_range(0..4_u8).into();
        row[3] = if random.random_bool(f64::from(moved) / 10.0) { 0.5 } else { 365.0 };
        row[4] = normal(random).exp() as f32 * (1.0 + moved);
        row[5] = (normal(random) * 1e12) as f32;
        row[6] = if random.random_bool(0.97) { 0.0 } else { 1.0 + moved };
    }
    all
}

fn reference(given: &Value) -> Value {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let python = std::env::var_os("PORTRAIT_PYTHON")
        .map_or_else(|| repository.join(".venv/bin/python"), PathBuf::from);
    let remedy = "run the tests by `make test`, which makes it";
    assert!(python.exists(), "{} is not there: {remedy}", python.display());
    let mut child = Command::new(&python)
        .arg(repository.join("tests/clients/drift_reference.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python starts");
    let written = child.stdin.take().expect("an input").write_all(given.to_string().as_bytes());
    let output = child.wait_with_output().expect("python ends");
    assert!(output.status.success(), "the reference failed: {remedy} with all that it needs");
    written.expect("the reference reads all");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn lists(rows: &Array2<f32>) -> Vec<Vec<f32>> {
    rows.rows().into_iter().map(|row| row.to_vec()).collect()
}

fn streams(random: &mut StdRng) -> Vec<Vec<f64>> {
    let mut streams = Vec::new();
    for length in [6_000_usize, 3_333] {
        let place = |step: usize| step as f64 / length as f64;
        let mut stream = |mean: &dyn Fn(f64) -> f64, spread: f64| {
            streams.push(
                (0..length).map(|step| mean(place(step)) + spread * normal(random)).collect::<Vec<f64>>(),
            );
        };
        stream(&|_| 0.5, 0.1);
        stream(&|_| -3.0, 2.0);
        stream(&|place| if place < 0.5 { 0.3 } else { 0.6 }, 0.2);
        stream(&|place| if place < 0.7 { 0.0 } else { -1.0 }, 3.0);
        stream(&|place| place, 0.3);
        stream(&|place| 5.0 * place, 0.1);
        stream(&|place| (place * 12.0).sin(), 0.2);
        stream(&|_| 0.0, 0.0);
        streams.push(
            (0..length)
                .map(|step| f64::from(u8::from(random.random_bool(if step < 2_000 { 0.2 } else { 0.35 }))))
                .collect(),
        );
    }
    streams
}

#[test]
fn numpy_and_river_say_the_same() {
    let mut random = StdRng::seed_from_u64(3);
    let streams = streams(&mut random);
    for (rows, moved) in [(2_500, 0.0), (2_000, 0.4), (37, 0.4)] {
        let before = assorted(&mut random, 3_001, 0.0);
        let now = assorted(&mut random, rows, moved);
        let given = json!({
            "baseline": lists(&before), "rows": lists(&now), "delta": DELTA, "streams": streams,
        });
        let expected = reference(&given);
        let found = Baseline::fit(before.view()).unwrap().psi(now.view(), PSI_ROWS_MIN).unwrap();
        for (column, drift) in found.iter().enumerate() {
            for (what, value) in [("psi", drift.psi), ("critical", drift.critical)] {
                let reference = expected[what][column].as_f64().expect("a number");
                let apart = (value - reference).abs();
                assert!(apart <= 1e-9, "{what} of column {column} is {value}, numpy says {reference}");
            }
        }
        windows_agree(&streams, &expected);
    }
}

fn windows_agree(streams: &[Vec<f64>], expected: &Value) {
    let mut cuts = 0;
    for (index, stream) in streams.iter().enumerate() {
        let mut window = Adwin::new(DELTA);
        let detections: Vec<usize> = (0..stream.len()).filter(|step| window.update(stream[*step])).collect();
        assert_eq!(json!(detections), expected["detections"][index], "stream {index}");
        assert_eq!(json!(window.width()), expected["widths"][index], "stream {index}");
        let mean = expected["means"][index].as_f64().expect("a number");
        assert!((window.mean() - mean).abs() < 1e-9, "stream {index}: {} for {mean}", window.mean());
        cuts += detections.len();
    }
    assert!(cuts > 20, "only {cuts} cuts were compared");
}

fn alarms(drifts: &[FeatureDrift]) -> Vec<usize> {
    (0..drifts.len()).filter(|column| drifts[*column].alarm).collect()
}

#[test]
fn a_world_that_stands_still_raises_no_alarm() {
    let mut random = StdRng::seed_from_u64(4);
    let baseline = Baseline::fit(normals(&mut random, 5_000, 60).view()).unwrap();
    let (mut raised, mut above) = (0, 0);
    for _ in 0..30 {
        let drifts = baseline.psi(normals(&mut random, 5_000, 60).view(), PSI_ROWS_MIN).unwrap();
        raised += alarms(&drifts).len();
        above += drifts.iter().filter(|drift| drift.psi > drift.critical).count();
    }
    assert!(raised <= 1, "{raised} alarms");
    assert!(above <= 1, "{above} of 1,800 columns are above what chance gives once in a thousand draws");
}

#[test]
fn a_column_that_moved_by_half_its_spread_is_found_and_no_other() {
    for seed in 0..10 {
        let mut random = StdRng::seed_from_u64(seed);
        let baseline = Baseline::fit(normals(&mut random, 5_000, 60).view()).unwrap();
        let mut rows = normals(&mut random, 5_000, 60);
        rows.column_mut(17).mapv_inplace(|value| value + 0.5);
        assert_eq!(alarms(&baseline.psi(rows.view(), PSI_ROWS_MIN).unwrap()), [17]);
    }
}

#[test]
fn few_rows_raise_no_alarm_however_far_they_are() {
    let mut random = StdRng::seed_from_u64(5);
    let baseline = Baseline::fit(normals(&mut random, 5_000, 2).view()).unwrap();
    for (rows, rows_min, alarm) in [(1_999, PSI_ROWS_MIN, false), (2_000, PSI_ROWS_MIN, true), (50, 50, true)]
    {
        let moved = normals(&mut random, rows, 2) + 3.0;
        let drifts = baseline.psi(moved.view(), rows_min).unwrap();
        assert!(drifts.iter().all(|drift| drift.alarm == alarm && drift.psi > PSI_ALARM), "{drifts:?}");
    }
}

#[test]
fn a_column_of_one_value_notices_any_other() {
    let baseline = Baseline::fit(Array2::from_elem((100, 3), 7.0).view()).unwrap();
    let mut rows = Array2::from_elem((3_000, 3), 7.0);
    rows.column_mut(0).fill(6.0);
    rows.column_mut(2).fill(8.0);
    assert_eq!(alarms(&baseline.psi(rows.view(), PSI_ROWS_MIN).unwrap()), [0, 2]);
}

#[test]
fn what_makes_no_sense_is_refused() {
    let rows = Array2::<f32>::zeros((10, 2));
    let with = |value: f32| {
        let mut rows = rows.clone();
        rows[[3, 1]] = value;
        rows
    };
    assert_eq!(Baseline::fit(Array2::zeros((9, 2)).view()), Err(Error::TooFew { rows: 9, needed: 10 }));
    let baseline = Baseline::fit(rows.view()).unwrap();
    assert_eq!(baseline.width(), 2);
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let refused = Error::NotFinite { row: 3, column: 1 };
        assert_eq!(Baseline::fit(with(value).view()), Err(refused.clone()));
        assert_eq!(baseline.psi(with(value).view(), 1), Err(refused));
    }
    assert_eq!(baseline.psi(Array2::zeros((0, 2)).view(), 0), Err(Error::TooFew { rows: 0, needed: 1 }));
    assert!(matches!(
        baseline.psi(Array2::zeros((5, 3)).view(), 1),
        Err(Error::Width { found: 3, expected: 2, .. })
    ));
    let empty = Baseline::fit(Array2::zeros((10, 0)).view()).unwrap();
    assert_eq!(empty.psi(Array2::zeros((10, 0)).view(), 1), Ok(Vec::new()));
}

#[test]
fn baseline_and_window_survive_being_written_down() {
    let mut random = StdRng::seed_from_u64(6);
    let baseline = Baseline::fit(assorted(&mut random, 500, 0.0).view()).unwrap();
    let text = serde_json::to_string(&baseline).unwrap();
    assert_eq!(serde_json::from_str::<Baseline>(&text).unwrap(), baseline);

    let mut window = Adwin::new(DELTA);
    for step in 0..1_000 {
        window.update(f64::from(step % 7));
    }
    let mut read: Adwin = serde_json::from_str(&serde_json::to_string(&window).unwrap()).unwrap();
    for _ in 0..1_000 {
        assert_eq!(read.update(9.0), window.update(9.0));
    }
}

#[test]
fn a_window_takes_no_number_that_is_not_finite_and_any_delta() {
    let mut window = Adwin::new(DELTA);
    assert_eq!((window.mean(), window.width()), (0.0, 0));
    for value in [f64::NAN, 1.0, f64::INFINITY, 3.0, f64::NEG_INFINITY] {
        assert!(!window.update(value));
    }
    assert_eq!((window.mean(), window.width()), (2.0, 2));
    for delta in [f64::NAN, -1.0, 0.0, 2.0, f64::INFINITY] {
        let mut window = Adwin::new(delta);
        for step in 0..5_000 {
            window.update(if step % 1_000 == 0 { f64::MAX } else { f64::from(step) });
        }
        assert!(window.width() <= 5_000);
    }
}
