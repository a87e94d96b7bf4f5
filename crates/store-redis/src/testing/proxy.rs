//! A wire that does harm between a store and its server: it loses answers, and holds a chosen request at a chosen moment for as long
//! as the store's process lives, so that it can be killed exactly there. In come connections of a store; they go on to one server.

#![allow(clippy::disallowed_methods, reason = "a proxy of tests, whose tasks end with it")]

mod fault;
mod wire;

pub use fault::{FaultMoment, FaultPoint};

use self::fault::{ProxyFault, ProxyFaults};

use super::wait::WAIT_TIMEOUT;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio_util::sync::{CancellationToken, DropGuard};

/// A step that will be held.
pub struct HeldRequest {
    what: (FaultPoint, FaultMoment),
    reached: oneshot::Receiver<()>,
}

/// A wire to one server.
pub struct Proxy {
    port: u16,
    harms: Arc<ProxyFaults>,
    /// Ends it with this value.
    _running: DropGuard,
}

impl Proxy {
    /// A wire to the server on `port` that does no harm yet.
    ///
    /// # Panics
    /// If there is no free port.
    pub async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let own = listener.local_addr().expect("an address").port();
        let harms = Arc::new(ProxyFaults::default());
        let ended = CancellationToken::new();
        let harming = Arc::clone(&harms);
        let passing = async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(wire::pass(client, port, Arc::clone(&harming)));
            }
        };
        tokio::spawn(ended.clone().run_until_cancelled_owned(passing));
        Self { port: own, harms, _running: ended.drop_guard() }
    }

    /// Its address, as a store is opened with.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Loses the answer to the next request, and its connection.
    pub fn lose_reply(&self) {
        self.harms.lock().push(ProxyFault::LoseReply(None));
    }

    /// Loses the answer to the next step of a kind, and its connection.
    pub fn lose_reply_to(&self, step: FaultPoint) {
        self.harms.lock().push(ProxyFault::LoseReply(Some(step)));
    }

    /// How many answers are still to be lost.
    pub fn replies_to_lose(&self) -> usize {
        self.harms.lock().iter().filter(|harm| matches!(harm, ProxyFault::LoseReply(_))).count()
    }

    /// Holds the next step of a kind at `moment`, and all that follows on its connection.
    pub fn hold(&self, step: FaultPoint, moment: FaultMoment) -> HeldRequest {
        let (reach, reached) = oneshot::channel();
        self.harms.lock().push(ProxyFault::Hold(step, moment, reach));
        HeldRequest { what: (step, moment), reached }
    }
}

impl HeldRequest {
    /// Waits until the step is held.
    ///
    /// # Panics
    /// If nobody takes that step within [`PATIENCE`].
    pub async fn reached(self) {
        let reached = tokio::time::timeout(WAIT_TIMEOUT, self.reached).await;
        assert!(matches!(reached, Ok(Ok(()))), "{:?}: not within {WAIT_TIMEOUT:?}", self.what);
    }
}
