//! The connections of one port. In comes a listener, out come connections: no more at once than there is room for, with TLS if
//! there is to be, and all of them cut when the time to drain is over. A handshake is made by the connection itself, so that one
//! that takes its time holds up no other. Beside those of the port come those of the process to itself, by its [`Door`].

mod connection;
mod door;
mod opening;
mod places;
mod wire;

use crate::tls::Handshakes;
use axum::serve::Listener;
pub(crate) use connection::{Connection, Origin};
pub use door::Door;
pub(crate) use door::{Visitors, new as door};
use places::Places;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use wire::Wire;

/// A port.
pub(crate) struct Connections {
    listener: TcpListener,
    /// A place for each connection; one more waits until another ends.
    places: Places,
    limits: Limits,
    /// What handshakes are made with; none without TLS.
    handshakes: Option<Handshakes>,
    cut: CancellationToken,
}

/// What every connection of a port must keep to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// How many there may be.
    pub(crate) max: usize,
    /// How long one may take to say what it wants, its handshake included.
    pub(crate) opening: Duration,
    /// How long it may say nothing; `None` where the protocol itself asks whether somebody is there.
    pub(crate) idle: Option<Duration>,
    /// How old it may become.
    pub(crate) age: Option<Duration>,
}

impl Connections {
    /// Takes a listener. Cancelling `cut` ends every connection at once.
    pub(crate) fn new(listener: TcpListener, limits: Limits, cut: CancellationToken) -> Self {
        Self { listener, places: Places::new(limits.max), limits, handshakes: None, cut }
    }

    /// The same with TLS.
    pub(crate) fn secured(self, handshakes: Option<Handshakes>) -> Self {
        Self { handshakes, ..self }
    }

    /// The connections one after the other, and those that come by the door.
    pub(crate) fn into_stream(
        self,
        visitors: Visitors,
    ) -> impl futures::Stream<Item = io::Result<Connection>> {
        let cut = self.cut.clone();
        let inside = futures::stream::unfold(visitors, move |mut visitors| {
            let cut = cut.child_token();
            async move {
                let stream = visitors.next().await?;
                Some((Ok(Connection::new(Wire::Inside(stream), cut)), visitors))
            }
        });
        let port = futures::stream::unfold(self, |mut connections| async {
            let (connection, _) = connections.accept().await;
            Some((Ok(connection), connections))
        });
        futures::stream::select(port, inside)
    }

    fn wire(&self, stream: TcpStream) -> Wire {
        match &self.handshakes {
            None => Wire::Tcp(stream),
            Some(handshakes) => {
                let acceptor = TlsAcceptor::from(handshakes.borrow().clone());
                Wire::Handshake(Box::new(acceptor.accept(stream)))
            }
        }
    }
}

impl Listener for Connections {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        // The library's own listener logs an error such as too many open files and waits before it tries again.
        let (stream, peer) = Listener::accept(&mut self.listener).await;
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection ended before it began");
        }
        // A child of its own, so that connections that wait do not wait for one lock.
        let cut = self.cut.child_token();
        let place = self.places.take(cut.clone()).await;
        let mut connection = Connection::new(self.wire(stream), cut).at(place, self.limits.opening);
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

    /// Longer than a test takes.
    const LONG: Duration = Duration::from_secs(600);

    /// A port with one place, for connections that say what they want in time.
    async fn port(opening: Duration, idle: Option<Duration>, cut: &CancellationToken) -> Connections {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        Connections::new(listener, Limits { max: 1, opening, idle, age: None }, cut.clone())
    }

    #[tokio::test]
    async fn a_connection_that_says_nothing_ends_and_gives_its_place_to_the_next() {
        let limit = Duration::from_millis(20);
        let mut port = port(LONG, Some(limit), &CancellationToken::new()).await;
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
        let mut port = port(LONG, None, &cut).await;
        let address = port.local_addr().expect("a bound port");
        let _caller = TcpStream::connect(address).await.expect("a connection");
        let (mut connection, _) = port.accept().await;
        connection.write_all(b"x").await.expect("not cut yet");
        #[expect(clippy::disallowed_methods, reason = "a test awaits it")]
        let waits = tokio::spawn(async move {
            let read = connection.read_u8().await;
            (read, connection.write_all(b"x").await)
        });
        cut.cancel();
        let (read, written) = waits.await.expect("no panic");
        assert_eq!(read.expect_err("cut").kind(), io::ErrorKind::ConnectionAborted);
        assert_eq!(written.expect_err("cut").kind(), io::ErrorKind::ConnectionAborted);
    }

    #[tokio::test]
    async fn a_connection_that_sends_a_drop_at_a_time_ends_and_one_that_asks_for_something_does_not() {
        let mut port = port(Duration::from_millis(50), None, &CancellationToken::new()).await;
        let address = port.local_addr().expect("a bound port");
        let mut dripping = TcpStream::connect(address).await.expect("a connection");
        let (mut connection, _) = port.accept().await;
        dripping.write_all(b"PRI").await.expect("sent");
        let mut heard = [0; 3];
        connection.read_exact(&mut heard).await.expect("a few bytes");
        let error = connection.read_u8().await.expect_err("the rest never came");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionAborted);
        drop(connection);
        let mut asking = TcpStream::connect(address).await.expect("a connection");
        asking.write_all(b"GET / HTTP/1.1\r\n\r\n").await.expect("sent");
        let (mut connection, _) = port.accept().await;
        let mut head = [0; 18];
        connection.read_exact(&mut head).await.expect("the head");
        let waits = tokio::time::timeout(Duration::from_millis(100), connection.read_u8());
        assert!(waits.await.is_err(), "an answer may take its time");
    }
}
