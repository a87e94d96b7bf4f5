//! A small neural network: two hidden layers of 64 and 32 rectified units. In come rows; out goes a network, and for a row which
//! column made its score what it is. Learned by Adam (Kingma and Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015,
//! algorithm 1) until the newest rows are foretold no better; explained by the rescale rule of DeepLIFT (Shrikumar, Greenside and
//! Kundaje, "Learning Important Features Through Propagating Activation Differences", ICML 2017, section 3.5) against a row
//! that is the mean of all, so that contributions add up.

use super::odds::probability;
use super::rows::LabelledRows;
use super::standardizer::Standardizer;
use crate::evaluation::log_loss;
use crate::rng::SeededRng;
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis};
use serde::{Deserialize, Serialize};

/// Units of the hidden layers.
const HIDDEN: [usize; 2] = [64, 32];
const BATCH_ROWS: usize = 128;
const EPOCHS_MAX: usize = 200;
/// Epochs without a better one that end the learning.
const PATIENCE: usize = 10;
/// Adam's, as its authors advise.
const LEARNING_RATE: f64 = 1e-3;
const ADAM_BETAS: (f64, f64) = (0.9, 0.999);
const ADAM_EPSILON: f64 = 1e-8;
/// What long weights cost: of half their squared length, a row.
const PENALTY: f64 = 1e-3;
/// Where a unit's input hardly differs from the reference, its slope stands for the quotient.
const INPUT_DIFFERENCE_MIN: f64 = 1e-9;
/// No weight that is learned is larger.
const WEIGHT_MAX: f64 = 1e6;

/// A network on standardised columns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Network {
    standard: Standardizer,
    layers: Vec<DenseLayer>,
}

/// `inputs * weights + offsets`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct DenseLayer {
    /// A row an input, a column an output.
    weights: Array2<f64>,
    offsets: Array1<f64>,
}

/// The network of the epoch that was best on the newest rows, learned from the older, and the number of that epoch.
pub(super) fn train_with_early_stopping(
    older: LabelledRows,
    newest: LabelledRows,
    seed: u64,
) -> (Network, usize) {
    let mut learning = NetworkTrainer::new(older, seed);
    let (mut best, mut least, mut at) = (learning.network.clone(), f64::INFINITY, 0);
    for epoch in 1..=EPOCHS_MAX {
        learning.epoch();
        let loss = log_loss(newest.labels, &learning.network.probabilities(newest.values));
        if loss < least {
            (best, least, at) = (learning.network.clone(), loss, epoch);
        } else if epoch - at >= PATIENCE {
            break;
        }
    }
    (best, at)
}

/// Learned for so many epochs.
pub(super) fn train(rows: LabelledRows, epochs: usize, seed: u64) -> Network {
    let mut learning = NetworkTrainer::new(rows, seed);
    (0..epochs).for_each(|_| learning.epoch());
    learning.network
}

struct NetworkTrainer {
    network: Network,
    values: Array2<f64>,
    labels: Array1<f64>,
    /// Of mean 1.
    of_row: Array1<f64>,
    /// By layer: means of gradients and of their squares.
    first: Vec<DenseLayer>,
    second: Vec<DenseLayer>,
    steps: i32,
    draws: SeededRng,
}

impl NetworkTrainer {
    fn new(rows: LabelledRows, seed: u64) -> Self {
        let standard = Standardizer::fit(rows);
        let values = standard.rows(rows.values);
        let mut draws = SeededRng::new(seed);
        let widths = [values.ncols(), HIDDEN[0], HIDDEN[1], 1];
        // Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks", 2010, equation 16.
        let layers: Vec<DenseLayer> = widths
            .windows(2)
            .map(|two| {
                let bound = (6.0 / (two[0] + two[1]) as f64).sqrt();
                let mut weight = || bound * (draws.below(1 << 40) as f64 / (1_u64 << 39) as f64 - 1.0);
                let weights = Array2::from_shape_simple_fn((two[0], two[1]), &mut weight);
                DenseLayer { weights, offsets: Array1::zeros(two[1]) }
            })
            .collect();
        let nothing = || layers.iter().map(DenseLayer::zeros).collect();
        let (_, total) = rows.totals();
        let of_row = |weight: &f32| f64::from(*weight) * rows.count() as f64 / total;
        Self {
            first: nothing(),
            second: nothing(),
            network: Network { standard, layers },
            values,
            labels: rows.labels.iter().map(|label| f64::from(u8::from(*label))).collect(),
            of_row: rows.weights.iter().map(of_row).collect(),
            steps: 0,
            draws,
        }
    }

