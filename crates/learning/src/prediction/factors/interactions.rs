//! Interactions of users with items: a sparse matrix in compressed sparse rows (CSR), and its transpose. Entries must be above 0, so
//! that an entry always means "observed".

use crate::error::Error;

/// Sparse matrix of users (rows) and items (columns) in CSR. The entries of a row are in ascending column order, each column once.
#[derive(Clone, Debug, PartialEq)]
pub struct InteractionMatrix {
    /// Number of columns, with or without entries.
    columns: usize,
    /// Start of each row in the two lists below, and the end of the last row.
    row_starts: Vec<usize>,
    /// Column of each entry.
    column_indices: Vec<u32>,
    /// Weight of each entry, above 0.
    weights: Vec<f32>,
}

impl InteractionMatrix {
    /// Creates a matrix from CSR lists: `row_starts` has one number more than there are rows, `column_indices` and `weights` one per
    /// entry.
    ///
    /// # Errors
    /// [`Error::Parameter`] if the lists do not fit together, the columns of a row do not rise or exceed `columns`, or a weight is not
    /// finite and above 0.
    pub fn new(
        columns: usize,
        row_starts: Vec<usize>,
        column_indices: Vec<u32>,
        weights: Vec<f32>,
    ) -> Result<Self, Error> {
        let is_whole = row_starts.first() == Some(&0) && row_starts.last() == Some(&column_indices.len());
        if !is_whole || !row_starts.is_sorted() || column_indices.len() != weights.len() {
            return Err(Error::parameter("interactions", "are not compressed sparse rows"));
        }
        if columns > u32::MAX as usize || row_starts.len() > u32::MAX as usize {
            return Err(Error::parameter(
                "interactions",
                "have more rows or columns than 32-bit indices can hold",
            ));
        }
        for (row, ends) in row_starts.windows(2).enumerate() {
            let columns_of_row = &column_indices[ends[0]..ends[1]];
            let rising = columns_of_row.windows(2).all(|two| two[0] < two[1]);
            if !rising || columns_of_row.last().is_some_and(|last| *last as usize >= columns) {
                let problem = format!("have columns in row {row} that do not rise or are too large");
                return Err(Error::parameter("interactions", problem));
            }
        }
        if let Some(entry) = weights.iter().position(|weight| !(weight.is_finite() && *weight > 0.0)) {
            let problem = format!("have a weight that is not above 0, entry {entry}");
            return Err(Error::parameter("interactions", problem));
        }
        Ok(Self { columns, row_starts, column_indices, weights })
    }

    /// Creates a matrix from (row, column, weight) triples in any order; weights of the same cell are added.
    ///
    /// # Errors
    /// As [`Self::new`], and [`Error::Parameter`] if a row is beyond `rows`.
    pub fn from_entries(
        rows: usize,
        columns: usize,
        mut entries: Vec<(u32, u32, f32)>,
    ) -> Result<Self, Error> {
        // A stable sort: weights of one cell are added in the order given, so that their sum is the same
        // everywhere.
        entries.sort_by_key(|(row, column, _)| (*row, *column));
        entries.dedup_by(|next, kept| {
            let same = (next.0, next.1) == (kept.0, kept.1);
            kept.2 += if same { next.2 } else { 0.0 };
            same
        });
        if entries.last().is_some_and(|(row, ..)| *row as usize >= rows) {
            let problem = format!("have an entry beyond row {rows}");
            return Err(Error::parameter("interactions", problem));
        }
        let mut row_starts = vec![0; rows + 1];
        entries.iter().for_each(|(row, ..)| row_starts[*row as usize + 1] += 1);
        (0..rows).for_each(|row| row_starts[row + 1] += row_starts[row]);
        let (column_indices, weights) =
            entries.into_iter().map(|(_, column, weight)| (column, weight)).unzip();
        Self::new(columns, row_starts, column_indices, weights)
    }

    /// Number of rows (users).
    pub fn rows(&self) -> usize {
        self.row_starts.len() - 1
    }

    /// Number of columns (items).
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Number of entries in all rows.
    pub fn entries(&self) -> usize {
        self.column_indices.len()
    }

    /// Columns and weights of a row; empty slices for a row that does not exist.
    pub fn row(&self, row: usize) -> (&[u32], &[f32]) {
        let (Some(start), Some(end)) = (self.row_starts.get(row), self.row_starts.get(row + 1)) else {
            return (&[], &[]);
        };
        (&self.column_indices[*start..*end], &self.weights[*start..*end])
    }

    /// Transpose: items as rows, users as columns.
    #[must_use]
    pub fn transposed(&self) -> Self {
        let mut row_starts = vec![0; self.columns + 1];
        self.column_indices.iter().for_each(|column| row_starts[*column as usize + 1] += 1);
        (0..self.columns).for_each(|column| row_starts[column + 1] += row_starts[column]);
        // Rows are visited in order, so the entries of each transposed row are in order too.
        let mut next = row_starts.clone();
        let mut column_indices = vec![0; self.column_indices.len()];
        let mut weights = vec![0.0; self.weights.len()];
        for row in 0..self.rows() {
            let (columns, values) = self.row(row);
            for (column, value) in columns.iter().zip(values) {
                let index = &mut next[*column as usize];
                column_indices[*index] = row as u32;
                weights[*index] = *value;
                *index += 1;
            }
        }
        Self { columns: self.rows(), row_starts, column_indices, weights }
    }

    /// Same entries with weights changed by `change`.
    pub(super) fn map(&self, change: impl Fn(f32) -> f32) -> Self {
        Self { weights: self.weights.iter().map(|weight| change(*weight)).collect(), ..self.clone() }
    }
}
