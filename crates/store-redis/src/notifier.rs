//! Notifications of changes: one channel per partition, and one for the models. A waiting reader checks the store, waits until the
//! channel reports a change, and checks again. A notification can be lost, since the channel may not be subscribed yet or may be cut
//! off; so readers also poll, seldom while their channel is subscribed and often while it is not. A server that refuses
//! subscriptions is polled in between: it may refuse them for as long as the process runs.

use portrait_profile::PartitionId;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

/// Poll interval while the channel is subscribed: a safety net for a lost notification.
const POLL_SUBSCRIBED: Duration = Duration::from_millis(500);
/// Poll interval while the channel is not subscribed.
const POLL_DISCONNECTED: Duration = Duration::from_millis(20);
/// Poll interval while the server refuses the subscription. With 64 partitions of two readers each that is 1,280 reads a second.
pub(super) const POLL_REFUSED: Duration = Duration::from_millis(100);

/// State of a channel's subscription.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum SubscriptionState {
    /// Not subscribed, or cut off.
    #[default]
    Disconnected,
    /// Subscribed.
    Connected,
    /// Refused by the server.
    Refused,
}

/// Subject of a notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Topic {
    /// New records in the log.
    Log,
    /// New commit of the owner.
    Commit,
    /// Change of the model registry.
    Models,
}

/// Channels of all partitions and of the models.
pub(super) struct Notifier {
    channels: Box<[Channel]>,
    /// Wakes the listener when a channel has to be subscribed, or was cut off.
    wake: Notify,
}

struct Channel {
    epochs: watch::Sender<Epochs>,
    /// True once a reader has waited; until then the channel is not subscribed.
    wanted: AtomicBool,
}

/// Number of notifications by topic.
#[derive(Clone, Copy, Debug, Default)]
struct Epochs {
    log: u64,
    commit: u64,
    models: u64,
    subscription: SubscriptionState,
}

/// Index of a channel: the partition's, or the number of partitions for the models.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct ChannelId(usize);

/// Wait of one reader for one topic of a channel.
pub(super) struct NotificationWait {
    epochs: watch::Receiver<Epochs>,
    topic: Topic,
    seen: u64,
    deadline: Instant,
}

impl Topic {
    /// Parses the payload of a message.
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
    fn of_topic(&self, topic: Topic) -> u64 {
        match topic {
            Topic::Log => self.log,
            Topic::Commit => self.commit,
            Topic::Models => self.models,
        }
    }

    fn advance(&mut self, topic: Topic) {
        match topic {
            Topic::Log => self.log += 1,
            Topic::Commit => self.commit += 1,
            Topic::Models => self.models += 1,
        }
    }
}

impl ChannelId {
    /// Returns the channel of a partition.
    pub(super) fn of_partition(partition: PartitionId) -> Self {
        Self(partition.index())
    }

    /// Returns the channel of the models in a store of `partitions` partitions.
    pub(super) fn models(partitions: usize) -> Self {
        Self(partitions)
    }
}

impl Notifier {
    /// Returns the channels of `partitions` partitions and of the models, none subscribed.
    pub(super) fn new(partitions: usize) -> Self {
        let channel =
            || Channel { epochs: watch::Sender::new(Epochs::default()), wanted: AtomicBool::new(false) };
        Self { channels: (0..=partitions).map(|_| channel()).collect(), wake: Notify::new() }
    }

    /// Begins a wait for a topic of a channel, for at most `wait`. Notifications after this call are not missed.
    pub(super) fn wait(&self, number: ChannelId, topic: Topic, wait: Duration) -> NotificationWait {
        let channel = &self.channels[number.0];
        // Readers that never wait cost no subscription.
        if !wait.is_zero() && !channel.wanted.swap(true, Ordering::SeqCst) {
            self.wake.notify_one();
        }
        let epochs = channel.epochs.subscribe();
        // Read before the caller checks the store: a change after that check makes the epoch differ.
        let seen = epochs.borrow().of_topic(topic);
        NotificationWait { epochs, topic, seen, deadline: Instant::now() + wait }
    }

    /// Returns the channels on which a reader has waited.
    pub(super) fn wanted(&self) -> impl Iterator<Item = ChannelId> {
        self.channels
            .iter()
            .enumerate()
            .filter(|(_, channel)| channel.wanted.load(Ordering::SeqCst))
            .map(|(number, _)| ChannelId(number))
    }

    /// Records a notification, and wakes the readers that wait for it.
    pub(super) fn notify(&self, number: ChannelId, topic: Topic) {
        self.channels[number.0].epochs.send_modify(|epochs| epochs.advance(topic));
    }

    /// Records the state of a channel's subscription.
    pub(super) fn set_subscription(&self, number: ChannelId, subscription: SubscriptionState) {
        self.channels[number.0].epochs.send_if_modified(|epochs| {
            // Every topic advances, since notifications may have been lost before the subscription or the cut.
            let changed = epochs.subscription != subscription;
            if changed {
                epochs.subscription = subscription;
                [Topic::Log, Topic::Commit, Topic::Models]
                    .into_iter()
                    .for_each(|topic| epochs.advance(topic));
            }
            changed
        });
    }

    /// Wakes the listener, so that it checks its connections.
    pub(super) fn wake(&self) {
        self.wake.notify_one();
    }

    /// Returns after a call of [`Self::wake`], or at once if one came since the last return.
    pub(super) async fn wait_wanted(&self) {
        self.wake.notified().await;
    }
}

impl NotificationWait {
    /// Waits until the topic changed or the poll interval has passed. Returns false once the deadline has passed.
    pub(super) async fn changed_or_timeout(&mut self) -> bool {
        let now = Instant::now();
        if now >= self.deadline {
            return false;
        }
        let topic = self.topic;
        let seen = self.seen;
        let pause = match self.epochs.borrow().subscription {
            SubscriptionState::Connected => POLL_SUBSCRIBED,
            SubscriptionState::Disconnected => POLL_DISCONNECTED,
            SubscriptionState::Refused => POLL_REFUSED,
        };
        let changed = self.epochs.wait_for(|epochs| epochs.of_topic(topic) != seen);
        // A timeout is not an error: the caller checks the store in any case.
        let _ = tokio::time::timeout_at(self.deadline.min(now + pause), changed).await;
        self.seen = self.epochs.borrow().of_topic(topic);
        true
    }
}
