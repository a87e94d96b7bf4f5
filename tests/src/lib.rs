//! Shared helpers of the end-to-end tests: server processes on free loopback ports that stop with their handle, logs, a census of all
//! profiles, and the harness of the fault matrix.

mod census;
mod cluster;
mod collector;
pub mod faults;
pub mod logs;
mod process;
mod subscriber;

pub use census::{Census, census};
pub use cluster::Cluster;
pub use collector::{CollectedSpan, Collector};
pub use logs::{Log, python, repository};
pub use process::{NEXT_RELEASE, Release, Server, portrait_command};
pub use subscriber::Subscriber;

/// Time limit of a test for a condition that must come true.
pub const TEST_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(60);

/// Connects to a server.
///
/// # Panics
/// If no server responds.
pub async fn connect(url: &str) -> portrait_client::RoleRouter {
    portrait_client::connect(url).await.expect("the server responds")
}

/// Polls until `condition` holds, without a fixed pause that would hide slow responses.
///
/// # Panics
/// If it does not hold within [`TEST_TIMEOUT`]; `description` is part of the message.
pub async fn wait_until(description: &str, mut condition: impl AsyncFnMut() -> bool) {
    let started = std::time::Instant::now();
    while !condition().await {
        assert!(started.elapsed() < TEST_TIMEOUT, "timed out after {TEST_TIMEOUT:?}: {description}");
        tokio::task::yield_now().await;
    }
}

/// Waits for the next millisecond. Timestamps have millisecond resolution, so events sent afterwards are strictly later.
///
/// # Panics
/// If the clock does not advance.
pub async fn next_millisecond() {
    let now = || {
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_millis()
    };
    let called_at = now();
    wait_until("the clock advances", async || now() > called_at).await;
}
