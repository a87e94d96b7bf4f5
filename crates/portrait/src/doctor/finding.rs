//! Result of one check.

/// Severity of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Severity {
    Ok,
    /// Could be better, but no data is at risk.
    Warning,
    Failed,
    /// Nothing was checked.
    Skipped,
}

/// Result of one check, with a remedy.
#[derive(Debug)]
pub(super) struct Finding {
    pub(super) check: String,
    pub(super) severity: Severity,
    pub(super) detail: String,
    /// Empty if the check is ok.
    pub(super) remedy: String,
}

impl Finding {
    pub(super) fn ok(check: &str, detail: impl Into<String>) -> Self {
        Self { check: check.to_owned(), severity: Severity::Ok, detail: detail.into(), remedy: String::new() }
    }

    /// Check that was not made: nothing is known of the servers' own.
    pub(super) fn not_checked(check: &str, detail: &str, remedy: &str) -> Self {
        Self { severity: Severity::Skipped, remedy: remedy.to_owned(), ..Self::ok(check, detail) }
    }

    pub(super) fn warning(check: &str, detail: impl Into<String>, remedy: &str) -> Self {
        Self { severity: Severity::Warning, remedy: remedy.to_owned(), ..Self::ok(check, detail) }
    }

    pub(super) fn failed(check: &str, detail: impl Into<String>, remedy: &str) -> Self {
        Self { severity: Severity::Failed, remedy: remedy.to_owned(), ..Self::ok(check, detail) }
    }
}
