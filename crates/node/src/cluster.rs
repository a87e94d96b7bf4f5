//! Calls between the processes of a deployment: credentials, and connections to other roles. A service of the same process is
//! called through the in-process connector.

use portrait_runtime::InProcessConnector;
use portrait_runtime::config::InvalidValue;
use portrait_runtime::peer::{CredentialKeys, Credentials, Peer, PeerError};
use portrait_runtime::server::ServerConfig;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use tokio_util::sync::CancellationToken;

/// Configuration keys of the credential files, for error messages.
const KEYS: CredentialKeys = CredentialKeys {
    ca: "cluster.ca",
    certificate: "cluster.certificate",
    key: "cluster.key",
    token_file: "cluster.token_file",
};
/// Keys if the server's configured certificate serves as client certificate.
const SERVER_KEYS: CredentialKeys =
    CredentialKeys { certificate: "server.tls_certificate", key: "server.tls_key", ..KEYS };

/// Section `[cluster]`: credentials for calls to other processes of the deployment.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClusterConfig {
    /// File with the CA certificates of the other processes, in PEM; empty: the system's trust store. Applies to `https://`
    /// addresses.
    pub ca: PathBuf,
    /// File with the client certificate of this process, in PEM; empty: `server.tls_certificate`, which must then be valid for
    /// client authentication too.
    pub certificate: PathBuf,
    /// File with the private key of that certificate, in PEM.
    pub key: PathBuf,
    /// File that holds only the token of this process, with the roles `read` and `admin`; empty: no token.
    pub token_file: PathBuf,
}

impl ClusterConfig {
    /// Returns the credentials of a process with this `server` section.
    ///
    /// # Errors
    /// If one of certificate and key is given without the other.
    pub(crate) fn credentials(&self, server: &ServerConfig) -> Result<Credentials, InvalidValue> {
        let configured = Credentials::of(KEYS, &self.ca, (&self.certificate, &self.key), &self.token_file)?;
        // Without a client certificate of its own the process presents its server certificate: one Secret a pod is enough.
        if configured.has_identity() {
            return Ok(configured);
        }
        let server_identity = (server.tls_certificate.as_path(), server.tls_key.as_path());
        Credentials::of(SERVER_KEYS, &self.ca, server_identity, &self.token_file)
    }

    /// Returns a peer for `url`, or for this process if `url` is empty.
    pub(crate) fn peer(
        &self,
        url: &str,
        connector: &InProcessConnector,
        server: &ServerConfig,
        end: &CancellationToken,
    ) -> Result<Peer, PeerError> {
        if url.is_empty() {
            return Ok(connector.channel().into());
        }
        Peer::watching(url, self.credentials(server)?, server.reload_interval.duration(), end.clone())
    }
}
