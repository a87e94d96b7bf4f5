//! TLS on the gRPC port. In come the files of a certificate, its key, and those who sign callers' certificates; out goes what
//! handshakes are made with, made anew when the files change. A connection goes on with what it began with.

use crate::config::Invalid;
use crate::files::{Followed, Follower, Named};
use crate::pem;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use std::path::Path;
use std::sync::Arc;
use tokio::sync::watch;

/// What is spoken inside: HTTP/2, and HTTP/1.1 for gRPC-web.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// What handshakes are made with.
pub(crate) type Handshakes = watch::Receiver<Arc<ServerConfig>>;

/// The files of a server.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    certificate: Named,
    key: Named,
    client_ca: Option<Named>,
}

impl Files {
    /// The files at these paths; none if there is to be no TLS.
    ///
    /// # Errors
    /// If one is named without another that it needs.
    pub(crate) fn of(certificate: &Path, key: &Path, client_ca: &Path) -> Result<Option<Self>, Invalid> {
        const CERTIFICATE: &str = "server.tls_certificate";
        let remedy = "name a file with the server's certificate, and those between it and its signer, in PEM";
        let certificate = Named::new(CERTIFICATE, certificate, remedy);
        let key =
            Named::new("server.tls_key", key, "name a file with the private key of the certificate, in PEM");
        let remedy = "name a file with the certificates of those who sign callers', in PEM";
        let client_ca = Named::new("server.tls_client_ca", client_ca, remedy);
        match (certificate, key) {
            (Some(certificate), Some(key)) => Ok(Some(Self { certificate, key, client_ca })),
            (Some(_), None) => Err(Invalid::new(
                "server.tls_key",
                "is empty, and server.tls_certificate is not",
                "name the file with its key",
            )),
            (None, Some(_)) => Err(Invalid::new(
                CERTIFICATE,
                "is empty, and server.tls_key is not",
                "name the file with its certificate",
            )),
            (None, None) if client_ca.is_some() => Err(Invalid::new(
                CERTIFICATE,
                "is empty, and server.tls_client_ca is not",
                "give the server a certificate and a key, or name nobody who signs callers'",
            )),
            (None, None) => Ok(None),
        }
    }

    /// Whether callers must show a certificate.
    pub(crate) fn ask_callers(&self) -> bool {
        self.client_ca.is_some()
    }

    /// Reads the files, and follows them.
    ///
    /// # Errors
    /// If one cannot be read, or they do not fit together.
    pub(crate) fn follow(self) -> Result<Followed<Arc<ServerConfig>>, Invalid> {
        let mut files = vec![self.certificate.clone(), self.key.clone()];
        files.extend(self.client_ca.clone());
        Follower::begin(files, move |contents, _| self.made(contents).map(Arc::new))
    }

    fn made(&self, contents: &[Vec<u8>]) -> Result<ServerConfig, Invalid> {
        let certificates = pem::certificates(&self.certificate, &contents[0])?;
        let key = pem::private_key(&self.key, &contents[1])?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| self.certificate.invalid(format_args!("which cannot be served: {error}")))?;
        let builder = match &self.client_ca {
            None => builder.with_no_client_auth(),
            Some(file) => {
                let mut signers = RootCertStore::empty();
                for signer in pem::certificates(file, &contents[2])? {
                    let refused =
                        |error| file.invalid(format_args!("with a certificate nobody can sign by: {error}"));
                    signers.add(signer).map_err(refused)?;
                }
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(signers), provider).build();
                let refused = |error| file.invalid(format_args!("by which nobody can be checked: {error}"));
                builder.with_client_cert_verifier(verifier.map_err(refused)?)
            }
        };
        let refused =
            |error| self.certificate.invalid(format_args!("which does not go with its key: {error}"));
        let mut config = builder.with_single_cert(certificates, key).map_err(refused)?;
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_need_each_other_are_named_together() {
        let (set, empty) = (Path::new("/etc/x.pem"), Path::new(""));
        let rows = [
            ([empty, empty, empty], Ok(false)),
            ([set, set, empty], Ok(true)),
            ([set, empty, empty], Err("server.tls_key")),
            ([empty, set, set], Err("server.tls_certificate")),
            ([empty, empty, set], Err("server.tls_certificate")),
        ];
        for ([certificate, key, client_ca], expected) in rows {
            let found = Files::of(certificate, key, client_ca);
            assert_eq!(found.map(|files| files.is_some()).map_err(|error| error.key), expected);
        }
    }
}
