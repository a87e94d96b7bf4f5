//! Connections to servers, and requests over them. Nothing is sent twice here; retries are the caller's decision.

use super::command_class::CommandClass;
use super::failure::{FailureKind, RedisFailure};
use super::health::StoreHealth;
use super::notifier::POLL_REFUSED;
use super::pacer::{ConnectionUse, Pacer};
use super::promises::{self, UnmetPromises};
use super::refusal;
use super::reply;
use super::scripts::{self, Script, ScriptCall};
use super::server_info::ServerInfo;
use super::target::{Address, RedisTarget};
use super::tls::TlsMaterial;
use redis::aio::MultiplexedConnection;
use redis::io::tcp::{TcpSettings, socket2::TcpKeepalive};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, IntoConnectionInfo, Pipeline, ProtocolVersion,
    PushInfo, PushKind, RedisConnectionInfo, RedisError, Value,
};
use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// Idle time after which the kernel probes a connection: below the idle limits of common firewalls and load balancers, of which
/// the shortest forget a flow after 60 s.
const TCP_KEEPALIVE: Duration = Duration::from_secs(30);
/// Time after which the kernel gives up a connection that acknowledges nothing.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest time to establish a connection.
const DIAL_TIMEOUT: Duration = Duration::from_secs(1);

/// Request to a server.
#[derive(Clone)]
pub(super) enum Request {
    /// Call of a script.
    Call(ScriptCall),
    /// Command without a script.
    Command(Cmd),
}

/// Factory of connections to the servers of a target.
pub(super) struct Dialer {
    /// Servers, credentials and TLS of the connections.
    pub(super) target: RedisTarget,
    /// Certificates of new connections.
    pub(super) tls: watch::Receiver<TlsMaterial>,
    /// Longest wait for a reply.
    pub(super) response_timeout: Duration,
    /// Idle time after which a connection is checked.
    pub(super) ping_interval: Duration,
    /// Prefix of all keys, for the remedies of refusals.
    pub(super) prefix: String,
    /// Counters and problems of the store.
    pub(super) health: Arc<StoreHealth>,
    /// Pauses between connections.
    pub(super) pacer: Pacer,
}

/// Connection to a server, with the server's information.
#[derive(Clone)]
pub(super) struct RedisConnection {
    connection: MultiplexedConnection,
    /// True once the connection is lost.
    gone: Arc<AtomicBool>,
    /// Incarnation of the server, corrected by the replies of scripts. While it is outdated, every write costs the script one more
    /// query of the server's `INFO`.
    incarnation: Arc<Mutex<Arc<str>>>,
    /// Information of the server at connect.
    pub(super) info: Arc<ServerInfo>,
    /// Promises that the settings of the server do not keep.
    pub(super) unmet: Arc<UnmetPromises>,
    /// Time at which the connection was established.
    pub(super) dialed_at: Instant,
}

impl Request {
    /// Returns the approximate size of the request in bytes.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Call(call) => call.size(),
            Self::Command(command) => command
                .args_iter()
                .map(|argument| match argument {
                    redis::Arg::Simple(bytes) => bytes.len(),
                    _ => 0,
                })
                .sum(),
        }
    }

    /// Returns the class of the command.
    pub(super) fn class(&self) -> CommandClass {
        let Self::Command(command) = self else { return CommandClass::Script };
        match command.args_iter().next() {
            Some(redis::Arg::Simple(b"CLUSTER")) => CommandClass::Cluster,
            Some(redis::Arg::Simple(b"WAIT" | b"WAITAOF")) => CommandClass::Wait,
            Some(redis::Arg::Simple(b"BGSAVE" | b"BGREWRITEAOF")) => CommandClass::Rewrite,
            Some(redis::Arg::Simple(b"INFO" | b"PING" | b"SCRIPT")) => CommandClass::Connect,
            _ => CommandClass::Key,
        }
    }

    /// Returns the command, with the last known incarnation of the server.
    fn command(&self, incarnation: &str) -> Cow<'_, Cmd> {
        match self {
            Self::Call(call) => Cow::Owned(call.command(incarnation)),
            Self::Command(command) => Cow::Borrowed(command),
        }
    }
}

impl Dialer {
    /// Connects to the server at `address` for subscriptions, and passes its push messages to `on_push`.
    pub(super) async fn subscribe(
        &self,
        address: &Address,
        on_push: impl Fn(PushInfo) + Send + Sync + 'static,
    ) -> Result<MultiplexedConnection, RedisFailure> {
        let connecting = self.connect(address, on_push);
        self.pacer.attempt(address, ConnectionUse::Notifications, connecting).await
    }

