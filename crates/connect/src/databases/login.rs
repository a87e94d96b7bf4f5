//! Rules of connections, and everything that a driver needs to log in.

use super::error::SourceError;
use super::hosts::AllowedHosts;
use super::password::Password;
use super::url::DatabaseUrl;
use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Rules of a connection.
#[derive(Clone, Debug)]
pub struct ConnectOptions {
    /// Hosts that may be connected to; any by default. Link-local addresses never are.
    pub allow: AllowedHosts,
    /// Whether loopback needs TLS too. Every other host always does.
    pub requires_tls: bool,
    /// PEM file of trusted certificates; by default those of the operating system are trusted.
    pub ca_file: Option<PathBuf>,
    /// Time limit of resolving, connecting and logging in; 10 s by default.
    pub connect_timeout: Duration,
    /// Time limit of each statement; 5 min by default.
    pub statement_timeout: Duration,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self {
            allow: AllowedHosts::any(),
            requires_tls: false,
            ca_file: None,
            connect_timeout: Duration::from_secs(10),
            statement_timeout: Duration::from_secs(300),
        }
    }
}

/// Time limit of statements.
#[derive(Clone, Copy, Debug)]
pub(super) struct TimeLimit(pub(super) Duration);

impl TimeLimit {
    /// Waits for a statement at most as long as the limit.
    pub(super) async fn bound<T>(
        self,
        statement: &'static str,
        work: impl Future<Output = Result<T, SourceError>>,
    ) -> Result<T, SourceError> {
        tokio::time::timeout(self.0, work)
            .await
            .unwrap_or(Err(SourceError::TimedOut { statement, seconds: self.0.as_secs() }))
    }
}

/// Everything that a driver needs to log in.
pub(super) struct Login<'a> {
    pub(super) url: &'a DatabaseUrl,
    pub(super) password: Option<&'a Password>,
    pub(super) options: &'a ConnectOptions,
    /// Checked address of the host.
    pub(super) address: SocketAddr,
}

impl Login<'_> {
    /// Returns whether the connection must be encrypted.
    pub(super) fn needs_tls(&self) -> bool {
        let is_loopback = self.address.ip().to_canonical().is_loopback();
        !is_loopback || self.options.requires_tls || self.url.requires_tls()
    }

    /// Failure to connect.
    pub(super) fn failed(&self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> SourceError {
        let server = format!("{}:{}", self.url.host(), self.url.port());
        SourceError::Connect { server, source: source.into() }
    }
}
