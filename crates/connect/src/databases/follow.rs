//! Following of a table: new and changed rows, those of transactions that commit late too.

use super::error::SourceError;
use super::pages::{NextPage, TablePages, TablePosition, TableRow};
use super::recent::RecentRows;
use super::value::ValueKind;
use jiff::SignedDuration;
use jiff::civil::DateTime;
use std::time::Duration;

/// Rows that are remembered by default: about 50 bytes each.
const RECENT_ROWS: usize = 500_000;

/// Times of a follower.
#[derive(Clone, Copy, Debug)]
pub struct FollowOptions {
    /// Time between two looks at the table.
    pub interval: Duration,
    /// Time that each look goes back, at least as long as the longest transaction that writes to the table: its rows carry the time of
    /// its beginning and are seen at its end.
    pub overlap: Duration,
    /// Rows within the overlap that are remembered, so that they are not handed out at every look; 500,000 by default, about 50 bytes
    /// each. Beyond it rows are repeated.
    pub recent_rows: usize,
}

impl FollowOptions {
    /// Options with the default memory.
    #[must_use]
    pub fn new(interval: Duration, overlap: Duration) -> Self {
        Self { interval, overlap, recent_rows: RECENT_ROWS }
    }
}

/// Reader of a table that goes on for ever. It reads the rows after its position, or all, and then looks again at an interval from the
/// newest row minus the overlap. Rows can repeat (after a restart, and beyond the remembered rows); none is lost if the overlap is as
/// long as the longest transaction.
#[derive(Debug)]
pub struct TableFollower {
    pages: TablePages,
    options: FollowOptions,
    recent: RecentRows,
    /// Whether the next call begins a look, and whether it waits before.
    look: Look,
}

/// State of a look at the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    /// A look begins after the interval.
    Wait,
    /// A look begins now.
    Begin,
    /// A look is under way.
    Read,
}

impl TablePages {
    /// Follows the table. To resume, open pages from the stored position and follow them without reading them first: the rows before
    /// the position that committed late are then read too.
    ///
    /// # Errors
    /// [`SourceError::Follow`] without an `updated_at` column of times.
    pub fn follow(self, options: FollowOptions) -> Result<TableFollower, SourceError> {
        let reason = match self.version_column().map(|(_, kind)| kind) {
            Some(ValueKind::Instant | ValueKind::LocalTime) => None,
            Some(_) => Some("`updated_at` must be a column of times with a clock; name one"),
            None => Some(
                "rows of transactions that commit late need a column `updated_at`; name one, or use changes",
            ),
        };
        if let Some(reason) = reason {
            return Err(SourceError::Follow { table: self.table_name(), reason });
        }
        // Without a position the first look is the first page.
        let look = if self.position().is_some() { Look::Begin } else { Look::Read };
        Ok(TableFollower { pages: self, options, recent: RecentRows::new(options.recent_rows), look })
    }
}

impl TableFollower {
    /// Waits for rows and returns at most a page of them, never none. A call that is dropped before it returns has read nothing.
    ///
    /// # Errors
    /// As [`TablePages::next`], and [`SourceError::NullOrder`] if a row without a version appears.
    pub async fn next(&mut self) -> Result<Vec<TableRow>, SourceError> {
        loop {
            if self.look == Look::Wait {
                tokio::time::sleep(self.options.interval).await;
                self.look = Look::Begin;
            }
            if self.look == Look::Begin {
                self.begin_look().await?;
                self.look = Look::Read;
            }
            let mut rows = self.pages.next().await?;
            if rows.is_empty() {
                self.look = Look::Wait;
                continue;
            }
            rows.retain(|row| self.recent.insert(row));
            if !rows.is_empty() {
                return Ok(rows);
            }
        }
    }

    /// Returns the position after the rows that were handed out; `None` before the first.
    #[must_use]
    pub fn position(&self) -> Option<&TablePosition> {
        self.pages.position()
    }

    /// Goes back to the newest row minus the overlap.
    async fn begin_look(&mut self) -> Result<(), SourceError> {
        self.pages.check_nulls().await?;
        let newest = self.pages.position().and_then(|position| position.version.clone());
        let now = self.pages.database().now().await?;
        let start = newest.map_or(NextPage::First, |newest| self.look_start(&newest, &now));
        self.pages.restart(start);
        Ok(())
    }

    /// Returns the start of a look. A row from the future does not hide those that are written until then: the newest version counts as
    /// at most the server's clock, which also covers the hour that local time repeats in autumn.
    fn look_start(&self, newest: &str, now: &str) -> NextPage {
        let is_instant = self.pages.version_column().is_some_and(|(_, kind)| *kind == ValueKind::Instant);
        let now = now.parse::<DateTime>().ok();
        let now = if is_instant { now } else { now.map(|now| self.pages.zone().local(now)) };
        let newest_time = newest.trim_end_matches("+00").parse::<DateTime>().ok();
        let end = match (newest_time, now) {
            (Some(newest), Some(now)) => newest.min(now),
            // Infinity; what precedes all times has no look that starts before it.
            (None, Some(now)) if !newest.starts_with('-') && !newest.ends_with("BC") => now,
            _ => return NextPage::First,
        };
        let overlap = SignedDuration::try_from(self.options.overlap).unwrap_or(SignedDuration::MAX);
        end.checked_sub(overlap).map_or(NextPage::First, |start| NextPage::Since(printed(start, is_instant)))
    }
}

/// Prints a time as the database does.
fn printed(at: DateTime, is_instant: bool) -> String {
    let time = at.time();
    let micros = time.subsec_nanosecond() / 1_000;
    let suffix = if is_instant { "+00" } else { "" };
    format!("{} {:02}:{:02}:{:02}.{micros:06}{suffix}", at.date(), time.hour(), time.minute(), time.second())
}
