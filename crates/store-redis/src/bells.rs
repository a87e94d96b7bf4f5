//! Who waits for what. A bell for each partition and one for the models; whoever waits looks at the store, then waits until
//! the bell of what it waits for rings, and looks again. A bell that nobody connected to the server yet, or that was cut off,
//! never rings: so those who wait look again by themselves too, seldom while it is connected and often while it is not.

use portrait_profile::PartitionId;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

/// How long to wait for a connected bell before looking anyway, and for one that is not.
const LOOK_SELDOM: Duration = Duration::from_millis(500);
const LOOK_OFTEN: Duration = Duration::from_millis(20);

/// What a bell rings for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// The log has more records.
    Log,
    /// A commit happened.
    Commit,
    /// The models changed.
    Models,
}

/// All bells.
pub(super) struct Bells {
    bells: Box<[Bell]>,
    /// Told when a bell is wanted that nobody connected yet, or was cut off.
    wake: Notify,
}

struct Bell {
    rung: watch::Sender<Rung>,
    /// Whether anybody ever waited; until then nobody listens for it.
    wanted: AtomicBool,
}

/// How often a bell rang for what.
#[derive(Clone, Copy, Debug, Default)]
struct Rung {
    log: u64,
    commit: u64,
    models: u64,
    /// Whether it is connected.
    connected: bool,
}

/// Which bell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct BellNo(usize);

/// Somebody who waits.
pub(super) struct Waiting {
    rung: watch::Receiver<Rung>,
    news: News,
    seen: u64,
    deadline: Instant,
}

impl News {
    /// By what a message says.
    pub(super) fn of(message: &[u8]) -> Option<Self> {
        match message {
            b"log" => Some(Self::Log),
            b"commit" => Some(Self::Commit),
            b"models" => Some(Self::Models),
            _ => None,
        }
    }
}

impl Rung {
    fn times(&self, news: News) -> u64 {
        match news {
            News::Log => self.log,
            News::Commit => self.commit,
            News::Models => self.models,
        }
    }

    fn ring(&mut self, news: News) {
        match news {
            News::Log => self.log += 1,
            News::Commit => self.commit += 1,
            News::Models => self.models += 1,
        }
    }
}

impl BellNo {
    /// That of a partition.
    pub(super) fn of(partition: PartitionId) -> Self {
        Self(partition.index())
    }

    /// That of the models, where there are so many partitions.
    pub(super) fn models(partitions: usize) -> Self {
        Self(partitions)
    }
}

impl Bells {
    /// Bells of so many partitions and of the models, none connected.
    pub(super) fn new(partitions: usize) -> Self {
        let bell = || Bell { rung: watch::Sender::new(Rung::default()), wanted: AtomicBool::new(false) };
        Self { bells: (0..=partitions).map(|_| bell()).collect(), wake: Notify::new() }
    }

    /// Begins to wait for `news` of a bell, for `wait` at most. What happens from now on is not missed.
    pub(super) fn wait(&self, number: BellNo, news: News, wait: Duration) -> Waiting {
        let bell = &self.bells[number.0];
        if !wait.is_zero() && !bell.wanted.swap(true, Ordering::SeqCst) {
            self.wake.notify_one();
        }
        let rung = bell.rung.subscribe();
        let seen = rung.borrow().times(news);
        Waiting { rung, news, seen, deadline: Instant::now() + wait }
    }

    /// Those that somebody waited for.
    pub(super) fn wanted(&self) -> impl Iterator<Item = BellNo> {
        let wanted =
            |(number, bell): (usize, &Bell)| bell.wanted.load(Ordering::SeqCst).then_some(BellNo(number));
        self.bells.iter().enumerate().filter_map(wanted)
    }

    /// Rings one.
    pub(super) fn ring(&self, number: BellNo, news: News) {
        self.bells[number.0].rung.send_modify(|rung| rung.ring(news));
    }

    /// Says whether one is connected. Whoever waits looks again at once: something may have happened meanwhile.
    pub(super) fn set_connected(&self, number: BellNo, connected: bool) {
        self.bells[number.0].rung.send_if_modified(|rung| {
            let changed = rung.connected != connected;
            if changed {
                rung.connected = connected;
                [News::Log, News::Commit, News::Models].into_iter().for_each(|news| rung.ring(news));
            }
            changed
        });
    }

    /// Tells the listener to look after the connections.
    pub(super) fn wake(&self) {
        self.wake.notify_one();
    }

    /// Returns when the listener was told to look after the connections, or was since it last asked.
    pub(super) async fn woken(&self) {
        self.wake.notified().await;
    }
}

impl Waiting {
    /// Waits until it is worth looking again. False if the time was up before.
    pub(super) async fn again(&mut self) -> bool {
        let now = Instant::now();
        if now >= self.deadline {
            return false;
        }
        let (news, seen) = (self.news, self.seen);
        let pause = if self.rung.borrow().connected { LOOK_SELDOM } else { LOOK_OFTEN };
        let rang = self.rung.wait_for(|rung| rung.times(news) != seen);
        // That it did not ring is no error: then it is looked at anyway.
        let _ = tokio::time::timeout_at(self.deadline.min(now + pause), rang).await;
        self.seen = self.rung.borrow().times(news);
        true
    }
}
