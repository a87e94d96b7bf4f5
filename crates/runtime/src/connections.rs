//! Connections of one port: a bounded number, with or without TLS, all closed when the drain grace is over. Each connection makes
//! its own handshake when it is first polled, so a slow handshake blocks no other connection. Connections of the process to
//! itself come from its [`InProcessConnector`].

mod connection;
mod handshake_deadline;
mod in_process;
mod limiter;
mod wire;

use crate::tls::Handshakes;
use axum::serve::Listener;
pub(crate) use connection::{Connection, PeerOrigin};
pub use in_process::InProcessConnector;
pub(crate) use in_process::{InProcessAcceptor, new as in_process_pair};
use limiter::ConnectionLimiter;
pub(crate) use limiter::PublicCall;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use wire::Wire;

/// Listener of one port, with limits and TLS.
pub(crate) struct Connections {
    listener: TcpListener,
    /// One slot for each connection; a connection without a slot waits for one.
    limiter: ConnectionLimiter,
    limits: ConnectionLimits,
    /// TLS configuration for new handshakes; `None` without TLS.
    handshakes: Option<Handshakes>,
    close: CancellationToken,
}

/// Limits of all connections of a port.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConnectionLimits {
    /// Maximum number of open connections.
    pub(crate) max: usize,
    /// Time to the end of the first request head or HTTP/2 preface, TLS handshake included.
    pub(crate) handshake: Duration,
    /// Time without incoming bytes; `None` where the protocol has keepalive pings.
    pub(crate) idle: Option<Duration>,
    /// Maximum age of a connection.
    pub(crate) age: Option<Duration>,
    /// A connection gives way until its first complete request; otherwise until its first call is authorised.
    pub(crate) admits_requests: bool,
}

impl Connections {
    /// Creates the connections of a listener. Cancelling `close` closes all of them at once.
    pub(crate) fn new(listener: TcpListener, limits: ConnectionLimits, close: CancellationToken) -> Self {
        Self { listener, limiter: ConnectionLimiter::new(limits.max), limits, handshakes: None, close }
    }

    /// Adds TLS; without handshakes connections stay plaintext.
    pub(crate) fn with_tls(self, handshakes: Option<Handshakes>) -> Self {
        Self { handshakes, ..self }
    }

    /// Stream of the accepted connections, merged with the in-process ones.
    pub(crate) fn into_stream(
        self,
        acceptor: InProcessAcceptor,
    ) -> impl futures::Stream<Item = io::Result<Connection>> {
        let close = self.close.clone();
        let in_process = futures::stream::unfold(acceptor, move |mut acceptor| {
            let close = close.child_token();
            async move {
                let stream = acceptor.accept().await?;
                Some((Ok(Connection::new(Wire::InProcess(stream), close)), acceptor))
            }
        });
        let port = futures::stream::unfold(self, |mut connections| async {
            let (connection, _) = connections.accept().await;
            Some((Ok(connection), connections))
        });
        futures::stream::select(port, in_process)
    }

    fn wire(&self, stream: TcpStream) -> Wire {
        match &self.handshakes {
            None => Wire::Tcp(stream),
            Some(handshakes) => {
                // The current configuration is read for each connection, so a reload applies to the next one.
                let tls = TlsAcceptor::from(handshakes.borrow().clone());
                Wire::Handshake(Box::new(tls.accept(stream)))
            }
        }
    }
}

impl Listener for Connections {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        // The listener of the library logs errors such as too many open files, and waits before the next try.
        let (stream, peer) = Listener::accept(&mut self.listener).await;
        // Without Nagle's algorithm: small responses would wait for the acknowledgement of earlier segments.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "connection closed before the handshake");
        }
        // A child token for each connection avoids contention on the lock of one shared token.
        let close = self.close.child_token();
        let slot = self.limiter.acquire(close.clone()).await;
        let mut connection = Connection::new(self.wire(stream), close);
        connection = connection.at(slot, self.limits.handshake, self.limits.admits_requests);
        if let Some(limit) = self.limits.idle {
            connection = connection.idle(limit);
        }
        if let Some(limit) = self.limits.age {
            connection = connection.aged(limit);
        }
        (connection, peer)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    /// Longer than any test runs.
    const LONG: Duration = Duration::from_secs(600);

    /// Binds a port with one slot.
    async fn port(handshake: Duration, idle: Option<Duration>, close: &CancellationToken) -> Connections {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        Connections::new(
            listener,
            ConnectionLimits { max: 1, handshake, idle, age: None, admits_requests: true },
            close.clone(),
        )
    }

    #[tokio::test]
    async fn an_idle_connection_ends_and_frees_its_slot_for_the_next() {
        let limit = Duration::from_millis(20);
        let mut port = port(LONG, Some(limit), &CancellationToken::new()).await;
        let address = port.local_addr().expect("a bound port");
        let _idle = TcpStream::connect(address).await.expect("a first connection");
        let mut talking = TcpStream::connect(address).await.expect("a second connection");
        talking.write_all(b"x").await.expect("a byte to send");
        let (mut first, _) = port.accept().await;
        let error = first.read_u8().await.expect_err("nothing was sent");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionAborted);
        drop(first);
        let (mut second, _) = port.accept().await;
        assert_eq!(second.read_u8().await.expect("a byte was sent"), b'x');
    }

    #[tokio::test]
    async fn closing_ends_pending_reads_and_later_writes() {
        let close = CancellationToken::new();
        let mut port = port(LONG, None, &close).await;
        let address = port.local_addr().expect("a bound port");
        let _caller = TcpStream::connect(address).await.expect("a connection");
        let (mut connection, _) = port.accept().await;
        connection.write_all(b"x").await.expect("still open");
        #[expect(clippy::disallowed_methods, reason = "a test awaits it")]
        let waits = tokio::spawn(async move {
            let read = connection.read_u8().await;
            (read, connection.write_all(b"x").await)
        });
        close.cancel();
        let (read, written) = waits.await.expect("no panic");
        assert_eq!(read.expect_err("closed").kind(), io::ErrorKind::ConnectionAborted);
        assert_eq!(written.expect_err("closed").kind(), io::ErrorKind::ConnectionAborted);
    }

    #[tokio::test]
    async fn a_slow_handshake_is_closed_and_a_complete_request_is_not() {
        let mut port = port(Duration::from_millis(50), None, &CancellationToken::new()).await;
        let address = port.local_addr().expect("a bound port");
        let mut dripping = TcpStream::connect(address).await.expect("a connection");
        let (mut connection, _) = port.accept().await;
        dripping.write_all(b"PRI").await.expect("sent");
        let mut received = [0; 3];
        connection.read_exact(&mut received).await.expect("a few bytes");
        let error = connection.read_u8().await.expect_err("the rest never came");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionAborted);
        drop(connection);
        let mut requesting = TcpStream::connect(address).await.expect("a connection");
        requesting.write_all(b"GET / HTTP/1.1\r\n\r\n").await.expect("sent");
        let (mut connection, _) = port.accept().await;
        let mut head = [0; 18];
        connection.read_exact(&mut head).await.expect("the head");
        let waits = tokio::time::timeout(Duration::from_millis(100), connection.read_u8());
        assert!(waits.await.is_err(), "no deadline applies to the response");
    }
}
