//! Database sources against real servers: each test starts a PostgreSQL or a MariaDB of its own on a free port of loopback.

#![allow(clippy::unwrap_used, reason = "clippy allows it in tests, but not in the functions they share")]

mod binlog;
mod changes;
mod follow;
mod pages;
mod refusals;
mod servers;
mod speed;
mod types;

use portrait_connect::databases::{Database, SourceError, TableOptions, TablePosition, TableRow};
use std::future::Future;
use std::time::Duration;

/// Longest wait for something that must happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// Repeats a look until it finds something.
async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut look: impl FnMut() -> F) -> T {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(tokio::time::Instant::now() < deadline, "{what}: not within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Reads a table to its end.
async fn read_all(
    database: Database,
    options: TableOptions,
    position: Option<TablePosition>,
) -> Result<Vec<TableRow>, SourceError> {
    let mut pages = database.pages(options, position).await?;
    let mut all = Vec::new();
    loop {
        let page = pages.next().await?;
        if page.is_empty() {
            return Ok(all);
        }
        all.extend(page);
    }
}

fn keys(rows: &[TableRow]) -> Vec<&str> {
    rows.iter().map(|row| &*row.key).collect()
}
