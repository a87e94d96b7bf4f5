//! Errors of connections and calls.

use crate::explained;
use portrait_runtime::config::InvalidValue;
use portrait_runtime::peer::PeerError;
use tonic::Status;

/// Failure of a connection or of a call.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address names no server or an unknown role.
    #[error("{0}")]
    Address(String),
    /// A file with a certificate, key or token is unreadable or invalid.
    #[error(transparent)]
    File(#[from] InvalidValue),
    /// The variable `PORTRAIT_TOKEN` does not hold a valid token.
    #[error("PORTRAIT_TOKEN has a value {0}")]
    Token(&'static str),
    /// The connection cannot be prepared with this address and these files.
    #[error(transparent)]
    Peer(#[from] PeerError),
    /// No server accepts connections at the address.
    #[error("no server answers at {url}: {remedy}")]
    Unreachable {
        /// Address of the server.
        url: String,
        /// Remedy, by the cause of the failure.
        remedy: &'static str,
        /// Error of the connection attempt.
        #[source]
        source: tonic::transport::Error,
    },
    /// The call failed with this status.
    #[error("{}", explained(.0))]
    Status(Status),
    /// The stream or batch failed with this status.
    #[error("{}", explained(.0))]
    Failed(Status),
    /// The subscription was refused; a retry cannot succeed.
    #[error("the server refused: {}", explained(.0))]
    Refused(Status),
    /// The server rejected an event or item.
    #[error("{field} was rejected: {message}")]
    Rejected {
        /// Field of the rejected event.
        field: String,
        /// Reason and remedy given by the server.
        message: String,
    },
    /// The stream ended before all events were acknowledged.
    #[error("{accepted} of {sent} events were acknowledged before the stream ended")]
    Unacknowledged {
        /// Number of acknowledged events.
        accepted: usize,
        /// Number of events to send.
        sent: usize,
    },
    /// The server violated the protocol.
    #[error("{0}")]
    Protocol(&'static str),
    /// The server acknowledges records but applies none.
    #[error(
        "the server has applied nothing for {seconds} s and is {behind} records behind: its log has the reason; \
         acknowledged records are applied once it recovers"
    )]
    Stalled {
        /// Time without progress, in seconds.
        seconds: u64,
        /// Number of records not yet applied.
        behind: u64,
    },
}

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        Self::Status(status)
    }
}
