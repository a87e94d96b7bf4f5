//! Who waits for what. A bell for each partition and one for the models; whoever waits looks at the store, then waits until
//! the bell of what it waits for rings, and looks again. A bell that nobody connected to the server yet, or that was cut off,
//! never rings: so those who wait look again by themselves too, seldom while it is connected and often while it is not.

use portrait_profile::PartitionId;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

/// How long to wait for a connected bell before looking anyway, and for one that is not.
const POLL_SUBSCRIBED: Duration = Duration::from_millis(500);
const POLL_DISCONNECTED: Duration = Duration::from_millis(20);

/// What a bell rings for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Topic {
    /// The log has more records.
    Log,
    /// A commit happened.
    Commit,
    /// The models changed.
    Models,
}

/// All bells.
pub(super) struct Notifier {
    channels: Box<[Channel]>,
    /// Told when a bell is wanted that nobody connected yet, or was cut off.
    wake: Notify,
}

struct Channel {
    epochs: watch::Sender<Epochs>,
    /// Whether anybody ever waited; until then nobody listens for it.
    wanted: AtomicBool,
}

/// How often a bell rang for what.
#[derive(Clone, Copy, Debug, Default)]
struct Epochs {
    log: u64,
    commit: u64,
    models: u64,
    /// Whether it is connected.
    connected: bool,
}

/// Which bell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct ChannelId(usize);

/// Somebody who waits.
pub(super) struct NotificationWait {
    epochs: watch::Receiver<Epochs>,
    topic: Topic,
    seen: u64,
    deadline: Instant,
}

impl Topic {
    /// By what a message says.
    pub(super) fn parse(message: &[u8]) -> Option<Self> {
        match message {
            b"log" => Some(Self::Log),
            b"commit" => Some(Self::Commit),
            b"models" => Some(Self::Models),
            _ => None,
        }
    }
}

impl Epochs {
    fn of_topic(&self, news: Topic) -> u64 {
        match news {
            Topic::Log => self.log,
            Topic::Commit => self.commit,
            Topic::Models => self.models,
        }
    }

    fn advance(&mut self, news: Topic) {
        match news {
            Topic::Log => self.log += 1,
            Topic::Commit => self.commit += 1,
            Topic::Models => self.models += 1,
        }
    }
}

impl ChannelId {
    /// That of a partition.
    pub(super) fn of_partition(partition: PartitionId) -> Self {
        Self(partition.index())
    }

    /// That of the models, where there are so many partitions.
    pub(super) fn models(partitions: usize) -> Self {
        Self(partitions)
    }
}

impl Notifier {
    /// Bells of so many partitions and of the models, none connected.
    pub(super) fn new(partitions: usize) -> Self {
        let bell = || Channel { epochs: watch::Sender::new(Epochs::default()), wanted: AtomicBool::new(false) };
        Self { channels: (0..=partitions).map(|_| bell()).collect(), wake: Notify::new() }
    }

    /// Begins to wait for `news` of a bell, for `wait` at most. What happens from now on is not missed.
    pub(super) fn wait(&self, number: ChannelId, news: Topic, wait: Duration) -> NotificationWait {
        let bell = &self.channels[number.0];
        if !wait.is_zero() && !bell.wanted.swap(true, Ordering::SeqCst) {
            self.wake.notify_one();
        }
        let rung = bell.epochs.subscribe();
        let seen = rung.borrow().of_topic(news);
        NotificationWait { epochs: rung, topic: news, seen, deadline: Instant::now() + wait }
    }

    /// Those that somebody waited for.
    pub(super) fn wanted(&self) -> impl Iterator<Item = ChannelId> {
        let wanted =
            |(number, bell): (usize, &Channel)| bell.wanted.load(Ordering::SeqCst).then_some(ChannelId(number));
        self.channels.iter().enumerate().filter_map(wanted)
    }

    /// Rings one.
    pub(super) fn notify(&self, number: ChannelId, news: Topic) {
        self.channels[number.0].epochs.send_modify(|rung| rung.advance(news));
    }

    /// Says whether one is connected. Whoever waits looks again at once: something may have happened meanwhile.
    pub(super) fn set_connected(&self, number: ChannelId, connected: bool) {
        self.channels[number.0].epochs.send_if_modified(|rung| {
            let changed = rung.connected != connected;
            if changed {
                rung.connected = connected;
                [Topic::Log, Topic::Commit, Topic::Models].into_iter().for_each(|news| rung.advance(news));
            }
            changed
        });
    }

    /// Tells the listener to look after the connections.
    pub(super) fn wake(&self) {
        self.wake.notify_one();
    }

    /// Returns when the listener was told to look after the connections, or was since it last asked.
    pub(super) async fn wait_wanted(&self) {
        self.wake.notified().await;
    }
}

impl NotificationWait {
    /// Waits until it is worth looking again. False if the time was up before.
    pub(super) async fn changed_or_timeout(&mut self) -> bool {
        let now = Instant::now();
        if now >= self.deadline {
            return false;
        }
        let (news, seen) = (self.topic, self.seen);
        let pause = if self.epochs.borrow().connected { POLL_SUBSCRIBED } else { POLL_DISCONNECTED };
        let rang = self.epochs.wait_for(|rung| rung.of_topic(news) != seen);
        // That it did not ring is no error: then it is looked at anyway.
        let _ = tokio::time::timeout_at(self.deadline.min(now + pause), rang).await;
        self.seen = self.epochs.borrow().of_topic(news);
        true
    }
}
