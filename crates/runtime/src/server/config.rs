//! How the ports are set. In comes what file, environment and flags say of `[server]`; what types cannot hold is checked here.

use crate::config::{ByteSize, Interval, Invalid};
use crate::tls;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::PathBuf;

/// The least that a header may have: a caller's own few lines and a token.
const HEADER_MIN: u64 = 1 << 10;
/// The most, which every call may cost.
const HEADER_MAX: u64 = 1 << 20;

/// How the process listens.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerConfig {
    /// Where gRPC listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where HTTP listens, for /metrics, /livez and /readyz. It has neither TLS nor tokens: let nobody reach it but who looks
    /// after the process.
    pub http_listen: SocketAddr,
    /// A file with the gRPC port's certificate, and those between it and its signer, in PEM; empty: no TLS.
    pub tls_certificate: PathBuf,
    /// A file with the private key of that certificate, in PEM.
    pub tls_key: PathBuf,
    /// A file with the certificates, in PEM, of those who sign callers': who shows none is not let in. Empty: nobody need show one.
    pub tls_client_ca: PathBuf,
    /// A file with who may call and what for, as `portrait token` prints it; empty: whoever reaches the port.
    pub tokens_file: PathBuf,
    /// How often those files are looked at for changes. Longer: a token that was taken back is good for longer.
    pub reload_every: Interval,
    /// Unary calls that may wait for their answer at once. More: fewer refusals in a burst, and longer waits.
    pub max_calls: usize,
    /// gRPC connections that may be open at once; one more waits until another ends, or takes the place of one that has said
    /// nothing yet. More: more callers, and more memory and open files.
    pub max_connections: usize,
    /// Streams and calls of one connection.
    pub max_streams_per_connection: u32,
    /// How large the headers of one call may be, all together.
    pub max_header: ByteSize,
    /// How long a new connection may take until it has said what it wants, its TLS handshake included.
    pub handshake_timeout: Interval,
    /// How old a connection may become before its caller is asked to make another; 0: as old as it likes. Shorter: calls spread
    /// over new processes sooner, a certificate or token that was taken back is good for less long, and there are more
    /// handshakes; a caller that does not repeat by itself what it had not sent yet is told CANCELLED of it.
    pub connection_age: Interval,
    /// How long calls and streams that are under way may take after that, until the connection is cut.
    pub connection_grace: Interval,
    /// How long a call may wait for the beginning of its answer if the caller sets no deadline.
    pub call_timeout: Interval,
    /// How often an idle connection is asked whether somebody is there.
    pub keepalive: Interval,
    /// How long a process that was told to stop says that it is not ready and still takes calls, before it drains. Longer: who
    /// spreads calls over processes has heard of it before a call is refused, and a stop takes longer.
    pub drain_delay: Interval,
    /// How long calls under way may take after that. Kubernetes must wait longer than both.
    pub drain_grace: Interval,
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
            reload_every: Interval::from_secs(5),
            max_calls: 1024,
            max_connections: 1024,
            max_streams_per_connection: 256,
            max_header: ByteSize::kibibytes(16),
            handshake_timeout: Interval::from_secs(10),
            connection_age: Interval::from_millis(0),
            connection_grace: Interval::from_secs(30),
            call_timeout: Interval::from_secs(30),
            keepalive: Interval::from_secs(30),
            drain_delay: Interval::from_millis(0),
            drain_grace: Interval::from_secs(10),
        }
    }
}

impl ServerConfig {
    /// Checks what types cannot.
    ///
    /// # Errors
    /// The first key whose value makes no sense.
    pub fn validate(&self) -> Result<(), Invalid> {
        let counts = [
            ("server.max_calls", self.max_calls == 0),
            ("server.max_connections", self.max_connections == 0),
            ("server.max_streams_per_connection", self.max_streams_per_connection == 0),
        ];
        let intervals = [
            ("server.call_timeout", self.call_timeout),
            ("server.handshake_timeout", self.handshake_timeout),
            ("server.reload_every", self.reload_every),
        ];
        let intervals = intervals.map(|(key, interval)| (key, interval.as_millis() == 0));
        for (named, remedy) in [(counts, "give it at least 1"), (intervals, "give it at least 1s")] {
            if let Some((key, _)) = named.into_iter().find(|(_, is_zero)| *is_zero) {
                return Err(Invalid::new(key, "is 0", remedy));
            }
        }
        if !(HEADER_MIN..=HEADER_MAX).contains(&self.max_header.bytes()) {
            let problem = format!("is {}", self.max_header);
            return Err(Invalid::new("server.max_header", problem, "give it 1KiB to 1MiB"));
        }
        tls::Files::of(&self.tls_certificate, &self.tls_key, &self.tls_client_ca)?;
        Ok(())
    }
}
