//! In-memory connector from a service to the server of its own process. Calls pass every layer of the stack, without port, TLS
//! or token. No other process can use it.

use hyper_util::rt::TokioIo;
use tokio::io::DuplexStream;
use tokio::sync::mpsc;
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;

/// Bytes buffered in each direction.
const BUFFER: usize = 256 << 10;
/// Connections queued for acceptance.
const BACKLOG: usize = 8;

/// Client end: opens in-memory connections to the server of this process.
#[derive(Clone, Debug)]
pub struct InProcessConnector(mpsc::Sender<DuplexStream>);

/// Server end: accepts in-memory connections.
pub(crate) struct InProcessAcceptor(mpsc::Receiver<DuplexStream>);

/// Creates a connector and its acceptor.
pub(crate) fn new() -> (InProcessConnector, InProcessAcceptor) {
    let (sender, receiver) = mpsc::channel(BACKLOG);
    (InProcessConnector(sender), InProcessAcceptor(receiver))
}

impl InProcessConnector {
    /// Returns a channel that connects on first use.
    pub fn channel(&self) -> Channel {
        let connections = self.0.clone();
        // The host is never resolved; the connector replaces the transport.
        Endpoint::from_static("http://inside").connect_with_connector_lazy(service_fn(move |_| {
            let connections = connections.clone();
            async move {
                let (client, server) = tokio::io::duplex(BUFFER);
                match connections.send(server).await {
                    Ok(()) => Ok(TokioIo::new(client)),
                    // The server has stopped.
                    Err(_) => Err(std::io::Error::from(std::io::ErrorKind::ConnectionRefused)),
                }
            }
        }))
    }
}

impl InProcessAcceptor {
    /// Waits for the next connection; `None` when all connectors are dropped.
    pub(crate) async fn accept(&mut self) -> Option<DuplexStream> {
        self.0.recv().await
    }
}
