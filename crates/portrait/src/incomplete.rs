//! Outcome of a command that did its work while a part of the deployment has not followed; the exit code is 4.

use std::fmt;

/// Error of a command that did its work while a part of the deployment has not followed.
#[derive(Debug)]
pub(crate) struct Incomplete(pub(crate) String);

impl fmt::Display for Incomplete {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for Incomplete {}
