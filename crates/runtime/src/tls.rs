//! TLS of the gRPC port: certificate chain, key and client CA from files. A change of the files applies to new connections.

use crate::config::InvalidValue;
use crate::files::{FileWatch, FileWatcher, WatchedFile};
use crate::pem;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use std::path::Path;
use std::sync::Arc;
use tokio::sync::watch;

/// ALPN protocols: HTTP/2, and HTTP/1.1 for gRPC-web.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// TLS configuration of new handshakes.
pub(crate) type Handshakes = watch::Receiver<Arc<ServerConfig>>;

/// TLS files of a server.
#[derive(Clone, Debug)]
pub(crate) struct TlsFiles {
    certificate: WatchedFile,
    key: WatchedFile,
    client_ca: Option<WatchedFile>,
}

impl TlsFiles {
    /// Creates the files from paths; `None` if all are empty, which means no TLS.
    ///
    /// # Errors
    /// If a file is given without another that it requires.
    pub(crate) fn of(certificate: &Path, key: &Path, client_ca: &Path) -> Result<Option<Self>, InvalidValue> {
        const CERTIFICATE: &str = "server.tls_certificate";
        let remedy = "name a file with the server's certificate chain, in PEM";
        let certificate = WatchedFile::new(CERTIFICATE, certificate, remedy);
        let key = WatchedFile::new(
            "server.tls_key",
            key,
            "name a file with the private key of the certificate, in PEM",
        );
        let remedy = "name a file with the CA certificates of client certificates, in PEM";
        let client_ca = WatchedFile::new("server.tls_client_ca", client_ca, remedy);
        match (certificate, key) {
            (Some(certificate), Some(key)) => Ok(Some(Self { certificate, key, client_ca })),
            (Some(_), None) => Err(InvalidValue::new(
                "server.tls_key",
                "is empty, and server.tls_certificate is not",
                "name the file with its key",
            )),
            (None, Some(_)) => Err(InvalidValue::new(
                CERTIFICATE,
                "is empty, and server.tls_key is not",
                "name the file with its certificate",
            )),
            (None, None) if client_ca.is_some() => Err(InvalidValue::new(
                CERTIFICATE,
                "is empty, and server.tls_client_ca is not",
                "give the server a certificate and a key, or remove the client CA",
            )),
            (None, None) => Ok(None),
        }
    }

    /// Returns `true` if callers must present a client certificate.
    pub(crate) fn require_client_certificates(&self) -> bool {
        self.client_ca.is_some()
    }

    /// Reads the files and returns a watcher for them.
    ///
    /// # Errors
    /// If a file cannot be read, or certificate and key do not match.
    pub(crate) fn follow(self) -> Result<FileWatch<Arc<ServerConfig>>, InvalidValue> {
        let mut files = vec![self.certificate.clone(), self.key.clone()];
        files.extend(self.client_ca.clone());
        FileWatcher::start(files, move |contents, _| self.build(contents).map(Arc::new))
    }

    fn build(&self, contents: &[Vec<u8>]) -> Result<ServerConfig, InvalidValue> {
        // In the order of `follow`: certificate, key, client CA.
        let certificates = pem::certificates(&self.certificate, &contents[0])?;
        let key = pem::private_key(&self.key, &contents[1])?;
        // Named explicitly: the process-wide default provider must not depend on features of other crates.
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| self.certificate.invalid(format_args!("which cannot be served: {error}")))?;
        let builder = match &self.client_ca {
            None => builder.with_no_client_auth(),
            Some(file) => {
                let mut signers = RootCertStore::empty();
                for signer in pem::certificates(file, &contents[2])? {
                    signers.add(signer).map_err(|error| {
                        file.invalid(format_args!("with a certificate that cannot be a CA: {error}"))
                    })?;
                }
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(signers), provider).build();
                let verifier = verifier.map_err(|error| {
                    file.invalid(format_args!("which cannot verify client certificates: {error}"))
                })?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let mut config = builder.with_single_cert(certificates, key).map_err(|error| {
            self.certificate.invalid(format_args!("which does not match its key: {error}"))
        })?;
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_require_each_other_are_named_together() {
        let set = Path::new("/etc/x.pem");
        let empty = Path::new("");
        let rows = [
            ([empty, empty, empty], Ok(false)),
            ([set, set, empty], Ok(true)),
            ([set, empty, empty], Err("server.tls_key")),
            ([empty, set, set], Err("server.tls_certificate")),
            ([empty, empty, set], Err("server.tls_certificate")),
        ];
        for ([certificate, key, client_ca], expected) in rows {
            let files = TlsFiles::of(certificate, key, client_ca);
            assert_eq!(files.map(|files| files.is_some()).map_err(|error| error.key), expected);
        }
    }
}
