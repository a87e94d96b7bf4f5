//! The way of a process to itself. In comes a call of one of its rooms to another, out goes a connection in memory to the same
//! server: through every layer, without port, TLS or token. Nobody else can come this way.

use hyper_util::rt::TokioIo;
use tokio::io::DuplexStream;
use tokio::sync::mpsc;
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;

/// Bytes that may be under way in each direction.
const BUFFER: usize = 256 << 10;
/// Connections that may wait to be taken.
const WAITING: usize = 8;

/// The way in.
#[derive(Clone, Debug)]
pub struct Door(mpsc::Sender<DuplexStream>);

/// Those who came in.
pub(crate) struct Visitors(mpsc::Receiver<DuplexStream>);

/// A door and what is behind it.
pub(crate) fn new() -> (Door, Visitors) {
    let (sender, receiver) = mpsc::channel(WAITING);
    (Door(sender), Visitors(receiver))
}

impl Door {
    /// Calls of this process to itself.
    pub fn channel(&self) -> Channel {
        let door = self.0.clone();
        Endpoint::from_static("http://inside").connect_with_connector_lazy(service_fn(move |_| {
            let door = door.clone();
            async move {
                let (ours, theirs) = tokio::io::duplex(BUFFER);
                let gone = |_| std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
                door.send(theirs).await.map_err(gone)?;
                Ok::<_, std::io::Error>(TokioIo::new(ours))
            }
        }))
    }
}

impl Visitors {
    /// The next one; none when every door is gone.
    pub(crate) async fn next(&mut self) -> Option<DuplexStream> {
        self.0.recv().await
    }
}
