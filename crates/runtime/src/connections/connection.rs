//! One connection. In come and out go bytes; it ends by itself when it is cut, when it has said nothing for too long, and when it
//! is older than it may be. Of what it carries only the first bytes are looked at, for whether a caller has asked for anything.

use super::opening::Opening;
use super::places::Place;
use super::wire::Wire;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::transport::server::Connected;

/// A connection.
pub(crate) struct Connection {
    wire: Wire,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    /// Until it has said what it wants.
    opening: Option<Opening>,
    idle: Option<Idle>,
    /// When it is older than any connection may be.
    aged: Option<Pin<Box<Sleep>>>,
    ended: bool,
    /// None for one from this process to itself.
    place: Option<Place>,
}

/// Whose connection it is, as calls on it are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Somebody who reached the port.
    Port,
    /// This process.
    Inside,
}

/// How long nothing came.
struct Idle {
    limit: Duration,
    over: Pin<Box<Sleep>>,
    /// Whether something came since `over` was set.
    heard: bool,
}

impl Connection {
    /// One that ends when `cut` is cancelled.
    pub(super) fn new(wire: Wire, cut: CancellationToken) -> Self {
        let cut = Box::pin(cut.cancelled_owned());
        Self { wire, cut, opening: None, idle: None, aged: None, ended: false, place: None }
    }

    /// The same in a place, which it keeps if it says in time what it wants.
    pub(super) fn at(self, place: Place, opening: Duration) -> Self {
        Self { place: Some(place), opening: Some(Opening::new(opening)), ..self }
    }

    /// The same, ended when nothing came for so long.
    pub(super) fn idle(self, limit: Duration) -> Self {
        Self { idle: Some(Idle { limit, over: Box::pin(tokio::time::sleep(limit)), heard: false }), ..self }
    }

    /// The same, ended when it is so old.
    pub(super) fn aged(self, limit: Duration) -> Self {
        Self { aged: Some(Box::pin(tokio::time::sleep(limit))), ..self }
    }

    /// Whether the connection was ended from this side. Asked when there is nothing to read, so that a busy connection pays
    /// nothing for it; and while it must still say what it wants, which no drop of bytes may put off.
    fn is_ended(&mut self, context: &mut Context<'_>) -> bool {
        self.ended = self.ended
            || self.cut.as_mut().poll(context).is_ready()
            || self.opening.as_mut().is_some_and(|opening| opening.is_over(context))
            || self.idle.as_mut().is_some_and(|idle| idle.is_over(context))
            || self.aged.as_mut().is_some_and(|aged| aged.as_mut().poll(context).is_ready());
        self.ended
    }

    fn heard(&mut self, bytes: &[u8]) {
        if let Some(idle) = &mut self.idle {
            idle.heard = true;
        }
        if self.opening.as_mut().is_some_and(|opening| opening.hear(bytes)) {
            self.opening = None;
            if let Some(place) = &self.place {
                place.keep();
            }
        }
    }
}

impl Idle {
    /// Whether nothing came for too long.
    fn is_over(&mut self, context: &mut Context<'_>) -> bool {
        if std::mem::take(&mut self.heard) {
            self.over.as_mut().reset(Instant::now() + self.limit);
        }
        self.over.as_mut().poll(context).is_ready()
    }
}

fn ended<T>() -> Poll<io::Result<T>> {
    Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()))
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.ended {
            return ended();
        }
        let before = buffer.filled().len();
        match Pin::new(&mut self.wire).poll_read(context, buffer) {
            Poll::Pending if self.is_ended(context) => ended(),
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(())) => {
                self.heard(&buffer.filled()[before..]);
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => {
                self.ended = true;
                Poll::Ready(Err(error))
            }
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.ended { ended() } else { Pin::new(&mut self.wire).poll_write(context, bytes) }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.ended { ended() } else { Pin::new(&mut self.wire).poll_write_vectored(context, slices) }
    }

    fn is_write_vectored(&self) -> bool {
        self.wire.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.ended { ended() } else { Pin::new(&mut self.wire).poll_flush(context) }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.ended { Poll::Ready(Ok(())) } else { Pin::new(&mut self.wire).poll_shutdown(context) }
    }
}

impl Connected for Connection {
    type ConnectInfo = Origin;

    fn connect_info(&self) -> Origin {
        match self.wire {
            Wire::Inside(_) => Origin::Inside,
            Wire::Tcp(_) | Wire::Handshake(_) | Wire::Tls(_) => Origin::Port,
        }
    }
}
