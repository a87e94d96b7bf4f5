//! A shopper's vector from what they took up lately, without a training. In come the items of a training once, and a few of them
//! with weights each time; out go the vector that the training would have given such a shopper, and what each item is worth to
//! it. Bytes that are read back are checked whole.
//!
//! A training that had the shopper would have other items, too: what few took up goes towards whoever is one more. So an item of less
//! than [`SETTLED`] entries moves while a shopper is folded in, to where its own least squares would take it with everybody else held,
//!
//! ```text
//!   y' = y + (c - (c + alpha0) x . y) / (1 + (c + alpha0) x . z) z,    z = (alpha0 U + n U / users + ridge)^-1 x
//! ```
//!
//! (Sherman and Morrison 1950, one row more), where `n` are its entries, `ridge` is that of one entry more, and `U` is the sum of the outer
//! products of all users' vectors, which is diagonal in the axes that a training ends in: users who took the item up stand for average
//! ones, so that nobody's vector has to be kept. Then the shopper is solved again. Nothing of it stays.

use super::basis::gram;
use super::coarse::Coarse;
use super::{Params, tile};
use ndarray::{Array1, Array2, ArrayView1, ArrayView2};
use pulp::{Arch, Simd, WithSimd};
use serde::{Deserialize, Serialize};

/// The version byte of encoded factors.
const FORMAT: u8 = 2;
/// Vectors whose products are added up at once.
const BLOCK_ENTRIES: usize = 64;
/// An item of so many entries stays where it is.
const SETTLED: u32 = 10;
/// How often items of fewer are moved, and the shopper solved again.
const TURNS: usize = 2;
/// A vector with a larger number was not learned by anything here.
const VALUE_MAX: f32 = 1e6;

/// Vectors of items, and what a shopper's vector is worked out from.
///
/// ```
/// use portrait_learning::prediction::factors::{Interactions, Params, train};
///
/// // Users 0 to 9 take up items 0 and 1, users 10 to 19 items 2 and 3.
/// let entries = (0..20).flat_map(|user| {
///     let first = user / 10 * 2;
///     [(user, first, 1.0), (user, first + 1, 1.0)]
/// });
/// let interactions = Interactions::from_entries(20, 4, entries.collect())?;
/// let factors = train(&interactions, &Params { width: 4, ..Params::default() })?.factors;
///
/// // A new user who took up item 0 alone wants item 1 more than item 2.
/// let user = factors.fold_in(&[(0, 1.0)]);
/// let scores = factors.scores(user.view());
/// assert!(scores[1] > scores[2]);
/// # Ok::<(), portrait_learning::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Factors {
    items: Array2<f32>,
    coarse: Coarse,
    params: Params,
    audience: Audience,
    /// The items with their padding, row after row.
    vectors: Vec<f32>,
    width: usize,
    /// By entries of an item, below [`SETTLED`]: the inverse of what holds it in each axis, with padding.
    looseness: Vec<Vec<f32>>,
    /// `alpha0` times the sum of the outer products of all items; 1 on the diagonal of the padding.
    common: Vec<f32>,
}

/// Whom items were learned from: how far one more user would move them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Audience {
    /// How many users there were.
    pub users: u32,
    /// By axis, the sum of the squares of all users' numbers in it.
    pub spread: Vec<f32>,
    /// By item, how many took it up.
    pub entries: Vec<u32>,
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
    audience: Audience,
    count: u32,
    items: Vec<f32>,
}

impl Factors {
    /// Of item vectors, a row an item, as wide as `params` says, in the axes of their audience.
    ///
    /// # Errors
    /// If they do not fit together, or a number is not finite.
    pub fn new(items: Array2<f32>, params: Params, audience: Audience) -> Result<Self, FactorError> {
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
        audience.check(items.dim())?;
        let width = tile::padded(params.width);
        let vectors = tile::pad(items.view(), width);
        let mut common: Vec<f32> =
            gram(&vectors, width).iter().map(|value| (f64::from(params.unobserved) * value) as f32).collect();
        (params.width..width).for_each(|place| common[place * (width + 1)] = 1.0);
        let looseness = (0..SETTLED).map(|entries| audience.looseness(entries, &params, width)).collect();
        let coarse = Coarse::of(items.view());
        Ok(Self { items, coarse, params, audience, vectors, width, looseness, common })
    }