    /// All rows once, in a new order.
    fn epoch(&mut self) {
        let mut order: Vec<usize> = (0..self.labels.len()).collect();
        for place in (1..order.len()).rev() {
            order.swap(place, self.draws.below(place + 1));
        }
        for rows in order.chunks(BATCH_ROWS) {
            let values = self.values.select(Axis(0), rows);
            let (labels, of_row) = (self.labels.select(Axis(0), rows), self.of_row.select(Axis(0), rows));
            let gradients = self.network.gradients(values, &labels, &of_row);
            self.step(&gradients);
        }
    }

    fn step(&mut self, gradients: &[DenseLayer]) {
        self.steps += 1;
        let (of_first, of_second) = ADAM_BETAS;
        let rate =
            LEARNING_RATE * (1.0 - of_second.powi(self.steps)).sqrt() / (1.0 - of_first.powi(self.steps));
        let moments = self.first.iter_mut().zip(&mut self.second);
        for ((layer, (first, second)), gradient) in self.network.layers.iter_mut().zip(moments).zip(gradients)
        {
            let update = |weight: &mut f64, first: &mut f64, second: &mut f64, gradient: &f64| {
                *first = of_first * *first + (1.0 - of_first) * gradient;
                *second = of_second * *second + (1.0 - of_second) * gradient * gradient;
                *weight -= rate * *first / (second.sqrt() + ADAM_EPSILON);
            };
            let numbers = layer.numbers_mut().zip(first.numbers_mut()).zip(second.numbers_mut());
            numbers
                .zip(gradient.weights.iter().chain(&gradient.offsets))
                .for_each(|(((weight, first), second), gradient)| update(weight, first, second, gradient));
        }
    }
}

impl DenseLayer {
    fn zeros(&self) -> Self {
        Self { weights: Array2::zeros(self.weights.dim()), offsets: Array1::zeros(self.offsets.dim()) }
    }

    fn numbers_mut(&mut self) -> impl Iterator<Item = &mut f64> {
        self.weights.iter_mut().chain(&mut self.offsets)
    }
}

impl Network {
    /// What goes into each layer, and the logarithms of the odds; of standardised rows.
    fn forward(&self, values: Array2<f64>) -> (Vec<Array2<f64>>, Array1<f64>) {
        let (mut inputs, mut value) = (Vec::new(), values);
        for (place, layer) in self.layers.iter().enumerate() {
            let mut next = value.dot(&layer.weights) + &layer.offsets;
            if place + 1 < self.layers.len() {
                next.mapv_inplace(|value| value.max(0.0));
            }
            inputs.push(std::mem::replace(&mut value, next));
        }
        (inputs, value.remove_axis(Axis(1)))
    }

    /// Of the mean loss of a batch and the penalty, by layer.
    fn gradients(&self, values: Array2<f64>, labels: &Array1<f64>, of_row: &Array1<f64>) -> Vec<DenseLayer> {
        let count = labels.len() as f64;
        let (inputs, log_odds) = self.forward(values);
        let mut back = ((log_odds.mapv(probability) - labels) * of_row / count).insert_axis(Axis(1));
        let mut gradients = Vec::new();
        for (layer, input) in self.layers.iter().zip(&inputs).rev() {
            let weights = input.t().dot(&back) + &layer.weights * (PENALTY / BATCH_ROWS as f64);
            gradients.push(DenseLayer { weights, offsets: back.sum_axis(Axis(0)) });
            back = back.dot(&layer.weights.t());
            // An input of 0 came from a unit that was at rest; the rows themselves have no use for what goes further back.
            back.zip_mut_with(input, |back, input| *back = if *input > 0.0 { *back } else { 0.0 });
        }
        gradients.reverse();
        gradients
    }

    fn probabilities(&self, values: ArrayView2<f32>) -> Vec<f64> {
        self.forward(self.standard.rows(values)).1.mapv(probability).to_vec()
    }

    pub(super) fn log_odds(&self, row: ArrayView1<f32>) -> f64 {
        self.forward(self.standard.row(row).insert_axis(Axis(0))).1[0]
    }

