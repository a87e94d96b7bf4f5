//! Proxy between a store and its server that injects faults: it loses replies, forgets open connections without closing them, and
//! holds a chosen request at a chosen moment as long as the store's process lives, so that the process can be killed exactly there.

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

/// Request that will be held.
pub struct HeldRequest {
    what: (FaultPoint, FaultMoment),
    reached: oneshot::Receiver<()>,
}

/// Proxy to one server.
pub struct Proxy {
    port: u16,
    faults: Arc<ProxyFaults>,
    /// Guard that ends the proxy when it is dropped.
    _running: DropGuard,
}

impl Proxy {
    /// Starts a proxy to the server on `port`, without faults.
    ///
    /// # Panics
    /// If there is no free port.
    pub async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let own = listener.local_addr().expect("an address").port();
        let faults = Arc::new(ProxyFaults::default());
        let ended = CancellationToken::new();
        let proxy_faults = Arc::clone(&faults);
        let passing = async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(wire::pass(client, port, Arc::clone(&proxy_faults)));
            }
        };
        tokio::spawn(ended.clone().run_until_cancelled_owned(passing));
        Self { port: own, faults, _running: ended.drop_guard() }
    }

    /// Returns the URL that a store is opened with.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Loses the reply to the next request, and its connection.
    pub fn lose_reply(&self) {
        self.faults.lock().push(ProxyFault::LoseReply(None));
    }

    /// Loses the reply to the next request of a kind, and its connection.
    pub fn lose_reply_to(&self, step: FaultPoint) {
        self.faults.lock().push(ProxyFault::LoseReply(Some(step)));
    }

    /// Returns the number of replies that are still to be lost.
    pub fn replies_to_lose(&self) -> usize {
        self.faults.lock().iter().filter(|fault| matches!(fault, ProxyFault::LoseReply(_))).count()
    }

    /// Forgets the open connections, as a firewall does with idle flows: nothing passes on them any more, and nobody is told. Later
    /// connections are served.
    pub fn forget_connections(&self) {
        self.faults.forget_connections();
    }

    /// Holds the next request of a kind at `moment`, and everything after it on its connection.
    pub fn hold(&self, step: FaultPoint, moment: FaultMoment) -> HeldRequest {
        let (reach, reached) = oneshot::channel();
        self.faults.lock().push(ProxyFault::Hold(step, moment, reach));
        HeldRequest { what: (step, moment), reached }
    }
}

impl HeldRequest {
    /// Waits until the request is held.
    ///
    /// # Panics
    /// If no such request comes within [`WAIT_TIMEOUT`].
    pub async fn reached(self) {
        let reached = tokio::time::timeout(WAIT_TIMEOUT, self.reached).await;
        assert!(matches!(reached, Ok(Ok(()))), "{:?}: not within {WAIT_TIMEOUT:?}", self.what);
    }
}
