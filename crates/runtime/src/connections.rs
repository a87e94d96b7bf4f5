//! The connections of one port. In comes a listener, out come connections: no more at once than there is room for, and all of
//! them cut when the time to drain is over. Nothing here reads a byte of what they carry.

use axum::serve::Listener;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::transport::server::Connected;

/// A port.
pub(crate) struct Connections {
    listener: TcpListener,
    /// A place for each connection; one more waits in the kernel until another ends.
    room: Arc<Semaphore>,
    /// How long a connection may say nothing; `None` where the protocol itself asks whether somebody is there.
    idle_limit: Option<Duration>,
    cut: CancellationToken,
}

/// A connection.
pub(crate) struct Connection {
    stream: TcpStream,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    idle: Option<Idle>,
    ended: bool,
    /// Dropped with the connection: the next one may come.
    _place: OwnedSemaphorePermit,
}

/// How long nothing came.
struct Idle {
    limit: Duration,
    over: Pin<Box<Sleep>>,
    /// Whether something came since `over` was set.
    heard: bool,
}

impl Connections {
    /// Takes a listener. Cancelling `cut` ends every connection at once.
    pub(crate) fn new(
        listener: TcpListener,
        max: usize,
        idle_limit: Option<Duration>,
        cut: CancellationToken,
    ) -> Self {
        Self { listener, room: Arc::new(Semaphore::new(max)), idle_limit, cut }
    }

    /// The connections one after the other.
    pub(crate) fn into_stream(self) -> impl futures::Stream<Item = io::Result<Connection>> {
        futures::stream::unfold(self, |mut connections| async {
            let (connection, _) = connections.accept().await;
            Some((Ok(connection), connections))
        })
    }

    async fn place(&self) -> OwnedSemaphorePermit {
        if self.room.available_permits() == 0 {
            tracing::warn!("every connection that is allowed is open: the next one waits");
        }
        let place = Arc::clone(&self.room).acquire_owned().await;
        place.expect("the room is never closed while its port is open")
    }
}

impl Listener for Connections {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        let place = self.place().await;
        // The library's own listener logs an error such as too many open files and waits before it tries again.
        let (stream, peer) = Listener::accept(&mut self.listener).await;
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection ended before it began");
        }
        let idle = self.idle_limit.map(|limit| Idle {
            limit,
            over: Box::pin(tokio::time::sleep(limit)),
            heard: false,
        });
        // A child of its own, so that connections that wait do not wait for one lock.
        let cut = Box::pin(self.cut.child_token().cancelled_owned());
        (Connection { stream, cut, idle, ended: false, _place: place }, peer)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
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

impl Connection {
    /// Whether the connection was ended from this side. Asked when there is nothing to read, so that a busy connection pays
    /// nothing for it.
    fn is_ended(&mut self, context: &mut Context<'_>) -> bool {
        self.ended = self.ended
            || self.cut.as_mut().poll(context).is_ready()
            || self.idle.as_mut().is_some_and(|idle| idle.is_over(context));
        self.ended
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
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if read.is_pending() {
            return if self.is_ended(context) { ended() } else { Poll::Pending };
        }
        if let Some(idle) = &mut self.idle {
            idle.heard = true;
        }
        read
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.ended { ended() } else { Pin::new(&mut self.stream).poll_write(context, bytes) }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.ended { ended() } else { Pin::new(&mut self.stream).poll_write_vectored(context, slices) }
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl Connected for Connection {
    type ConnectInfo = <TcpStream as Connected>::ConnectInfo;

    fn connect_info(&self) -> Self::ConnectInfo {
        self.stream.connect_info()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    async fn port(max: usize, idle_limit: Option<Duration>, cut: &CancellationToken) -> Connections {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        Connections::new(listener, max, idle_limit, cut.clone())
    }

    #[tokio::test]
    async fn a_connection_that_says_nothing_ends_and_gives_its_place_to_the_next() {
        let mut port = port(1, Some(Duration::from_millis(20)), &CancellationToken::new()).await;
        let address = port.local_addr().expect("a bound port");
        let _silent = TcpStream::connect(address).await.expect("a first connection");
        let mut talking = TcpStream::connect(address).await.expect("a second connection");
        talking.write_all(b"x").await.expect("a byte to send");
        let (mut first, _) = port.accept().await;
        let error = first.read_u8().await.expect_err("nothing was said");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionAborted);
        drop(first);
        let (mut second, _) = port.accept().await;
        assert_eq!(second.read_u8().await.expect("a byte was said"), b'x');
    }

    #[tokio::test]
    async fn a_cut_ends_reads_that_wait_and_writes_that_follow() {
        let cut = CancellationToken::new();
        let mut port = port(1, None, &cut).await;
        let address = port.local_addr().expect("a bound port");
        let _caller = TcpStream::connect(address).await.expect("a connection");
        let (mut connection, _) = port.accept().await;
        connection.write_all(b"x").await.expect("not cut yet");
        let waits = tokio::spawn(async move {
            let read = connection.read_u8().await;
            (read, connection.write_all(b"x").await)
        });
        cut.cancel();
        let (read, written) = waits.await.expect("no panic");
        assert_eq!(read.expect_err("cut").kind(), io::ErrorKind::ConnectionAborted);
        assert_eq!(written.expect_err("cut").kind(), io::ErrorKind::ConnectionAborted);
    }
}
