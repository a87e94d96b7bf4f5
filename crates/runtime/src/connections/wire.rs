//! What a connection runs over: TCP as it is, TCP with TLS, or memory within the process. A handshake is made by whoever reads
//! first, so that it holds up nobody else's connection.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::Accept;
use tokio_rustls::server::TlsStream;

/// What carries the bytes.
pub(super) enum Wire {
    /// Without TLS.
    Tcp(TcpStream),
    /// The handshake is under way.
    Handshake(Box<Accept<TcpStream>>),
    /// With TLS.
    Tls(Box<TlsStream<TcpStream>>),
    /// From this process to itself.
    Inside(DuplexStream),
}

impl Wire {
    /// Goes on with the handshake, if there is one.
    fn poll_open(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Self::Handshake(handshake) = self {
            let opened = ready!(Pin::new(&mut **handshake).poll(context));
            *self = Self::Tls(Box::new(opened.inspect_err(|error| {
                tracing::debug!(%error, "a handshake failed");
            })?));
        }
        Poll::Ready(Ok(()))
    }
}

/// Does the same with whatever carries the bytes.
macro_rules! carried {
    ($wire:expr, $stream:ident => $done:expr) => {
        match $wire {
            Wire::Tcp($stream) => $done,
            Wire::Tls($stream) => $done,
            Wire::Inside($stream) => $done,
            // It was opened before, or the call has returned.
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
            Self::Inside(stream) => stream.is_write_vectored(),
            Self::Handshake(_) | Self::Tls(_) => true,
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_open(context))?;
        carried!(&mut *self, stream => Pin::new(stream).poll_flush(context))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            // Nothing was said that could be lost.
            Self::Handshake(_) => Poll::Ready(Ok(())),
            other => carried!(other, stream => Pin::new(stream).poll_shutdown(context)),
        }
    }
}
