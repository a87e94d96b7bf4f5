//! Failures of requests to Redis: for each one, whether the request was done, how to recover, and the error of the contract. One
//! place, so that every request recovers in the same way.

use super::refusal::is_refusal;
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
    /// Server whose settings do not keep what the acknowledgement level of a write promises; nothing was sent.
    #[error("{problem}")]
    PromiseUnmet {
        /// Setting, and the remedy.
        problem: String,
    },
    /// Server that does not allow something, until a person changes a right or a setting.
    #[error("redis refuses {class}: {remedy}")]
    Refused {
        /// Label of the class of the command.
        class: &'static str,
        /// Missing right or setting, as an imperative.
        remedy: String,
        /// Error of the server.
        #[source]
        source: RedisError,
    },
    /// Store that was lost, or is another one; nothing was sent.
    #[error("{problem}")]
    Lost {
        /// Loss, and the remedy.
        problem: String,
    },
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

/// Kind of a failure, for a person: who has to do something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FailureKind {
    /// The server does not allow it: a person has to grant a right or change a setting.
    Refused,
    /// The server or the network is away, or the slots are moving.
    Away,
    /// The server has no memory, time or replicas for it now.
    Overloaded,
    /// Everything else, such as data of another type.
    Other,
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

    /// Returns the kind of the failure.
    pub(super) fn kind(&self) -> FailureKind {
        match self {
            Self::Refused { .. } => FailureKind::Refused,
            Self::Server(error) | Self::Disconnected(error) if is_refusal(error) => FailureKind::Refused,
            Self::Disconnected(_) | Self::NotPrimary | Self::SlotUnassigned { .. } => FailureKind::Away,
            Self::TooFewCopies { .. } | Self::Overloaded => FailureKind::Overloaded,
            Self::PromiseUnmet { .. } | Self::Lost { .. } => FailureKind::Other,
            Self::Server(error) => match error.code() {
                None | Some("MOVED" | "ASK" | "READONLY" | "CLUSTERDOWN") => FailureKind::Away,
                Some("OOM" | "BUSY" | "LOADING" | "MASTERDOWN" | "TRYAGAIN" | "NOREPLICAS" | "MISCONF") => {
                    FailureKind::Overloaded
                }
                Some(_) => FailureKind::Other,
            },
        }
    }

    /// Returns how to recover.
    pub(super) fn recovery(&self) -> Recovery {
        let error = match self {
            Self::TooFewCopies { .. } => return Recovery::ReportUnacked,
            Self::Overloaded | Self::PromiseUnmet { .. } | Self::Refused { .. } | Self::Lost { .. } => {
                return Recovery::GiveUp;
            }
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
            Self::PromiseUnmet { problem } => Error::Incompatible { detail: problem.clone() },
            _ => Error::unavailable(self),
        }
    }
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
    fn failures_are_told_apart_by_who_has_to_act() {
        let lost = RedisError::from(std::io::Error::from(std::io::ErrorKind::ConnectionReset));
        let rows = [
            (FailureKind::Refused, vec!["NOPERM", "NOAUTH", "WRONGPASS"]),
            (FailureKind::Away, vec!["MOVED", "ASK", "READONLY", "CLUSTERDOWN"]),
            (FailureKind::Overloaded, vec!["OOM", "BUSY", "LOADING", "MASTERDOWN", "NOREPLICAS", "MISCONF"]),
            (FailureKind::Other, vec!["WRONGTYPE", "EXECABORT"]),
        ];
        for (kind, codes) in rows {
            for code in codes {
                assert_eq!(server(code).kind(), kind, "{code}");
            }
        }
        for failure in [RedisFailure::of_server(lost.clone()), RedisFailure::disconnected(lost)] {
            assert_eq!(failure.kind(), FailureKind::Away);
        }
        assert_eq!(RedisFailure::Overloaded.kind(), FailureKind::Overloaded);
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