    /// A row an item.
    pub fn items(&self) -> ArrayView2<'_, f32> {
        self.items.view()
    }

    /// How they were learned.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// The vector that a training would have given a shopper who took up these items with these weights, each item once. Items that are
    /// not known and weights that are not finite numbers above 0 are left out; of nobody's items comes a vector of zeros.
    pub fn fold_in(&self, taken_up: &[(u32, f32)]) -> Array1<f32> {
        self.folded(taken_up, TURNS)
    }

    /// The same with all items where they are: what one more epoch would give a shopper whom the training had.
    pub fn fold_in_still(&self, taken_up: &[(u32, f32)]) -> Array1<f32> {
        self.folded(taken_up, 0)
    }

    fn folded(&self, taken_up: &[(u32, f32)], turns: usize) -> Array1<f32> {
        let known = |(item, weight): &(u32, f32)| {
            let confidence = self.params.confidence.of(*weight);
            let known = (*item as usize) < self.items.nrows() && *weight > 0.0;
            (known && confidence.is_finite() && confidence > 0.0).then_some((*item as usize, confidence))
        };
        let entries: Vec<(usize, f32)> = taken_up.iter().filter_map(known).collect();
        let mut found = vec![0.0; self.width];
        if !entries.is_empty()
            && !Arch::new().dispatch(Fold { factors: self, entries: &entries, turns, found: &mut found })
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

    /// About the same for a vector of the items' width, in a fraction of the time, and by how much each may be wrong.
    pub(crate) fn rough_scores(&self, user: ArrayView1<f32>) -> (Vec<f32>, Vec<f32>) {
        self.coarse.scores(&user.to_vec())
    }

    /// A version byte and postcard.
    pub fn encode(&self) -> Vec<u8> {
        let stored = Stored {
            params: self.params.clone(),
            audience: self.audience.clone(),
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
        Self::new(items, stored.params, stored.audience)
    }
}

impl Audience {
    fn check(&self, (items, width): (usize, usize)) -> Result<(), FactorError> {
        let refused = |problem: String| Err(FactorError::Inconsistent(problem));
        if self.entries.len() != items || self.spread.len() != width {
            let (entries, axes) = (self.entries.len(), self.spread.len());
            return refused(format!("an audience of {entries} items in {axes} axes"));
        }
        if self.spread.iter().all(|square| square.is_finite() && *square >= 0.0) {
            Ok(())
        } else {
            refused("a spread that is none".to_owned())
        }
    }

    /// For an item of so many entries, by axis the inverse of `alpha0 U + n U / users + ridge`.
    fn looseness(&self, entries: u32, params: &Params, width: usize) -> Vec<f32> {
        let ridge = params.ridge(entries as usize + 1, self.users as usize + 1);
        let share = params.unobserved + entries as f32 / self.users.max(1) as f32;
        let mut looseness: Vec<f32> =
            self.spread.iter().map(|square| 1.0 / (share * square + ridge)).collect();
        looseness.resize(width, 0.0);
        looseness
    }
}

/// One shopper's system, solved with the widest registers of the machine; says whether it could be.
struct Fold<'a> {
    factors: &'a Factors,
    /// Item and confidence.
    entries: &'a [(usize, f32)],
    turns: usize,
    found: &'a mut [f32],
}

impl WithSimd for Fold<'_> {
    type Output = bool;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> bool {
        let Self { factors, entries, turns, found } = self;
        let width = factors.width;
        let vector = |item: usize| &factors.vectors[item * width..][..width];
        let mut items: Vec<f32> = Vec::with_capacity(entries.len() * width);
        entries.iter().for_each(|(item, _)| items.extend_from_slice(vector(*item)));
        let loose = |item: usize| factors.looseness.get(factors.audience.entries[item] as usize);
        let moves = entries.iter().any(|(item, _)| loose(*item).is_some());
        let mut solved = factors.solve(simd, entries, &items, found);
        let mut towards = vec![0.0; width];
        for _ in 0..if moves { turns } else { 0 } {
            for (moved, (item, confidence)) in items.chunks_exact_mut(width).zip(entries) {
                let Some(looseness) = loose(*item) else { continue };
                let (own, weight) = (vector(*item), confidence + factors.params.unobserved);
                tile::multiplied(simd, &mut towards, found, looseness);
                let missing = confidence - weight * tile::dot(simd, found, own);
                let far = missing / (1.0 + weight * tile::dot(simd, found, &towards));
                moved.copy_from_slice(own);
                tile::add_scaled(simd, moved, &towards, far);
            }
            solved &= factors.solve(simd, entries, &items, found);
        }
        solved
    }
}

impl Factors {
    /// The vector of a shopper who took up `items`, a row an entry, into `found`; says whether there is one.
    #[inline(always)]
    fn solve<S: Simd>(&self, simd: S, entries: &[(usize, f32)], items: &[f32], found: &mut [f32]) -> bool {
        let Self { params, width, common, .. } = self;
        let width = *width;
        let mut matrix = common.clone();
        let ridge = params.ridge(entries.len(), self.items.nrows());
        (0..params.width).for_each(|place| matrix[place * (width + 1)] += ridge);
        let (mut right, mut inverse) = (vec![0.0; width], vec![0.0; width]);
        let mut gathered = vec![0.0; entries.len().min(BLOCK_ENTRIES) * width];
        for (entries, items) in entries.chunks(BLOCK_ENTRIES).zip(items.chunks(BLOCK_ENTRIES * width)) {
            let gathered = &mut gathered[..entries.len() * width];
            let rows = items.chunks_exact(width).zip(entries);
            for (into, (item, (_, confidence))) in gathered.chunks_exact_mut(width).zip(rows) {
                tile::scaled(simd, into, item, confidence.sqrt());
                tile::add_scaled(simd, &mut right, item, *confidence);
            }
            tile::add_products(simd, &mut matrix, width, gathered);
        }
        let solved = tile::factor(simd, &mut matrix, width, &mut inverse);
        if solved {
            tile::solve(simd, &matrix, width, &inverse, &mut right, found);
        }
        solved
    }
}
