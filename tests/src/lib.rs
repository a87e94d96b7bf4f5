//! What the tests of the whole share: real servers as processes or in this process, logs, and a way to ask for every
//! profile. In comes a test's wish, out goes a running server on free loopback ports that dies with its handle.

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

/// How long a test waits for something that must happen.
pub const TEST_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(60);

/// A connection to a server.
///
/// # Panics
/// If nobody answers.
pub async fn connect(url: &str) -> portrait_client::RoleRouter {
    portrait_client::connect(url).await.expect("the server answers")
}

/// Asks again and again, without a fixed pause that would hide a slow answer, until `ask` says yes.
///
/// # Panics
/// If it has not within [`PATIENCE`]; `what` says what was waited for.
pub async fn until(what: &str, mut ask: impl AsyncFnMut() -> bool) {
    let started = std::time::Instant::now();
    while !ask().await {
        assert!(started.elapsed() < TEST_TIMEOUT, "waited {TEST_TIMEOUT:?} in vain: {what}");
        tokio::task::yield_now().await;
    }
}

/// Returns in another millisecond than it was called in: moments are kept in milliseconds, and what is done then is later.
///
/// # Panics
/// If the clock stands still.
pub async fn next_millisecond() {
    let now = || {
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_millis()
    };
    let called_at = now();
    until("the clock goes on", async || now() > called_at).await;
}
