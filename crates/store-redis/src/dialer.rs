//! Connections to servers, and what is asked over them. Nothing is ever sent twice here; whoever asks decides that.

use super::server_info::ServerInfo;
use super::reply;
use super::scripts::{self, ScriptCall, Script};
use super::target::{Address, RedisTarget};
use super::failure::RedisFailure;
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, IntoConnectionInfo, Pipeline, ProtocolVersion,
    PushInfo, PushKind, RedisConnectionInfo, RedisError, TlsCertificates, Value,
};
use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long a connection may take to be made.
const DIAL_TIMEOUT: Duration = Duration::from_secs(1);

/// What a connection asks of a server.
#[derive(Clone)]
pub(super) enum Request {
    /// To run a script.
    Call(ScriptCall),
    /// Something that needs none.
    Command(Cmd),
}

/// Makes connections.
pub(super) struct Dialer {
    /// Where to, and with which credentials.
    pub(super) target: RedisTarget,
    /// Who signed the servers' certificates, in PEM; the system's list if nobody is named.
    pub(super) certificate_authority: Option<Vec<u8>>,
    /// How long an answer may take.
    pub(super) response_timeout: Duration,
}

/// A connection, and what is known of the server at its other end.
#[derive(Clone)]
pub(super) struct RedisConnection {
    connection: MultiplexedConnection,
    /// Set when the other end is gone.
    gone: Arc<AtomicBool>,
    /// The server's life; the server's scripts correct it. Wrong, it costs a question more for each write.
    incarnation: Arc<Mutex<Arc<str>>>,
    /// What the server said of itself.
    pub(super) info: Arc<ServerInfo>,
}

impl Request {
    /// About how many bytes it takes on its way.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Call(call) => call.size(),
            Self::Command(command) => {
                let size = |argument: redis::Arg<&[u8]>| match argument {
                    redis::Arg::Simple(bytes) => bytes.len(),
                    _ => 0,
                };
                command.args_iter().map(size).sum()
            }
        }
    }

    /// The command, for a server that lives the life `life` as far as is known.
    fn command(&self, life: &str) -> Cow<'_, Cmd> {
        match self {
            Self::Call(call) => Cow::Owned(call.command(life)),
            Self::Command(command) => Cow::Borrowed(command),
        }
    }
}

impl Dialer {
    /// Connects to the server at `address` and hands what it says unasked to `heard`.
    pub(super) async fn connect(
        &self,
        address: &Address,
        heard: impl Fn(PushInfo) + Send + Sync + 'static,
    ) -> Result<MultiplexedConnection, RedisError> {
        let (host, port) = (address.host.clone(), address.port);
        let connection_address = if self.target.tls {
            // Another one may be there already, and serves as well.
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
        let info = connection_address.into_connection_info()?.set_redis_settings(settings);
        let client = match &self.certificate_authority {
            Some(pem) if self.target.tls => {
                let certificates = TlsCertificates { client_tls: None, root_cert: Some(pem.clone()) };
                Client::build_with_tls(info, certificates)?
            }
            _ => Client::open(info)?,
        };
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(DIAL_TIMEOUT))
            .set_response_timeout(Some(self.response_timeout))
            .set_push_sender(move |told| {
                heard(told);
                Ok::<(), std::convert::Infallible>(())
            });
        client.get_multiplexed_async_connection_with_config(&config).await
    }

    /// Connects to the server at `address`, asks it who it is and gives it the scripts.
    pub(super) async fn dial(&self, address: &Address) -> Result<RedisConnection, RedisFailure> {
        let gone = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&gone);
        let heard = move |push: PushInfo| {
            if push.kind == PushKind::Disconnection {
                told.store(true, Ordering::SeqCst);
            }
        };
        let connection = self.connect(address, heard).await.map_err(RedisFailure::disconnected)?;
        let mut live =
            RedisConnection { connection, gone, incarnation: Arc::new(Mutex::new(Arc::from(""))), info: Arc::default() };
        let mut settings = redis::cmd("CONFIG");
        settings.arg("GET").arg(&["maxmemory-policy", "appendonly", "appendfsync"]);
        let asked = [redis::cmd("INFO"), settings].into_iter().chain(scripts::all().map(Script::load));
        let mut answers = live.pipeline(asked).await?.into_iter();
        let (info, settings) = (answers.next(), answers.next());
        for answer in answers {
            let loaded = answered(answer);
            // A server that is too old refuses the scripts; the checks at the start say so better.
            if let Err(said) = loaded
                && said.code() != Some("ERR")
            {
                return Err(RedisFailure::disconnected(said));
            }
        }
        let info = answered(info.unwrap_or_default()).map_err(RedisFailure::disconnected)?;
        let settings = settings.and_then(|settings| answered(settings).ok());
        let facts = ServerInfo::read(&info, settings).map_err(|_| RedisFailure::not_redis())?;
        live.learn(&facts.run_id);
        live.info = Arc::new(facts);
        Ok(live)
    }
}

impl RedisConnection {
    /// Asks, once.
    pub(super) async fn request(&self, request: &Request) -> Result<Value, RedisFailure> {
        let reply = self.connection.clone().send_packed_command(&request.command(&self.incarnation())).await;
        let reply = reply.and_then(answered).map_err(RedisFailure::of_server)?;
        self.observe_reply(request, &reply);
        Ok(reply)
    }

    /// Asks, once, for a key whose slot is on its way to this server.
    pub(super) async fn request_asking(&self, request: &Request) -> Result<Value, RedisFailure> {
        let command = request.command(&self.incarnation()).into_owned();
        let mut replies = self.pipeline([redis::cmd("ASKING"), command]).await?;
        let reply = answered(replies.pop().unwrap_or_default()).map_err(RedisFailure::of_server)?;
        self.observe_reply(request, &reply);
        Ok(reply)
    }

    /// Asks several things in one go; each has an answer of its own, which may be an error.
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

    /// Gives answers so long.
    pub(super) fn with_timeout(mut self, response_timeout: Duration) -> Self {
        self.connection.set_response_timeout(response_timeout);
        self
    }

    /// The command of a request, as it is sent to this server.
    pub(super) fn command(&self, request: &Request) -> Cmd {
        request.command(&self.incarnation()).into_owned()
    }

    /// Takes from a reply what it says of the server.
    pub(super) fn observe_reply(&self, request: &Request, reply: &Value) {
        if let (Request::Call(call), Value::Array(values)) = (request, reply)
            && call.takes_incarnation()
            && let Some(life) = values.first().and_then(reply::text)
        {
            self.learn(life);
        }
    }

    /// Whether the other end is gone.
    pub(super) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::SeqCst)
    }

    /// The server's life, as far as is known.
    pub(super) fn incarnation(&self) -> Arc<str> {
        Arc::clone(&self.incarnation.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether `other` is the same connection.
    pub(super) fn is_incarnation(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.gone, &other.gone)
    }

    fn learn(&self, life: &str) {
        let mut known = self.incarnation.lock().unwrap_or_else(PoisonError::into_inner);
        if **known != *life {
            *known = Arc::from(life);
        }
    }
}

/// An answer, or the error that it is.
pub(super) fn answered(value: Value) -> Result<Value, RedisError> {
    match value {
        Value::ServerError(error) => Err(error.into()),
        value => Ok(value),
    }
}
