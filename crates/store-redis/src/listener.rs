//! Subscriptions to the notification channels: one connection to each server that has a channel with a waiting reader. It is used
//! for nothing else. A lost connection and a moved slot are followed; until then the readers poll. A server that refuses a
//! subscription keeps its connection, and is asked again every half minute.

use super::cluster::ClusterClient;
use super::command_class::CommandClass;
use super::dialer::{Dialer, into_result};
use super::failure::{FailureKind, RedisFailure};
use super::health::ProblemKind;
use super::keys::{RedisKeys, Slot};
use super::notifier::{ChannelId, Notifier, SubscriptionState, Topic};
use super::target::Address;
use bytes::Bytes;
use portrait_profile::PartitionCount;
use redis::aio::MultiplexedConnection;
use redis::{PushInfo, PushKind, Value};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Interval of the check for moved slots and unresponsive servers.
const PING_AFTER: Duration = Duration::from_secs(5);
/// Pause after a failed subscription.
const RETRY_AFTER: Duration = Duration::from_millis(100);
/// Pause after a refused subscription: a right is granted by a person.
const REFUSED_RETRY_AFTER: Duration = Duration::from_secs(30);

/// State of the listener task.
pub(super) struct Listener {
    pub(super) cluster: Arc<ClusterClient>,
    pub(super) dialer: Arc<Dialer>,
    pub(super) notifier: Arc<Notifier>,
    /// Channel ids by name.
    channels: Arc<HashMap<Bytes, ChannelId>>,
    /// Slot and name of each channel.
    channel_servers: HashMap<ChannelId, (Slot, Bytes)>,
    /// Open connections by server.
    connections: HashMap<Address, ListenerConnection>,
    /// Server of each subscribed channel.
    connected: HashMap<ChannelId, Address>,
    /// Servers that refuse subscriptions, with the time of the next attempt.
    refusing: HashMap<Address, Instant>,
}

/// Connection that holds the subscriptions of one server.
struct ListenerConnection {
    connection: MultiplexedConnection,
    /// True once the connection is lost, or a slot has left its server.
    lost: Arc<AtomicBool>,
}

impl Listener {
    /// Returns a listener for all channels of the notifier.
    pub(super) fn new(
        cluster: Arc<ClusterClient>,
        dialer: Arc<Dialer>,
        notifier: Arc<Notifier>,
        keys: &RedisKeys,
        partitions: PartitionCount,
    ) -> Self {
        let of_partitions =
            partitions.all().map(|partition| (ChannelId::of_partition(partition), keys.partition(partition)));
        let of_models = (ChannelId::models(usize::from(partitions.get())), keys.models());
        let channel_servers: HashMap<ChannelId, (Slot, Bytes)> = of_partitions
            .chain([of_models])
            .map(|(number, tagged)| (number, (tagged.slot, tagged.channel())))
            .collect();
        let channels =
            channel_servers.iter().map(|(number, (_, channel))| (channel.clone(), *number)).collect();
        let channels = Arc::new(channels);
        Self {
            cluster,
            dialer,
            notifier,
            channels,
            channel_servers,
            connections: HashMap::new(),
            connected: HashMap::new(),
            refusing: HashMap::new(),
        }
    }

    /// Runs until `ended` is cancelled.
    pub(super) async fn run(mut self, ended: CancellationToken) {
        let listening = async {
            loop {
                let complete = self.connect_all().await;
                let pause = if complete { PING_AFTER } else { RETRY_AFTER };
                // A timeout is not an error: the connections are checked in any case.
                let _ = tokio::time::timeout(pause, self.notifier.wait_wanted()).await;
            }
        };
        ended.run_until_cancelled_owned(listening).await;
    }

    /// Subscribes every channel with a waiting reader at the server of its slot. Returns false if one failed.
    async fn connect_all(&mut self) -> bool {
        self.drop_lost();
        // Checked before subscribing, so that a dropped connection is replaced in the same pass.
        let mut complete = self.drop_unresponsive().await;
        let now = Instant::now();
        let was_refused = !self.refusing.is_empty();
        self.refusing.retain(|_, retry_at| *retry_at > now);
        // A server that failed once fails for all of its channels: one attempt a pass.
        let mut failed: HashSet<Address> = HashSet::new();
        let wanted: Vec<ChannelId> = self.notifier.wanted().collect();
        for number in wanted {
            let Some((slot, channel)) = self.channel_servers.get(&number).cloned() else { continue };
            let Some(address) = self.cluster.address(slot) else {
                complete = false;
                continue;
            };
            // Subscribed already, and the slot has not moved.
            if self.connected.get(&number) == Some(&address) {
                continue;
            }
            if self.refusing.contains_key(&address) {
                self.notifier.set_subscription(number, SubscriptionState::Refused);
                continue;
            }
            if failed.contains(&address) {
                continue;
            }
            if let Err(failure) = self.subscribe(number, &address, &channel).await {
                complete &= failure.kind() == FailureKind::Refused;
                failed.insert(address);
            }
        }
        if was_refused && self.refusing.is_empty() {
            self.dialer.health.resolved(ProblemKind::Refused(CommandClass::Channel));
        }
        complete
    }

