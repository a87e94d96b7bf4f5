//! Connects the bells to the servers: one connection to each server that has a bell somebody waits for, used for nothing else,
//! since what a server says unasked would be taken for the answer to a question. In come messages; bells ring. A connection
//! that is lost, or a slot that moved, is followed; until then those who wait look by themselves.

use super::notifier::{ChannelId, Notifier, Topic};
use super::dialer::Dialer;
use super::keys::{RedisKeys, Slot};
use super::cluster::ClusterClient;
use super::target::Address;
use bytes::Bytes;
use portrait_profile::PartitionCount;
use redis::aio::MultiplexedConnection;
use redis::{PushInfo, PushKind, RedisError, Value};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often it is looked whether a slot moved.
const PING_AFTER: Duration = Duration::from_secs(5);
/// How soon again when something could not be connected.
const RETRY_AFTER: Duration = Duration::from_millis(100);

/// The task's own.
pub(super) struct Listener {
    pub(super) nodes: Arc<ClusterClient>,
    pub(super) dialer: Arc<Dialer>,
    pub(super) notifier: Arc<Notifier>,
    /// Every channel and its bell.
    channels: Arc<HashMap<Bytes, ChannelId>>,
    /// Where each bell's channel is, and its name.
    channel_servers: HashMap<ChannelId, (Slot, Bytes)>,
    /// The connections there are.
    connections: HashMap<Address, ListenerConnection>,
    /// Where each connected bell is connected.
    connected: HashMap<ChannelId, Address>,
}

/// A connection that listens.
struct ListenerConnection {
    connection: MultiplexedConnection,
    /// Set when it is lost, or when a slot left its server.
    lost: Arc<AtomicBool>,
}

impl Listener {
    /// A listener for all bells.
    pub(super) fn new(
        nodes: Arc<ClusterClient>,
        dialer: Arc<Dialer>,
        bells: Arc<Notifier>,
        keys: &RedisKeys,
        partitions: PartitionCount,
    ) -> Self {
        let of_partitions =
            partitions.all().map(|partition| (ChannelId::of_partition(partition), keys.partition(partition)));
        let of_models = (ChannelId::models(usize::from(partitions.get())), keys.models());
        let places: HashMap<ChannelId, (Slot, Bytes)> = of_partitions
            .chain([of_models])
            .map(|(number, tagged)| (number, (tagged.slot, tagged.channel())))
            .collect();
        let channels = places.iter().map(|(number, (_, channel))| (channel.clone(), *number)).collect();
        let channels = Arc::new(channels);
        Self { nodes, dialer, notifier: bells, channels, channel_servers: places, connections: HashMap::new(), connected: HashMap::new() }
    }

    /// Listens until it is ended.
    pub(super) async fn run(mut self, ended: CancellationToken) {
        let listening = async {
            loop {
                let complete = self.connect_all().await;
                let pause = if complete { PING_AFTER } else { RETRY_AFTER };
                // Nobody asking is no error: it is looked after the connections anyway.
                let _ = tokio::time::timeout(pause, self.notifier.wait_wanted()).await;
            }
        };
        ended.run_until_cancelled_owned(listening).await;
    }

    /// Connects every bell that somebody waits for where its slot is. False if one could not be.
    async fn connect_all(&mut self) -> bool {
        self.drop_lost();
        let mut complete = self.drop_unresponsive().await;
        let wanted: Vec<ChannelId> = self.notifier.wanted().collect();
        for number in wanted {
            let Some((slot, channel)) = self.channel_servers.get(&number).cloned() else { continue };
            let Some(address) = self.nodes.address(slot) else {
                complete = false;
                continue;
            };
            if self.connected.get(&number) == Some(&address) {
                continue;
            }
            match self.connect(&address, &channel).await {
                Ok(()) => {
                    self.connected.insert(number, address);
                    self.notifier.set_connected(number, true);
                }
                Err(error) => {
                    tracing::debug!(server = %address, error = &error as &dyn std::error::Error, "cannot listen");
                    complete = false;
                    self.connections.remove(&address);
                    self.cut_off(&address);
                    // Requests find a slot that moved; where there are none, this does.
                    let _ = self.nodes.refresh().await;
                }
            }
        }
        complete
    }

    async fn connect(&mut self, address: &Address, channel: &Bytes) -> Result<(), RedisError> {
        if !self.connections.contains_key(address) {
            let ear = self.open(address).await?;
            self.connections.insert(address.clone(), ear);
        }
        let Some(ear) = self.connections.get_mut(address) else { return Ok(()) };
        let mut command = redis::cmd("SSUBSCRIBE");
        command.arg(&channel[..]);
        let reply = ear.connection.send_packed_command(&command).await?;
        super::dialer::answered(reply).map(|_| ())
    }

    async fn open(&self, address: &Address) -> Result<ListenerConnection, RedisError> {
        let lost = Arc::new(AtomicBool::new(false));
        let (told, bells, channels) =
            (Arc::clone(&lost), Arc::clone(&self.notifier), Arc::clone(&self.channels));
        let heard = move |push: PushInfo| match push.kind {
            PushKind::SMessage => notify(&bells, &channels, &push.data),
            PushKind::Disconnection | PushKind::SUnsubscribe => {
                told.store(true, Ordering::SeqCst);
                bells.wake();
            }
            _ => {}
        };
        Ok(ListenerConnection { connection: self.dialer.connect(address, heard).await?, lost })
    }

    /// Forgets the connections that are lost.
    fn drop_lost(&mut self) {
        let lost = |ear: &ListenerConnection| ear.lost.load(Ordering::SeqCst);
        let addresses: Vec<Address> =
            self.connections.iter().filter(|(_, ear)| lost(ear)).map(|(address, _)| address.clone()).collect();
        for address in addresses {
            self.connections.remove(&address);
            self.cut_off(&address);
        }
    }

    /// Forgets the connections at whose other end nobody answers: one that a machine between cut off looks like one on which
    /// nothing happens. False if there was one.
    async fn drop_unresponsive(&mut self) -> bool {
        let asked = self.connections.iter_mut().map(|(address, ear)| async move {
            let answer = ear.connection.send_packed_command(&redis::cmd("PING")).await;
            answer.is_err().then(|| address.clone())
        });
        let deaf: Vec<Address> = futures::future::join_all(asked).await.into_iter().flatten().collect();
        for address in &deaf {
            self.connections.remove(address);
            self.cut_off(address);
        }
        deaf.is_empty()
    }

    /// Says of the bells that were connected at `address` that they are not.
    fn cut_off(&mut self, address: &Address) {
        let bells = &self.notifier;
        self.connected.retain(|number, at| {
            let stays = at != address;
            if !stays {
                bells.set_connected(*number, false);
            }
            stays
        });
    }
}

/// Rings the bell that a message is for: its channel and what it says.
fn notify(bells: &Notifier, channels: &HashMap<Bytes, ChannelId>, message: &[Value]) {
    if let [Value::BulkString(channel), Value::BulkString(said)] = message
        && let Some(number) = channels.get(channel.as_slice())
        && let Some(news) = Topic::parse(said)
    {
        bells.notify(*number, news);
    }
}