    /// Of a row that is the mean of all.
    pub(super) fn base(&self) -> f64 {
        let columns = self.layers.first().map_or(0, |layer| layer.weights.nrows());
        self.forward(Array2::zeros((1, columns))).1[0]
    }

    /// By column, what its distance from the mean did to the logarithm of the odds; they add up to that less [`Self::base`].
    pub(super) fn contributions(&self, row: ArrayView1<f32>) -> Vec<f64> {
        let mut states = vec![(self.standard.row(row), Array1::zeros(row.len()))];
        let mut slopes = Vec::new();
        for layer in &self.layers {
            let (here, reference) = &states[states.len() - 1];
            let [here, reference] = [here, reference].map(|value| value.dot(&layer.weights) + &layer.offsets);
            // How much of a difference before the unit is left after it.
            let slope = |(here, reference): (&f64, &f64)| {
                if (here - reference).abs() > INPUT_DIFFERENCE_MIN {
                    (here.max(0.0) - reference.max(0.0)) / (here - reference)
                } else {
                    f64::from(u8::from(*here > 0.0))
                }
            };
            slopes.push(here.iter().zip(&reference).map(slope).collect::<Array1<f64>>());
            states.push((here.mapv(|value| value.max(0.0)), reference.mapv(|value| value.max(0.0))));
        }
        let mut multiplier = Array1::ones(1);
        for (place, layer) in self.layers.iter().enumerate().rev() {
            // The last layer is not rectified.
            if place + 1 < self.layers.len() {
                multiplier *= &slopes[place];
            }
            multiplier = layer.weights.dot(&multiplier);
        }
        (multiplier * &states[0].0).to_vec()
    }

    /// Whether it is one of `columns` columns; what was read from outside may not be.
    pub(super) fn is_sound(&self, columns: usize) -> bool {
        let widths = [columns, HIDDEN[0], HIDDEN[1], 1];
        let sized = |(layer, two): (&DenseLayer, &[usize])| {
            let numbers = layer.weights.iter().chain(&layer.offsets);
            layer.weights.dim() == (two[0], two[1])
                && layer.offsets.len() == two[1]
                && numbers.into_iter().all(|value| value.abs() < WEIGHT_MAX)
        };
        let as_many = self.layers.len() + 1 == widths.len();
        as_many && self.standard.is_sound(columns) && self.layers.iter().zip(widths.windows(2)).all(sized)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gradients_are_those_of_small_differences() {
        let mut draws = SeededRng::new(4);
        let values =
            Array2::from_shape_simple_fn((BATCH_ROWS, 5), || draws.below(2001) as f32 / 1000.0 - 1.0);
        let labels: Vec<bool> = (0..BATCH_ROWS).map(|_| draws.below(2) == 0).collect();
        let weights: Vec<f32> = (0..BATCH_ROWS).map(|_| 0.5 + draws.below(10) as f32 / 10.0).collect();
        let learning = NetworkTrainer::new(
            LabelledRows { values: values.view(), labels: &labels, weights: &weights },
            1,
        );
        let NetworkTrainer { network, values, labels, of_row, .. } = learning;
        let loss = |network: &Network| {
            let (_, log_odds) = network.forward(values.clone());
            let each = log_odds.iter().zip(&labels).zip(&of_row).map(|((log_odds, label), weight)| {
                let share = probability(*log_odds);
                -weight * (label * share.ln() + (1.0 - label) * (1.0 - share).ln())
            });
            let squares: f64 =
                network.layers.iter().flat_map(|layer| &layer.weights).map(|value| value * value).sum();
            each.sum::<f64>() / labels.len() as f64 + 0.5 * PENALTY / BATCH_ROWS as f64 * squares
        };
        let gradients = network.gradients(values.clone(), &labels, &of_row);
        for (place, gradient) in gradients.iter().enumerate() {
            let expected: Vec<f64> = gradient.weights.iter().chain(&gradient.offsets).copied().collect();
            for number in (0..expected.len()).step_by(7) {
                let moved = |by: f64| {
                    let mut network = network.clone();
                    if let Some(value) = network.layers[place].numbers_mut().nth(number) {
                        *value += by;
                    }
                    loss(&network)
                };
                let found = (moved(1e-6) - moved(-1e-6)) / 2e-6;
                assert!(
                    (found - expected[number]).abs() < 1e-6,
                    "layer {place}, {number}: {found}, {}",
                    expected[number]
                );
            }
        }
    }
}