    async fn subscribe(
        &mut self,
        number: ChannelId,
        address: &Address,
        channel: &Bytes,
    ) -> Result<(), RedisFailure> {
        let failure = match self.connect(address, channel).await {
            Ok(()) => {
                self.connected.insert(number, address.clone());
                self.notifier.set_subscription(number, SubscriptionState::Connected);
                return Ok(());
            }
            Err(failure) => self.dialer.explained(failure, CommandClass::Channel),
        };
        if failure.kind() == FailureKind::Refused {
            self.refusing.insert(address.clone(), Instant::now() + REFUSED_RETRY_AFTER);
            self.notifier.set_subscription(number, SubscriptionState::Refused);
            return Err(failure);
        }
        tracing::debug!(server = %address, error = &failure as &dyn std::error::Error, "cannot listen");
        self.connections.remove(address);
        self.cut_off(address);
        // Requests notice moved slots; without requests this refresh does.
        let _ = self.cluster.refresh().await;
        Err(failure)
    }

    async fn connect(&mut self, address: &Address, channel: &Bytes) -> Result<(), RedisFailure> {
        if !self.connections.contains_key(address) {
            let subscriber = self.open(address).await?;
            self.connections.insert(address.clone(), subscriber);
        }
        let Some(subscriber) = self.connections.get_mut(address) else { return Ok(()) };
        // Sharded pub/sub: the channel is in the slot of the partition, so its own server publishes it.
        let mut command = redis::cmd("SSUBSCRIBE");
        command.arg(&channel[..]);
        let reply = subscriber.connection.send_packed_command(&command).await;
        reply.and_then(into_result).map(|_| ()).map_err(RedisFailure::of_server)
    }

    async fn open(&self, address: &Address) -> Result<ListenerConnection, RedisFailure> {
        let lost = Arc::new(AtomicBool::new(false));
        let is_lost = Arc::clone(&lost);
        let notifier = Arc::clone(&self.notifier);
        let channels = Arc::clone(&self.channels);
        let connecting = self.dialer.subscribe(address, move |push: PushInfo| match push.kind {
            PushKind::SMessage => notify(&notifier, &channels, &push.data),
            // A server that gives a slot away unsubscribes its channels.
            PushKind::Disconnection | PushKind::SUnsubscribe => {
                is_lost.store(true, Ordering::SeqCst);
                notifier.wake();
            }
            _ => {}
        });
        Ok(ListenerConnection { connection: connecting.await?, lost })
    }

    /// Drops the lost connections.
    fn drop_lost(&mut self) {
        let addresses: Vec<Address> = self
            .connections
            .iter()
            .filter(|(_, subscriber)| subscriber.lost.load(Ordering::SeqCst))
            .map(|(address, _)| address.clone())
            .collect();
        for address in addresses {
            self.connections.remove(&address);
            self.cut_off(&address);
        }
    }

    /// Drops the connections that do not answer a ping: one that is cut off by the network looks like one without messages. Returns
    /// false if there was one.
    async fn drop_unresponsive(&mut self) -> bool {
        let pings = self.connections.iter_mut().map(|(address, subscriber)| async move {
            let reply = subscriber.connection.send_packed_command(&redis::cmd("PING")).await;
            // An error with a code is an answer of the server, such as a refusal of the command.
            reply.is_err_and(|error| error.code().is_none()).then(|| address.clone())
        });
        let unresponsive: Vec<Address> =
            futures::future::join_all(pings).await.into_iter().flatten().collect();
        for address in &unresponsive {
            self.connections.remove(address);
            self.cut_off(address);
        }
        unresponsive.is_empty()
    }

    /// Records that the channels subscribed at `address` are not subscribed any more.
    fn cut_off(&mut self, address: &Address) {
        let notifier = &self.notifier;
        self.connected.retain(|number, at| {
            let stays = at != address;
            if !stays {
                notifier.set_subscription(*number, SubscriptionState::Disconnected);
            }
            stays
        });
    }
}

/// Passes a message, which is a channel and a payload, to the notifier.
fn notify(notifier: &Notifier, channels: &HashMap<Bytes, ChannelId>, message: &[Value]) {
    if let [Value::BulkString(channel), Value::BulkString(payload)] = message
        && let Some(number) = channels.get(channel.as_slice())
        && let Some(topic) = Topic::parse(payload)
    {
        notifier.notify(*number, topic);
    }
}
