//! TLS to databases: certificates are always verified, against the roots of the operating system or a CA file.

use super::error::SourceError;
use rustls::ClientConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use std::future::Future;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};
use tokio_rustls::client::TlsStream as RustlsStream;

/// Reads the trusted roots: those of the file, or else those of the operating system.
pub(super) fn trusted_roots(ca_file: Option<&Path>) -> Result<Vec<CertificateDer<'static>>, SourceError> {
    let (place, roots) = match ca_file {
        Some(path) => {
            let place = path.display().to_string();
            let roots = CertificateDer::pem_file_iter(path)
                .and_then(Iterator::collect::<Result<Vec<_>, _>>)
                .map_err(|error| SourceError::TlsRoots {
                    place: place.clone(),
                    source: Some(error.into()),
                })?;
            (place, roots)
        }
        None => ("the operating system".to_owned(), rustls_native_certs::load_native_certs().certs),
    };
    if roots.is_empty() {
        return Err(SourceError::TlsRoots { place, source: None });
    }
    Ok(roots)
}

/// TLS handshake with a PostgreSQL server.
pub(super) struct PostgresTls {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl PostgresTls {
    /// Prepares the handshake with a server whose certificate must be of this host.
    pub(super) fn new(host: &str, ca_file: Option<&Path>) -> Result<Self, SourceError> {
        let mut roots = rustls::RootCertStore::empty();
        // The operating system's roots may hold some that rustls cannot read; the others still count.
        roots.add_parsable_certificates(trusted_roots(ca_file)?);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let unusable = |error: rustls::Error| SourceError::TlsRoots {
            place: "the operating system".to_owned(),
            source: Some(error.into()),
        };
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(unusable)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from(host.to_owned()).map_err(|_| SourceError::Url {
            defect: "the host is no name that a certificate can have".to_owned(),
        })?;
        Ok(Self { config: Arc::new(config), name })
    }
}

impl TlsConnect<TcpStream> for PostgresTls {
    type Stream = PostgresStream;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<PostgresStream>> + Send>>;

    fn connect(self, stream: TcpStream) -> Self::Future {
        let connector = tokio_rustls::TlsConnector::from(self.config);
        Box::pin(async move { Ok(PostgresStream(connector.connect(self.name, stream).await?)) })
    }
}

/// Encrypted stream to a PostgreSQL server.
pub(super) struct PostgresStream(RustlsStream<TcpStream>);

impl TlsStream for PostgresStream {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl AsyncRead for PostgresStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for PostgresStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
