//! Outcomes of commands that did a part of their work: 4 if a part of the deployment has not followed, 3 if rows of a file were
//! rejected.

use std::fmt;
use std::process::ExitCode;

/// Error of a command that did its work while a part of the deployment has not followed.
#[derive(Debug)]
pub(crate) struct Incomplete(pub(crate) String);

/// Error of an import that left out rows and sent all others.
#[derive(Debug)]
pub(crate) struct SomeRejected(pub(crate) String);

/// Returns the exit code of a failed command.
pub(crate) fn exit_code(error: &anyhow::Error) -> ExitCode {
    if error.is::<Incomplete>() {
        ExitCode::from(4)
    } else if error.is::<SomeRejected>() {
        ExitCode::from(3)
    } else {
        ExitCode::FAILURE
    }
}

impl fmt::Display for Incomplete {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for Incomplete {}

impl fmt::Display for SomeRejected {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for SomeRejected {}
