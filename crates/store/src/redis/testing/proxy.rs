//! A wire that does harm between a store and its server: it loses answers, and holds a chosen request at a chosen moment for as long
//! as the store's process lives, so that it can be killed exactly there. In come connections of a store; they go on to one server.

mod wire;

use super::PATIENCE;
use crate::redis::scripts;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio_util::sync::{CancellationToken, DropGuard};

/// A step that harm can be done to, among all that is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// An append to a log.
    Append,
    /// A commit of an owner.
    Commit,
    /// Somebody takes a lease.
    TakeLease,
}

/// At which moment a step is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// It was sent, and the server does not have it.
    Sent,
    /// The server has done it, and its answer did not come back.
    Done,
}

/// A step that will be held.
pub struct Held {
    what: (Step, Moment),
    reached: oneshot::Receiver<()>,
}

/// What will be done to a request.
enum Harm {
    /// Its answer is lost, and its connection: to whatever is asked, or to a step.
    LoseAnswer(Option<Step>),
    /// Nothing passes on its connection from that moment on, until the store's end of it is gone.
    Hold(Step, Moment, oneshot::Sender<()>),
}

/// The harm that is still to be done; each piece is for one request.
#[derive(Default)]
struct Harms(Mutex<Vec<Harm>>);

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

impl Harms {
    fn lock(&self) -> MutexGuard<'_, Vec<Harm>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The harm that is due to a request, which is done to no other one.
    fn take(&self, request: &[u8]) -> Option<Harm> {
        let mut left = self.lock();
        let due = left.iter().position(|harm| match harm {
            Harm::LoseAnswer(step) => step.is_none_or(|step| step.is(request)),
            Harm::Hold(step, ..) => step.is(request),
        });
        due.map(|place| left.remove(place))
    }
}

impl Step {
    fn is(self, request: &[u8]) -> bool {
        let has = |part: &str| request.windows(part.len()).any(|bytes| bytes == part.as_bytes());
        match self {
            Self::Append => has(scripts::APPEND.hash()),
            Self::Commit => has(scripts::COMMIT.hash()),
            Self::TakeLease => has(scripts::LEASE.hash()) && has("acquire"),
        }
    }
}
