//! One connection. It closes itself on cancellation, after the handshake deadline, when idle for too long, and at its maximum
//! age. Only the first bytes are inspected, to detect the end of the first request head or preface.

use super::handshake_deadline::HandshakeDeadline;
use super::limiter::ConnectionSlot;
use super::wire::Wire;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::transport::server::Connected;

/// Connection with its deadlines.
pub(crate) struct Connection {
    wire: Wire,
    close: Pin<Box<WaitForCancellationFutureOwned>>,
    /// `None` once the first head or preface is complete.
    handshake_deadline: Option<HandshakeDeadline>,
    idle: Option<IdleTimer>,
    /// Fires at the maximum age.
    aged: Option<Pin<Box<Sleep>>>,
    closed: bool,
    /// `None` for in-process connections.
    slot: Option<Arc<ConnectionSlot>>,
    /// The first complete request admits the connection. Otherwise the layers of the calls do.
    admits_requests: bool,
}

/// Origin of a connection, attached to each of its calls.
#[derive(Clone)]
pub(crate) enum PeerOrigin {
    /// Peer that connected to the port, with the slot of the connection.
    Port(Arc<ConnectionSlot>),
    /// This process, through its own connector.
    InProcess,
}

/// Timer of the time without incoming bytes.
struct IdleTimer {
    limit: Duration,
    over: Pin<Box<Sleep>>,
    /// Bytes arrived since `over` was set.
    active: bool,
}

impl Connection {
    /// Creates a connection that closes when `close` is cancelled.
    pub(super) fn new(wire: Wire, close: CancellationToken) -> Self {
        let close = Box::pin(close.cancelled_owned());
        Self {
            wire,
            close,
            handshake_deadline: None,
            idle: None,
            aged: None,
            closed: false,
            slot: None,
            admits_requests: true,
        }
    }

    /// Attaches a slot, which the connection keeps if it completes its handshake in time.
    pub(super) fn at(self, slot: ConnectionSlot, handshake: Duration, admits_requests: bool) -> Self {
        let handshake_deadline = Some(HandshakeDeadline::new(handshake));
        Self { slot: Some(Arc::new(slot)), handshake_deadline, admits_requests, ..self }
    }

    /// Adds a limit on the time without incoming bytes.
    pub(super) fn idle(self, limit: Duration) -> Self {
        Self {
            idle: Some(IdleTimer { limit, over: Box::pin(tokio::time::sleep(limit)), active: false }),
            ..self
        }
    }

    /// Adds a maximum age.
    pub(super) fn aged(self, limit: Duration) -> Self {
        Self { aged: Some(Box::pin(tokio::time::sleep(limit))), ..self }
    }

    /// Polls the deadlines; `true` if this side has closed the connection.
    fn is_closed(&mut self, context: &mut Context<'_>) -> bool {
        // Kept, since a deadline that has passed must not be polled again.
        self.closed = self.closed
            || self.close.as_mut().poll(context).is_ready()
            || self.handshake_deadline.as_mut().is_some_and(|deadline| deadline.is_over(context))
            || self.idle.as_mut().is_some_and(|idle| idle.is_over(context))
            || self.aged.as_mut().is_some_and(|aged| aged.as_mut().poll(context).is_ready());
        self.closed
    }

    fn record_activity(&mut self, bytes: &[u8]) {
        if let Some(idle) = &mut self.idle {
            idle.active = true;
        }
        if self.handshake_deadline.as_mut().is_some_and(|deadline| deadline.observe(bytes)) {
            self.handshake_deadline = None;
            if let Some(slot) = self.slot.as_ref().filter(|_| self.admits_requests) {
                slot.admit();
            }
        }
    }
}

impl IdleTimer {
    /// Polls the timer; `true` if no bytes arrived within the limit.
    fn is_over(&mut self, context: &mut Context<'_>) -> bool {
        // The timer is reset when it is polled, not for each read: resetting takes the lock of the timer wheel.
        if std::mem::take(&mut self.active) {
            self.over.as_mut().reset(Instant::now() + self.limit);
        }
        self.over.as_mut().poll(context).is_ready()
    }
}

fn aborted<T>() -> Poll<io::Result<T>> {
    Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()))
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.closed {
            return aborted();
        }
        let before = buffer.filled().len();
        match Pin::new(&mut self.wire).poll_read(context, buffer) {
            // Deadlines are polled only while nothing is readable: a busy connection pays nothing for its timers. The deadline of
            // the handshake still holds, since `is_closed` never resets it.
            Poll::Pending if self.is_closed(context) => aborted(),
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(())) => {
                self.record_activity(&buffer.filled()[before..]);
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => {
                self.closed = true;
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
        if self.closed { aborted() } else { Pin::new(&mut self.wire).poll_write(context, bytes) }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.closed { aborted() } else { Pin::new(&mut self.wire).poll_write_vectored(context, slices) }
    }

    fn is_write_vectored(&self) -> bool {
        self.wire.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.closed { aborted() } else { Pin::new(&mut self.wire).poll_flush(context) }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.closed { Poll::Ready(Ok(())) } else { Pin::new(&mut self.wire).poll_shutdown(context) }
    }
}

impl Connected for Connection {
    type ConnectInfo = PeerOrigin;

    fn connect_info(&self) -> PeerOrigin {
        self.slot.as_ref().map_or(PeerOrigin::InProcess, |slot| PeerOrigin::Port(Arc::clone(slot)))
    }
}
