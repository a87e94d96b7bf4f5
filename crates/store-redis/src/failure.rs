//! Failures of requests to Redis: for each one, whether the request was done, how to recover, and the error of the contract. One
//! place, so that every request recovers in the same way.

use portrait_store::Error;
use redis::{ErrorKind, RedisError};
use std::fmt;

/// Failure of a request to Redis.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum RedisFailure {
    /// Error reply of the server, or loss of the connection.
    #[error("request to redis failed")]
    Server(#[source] RedisError),
    /// No connection; nothing was sent.
    #[error("no connection to redis")]
    Disconnected(#[source] RedisError),
    /// Write that too few replicas or disks confirmed in time.
    #[error("{reached} of {wanted} copies confirmed after {timeout_ms} ms")]
    TooFewCopies {
        /// Number of replicas or disks that confirmed.
        reached: i64,
        /// Number of required confirmations.
        wanted: i64,
        /// Duration of the wait in milliseconds.
        timeout_ms: u128,
    },
    /// Full queue of the connection that waits for replicas or the disk; nothing was sent.
    #[error("the queue of writes that wait for replicas or the disk is full")]
    Overloaded,
    /// Server whose settings do not put writes on disk, or do not report when.
    #[error("the server's settings do not keep writes on disk")]
    NotPersistent,
    /// Server that is a replica now, whose data may be old.
    #[error("the server is a replica")]
    NotPrimary,
    /// Slot without a known server.
    #[error("no server is known for slot {slot}")]
    SlotUnassigned {
        /// Number of the slot.
        slot: u16,
    },
}

/// Recovery from a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Recovery {
    /// Refresh the map and retry. Nothing was done: another server owns the slot, or will soon.
    RefreshSlots,
    /// Send to the server of the redirect. Nothing was done: the key has moved already while its slot moves.
    FollowAsk,
    /// Retry after a pause. Nothing was done: the server is busy or still loading.
    RetryLater,
    /// Load the scripts and retry. Nothing was done: the server does not have them.
    LoadScripts,
    /// Report that the store is full. Nothing was done: no memory is left.
    ReportFull,
    /// Report the failure. Nothing was done, and a retry will not help.
    GiveUp,
    /// Report the failure. The reply was lost or late: the request may have been done.
    OutcomeUnknown,
    /// Report the failure. The write was done, without the required durability.
    ReportUnacked,
}

impl RedisFailure {
    /// Returns the failure of a request that was sent.
    pub(super) fn of_server(error: RedisError) -> Self {
        Self::Server(error)
    }

    /// Returns the failure of a connection attempt.
    pub(super) fn disconnected(error: RedisError) -> Self {
        Self::Disconnected(error)
    }

    /// Returns the failure of a peer that does not speak the protocol of Redis.
    pub(super) fn not_redis() -> Self {
        Self::Disconnected(RedisError::from((ErrorKind::InvalidClientConfig, "the server is not redis")))
    }

    /// Returns how to recover.
    pub(super) fn recovery(&self) -> Recovery {
        let error = match self {
            Self::TooFewCopies { .. } => return Recovery::ReportUnacked,
            Self::Overloaded | Self::NotPersistent => return Recovery::GiveUp,
            // Both are states of a fail-over, which a newer map resolves.
            Self::SlotUnassigned { .. } | Self::NotPrimary => return Recovery::RefreshSlots,
            Self::Disconnected(error) => {
                return if is_refusal(error) { Recovery::GiveUp } else { Recovery::RefreshSlots };
            }
            Self::Server(error) => error,
        };
        // Only an error with a code is a reply of the server, which proves that nothing was done.
        match error.code() {
            Some("MOVED" | "READONLY" | "CLUSTERDOWN" | "MASTERDOWN") => Recovery::RefreshSlots,
            Some("ASK") => Recovery::FollowAsk,
            Some("TRYAGAIN" | "LOADING" | "BUSY") => Recovery::RetryLater,
            Some("NOSCRIPT") => Recovery::LoadScripts,
            // Retrying does not free memory; trims by the owners do.
            Some("OOM") => Recovery::ReportFull,
            Some(_) => Recovery::GiveUp,
            None => Recovery::OutcomeUnknown,
        }
    }

    /// Returns the error of the contract.
    pub(super) fn into_error(self) -> Error {
        match &self {
            Self::Server(error) if error.code() == Some("OOM") => Error::Full {
                detail: "redis has used up its maxmemory: raise it, or shorten retention so that trims free memory"
                    .to_owned(),
            },
            Self::Server(error) if error.code() == Some("WRONGTYPE") => Error::Damaged {
                detail: "a key of the store holds another type: give the store a prefix of its own".to_owned(),
            },
            Self::NotPersistent => Error::Incompatible {
                detail: "redis does not report when a write is on disk: set appendonly yes and appendfsync always there, or \
                         ingest.acknowledge to memory here, or store.accept_unsafe"
                    .to_owned(),
            },
            _ => Error::unavailable(self),
        }
    }
}

/// Returns whether every further connection attempt will be refused too.
pub(super) fn is_refusal(error: &RedisError) -> bool {
    matches!(error.kind(), ErrorKind::AuthenticationFailed | ErrorKind::InvalidClientConfig)
        || matches!(error.code(), Some("NOAUTH" | "WRONGPASS" | "NOPERM"))
}

/// Reply of an unexpected form; the value names the request.
#[derive(Debug)]
pub(super) struct UnexpectedReply(pub(super) &'static str);

impl fmt::Display for UnexpectedReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unexpected form of the reply to {}", self.0)
    }
}

impl From<UnexpectedReply> for Error {
    fn from(unexpected: UnexpectedReply) -> Self {
        Self::Damaged { detail: unexpected.to_string() }
    }
}

impl From<RedisFailure> for Error {
    fn from(failure: RedisFailure) -> Self {
        failure.into_error()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(code: &str) -> RedisFailure {
        let error = redis::make_extension_error(code.to_owned(), Some("detail".to_owned()));
        RedisFailure::of_server(error)
    }

    #[test]
    fn recovery_distinguishes_requests_not_done_from_unknown_outcomes() {
        let lost = RedisError::from(std::io::Error::from(std::io::ErrorKind::ConnectionReset));
        let refused = RedisError::from((ErrorKind::AuthenticationFailed, "no"));
        let rows = [
            (server("MOVED"), Recovery::RefreshSlots),
            (server("READONLY"), Recovery::RefreshSlots),
            (server("CLUSTERDOWN"), Recovery::RefreshSlots),
            (server("LOADING"), Recovery::RetryLater),
            (server("TRYAGAIN"), Recovery::RetryLater),
            (server("NOSCRIPT"), Recovery::LoadScripts),
            (server("OOM"), Recovery::ReportFull),
            (server("MISCONF"), Recovery::GiveUp),
            (RedisFailure::of_server(lost.clone()), Recovery::OutcomeUnknown),
            (RedisFailure::disconnected(lost), Recovery::RefreshSlots),
            (RedisFailure::disconnected(refused), Recovery::GiveUp),
        ];
        for (failure, recovery) in rows {
            assert_eq!(failure.recovery(), recovery, "{failure:?}");
            let full = recovery == Recovery::ReportFull;
            match failure.into_error() {
                Error::Full { .. } => assert!(full),
                error => assert!(!full && error.is_retryable(), "{error:?}"),
            }
        }
    }
}
