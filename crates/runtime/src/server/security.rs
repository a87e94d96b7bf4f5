//! TLS and tokens of the gRPC port, read at start and reloaded when the files change.

use super::config::ServerConfig;
use crate::config::InvalidValue;
use crate::files::FileWatcher;
use crate::tls::{self, Handshakes};
use crate::tokens::Tokens;
use std::sync::Arc;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// TLS configuration and tokens, with their file watchers.
pub(super) struct Security {
    /// `None` without TLS.
    pub(super) handshakes: Option<Handshakes>,
    /// `None` admits interval call.
    pub(super) tokens: Option<watch::Receiver<Arc<Tokens>>>,
    tls_watcher: Option<FileWatcher<Arc<rustls::ServerConfig>>>,
    tokens_watcher: Option<FileWatcher<Arc<Tokens>>>,
    requires_client_certificates: bool,
}

impl ServerConfig {
    /// Reads the TLS and tokens files and describes them: transport security and authentication.
    ///
    /// # Errors
    /// The first file that cannot be read or is invalid.
    pub fn secured(&self) -> Result<(&'static str, String), InvalidValue> {
        Ok(Security::read(self)?.describe())
    }
}

impl Security {
    /// Reads the files.
    ///
    /// # Errors
    /// The first file that cannot be read or is invalid.
    pub(super) fn read(config: &ServerConfig) -> Result<Self, InvalidValue> {
        let files = tls::TlsFiles::of(&config.tls_certificate, &config.tls_key, &config.tls_client_ca)?;
        let asks_callers = files.as_ref().is_some_and(tls::TlsFiles::require_client_certificates);
        let (tls_watcher, handshakes) = files.map(tls::TlsFiles::follow).transpose()?.unzip();
        let (tokens_watcher, tokens) = Tokens::follow(&config.tokens_file)?.unzip();
        Ok(Self {
            handshakes,
            tokens,
            tls_watcher,
            tokens_watcher,
            requires_client_certificates: asks_callers,
        })
    }

    /// Spawns the file watchers, which end when `end` is cancelled.
    #[expect(clippy::disallowed_methods, reason = "both end when `end` is cancelled")]
    pub(super) fn follow(&mut self, config: &ServerConfig, end: &CancellationToken) {
        let interval = config.reload_interval.duration();
        if let Some(watcher) = self.tls_watcher.take() {
            tokio::spawn(watcher.run(interval, end.clone()));
        }
        if let Some(watcher) = self.tokens_watcher.take() {
            tokio::spawn(watcher.run(interval, end.clone()));
        }
    }

    /// Describes transport security and authentication.
    pub(super) fn describe(&self) -> (&'static str, String) {
        let connections = match (&self.handshakes, self.requires_client_certificates) {
            (None, _) => "plaintext",
            (Some(_), false) => "TLS",
            (Some(_), true) => "TLS with client certificates",
        };
        let calls = self.tokens.as_ref().map_or_else(
            || "open to every caller that reaches the port".to_owned(),
            |tokens| format!("with one of {} tokens", tokens.borrow().len()),
        );
        (connections, calls)
    }

    /// Logs the security of the port; a warning if anyone on the network can call it.
    pub(super) fn log_listening(&self, config: &ServerConfig) {
        let (connections, calls) = self.describe();
        // On the loopback address open access is the default for development.
        if self.tokens.is_none() && !self.requires_client_certificates && !config.listen.ip().is_loopback() {
            tracing::warn!(connections, calls, "gRPC is open to the network: set server.tokens_file");
        } else {
            tracing::info!(connections, calls, "gRPC listens");
        }
    }
}
