//! Small neural network with two hidden layers of 64 and 32 rectified units. Trained by Adam (Kingma and Ba, "Adam: A Method for
//! Stochastic Optimization", ICLR 2015, algorithm 1) with early stopping on the newest rows. Explained by the rescale rule of DeepLIFT
//! (Shrikumar, Greenside and Kundaje, "Learning Important Features Through Propagating Activation Differences", ICML 2017,
//! section 3.5) against the mean row, so that contributions sum to the difference of the log-odds.

use super::odds::probability;
use super::rows::LabelledRows;
use super::standardizer::Standardizer;
use crate::evaluation::log_loss;
use crate::rng::SeededRng;
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis};
use serde::{Deserialize, Serialize};

/// Number of units of the hidden layers.
const HIDDEN: [usize; 2] = [64, 32];
const BATCH_ROWS: usize = 128;
const EPOCHS_MAX: usize = 200;
/// Epochs without improvement after which training stops.
const PATIENCE: usize = 10;
/// Parameters of Adam, as recommended in section 2 of the paper.
const LEARNING_RATE: f64 = 1e-3;
const ADAM_BETA1: f64 = 0.9;
const ADAM_BETA2: f64 = 0.999;
const ADAM_EPSILON: f64 = 1e-8;
/// L2 penalty: the weight of half the squared length of all weights, per row.
const PENALTY: f64 = 1e-3;
/// Difference of a unit's input from the reference below which the slope replaces the quotient of differences.
const INPUT_DIFFERENCE_MIN: f64 = 1e-9;
/// Bound of decoded weights; training never gives a larger one.
const WEIGHT_MAX: f64 = 1e6;

/// Network on standardised columns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Network {
    standardizer: Standardizer,
    layers: Vec<DenseLayer>,
}

/// Dense layer: `inputs * weights + offsets`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct DenseLayer {
    /// Weights, `inputs x outputs`.
    weights: Array2<f64>,
    offsets: Array1<f64>,
}

/// Trains on the older rows until the log-loss on the newest no longer improves; returns the best network and its epoch.
pub(super) fn train_with_early_stopping(
    older: LabelledRows,
    newest: LabelledRows,
    seed: u64,
) -> (Network, usize) {
    let mut trainer = NetworkTrainer::new(older, seed);
    let mut best = trainer.network.clone();
    let mut best_epoch = 0;
    let mut loss_min = f64::INFINITY;
    for epoch in 1..=EPOCHS_MAX {
        trainer.epoch();
        let loss = log_loss(newest.labels, &trainer.network.probabilities(newest.values));
        // NaN is never less: a training that diverges ends with its last good epoch.
        if loss < loss_min {
            best = trainer.network.clone();
            best_epoch = epoch;
            loss_min = loss;
        } else if epoch - best_epoch >= PATIENCE {
            break;
        }
    }
    (best, best_epoch)
}

/// Trains for a fixed number of epochs.
pub(super) fn train(rows: LabelledRows, epochs: usize, seed: u64) -> Network {
    let mut trainer = NetworkTrainer::new(rows, seed);
    (0..epochs).for_each(|_| trainer.epoch());
    trainer.network
}

struct NetworkTrainer {
    network: Network,
    values: Array2<f64>,
    labels: Array1<f64>,
    /// Row weights with mean 1.
    row_weights: Array1<f64>,
    /// Means of gradients (first) and of their squares (second), by layer.
    first: Vec<DenseLayer>,
    second: Vec<DenseLayer>,
    steps: i32,
    rng: SeededRng,
}

impl NetworkTrainer {
    fn new(rows: LabelledRows, seed: u64) -> Self {
        let standardizer = Standardizer::fit(rows);
        let values = standardizer.rows(rows.values);
        let mut rng = SeededRng::new(seed);
        let widths = [values.ncols(), HIDDEN[0], HIDDEN[1], 1];
        let layers: Vec<DenseLayer> =
            widths.windows(2).map(|two| DenseLayer::random(two[0], two[1], &mut rng)).collect();
        // With a mean weight of 1, gradients have the size that the learning rate and the penalty were chosen
        // for.
        let total = rows.label_weights().total;
        let count = rows.count() as f64;
        Self {
            first: layers.iter().map(DenseLayer::zeros).collect(),
            second: layers.iter().map(DenseLayer::zeros).collect(),
            network: Network { standardizer, layers },
            values,
            labels: rows.labels.iter().map(|label| f64::from(u8::from(*label))).collect(),
            row_weights: rows.weights.iter().map(|weight| f64::from(*weight) * count / total).collect(),
            steps: 0,
            rng,
        }
    }

