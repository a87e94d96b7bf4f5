//! Transport of a connection: TCP, TCP with TLS, or memory within the process. The first read or write drives the TLS handshake,
//! so a slow handshake blocks only its own connection.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::Accept;
use tokio_rustls::server::TlsStream;

/// Byte stream below a connection.
pub(super) enum Wire {
    /// TCP connection without TLS.
    Tcp(TcpStream),
    /// TLS handshake in progress.
    Handshake(Box<Accept<TcpStream>>),
    /// TLS session after its handshake.
    Tls(Box<TlsStream<TcpStream>>),
    /// In-memory stream of this process to itself.
    InProcess(DuplexStream),
}

impl Wire {
    /// Drives the handshake, if one is in progress.
    fn poll_open(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Self::Handshake(handshake) = self {
            let opened = ready!(Pin::new(&mut **handshake).poll(context));
            *self = Self::Tls(Box::new(opened.inspect_err(|error| {
                tracing::debug!(%error, "TLS handshake failed");
            })?));
        }
        Poll::Ready(Ok(()))
    }
}

/// Dispatches an operation to the stream of the transport.
macro_rules! carried {
    ($wire:expr, $stream:ident => $done:expr) => {
        match $wire {
            Wire::Tcp($stream) => $done,
            Wire::Tls($stream) => $done,
            Wire::InProcess($stream) => $done,
            // Unreachable: each caller completes the handshake first.
            Wire::Handshake(_) => Poll::Pending,
        }
    };
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_open(context))?;
        carried!(&mut *self, stream => Pin::new(stream).poll_read(context, buffer))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_open(context))?;
        carried!(&mut *self, stream => Pin::new(stream).poll_write(context, bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_open(context))?;
        carried!(&mut *self, stream => Pin::new(stream).poll_write_vectored(context, slices))
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tcp(stream) => stream.is_write_vectored(),
            Self::InProcess(stream) => stream.is_write_vectored(),
            Self::Handshake(_) | Self::Tls(_) => true,
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_open(context))?;
        carried!(&mut *self, stream => Pin::new(stream).poll_flush(context))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            // No application bytes were exchanged, so none can be lost.
            Self::Handshake(_) => Poll::Ready(Ok(())),
            other => carried!(other, stream => Pin::new(stream).poll_shutdown(context)),
        }
    }
}
