//! Reasons for which a deployment cannot be called, or a call brings nothing.

use portrait_runtime::config::InvalidValue;
use portrait_runtime::peer::PeerError;
use tonic::Status;

/// Failure of a connection or of a call.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An address names no server, or a role that does not exist.
    #[error("{0}")]
    Address(String),
    /// A file of certificates, a key or a token is wrong.
    #[error(transparent)]
    File(#[from] InvalidValue),
    /// The variable `PORTRAIT_TOKEN` has no token in it.
    #[error("PORTRAIT_TOKEN has a value {0}")]
    Token(&'static str),
    /// A connection cannot be prepared with the address and the files.
    #[error(transparent)]
    Peer(#[from] PeerError),
    /// A server does not answer.
    #[error(
        "no server answers at {url}: start one with `portrait serve`, or name another with --to{certificates}"
    )]
    Unreachable {
        /// Address of the server.
        url: String,
        /// Remedy in addition, if the address asks for TLS; empty if not.
        certificates: &'static str,
        /// Failure of the connection.
        #[source]
        source: tonic::transport::Error,
    },
    /// A call ended with a status.
    #[error(transparent)]
    Status(#[from] Status),
    /// A stream ended with a status.
    #[error("the server answered {:?}: {}", .0.code(), .0.message())]
    Answered(Status),
    /// A subscription was refused for good.
    #[error("the server refused: {}", .0.message())]
    Refused(Status),
    /// An event or an item was rejected.
    #[error("{field} was rejected: {message}")]
    Rejected {
        /// Field of the rejected event.
        field: String,
        /// Reason and remedy, as the server gives them.
        message: String,
    },
    /// A stream ended before every event was acknowledged.
    #[error("{accepted} of {sent} events were acknowledged before the stream ended")]
    Unacknowledged {
        /// Events that were acknowledged.
        accepted: usize,
        /// Events that were to be sent.
        sent: usize,
    },
    /// A server broke the protocol.
    #[error("{0}")]
    Protocol(&'static str),
    /// A server acknowledges and does not apply.
    #[error(
        "the server has applied nothing for {seconds} s and {behind} records wait: its log says why, and what it \
         acknowledged is applied when it goes on"
    )]
    Standstill {
        /// Seconds without a record applied.
        seconds: u64,
        /// Records that are not applied yet.
        behind: u64,
    },
}