    /// Passes over all rows once, in a new random order.
    fn epoch(&mut self) {
        let mut order: Vec<usize> = (0..self.labels.len()).collect();
        for index in (1..order.len()).rev() {
            order.swap(index, self.rng.below(index + 1));
        }
        for rows in order.chunks(BATCH_ROWS) {
            let values = self.values.select(Axis(0), rows);
            let labels = self.labels.select(Axis(0), rows);
            let row_weights = self.row_weights.select(Axis(0), rows);
            let gradients = self.network.gradients(values, &labels, &row_weights);
            self.step(&gradients);
        }
    }

    /// One Adam step. The learning rate includes the bias corrections of both means, as section 2 of the paper suggests.
    fn step(&mut self, gradients: &[DenseLayer]) {
        self.steps += 1;
        let rate =
            LEARNING_RATE * (1.0 - ADAM_BETA2.powi(self.steps)).sqrt() / (1.0 - ADAM_BETA1.powi(self.steps));
        let means = self.first.iter_mut().zip(&mut self.second);
        for ((layer, (first, second)), gradient) in self.network.layers.iter_mut().zip(means).zip(gradients) {
            let numbers = layer.numbers_mut().zip(first.numbers_mut()).zip(second.numbers_mut());
            let gradients = gradient.weights.iter().chain(&gradient.offsets);
            for (((weight, first), second), gradient) in numbers.zip(gradients) {
                *first = ADAM_BETA1 * *first + (1.0 - ADAM_BETA1) * gradient;
                *second = ADAM_BETA2 * *second + (1.0 - ADAM_BETA2) * gradient * gradient;
                *weight -= rate * *first / (second.sqrt() + ADAM_EPSILON);
            }
        }
    }
}

impl DenseLayer {
    /// Random weights and zero offsets (Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural
    /// networks", AISTATS 2010, equation 16).
    fn random(inputs: usize, outputs: usize, rng: &mut SeededRng) -> Self {
        let bound = (6.0 / (inputs + outputs) as f64).sqrt();
        let weights = Array2::from_shape_simple_fn((inputs, outputs), || {
            bound * (rng.below(1 << 40) as f64 / (1_u64 << 39) as f64 - 1.0)
        });
        Self { weights, offsets: Array1::zeros(outputs) }
    }

    fn zeros(&self) -> Self {
        Self { weights: Array2::zeros(self.weights.dim()), offsets: Array1::zeros(self.offsets.dim()) }
    }

    fn is_sound(&self, inputs: usize, outputs: usize) -> bool {
        self.weights.dim() == (inputs, outputs)
            && self.offsets.len() == outputs
            && self.weights.iter().chain(&self.offsets).all(|value| value.abs() < WEIGHT_MAX)
    }

    fn numbers_mut(&mut self) -> impl Iterator<Item = &mut f64> {
        self.weights.iter_mut().chain(&mut self.offsets)
    }
}

impl Network {
    /// Input of each layer, and the log-odds, of standardised rows (`n x d`).
    fn forward(&self, values: Array2<f64>) -> (Vec<Array2<f64>>, Array1<f64>) {
        let mut inputs = Vec::new();
        let mut value = values;
        for (index, layer) in self.layers.iter().enumerate() {
            let mut next = value.dot(&layer.weights) + &layer.offsets;
            // The last layer gives log-odds, which have either sign.
            if index + 1 < self.layers.len() {
                next.mapv_inplace(|value| value.max(0.0));
            }
            inputs.push(std::mem::replace(&mut value, next));
        }
        (inputs, value.remove_axis(Axis(1)))
    }

    /// Gradients of the mean loss of a batch and of the penalty, by layer (backpropagation).
    fn gradients(
        &self,
        values: Array2<f64>,
        labels: &Array1<f64>,
        row_weights: &Array1<f64>,
    ) -> Vec<DenseLayer> {
        let count = labels.len() as f64;
        let (inputs, log_odds) = self.forward(values);
        // The derivative of the log-loss by the log-odds: probability minus label.
        let mut back = ((log_odds.mapv(probability) - labels) * row_weights / count).insert_axis(Axis(1));
        let mut gradients = Vec::new();
        for (layer, input) in self.layers.iter().zip(&inputs).rev() {
            // The penalty is divided by the rows of a batch, like `alpha` of scikit-learn's `MLPClassifier`.
            let weights = input.t().dot(&back) + &layer.weights * (PENALTY / BATCH_ROWS as f64);
            gradients.push(DenseLayer { weights, offsets: back.sum_axis(Axis(0)) });
            back = back.dot(&layer.weights.t());
            // An input of 0 comes from an inactive rectified unit. For the first layer the result is not used.
            back.zip_mut_with(input, |back, input| *back = if *input > 0.0 { *back } else { 0.0 });
        }
        gradients.reverse();
        gradients
    }

