//! A wire that loses answers: what a store sends reaches the server, and the server's answer does not come back, since the
//! connection breaks in between. In come connections of a store; they go on to one server.

use crate::redis::scripts;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::{CancellationToken, DropGuard};

/// How many bytes are passed on at a time.
const BUFFER_BYTES: usize = 64 << 10;

/// A step whose answer can be lost, among all that is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// An append to a log.
    Append,
    /// A commit of an owner.
    Commit,
}

/// How many answers are still to be lost.
#[derive(Default)]
struct Losses {
    /// To whatever is asked.
    any: AtomicU32,
    appends: AtomicU32,
    commits: AtomicU32,
}

/// A wire to one server.
pub struct Proxy {
    port: u16,
    losses: Arc<Losses>,
    /// Ends it with this value.
    _running: DropGuard,
}

impl Proxy {
    /// A wire to the server on `port` that loses nothing yet.
    ///
    /// # Panics
    /// If there is no free port.
    pub async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let own = listener.local_addr().expect("an address").port();
        let losses = Arc::new(Losses::default());
        let ended = CancellationToken::new();
        let losing = Arc::clone(&losses);
        let passing = async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass(client, port, Arc::clone(&losing)));
            }
        };
        tokio::spawn(ended.clone().run_until_cancelled_owned(passing));
        Self { port: own, losses, _running: ended.drop_guard() }
    }

    /// Its address, as a store is opened with.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Loses the answer to the next request, and its connection.
    pub fn lose_an_answer(&self) {
        self.losses.any.fetch_add(1, Ordering::SeqCst);
    }

    /// Loses the answer to the next step of a kind, and its connection.
    pub fn lose_an_answer_to(&self, step: Step) {
        self.losses.of(step).fetch_add(1, Ordering::SeqCst);
    }

    /// How many answers are still to be lost.
    pub fn answers_to_lose(&self) -> u32 {
        let Losses { any, appends, commits } = &*self.losses;
        [any, appends, commits].iter().map(|left| left.load(Ordering::SeqCst)).sum()
    }
}

impl Losses {
    fn of(&self, step: Step) -> &AtomicU32 {
        match step {
            Step::Append => &self.appends,
            Step::Commit => &self.commits,
        }
    }

    /// Whether the answer to `asked` is to be lost; then one less is.
    fn take(&self, asked: &[u8]) -> bool {
        let one_less = |left: u32| left.checked_sub(1);
        let due = |left: &AtomicU32| left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less).is_ok();
        let asks = |step: &Step| {
            let hash = step.hash().as_bytes();
            asked.windows(hash.len()).any(|part| part == hash)
        };
        let mut steps = [Step::Append, Step::Commit].into_iter();
        due(&self.any)
            || steps.any(|step| self.of(step).load(Ordering::SeqCst) > 0 && asks(&step) && due(self.of(step)))
    }
}

impl Step {
    /// By what a server knows its script.
    fn hash(self) -> &'static str {
        match self {
            Self::Append => scripts::APPEND.hash(),
            Self::Commit => scripts::COMMIT.hash(),
        }
    }
}

/// Passes everything on between `client` and the server, until one of them ends it or an answer gets lost.
async fn pass(mut client: TcpStream, port: u16, losses: Arc<Losses>) {
    let Ok(mut server) = TcpStream::connect(("127.0.0.1", port)).await else { return };
    let (mut asked, mut answered) = (vec![0; BUFFER_BYTES], vec![0; BUFFER_BYTES]);
    let mut loses_the_next = false;
    loop {
        tokio::select! {
            read = client.read(&mut asked) => {
                let Ok(count @ 1..) = read else { return };
                loses_the_next |= losses.take(&asked[..count]);
                if server.write_all(&asked[..count]).await.is_err() {
                    return;
                }
            }
            read = server.read(&mut answered) => {
                let Ok(count @ 1..) = read else { return };
                if loses_the_next || client.write_all(&answered[..count]).await.is_err() {
                    return;
                }
            }
        }
    }
}
