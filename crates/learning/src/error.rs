//! Why something could not be learned. Nothing is guessed from bad input, and nothing of it is learned.

/// What this crate answers instead.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// There are too few rows.
    #[error("{rows} rows are not enough, {needed} are needed")]
    TooFew {
        /// How many there are.
        rows: usize,
        /// How many are needed.
        needed: usize,
    },
    /// Two widths that must agree do not.
    #[error("{what} has {found} columns, {expected} are expected")]
    Width {
        /// What was given.
        what: &'static str,
        /// Its columns.
        found: usize,
        /// What they must be.
        expected: usize,
    },
    /// A value is NaN or infinite.
    #[error("row {row}, column {column} is not a finite number")]
    NotFinite {
        /// From 0.
        row: usize,
        /// From 0.
        column: usize,
    },
    /// Nothing tells the rows apart.
    #[error("{rows} shoppers are all alike in how they shop: there is nothing to tell segments apart by")]
    Alike {
        /// How many there are.
        rows: usize,
    },
    /// A parameter makes no sense.
    #[error("{parameter} {problem}")]
    Parameter {
        /// Which.
        parameter: &'static str,
        /// What is wrong with it.
        problem: String,
    },
}