    /// Connects to the server at `address`, reads its information and loads the scripts.
    pub(super) async fn dial(
        &self,
        address: &Address,
        purpose: ConnectionUse,
    ) -> Result<RedisConnection, RedisFailure> {
        self.pacer.attempt(address, purpose, self.dial_now(address)).await
    }

    /// Counts and reports a refusal, and returns it with the missing right; other failures pass unchanged.
    pub(super) fn explained(&self, failure: RedisFailure, class: CommandClass) -> RedisFailure {
        if failure.kind() != FailureKind::Refused {
            return failure;
        }
        let source = match failure {
            RedisFailure::Server(source) | RedisFailure::Disconnected(source) => source,
            explained => return explained,
        };
        let remedy = refusal::remedy(&source, &self.prefix);
        let class_label = class.label();
        let meanwhile = match class {
            CommandClass::Channel => {
                format!("; until then changes are found by polling every {POLL_REFUSED:?}")
            }
            _ => String::new(),
        };
        self.health
            .refused(class, &format!("redis refuses {class_label} commands: {source}: {remedy}{meanwhile}"));
        RedisFailure::Refused { class: class_label, remedy, source }
    }

    async fn connect(
        &self,
        address: &Address,
        on_push: impl Fn(PushInfo) + Send + Sync + 'static,
    ) -> Result<MultiplexedConnection, RedisFailure> {
        self.health.connecting();
        let connecting = async {
            let config = AsyncConnectionConfig::new()
                .set_connection_timeout(Some(DIAL_TIMEOUT))
                .set_response_timeout(Some(self.response_timeout))
                .set_push_sender(move |push| {
                    on_push(push);
                    Ok::<(), std::convert::Infallible>(())
                });
            self.client(address)?.get_multiplexed_async_connection_with_config(&config).await
        };
        connecting
            .await
            .map_err(|error| self.explained(RedisFailure::disconnected(error), CommandClass::Connect))
    }

    /// Returns the client library's settings for a server.
    fn client(&self, address: &Address) -> Result<Client, RedisError> {
        let host = address.host.clone();
        let port = address.port;
        let connection_address = if self.target.tls {
            // A provider may be installed already, which serves as well.
            let _ = rustls::crypto::ring::default_provider().install_default();
            ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None }
        } else {
            ConnectionAddr::Tcp(host, port)
        };
        let mut settings = RedisConnectionInfo::default()
            .set_protocol(ProtocolVersion::RESP3)
            .set_db(i64::from(self.target.database))
            .set_lib_name("portrait", env!("CARGO_PKG_VERSION"));
        if let Some(username) = &self.target.username {
            settings = settings.set_username(username);
        }
        if let Some(password) = &self.target.password {
            settings = settings.set_password(password);
        }
        let tcp = TcpSettings::default()
            .set_keepalive(TcpKeepalive::new().with_time(TCP_KEEPALIVE))
            .set_user_timeout(TCP_USER_TIMEOUT);
        let info =
            connection_address.into_connection_info()?.set_redis_settings(settings).set_tcp_settings(tcp);
        match self.tls.borrow().certificates() {
            Some(certificates) if self.target.tls => Client::build_with_tls(info, certificates),
            _ => Client::open(info),
        }
    }

    async fn dial_now(&self, address: &Address) -> Result<RedisConnection, RedisFailure> {
        let gone = Arc::new(AtomicBool::new(false));
        let is_gone = Arc::clone(&gone);
        let connecting = self.connect(address, move |push: PushInfo| {
            if push.kind == PushKind::Disconnection {
                is_gone.store(true, Ordering::SeqCst);
            }
        });
        let mut dialed = RedisConnection {
            connection: connecting.await?,
            gone,
            incarnation: Arc::new(Mutex::new(Arc::from(""))),
            info: Arc::default(),
            unmet: Arc::default(),
            dialed_at: Instant::now(),
        };
        let info = self.prepare(&dialed).await?;
        dialed.learn(&info.run_id);
        dialed.unmet = Arc::new(UnmetPromises::of_server(address, &info));
        dialed.info = Arc::new(info);
        Ok(dialed)
    }

    /// Loads the scripts, and returns the information of the server.
    async fn prepare(&self, dialed: &RedisConnection) -> Result<ServerInfo, RedisFailure> {
        let mut settings = redis::cmd("CONFIG");
        settings.arg("GET").arg(promises::setting_names());
        // One round trip: a connection is ready for scripts before the first request uses it.
        let commands = [redis::cmd("INFO"), settings].into_iter().chain(scripts::all().map(Script::load));
        let mut replies = dialed.pipeline(commands).await?.into_iter();
        let info = replies.next().unwrap_or_default();
        let settings = replies.next();
        for reply in replies {
            let loaded = into_result(reply);
            // A release that is too old rejects the scripts; the start-up checks report that with a remedy.
            if let Err(error) = loaded
                && (error.code() != Some("ERR") || refusal::is_refusal(&error))
            {
                return Err(self.explained(RedisFailure::disconnected(error), CommandClass::Script));
            }
        }
        let info = into_result(info)
            .map_err(|error| self.explained(RedisFailure::disconnected(error), CommandClass::Connect))?;
        // `CONFIG GET` may be forbidden; the start-up checks decide whether that matters.
        let settings = settings.and_then(|settings| into_result(settings).ok());
        ServerInfo::read(&info, settings).map_err(|_| RedisFailure::not_redis())
    }
}

