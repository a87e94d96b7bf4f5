//! Who took up what, and how strongly: a sparse matrix in compressed rows. In come row after row or loose entries; out go rows,
//! and the same matrix turned around. An entry that is not above 0 is refused, since "observed" has to mean something.

use crate::error::Error;

/// A sparse matrix of shoppers (rows) and items (columns). A row's entries are in the order of their columns, each once.
#[derive(Clone, Debug, PartialEq)]
pub struct Interactions {
    /// How many columns there are, with entries or without.
    columns: usize,
    /// Where each row begins in the two below, and at last where the last row ends.
    starts: Vec<usize>,
    /// The column of each entry.
    places: Vec<u32>,
    /// The weight of each entry, above 0.
    weights: Vec<f32>,
}

impl Interactions {
    /// From compressed rows: `starts` has one number more than there are rows; `places` and `weights` one each entry.
    ///
    /// # Errors
    /// [`Error::Parameter`] if the three do not fit together, a row's columns do not rise or lie beyond `columns`, or a weight
    /// is not a finite number above 0.
    pub fn new(
        columns: usize,
        starts: Vec<usize>,
        places: Vec<u32>,
        weights: Vec<f32>,
    ) -> Result<Self, Error> {
        let refused = |problem: String| Err(Error::Parameter { parameter: "interactions", problem });
        let whole = starts.first() == Some(&0) && starts.last() == Some(&places.len());
        if !whole || !starts.is_sorted() || places.len() != weights.len() {
            return refused("are not compressed rows".to_owned());
        }
        if columns > u32::MAX as usize || starts.len() > u32::MAX as usize {
            return refused("have more rows or columns than can be numbered in 32 bits".to_owned());
        }
        for (row, ends) in starts.windows(2).enumerate() {
            let places = &places[ends[0]..ends[1]];
            let rising = places.windows(2).all(|two| two[0] < two[1]);
            if !rising || places.last().is_some_and(|last| *last as usize >= columns) {
                return refused(format!("have columns in row {row} that do not rise or are too large"));
            }
        }
        if let Some(entry) = weights.iter().position(|weight| !(weight.is_finite() && *weight > 0.0)) {
            return refused(format!("have a weight that is not above 0, entry {entry}"));
        }
        Ok(Self { columns, starts, places, weights })
    }

    /// From loose entries (row, column, weight) in any order; entries of the same place are added up.
    ///
    /// # Errors
    /// As [`Self::new`], and if a row is beyond `rows`.
    pub fn from_entries(
        rows: usize,
        columns: usize,
        mut entries: Vec<(u32, u32, f32)>,
    ) -> Result<Self, Error> {
        entries.sort_by_key(|(row, column, _)| (*row, *column));
        entries.dedup_by(|next, kept| {
            let same = (next.0, next.1) == (kept.0, kept.1);
            kept.2 += if same { next.2 } else { 0.0 };
            same
        });
        if entries.last().is_some_and(|(row, ..)| *row as usize >= rows) {
            let problem = format!("have an entry beyond row {rows}");
            return Err(Error::Parameter { parameter: "interactions", problem });
        }
        let mut starts = vec![0; rows + 1];
        entries.iter().for_each(|(row, ..)| starts[*row as usize + 1] += 1);
        (0..rows).for_each(|row| starts[row + 1] += starts[row]);
        let (places, weights) = entries.into_iter().map(|(_, column, weight)| (column, weight)).unzip();
        Self::new(columns, starts, places, weights)
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.starts.len() - 1
    }

    /// How many columns there are.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// How many entries there are.
    pub fn entries(&self) -> usize {
        self.places.len()
    }

    /// The columns and the weights of a row; nothing if there is no such row.
    pub fn row(&self, row: usize) -> (&[u32], &[f32]) {
        let (Some(start), Some(end)) = (self.starts.get(row), self.starts.get(row + 1)) else {
            return (&[], &[]);
        };
        (&self.places[*start..*end], &self.weights[*start..*end])
    }

    /// Columns as rows.
    #[must_use]
    pub fn transposed(&self) -> Self {
        let mut starts = vec![0; self.columns + 1];
        self.places.iter().for_each(|column| starts[*column as usize + 1] += 1);
        (0..self.columns).for_each(|column| starts[column + 1] += starts[column]);
        let mut next = starts.clone();
        let (mut places, mut weights) = (vec![0; self.places.len()], vec![0.0; self.places.len()]);
        for row in 0..self.rows() {
            let (columns, values) = self.row(row);
            for (column, value) in columns.iter().zip(values) {
                let place = &mut next[*column as usize];
                (places[*place], weights[*place]) = (row as u32, *value);
                *place += 1;
            }
        }
        Self { columns: self.rows(), starts, places, weights }
    }

    /// The same places with other weights.
    pub(super) fn map(&self, change: impl Fn(f32) -> f32) -> Self {
        Self { weights: self.weights.iter().map(|weight| change(*weight)).collect(), ..self.clone() }
    }
}
