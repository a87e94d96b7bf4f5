//! A wire that does harm between a store and its server: it loses answers, and holds a chosen request at a chosen moment for as long
//! as the store's process lives, so that it can be killed exactly there. In come connections of a store; they go on to one server.

#![allow(clippy::disallowed_methods, reason = "a proxy of tests, whose tasks end with it")]

mod harm;
mod wire;

pub use harm::{Moment, Step};

use self::harm::{Harm, Harms};

use super::wait::PATIENCE;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio_util::sync::{CancellationToken, DropGuard};

/// A step that will be held.
pub struct Held {
    what: (Step, Moment),
    reached: oneshot::Receiver<()>,
}

/// A wire to one server.
pub struct Proxy {
    port: u16,
    harms: Arc<Harms>,
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
        let harms = Arc::new(Harms::default());
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
    pub fn lose_an_answer(&self) {
        self.harms.lock().push(Harm::LoseAnswer(None));
    }

    /// Loses the answer to the next step of a kind, and its connection.
    pub fn lose_an_answer_to(&self, step: Step) {
        self.harms.lock().push(Harm::LoseAnswer(Some(step)));
    }

    /// How many answers are still to be lost.
    pub fn answers_to_lose(&self) -> usize {
        self.harms.lock().iter().filter(|harm| matches!(harm, Harm::LoseAnswer(_))).count()
    }

    /// Holds the next step of a kind at `moment`, and all that follows on its connection.
    pub fn hold(&self, step: Step, moment: Moment) -> Held {
        let (reach, reached) = oneshot::channel();
        self.harms.lock().push(Harm::Hold(step, moment, reach));
        Held { what: (step, moment), reached }
    }
}

impl Held {
    /// Waits until the step is held.
    ///
    /// # Panics
    /// If nobody takes that step within [`PATIENCE`].
    pub async fn reached(self) {
        let reached = tokio::time::timeout(PATIENCE, self.reached).await;
        assert!(matches!(reached, Ok(Ok(()))), "{:?}: not within {PATIENCE:?}", self.what);
    }
}
