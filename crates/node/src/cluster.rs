//! How the processes of a deployment call each other. In come files, out go connections to other roles that show what is in them; a
//! room that is in this process is called without leaving it.

use portrait_runtime::InProcessConnector;
use portrait_runtime::config::InvalidValue;
use portrait_runtime::peer::{Credentials, CredentialKeys, Peer, PeerError};
use portrait_runtime::server::ServerConfig;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use tokio_util::sync::CancellationToken;

/// What messages call the files.
const KEYS: CredentialKeys = CredentialKeys {
    ca: "cluster.ca",
    certificate: "cluster.certificate",
    key: "cluster.key",
    token_file: "cluster.token_file",
};
/// The same where the server's own certificate is shown.
const SERVER_KEYS: CredentialKeys = CredentialKeys { certificate: "server.tls_certificate", key: "server.tls_key", ..KEYS };

/// What this process shows when it calls others of its deployment, and by what it knows them.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClusterConfig {
    /// A file with the certificates, in PEM, of those who sign the other processes'; empty: those whom the system trusts. For
    /// addresses that begin with `https://`.
    pub ca: PathBuf,
    /// A file with the certificate that this process shows, in PEM; empty: `server.tls_certificate`, which must then be good for
    /// callers too.
    pub certificate: PathBuf,
    /// A file with the private key of that certificate, in PEM.
    pub key: PathBuf,
    /// A file with the token that this process shows, with the roles `read` and `admin`, and nothing else in it; empty: none.
    pub token_file: PathBuf,
}

impl ClusterConfig {
    /// The files, for a process that listens as `server` says.
    ///
    /// # Errors
    /// If one of certificate and key is named without the other.
    pub(crate) fn credentials(&self, server: &ServerConfig) -> Result<Credentials, InvalidValue> {
        let own = Credentials::of(KEYS, &self.ca, (&self.certificate, &self.key), &self.token_file)?;
        if own.has_identity() {
            return Ok(own);
        }
        let servers = (server.tls_certificate.as_path(), server.tls_key.as_path());
        Credentials::of(SERVER_KEYS, &self.ca, servers, &self.token_file)
    }

    /// A connection to `url`, or to this process if that is empty.
    pub(crate) fn peer(
        &self,
        url: &str,
        door: &InProcessConnector,
        server: &ServerConfig,
        end: &CancellationToken,
    ) -> Result<Peer, PeerError> {
        if url.is_empty() {
            return Ok(door.channel().into());
        }
        Peer::watching(url, self.credentials(server)?, server.reload_interval.duration(), end.clone())
    }
}