    fn probabilities(&self, values: ArrayView2<f32>) -> Vec<f64> {
        self.forward(self.standardizer.rows(values)).1.mapv(probability).to_vec()
    }

    pub(super) fn log_odds(&self, row: ArrayView1<f32>) -> f64 {
        self.forward(self.standardizer.row(row).insert_axis(Axis(0))).1[0]
    }

    /// Log-odds of the mean row.
    pub(super) fn base(&self) -> f64 {
        let columns = self.layers.first().map_or(0, |layer| layer.weights.nrows());
        self.forward(Array2::zeros((1, columns))).1[0]
    }

    /// Contributions by column to the log-odds; they sum to the log-odds minus [`Self::base`].
    pub(super) fn contributions(&self, row: ArrayView1<f32>) -> Vec<f64> {
        // The reference is the mean row, which is zeros once standardised.
        let mut states = vec![(self.standardizer.row(row), Array1::zeros(row.len()))];
        let mut slopes = Vec::new();
        for layer in &self.layers {
            let (value, reference) = &states[states.len() - 1];
            let value = value.dot(&layer.weights) + &layer.offsets;
            let reference = reference.dot(&layer.weights) + &layer.offsets;
            let slope: Array1<f64> =
                value.iter().zip(&reference).map(|(value, reference)| rescale(*value, *reference)).collect();
            slopes.push(slope);
            states.push((value.mapv(|value| value.max(0.0)), reference.mapv(|value| value.max(0.0))));
        }
        let mut multiplier = Array1::ones(1);
        for (index, layer) in self.layers.iter().enumerate().rev() {
            // The last layer is not rectified.
            if index + 1 < self.layers.len() {
                multiplier *= &slopes[index];
            }
            multiplier = layer.weights.dot(&multiplier);
        }
        (multiplier * &states[0].0).to_vec()
    }

    /// Checks shapes and the range of all weights, which decoded bytes do not guarantee.
    pub(super) fn is_sound(&self, columns: usize) -> bool {
        let widths = [columns, HIDDEN[0], HIDDEN[1], 1];
        self.layers.len() + 1 == widths.len()
            && self.standardizer.is_sound(columns)
            && self.layers.iter().zip(widths.windows(2)).all(|(layer, two)| layer.is_sound(two[0], two[1]))
    }
}

/// Share of an input difference that a rectified unit passes on (DeepLIFT's rescale rule).
fn rescale(value: f64, reference: f64) -> f64 {
    if (value - reference).abs() > INPUT_DIFFERENCE_MIN {
        (value.max(0.0) - reference.max(0.0)) / (value - reference)
    } else {
        f64::from(u8::from(value > 0.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gradients_equal_finite_differences() {
        let mut rng = SeededRng::new(4);
        let values = Array2::from_shape_simple_fn((BATCH_ROWS, 5), || rng.below(2001) as f32 / 1000.0 - 1.0);
        let labels: Vec<bool> = (0..BATCH_ROWS).map(|_| rng.below(2) == 0).collect();
        let weights: Vec<f32> = (0..BATCH_ROWS).map(|_| 0.5 + rng.below(10) as f32 / 10.0).collect();
        let trainer = NetworkTrainer::new(
            LabelledRows { values: values.view(), labels: &labels, weights: &weights },
            1,
        );
        let NetworkTrainer { network, values, labels, row_weights, .. } = trainer;
        let loss = |network: &Network| {
            let (_, log_odds) = network.forward(values.clone());
            let each = log_odds.iter().zip(&labels).zip(&row_weights).map(|((log_odds, label), weight)| {
                let share = probability(*log_odds);
                -weight * (label * share.ln() + (1.0 - label) * (1.0 - share).ln())
            });
            let squares: f64 =
                network.layers.iter().flat_map(|layer| &layer.weights).map(|value| value * value).sum();
            each.sum::<f64>() / labels.len() as f64 + 0.5 * PENALTY / BATCH_ROWS as f64 * squares
        };
        let gradients = network.gradients(values.clone(), &labels, &row_weights);
        for (layer, gradient) in gradients.iter().enumerate() {
            let expected: Vec<f64> = gradient.weights.iter().chain(&gradient.offsets).copied().collect();
            for index in (0..expected.len()).step_by(7) {
                let moved = |by: f64| {
                    let mut network = network.clone();
                    if let Some(value) = network.layers[layer].numbers_mut().nth(index) {
                        *value += by;
                    }
                    loss(&network)
                };
                let difference = (moved(1e-6) - moved(-1e-6)) / 2e-6;
                assert!(
                    (difference - expected[index]).abs() < 1e-6,
                    "layer {layer}, {index}: {difference}, {}",
                    expected[index]
                );
            }
        }
    }
}
