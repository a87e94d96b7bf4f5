//! What an answer of a server that is an error means: whether the request was done, where it belongs, and what the contract
//! calls it. One place, so that every request recovers in the same way.

use portrait_store::Error;
use redis::{ErrorKind, RedisError};
use std::fmt;

/// Why a request has no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum RedisFailure {
    /// The server said so, or the connection was lost.
    #[error("redis did not do what was asked")]
    Server(#[source] RedisError),
    /// There is no connection, and nothing was sent.
    #[error("no connection to redis")]
    Disconnected(#[source] RedisError),
    /// It was done, and too few keep it to be acknowledged.
    #[error("{reached} of {wanted} copies were there after {timeout_ms} ms")]
    TooFewCopies {
        /// How many keep it: replicas, or disks.
        reached: i64,
        /// How many were asked for.
        wanted: i64,
        /// How long was waited, in milliseconds.
        timeout_ms: u128,
    },
    /// Who would have asked is gone or overloaded.
    #[error("the connection that waits for copies takes nothing more")]
    Overloaded,
    /// The server's settings keep nothing on disk, or nobody knows when.
    #[error("the server's settings do not keep writes on disk")]
    NotPersistent,
    /// The server follows another one now: what it reads may be old.
    #[error("the server is a replica")]
    NotPrimary,
    /// No server is known that has the slot.
    #[error("no server is known that has slot {slot}")]
    SlotUnassigned {
        /// Which.
        slot: u16,
    },
}

/// What to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Recovery {
    /// Nothing was done: another server has the slot now, or will soon.
    RefreshSlots,
    /// Nothing was done: one other server has the key while the slot moves.
    FollowAsk,
    /// Nothing was done: the server is busy, or still reads its disk.
    RetryLater,
    /// Nothing was done: the server forgot the scripts.
    LoadScripts,
    /// Nothing was done: there is no memory left.
    ReportFull,
    /// Nothing was done, and trying again soon will not help.
    GiveUp,
    /// The connection was lost, or the answer did not come in time: it was done or not.
    OutcomeUnknown,
    /// It was done; what was promised of it is not reached.
    ReportUnacked,
}

impl RedisFailure {
    /// A server, or the connection to it, gave that in place of an answer.
    pub(super) fn of_server(said: RedisError) -> Self {
        Self::Server(said)
    }

    /// A connection could not be made.
    pub(super) fn disconnected(said: RedisError) -> Self {
        Self::Disconnected(said)
    }

    /// Whoever listens there does not speak as Redis does.
    pub(super) fn not_redis() -> Self {
        Self::Disconnected(RedisError::from((ErrorKind::InvalidClientConfig, "the server is not redis")))
    }

    /// What to do.
    pub(super) fn recovery(&self) -> Recovery {
        let said = match self {
            Self::TooFewCopies { .. } => return Recovery::ReportUnacked,
            Self::Overloaded | Self::NotPersistent => return Recovery::GiveUp,
            Self::SlotUnassigned { .. } | Self::NotPrimary => return Recovery::RefreshSlots,
            Self::Disconnected(said) => return if is_refusal(said) { Recovery::GiveUp } else { Recovery::RefreshSlots },
            Self::Server(said) => said,
        };
        match said.code() {
            Some("MOVED" | "READONLY" | "CLUSTERDOWN" | "MASTERDOWN") => Recovery::RefreshSlots,
            Some("ASK") => Recovery::FollowAsk,
            Some("TRYAGAIN" | "LOADING" | "BUSY") => Recovery::RetryLater,
            Some("NOSCRIPT") => Recovery::LoadScripts,
            Some("OOM") => Recovery::ReportFull,
            Some(_) => Recovery::GiveUp,
            None => Recovery::OutcomeUnknown,
        }
    }

    /// As the contract calls it.
    pub(super) fn into_error(self) -> Error {
        match &self {
            Self::Server(said) if said.code() == Some("OOM") => Error::Full {
                detail: "redis has used up its maxmemory: raise it, or shorten retention so that trims make room"
                    .to_owned(),
            },
            Self::Server(said) if said.code() == Some("WRONGTYPE") => Error::Damaged {
                detail: "a key of the store holds another type: give the store a prefix of its own".to_owned(),
            },
            Self::NotPersistent => Error::Incompatible {
                detail: "redis does not say when a write is on disk: set appendonly yes and appendfsync always there, or \
                         ingest.acknowledge to memory here, or store.accept_unsafe"
                    .to_owned(),
            },
            _ => Error::unavailable(self),
        }
    }
}

/// Whether a connection will be refused again, whenever it is tried.
pub(super) fn is_refusal(said: &RedisError) -> bool {
    matches!(said.kind(), ErrorKind::AuthenticationFailed | ErrorKind::InvalidClientConfig)
        || matches!(said.code(), Some("NOAUTH" | "WRONGPASS" | "NOPERM"))
}

/// A reply that is not of the form that was asked for.
#[derive(Debug)]
pub(super) struct UnexpectedReply(pub(super) &'static str);

impl fmt::Display for UnexpectedReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "redis answered in a form that {} has not", self.0)
    }
}

impl From<UnexpectedReply> for Error {
    fn from(unexpected: UnexpectedReply) -> Self {
        Self::Damaged { detail: unexpected.to_string() }
    }
}

impl From<RedisFailure> for Error {
    fn from(trouble: RedisFailure) -> Self {
        trouble.into_error()
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
    fn what_was_not_done_is_told_from_what_may_be_done() {
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
        for (trouble, remedy) in rows {
            assert_eq!(trouble.recovery(), remedy, "{trouble:?}");
            let full = remedy == Recovery::ReportFull;
            match trouble.into_error() {
                Error::Full { .. } => assert!(full),
                error => assert!(!full && error.is_retryable(), "{error:?}"),
            }
        }
    }
}
