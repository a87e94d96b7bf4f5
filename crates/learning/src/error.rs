//! Errors of training. Invalid input is refused as a whole; no value of it is guessed or skipped.

/// Error of a training or of one of its steps.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// Fewer rows than the step needs.
    #[error("{rows} rows are not enough, {needed} are needed")]
    TooFew {
        /// Number of rows given.
        rows: usize,
        /// Least number of rows.
        needed: usize,
    },
    /// Two widths that must agree differ.
    #[error("{what} has {found} columns, {expected} are expected")]
    Width {
        /// Name of the argument.
        what: &'static str,
        /// Number of columns given.
        found: usize,
        /// Number of columns expected.
        expected: usize,
    },
    /// A value is NaN or infinite.
    #[error("row {row}, column {column} is not a finite number")]
    NotFinite {
        /// Index of the row, counted from 0.
        row: usize,
        /// Index of the column, counted from 0.
        column: usize,
    },
    /// No component varies between the rows, so there are no segments to find.
    #[error("{rows} users have equal features: there is nothing to separate segments by")]
    Alike {
        /// Number of rows given.
        rows: usize,
    },
    /// A parameter is out of range.
    #[error("{parameter} {problem}")]
    Parameter {
        /// Name of the parameter.
        parameter: &'static str,
        /// Problem with its value, completing a sentence that begins with the name.
        problem: String,
    },
}

impl Error {
    /// Refusal of a parameter, see [`Self::Parameter`].
    pub(crate) fn parameter(parameter: &'static str, problem: impl Into<String>) -> Self {
        Self::Parameter { parameter, problem: problem.into() }
    }
}
