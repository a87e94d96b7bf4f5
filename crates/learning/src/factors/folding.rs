//! A shopper's vector from what they took up lately, without a training. In come the items of a training once, and a few of them
//! with weights each time; out go the vector that the training would have given such a shopper, and what each item is worth to
//! it. Bytes that are read back are checked whole.

use super::basis::gram;
use super::training::pad;
use super::{Params, tile};
use ndarray::{Array1, Array2, ArrayView1, ArrayView2};
use pulp::{Arch, Simd, WithSimd};
use serde::{Deserialize, Serialize};

/// The version byte of encoded factors.
const FORMAT: u8 = 1;
/// Vectors whose products are added up at once.
const BLOCK_ENTRIES: usize = 64;
/// A vector with a larger number was not learned by anything here.
const VALUE_MAX: f32 = 1e6;

/// Vectors of items, and what a shopper's vector is worked out from.
#[derive(Clone, Debug, PartialEq)]
pub struct Factors {
    items: Array2<f32>,
    params: Params,
    /// The items with their padding, row after row.
    vectors: Vec<f32>,
    width: usize,
    /// `alpha0` times the sum of the outer products of all items; 1 on the diagonal of the padding.
    common: Vec<f32>,
}

/// Why bytes or numbers are no factors that can be served.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum FactorError {
    /// They are not what was encoded.
    #[error("the factors' bytes are damaged: {0}")]
    Damaged(String),
    /// Another release made them.
    #[error("the factors have format {found}, this release reads {FORMAT}")]
    Format {
        /// Theirs.
        found: u8,
    },
    /// A number is not finite, or larger than any that is learned.
    #[error("the vector of item {item} has a value that is not finite or too large")]
    Value {
        /// The item's row.
        item: usize,
    },
    /// The parts do not fit together.
    #[error("the factors do not fit together: {0}")]
    Inconsistent(String),
}

/// As it is encoded; lists, so that lengths are checked by hand.
#[derive(Serialize, Deserialize)]
struct Stored {
    params: Params,
    count: u32,
    items: Vec<f32>,
}

impl Factors {
    /// Of item vectors, a row an item, as wide as `params` says.
    ///
    /// # Errors
    /// If the two do not fit together, or a number is not finite.
    pub fn new(items: Array2<f32>, params: Params) -> Result<Self, FactorError> {
        params.check().map_err(|error| FactorError::Inconsistent(error.to_string()))?;
        if items.ncols() != params.width {
            let (found, expected) = (items.ncols(), params.width);
            return Err(FactorError::Inconsistent(format!("vectors of {found} numbers, not {expected}")));
        }
        // NaN is not within any bound.
        let sound = |row: ArrayView1<f32>| row.iter().all(|value| value.abs() <= VALUE_MAX);
        if let Some(item) = items.outer_iter().position(|row| !sound(row)) {
            return Err(FactorError::Value { item });
        }
        let width = tile::padded(params.width);
        let vectors = pad(items.view(), width);
        let mut common: Vec<f32> =
            gram(&vectors, width).iter().map(|value| (f64::from(params.unobserved) * value) as f32).collect();
        (params.width..width).for_each(|place| common[place * (width + 1)] = 1.0);
        Ok(Self { items, params, vectors, width, common })
    }

    /// A row an item.
    pub fn items(&self) -> ArrayView2<'_, f32> {
        self.items.view()
    }

    /// How they were learned.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// The vector of a shopper who took up these items with these weights, each item once. Items that are not known and weights
    /// that are not finite numbers above 0 are left out; of nobody's items comes a vector of zeros.
    pub fn fold_in(&self, taken_up: &[(u32, f32)]) -> Array1<f32> {
        let known = |(item, weight): &(u32, f32)| {
            let confidence = self.params.confidence.of(*weight);
            let known = (*item as usize) < self.items.nrows() && *weight > 0.0;
            (known && confidence.is_finite() && confidence > 0.0).then_some((*item as usize, confidence))
        };
        let entries: Vec<(usize, f32)> = taken_up.iter().filter_map(known).collect();
        let mut found = vec![0.0; self.width];
        if !entries.is_empty()
            && !Arch::new().dispatch(Fold { factors: self, entries: &entries, found: &mut found })
        {
            found.fill(0.0);
        }
        found.truncate(self.params.width);
        found.into()
    }

    /// What each item is worth to a shopper's vector, in the order of the items; nothing for a vector of another width.
    pub fn scores(&self, user: ArrayView1<f32>) -> Array1<f32> {
        if user.len() == self.items.ncols() { self.items.dot(&user) } else { Array1::zeros(0) }
    }

    /// A version byte and postcard.
    pub fn encode(&self) -> Vec<u8> {
        let stored = Stored {
            params: self.params.clone(),
            count: self.items.nrows() as u32,
            items: self.items.iter().copied().collect(),
        };
        postcard::to_extend(&stored, vec![FORMAT])
            .expect("writing to memory cannot fail: every type here has a known length")
    }

    /// The factors of such bytes, checked whole.
    ///
    /// # Errors
    /// Whatever makes them unfit to be served.
    pub fn decode(bytes: &[u8]) -> Result<Self, FactorError> {
        let (&found, rest) = bytes.split_first().ok_or(FactorError::Damaged("no bytes".to_owned()))?;
        if found != FORMAT {
            return Err(FactorError::Format { found });
        }
        let (stored, left): (Stored, &[u8]) =
            postcard::take_from_bytes(rest).map_err(|error| FactorError::Damaged(error.to_string()))?;
        if !left.is_empty() {
            return Err(FactorError::Damaged(format!("{} bytes too many", left.len())));
        }
        let items = Array2::from_shape_vec((stored.count as usize, stored.params.width), stored.items)
            .map_err(|error| FactorError::Inconsistent(error.to_string()))?;
        Self::new(items, stored.params)
    }
}

/// One shopper's system, solved with the widest registers of the machine; says whether it could be.
struct Fold<'a> {
    factors: &'a Factors,
    /// Item and confidence.
    entries: &'a [(usize, f32)],
    found: &'a mut [f32],
}

impl WithSimd for Fold<'_> {
    type Output = bool;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> bool {
        let Factors { items, params, vectors, width, common } = self.factors;
        let width = *width;
        let mut matrix = common.clone();
        let ridge = params.ridge(self.entries.len(), items.nrows());
        (0..params.width).for_each(|place| matrix[place * (width + 1)] += ridge);
        let (mut right, mut inverse) = (vec![0.0; width], vec![0.0; width]);
        let mut gathered = vec![0.0; self.entries.len().min(BLOCK_ENTRIES) * width];
        for entries in self.entries.chunks(BLOCK_ENTRIES) {
            let gathered = &mut gathered[..entries.len() * width];
            for (into, (item, confidence)) in gathered.chunks_exact_mut(width).zip(entries) {
                let vector = &vectors[item * width..][..width];
                tile::scaled(simd, into, vector, confidence.sqrt());
                tile::add_scaled(simd, &mut right, vector, *confidence);
            }
            tile::add_products(simd, &mut matrix, width, gathered);
        }
        let solved = tile::factor(simd, &mut matrix, width, &mut inverse);
        if solved {
            tile::solve(simd, &matrix, width, &inverse, &mut right, self.found);
        }
        solved
    }
}
