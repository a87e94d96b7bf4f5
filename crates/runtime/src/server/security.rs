//! What the gRPC port is secured with. In comes the configuration, out go handshakes and tokens, read once and then followed; and a
//! line that says of the port what it lets in.

use super::config::ServerConfig;
use crate::config::Invalid;
use crate::files::Follower;
use crate::tls::{self, Handshakes};
use crate::tokens::Tokens;
use std::sync::Arc;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// What is read of the files that the configuration names.
pub(super) struct Security {
    /// None: no TLS.
    pub(super) handshakes: Option<Handshakes>,
    /// None: every call is let in.
    pub(super) tokens: Option<watch::Receiver<Arc<Tokens>>>,
    tls_follower: Option<Follower<Arc<rustls::ServerConfig>>>,
    tokens_follower: Option<Follower<Arc<Tokens>>>,
    asks_callers: bool,
}

impl ServerConfig {
    /// How connections are made and how calls are let in, as the files say that it names.
    ///
    /// # Errors
    /// The first file that cannot be read or makes no sense.
    pub fn secured(&self) -> Result<(&'static str, String), Invalid> {
        Ok(Security::read(self)?.told())
    }
}

impl Security {
    /// Reads the files.
    ///
    /// # Errors
    /// The first that cannot be read or makes no sense.
    pub(super) fn read(config: &ServerConfig) -> Result<Self, Invalid> {
        let files = tls::Files::of(&config.tls_certificate, &config.tls_key, &config.tls_client_ca)?;
        let asks_callers = files.as_ref().is_some_and(tls::Files::ask_callers);
        let (tls_follower, handshakes) = files.map(tls::Files::follow).transpose()?.unzip();
        let (tokens_follower, tokens) = Tokens::follow(&config.tokens_file)?.unzip();
        Ok(Self { handshakes, tokens, tls_follower, tokens_follower, asks_callers })
    }

    /// Follows the files until `end`.
    pub(super) fn follow(&mut self, config: &ServerConfig, end: &CancellationToken) {
        let every = config.reload_every.duration();
        if let Some(follower) = self.tls_follower.take() {
            tokio::spawn(follower.run(every, end.clone()));
        }
        if let Some(follower) = self.tokens_follower.take() {
            tokio::spawn(follower.run(every, end.clone()));
        }
    }

    /// How connections are made, and how calls are let in.
    pub(super) fn told(&self) -> (&'static str, String) {
        let connections = match (&self.handshakes, self.asks_callers) {
            (None, _) => "plaintext",
            (Some(_), false) => "TLS",
            (Some(_), true) => "TLS with callers' certificates",
        };
        let calls = self.tokens.as_ref().map_or_else(
            || "without a token, from whoever reaches the port".to_owned(),
            |tokens| format!("with one of {} tokens", tokens.borrow().len()),
        );
        (connections, calls)
    }

    /// Says it in the log.
    pub(super) fn say(&self, config: &ServerConfig) {
        let (connections, calls) = self.told();
        if self.tokens.is_none() && !self.asks_callers && !config.listen.ip().is_loopback() {
            tracing::warn!(connections, calls, "gRPC is open: name a file of tokens in server.tokens_file");
        } else {
            tracing::info!(connections, calls, "gRPC listens");
        }
    }
}
