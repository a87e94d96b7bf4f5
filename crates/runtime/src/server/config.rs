//! Section `[server]` of the configuration.

use crate::config::{ByteSize, DurationSetting, InvalidValue};
use crate::tls;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::PathBuf;

/// Minimum of `max_header`: the standard headers of a call and a token.
const HEADER_MIN: u64 = 1 << 10;
/// Minimum of `request_memory`: four requests of the default size.
const MEMORY_MIN: u64 = 32 << 20;
/// Maximum of `max_header`, the memory that each call may cost.
const HEADER_MAX: u64 = 1 << 20;

/// Ports, limits, TLS and drain of a server.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerConfig {
    /// Address of the gRPC port; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Address of the HTTP port, for /metrics, /livez and /readyz. It has neither TLS nor tokens: make it reachable for the
    /// operators' tools only.
    pub http_listen: SocketAddr,
    /// File with the certificate chain of the gRPC port, in PEM; empty: no TLS.
    pub tls_certificate: PathBuf,
    /// File with the private key of that certificate, in PEM.
    pub tls_key: PathBuf,
    /// File with the CA certificates of client certificates, in PEM; callers without one are refused. Empty: no client certificate
    /// is required.
    pub tls_client_ca: PathBuf,
    /// File with tokens and their roles, as `portrait token` prints it; empty: every call is admitted.
    pub tokens_file: PathBuf,
    /// Interval between checks of these files for changes. Longer: a revoked token stays valid for longer.
    pub reload_interval: DurationSetting,
    /// Maximum number of calls in flight whose response has not begun. One caller holds at most a quarter of them, unless
    /// `per_caller` of the tokens file says otherwise; the same holds for streams, connections and subscriptions. Higher: fewer
    /// refusals in a burst, and longer waits.
    pub max_calls: usize,
    /// Maximum number of open streams, subscriptions among them.
    pub max_streams: usize,
    /// Memory for messages that arrive or are handled, all calls together; a message above 16KiB waits for its part. A compressed
    /// message counts as what it may unpack to. Higher: more large requests at once.
    pub request_memory: ByteSize,
    /// Maximum number of open gRPC connections. A further one evicts the oldest connection on which no call was authorised yet,
    /// or waits; a quarter is for connections with an authorised call. Higher: more callers, and more memory and open files.
    pub max_connections: usize,
    /// Maximum number of concurrent streams and calls of one connection.
    pub max_streams_per_connection: u32,
    /// Maximum total size of the headers of one call, 1KiB to 1MiB.
    pub max_header: ByteSize,
    /// Time limit from accepting a connection to its first complete request, TLS handshake included.
    pub handshake_timeout: DurationSetting,
    /// Age at which a connection receives GOAWAY; 0: never. Shorter: calls spread over new processes sooner, a revoked certificate
    /// loses access sooner, and there are more handshakes. A client without transparent retries sees CANCELLED for calls that
    /// it had not sent yet.
    pub connection_age: DurationSetting,
    /// Time for calls and streams in flight after GOAWAY, until the connection is closed.
    pub connection_grace: DurationSetting,
    /// Time limit for a message to arrive, and to the start of the response for callers without a deadline.
    pub call_timeout: DurationSetting,
    /// Time limit to the start of the response for callers with a longer deadline. Longer: a training may take longer, and a
    /// caller holds a place for longer.
    pub call_timeout_max: DurationSetting,
    /// Interval of HTTP/2 keepalive pings; 0: none.
    pub keepalive: DurationSetting,
    /// Time between the signal to stop and the drain, in which the process is not ready but still serves. Longer: load balancers
    /// notice before a call is refused, and a stop takes longer.
    pub drain_delay: DurationSetting,
    /// Time for calls in flight after that. Kubernetes' termination grace period must exceed the sum of both.
    pub drain_grace: DurationSetting,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 50051)),
            http_listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            tls_certificate: PathBuf::new(),
            tls_key: PathBuf::new(),
            tls_client_ca: PathBuf::new(),
            tokens_file: PathBuf::new(),
            reload_interval: DurationSetting::from_secs(5),
            max_calls: 1024,
            max_streams: 1024,
            request_memory: ByteSize::mebibytes(256),
            max_connections: 1024,
            max_streams_per_connection: 256,
            max_header: ByteSize::kibibytes(16),
            handshake_timeout: DurationSetting::from_secs(10),
            connection_age: DurationSetting::from_secs(1800),
            connection_grace: DurationSetting::from_secs(30),
            call_timeout: DurationSetting::from_secs(30),
            call_timeout_max: DurationSetting::from_secs(3600),
            keepalive: DurationSetting::from_secs(30),
            drain_delay: DurationSetting::from_millis(0),
            drain_grace: DurationSetting::from_secs(10),
        }
    }
}

impl ServerConfig {
    /// Checks the values.
    ///
    /// # Errors
    /// The first key with an invalid value.
    pub fn validate(&self) -> Result<(), InvalidValue> {
        let counts = [
            ("server.max_calls", self.max_calls == 0),
            ("server.max_streams", self.max_streams == 0),
            ("server.max_connections", self.max_connections == 0),
            ("server.max_streams_per_connection", self.max_streams_per_connection == 0),
        ];
        let intervals = [
            ("server.call_timeout", self.call_timeout),
            ("server.call_timeout_max", self.call_timeout_max),
            ("server.handshake_timeout", self.handshake_timeout),
            ("server.reload_interval", self.reload_interval),
        ];
        let intervals = intervals.map(|(key, interval)| (key, interval.as_millis() == 0));
        for (zero_checks, remedy) in [(counts, "give it at least 1"), (intervals, "give it at least 1s")] {
            if let Some((key, _)) = zero_checks.into_iter().find(|(_, is_zero)| *is_zero) {
                return Err(InvalidValue::new(key, "is 0", remedy));
            }
        }
        if !(HEADER_MIN..=HEADER_MAX).contains(&self.max_header.bytes()) {
            let problem = format!("is {}", self.max_header);
            return Err(InvalidValue::new("server.max_header", problem, "give it 1KiB to 1MiB"));
        }
        if self.request_memory.bytes() < MEMORY_MIN {
            let problem = format!("is {}", self.request_memory);
            return Err(InvalidValue::new("server.request_memory", problem, "give it at least 32MiB"));
        }
        if self.call_timeout_max.duration() < self.call_timeout.duration() {
            let problem = format!("is {}, less than server.call_timeout", self.call_timeout_max);
            return Err(InvalidValue::new("server.call_timeout_max", problem, "give it at least as much"));
        }
        tls::TlsFiles::of(&self.tls_certificate, &self.tls_key, &self.tls_client_ca)?;
        Ok(())
    }
}
