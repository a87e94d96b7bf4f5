//! A wire that loses answers: what a store sends reaches the server, and the server's answer does not come back, since the
//! connection breaks in between. In come connections of a store; they go on to one server.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::{CancellationToken, DropGuard};

/// How many bytes are passed on at a time.
const BUFFER_BYTES: usize = 64 << 10;

/// A wire to one server.
pub struct Proxy {
    port: u16,
    /// How many answers are still to be lost.
    to_lose: Arc<AtomicU32>,
    /// Ends it with this value.
    _running: DropGuard,
}

impl Proxy {
    /// A wire to the server on `port` that loses nothing yet.
    ///
    /// # Panics
    /// If there is no free port.
    pub async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let own = listener.local_addr().expect("an address").port();
        let to_lose = Arc::new(AtomicU32::new(0));
        let ended = CancellationToken::new();
        let losing = Arc::clone(&to_lose);
        let passing = async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass(client, port, Arc::clone(&losing)));
            }
        };
        tokio::spawn(ended.clone().run_until_cancelled_owned(passing));
        Self { port: own, to_lose, _running: ended.drop_guard() }
    }

    /// Its address, as a store is opened with.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Loses the answer to the next request, and its connection.
    pub fn lose_an_answer(&self) {
        self.to_lose.fetch_add(1, Ordering::SeqCst);
    }

    /// How many answers are still to be lost.
    pub fn answers_to_lose(&self) -> u32 {
        self.to_lose.load(Ordering::SeqCst)
    }
}

/// Passes everything on between `client` and the server, until one of them ends it or an answer gets lost.
async fn pass(mut client: TcpStream, port: u16, to_lose: Arc<AtomicU32>) {
    let Ok(mut server) = TcpStream::connect(("127.0.0.1", port)).await else { return };
    let (mut asked, mut answered) = (vec![0; BUFFER_BYTES], vec![0; BUFFER_BYTES]);
    let mut loses_the_next = false;
    loop {
        tokio::select! {
            read = client.read(&mut asked) => {
                let Ok(count @ 1..) = read else { return };
                let one_less = |left: u32| left.checked_sub(1);
                loses_the_next |= to_lose.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less).is_ok();
                if server.write_all(&asked[..count]).await.is_err() {
                    return;
                }
            }
            read = server.read(&mut answered) => {
                let Ok(count @ 1..) = read else { return };
                if loses_the_next || client.write_all(&answered[..count]).await.is_err() {
                    return;
                }
            }
        }
    }
}