impl RedisConnection {
    /// Sends a request once and returns the reply.
    pub(super) async fn request(&self, request: &Request) -> Result<Value, RedisFailure> {
        let reply = self.connection.clone().send_packed_command(&request.command(&self.incarnation())).await;
        let reply = reply.and_then(into_result).map_err(RedisFailure::of_server)?;
        self.observe_reply(request, &reply);
        Ok(reply)
    }

    /// Sends a request once for a key whose slot is being imported by this server.
    pub(super) async fn request_asking(&self, request: &Request) -> Result<Value, RedisFailure> {
        // `ASKING` holds for the next command of the connection alone, so both go in one pipeline.
        let command = request.command(&self.incarnation()).into_owned();
        let mut replies = self.pipeline([redis::cmd("ASKING"), command]).await?;
        let reply = into_result(replies.pop().unwrap_or_default()).map_err(RedisFailure::of_server)?;
        self.observe_reply(request, &reply);
        Ok(reply)
    }

    /// Sends commands in one pipeline and returns a reply for each, which may be an error.
    pub(super) async fn pipeline(
        &self,
        commands: impl IntoIterator<Item = Cmd>,
    ) -> Result<Vec<Value>, RedisFailure> {
        let mut pipeline = Pipeline::new();
        commands.into_iter().for_each(|command| {
            pipeline.add_command(command);
        });
        let count = pipeline.len();
        let mut connection = self.connection.clone();
        connection.send_packed_commands(&pipeline, 0, count).await.map_err(RedisFailure::of_server)
    }

    /// Returns whether the server answers a ping. A refusal is an answer.
    pub(super) async fn answers(&self) -> bool {
        match self.request(&Request::Command(redis::cmd("PING"))).await {
            Ok(_) => true,
            // Only an error with a code is a reply of the server.
            Err(RedisFailure::Server(error)) => error.code().is_some(),
            Err(_) => false,
        }
    }

    /// Sets the longest wait for a reply.
    pub(super) fn with_timeout(mut self, response_timeout: Duration) -> Self {
        self.connection.set_response_timeout(response_timeout);
        self
    }

    /// Returns the command of a request as sent to this server.
    pub(super) fn command(&self, request: &Request) -> Cmd {
        request.command(&self.incarnation()).into_owned()
    }

    /// Updates the server's incarnation from a reply.
    pub(super) fn observe_reply(&self, request: &Request, reply: &Value) {
        if let (Request::Call(call), Value::Array(values)) = (request, reply)
            && call.takes_incarnation()
            && let Some(incarnation) = values.first().and_then(reply::text)
        {
            self.learn(incarnation);
        }
    }

    /// Returns whether the connection is lost.
    pub(super) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::SeqCst)
    }

    /// Returns the last known incarnation of the server.
    pub(super) fn incarnation(&self) -> Arc<str> {
        Arc::clone(&self.incarnation.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns whether `other` is the same connection.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.gone, &other.gone)
    }

    fn learn(&self, incarnation: &str) {
        let mut known = self.incarnation.lock().unwrap_or_else(PoisonError::into_inner);
        // Replaced only on a change, so that readers share one allocation.
        if **known != *incarnation {
            *known = Arc::from(incarnation);
        }
    }
}

/// Returns the value, or the error that the server sent in its place.
pub(super) fn into_result(value: Value) -> Result<Value, RedisError> {
    match value {
        Value::ServerError(error) => Err(error.into()),
        value => Ok(value),
    }
}
