//! Share of one caller in what stays open: calls in flight, streams, subscriptions, connections, and memory of requests. A rate
//! limits how often a caller begins; a share limits how much it holds, so that no caller takes the places of all others.

use axum::body::Body;
use axum::response::Response;
use http_body_util::BodyExt;
use serde::Deserialize;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use tokio::sync::Semaphore;

/// Part of the server that a caller may hold unless its token says otherwise.
const USUAL_PART: usize = 4;

/// What a caller holds while it is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holding {
    /// Calls whose response has not begun.
    Calls,
    /// Calls that send or receive a stream.
    Streams,
    /// Subscriptions to changes.
    Subscriptions,
    /// Connections on which the caller was the first to be admitted.
    Connections,
}

/// Table `per_caller` of the tokens file. An absent key means a quarter of what the server has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct PerCaller {
    calls: Option<usize>,
    streams: Option<usize>,
    subscriptions: Option<usize>,
    connections: Option<usize>,
}

/// Everything that the callers of one name hold.
#[derive(Debug, Default)]
pub(crate) struct Holdings {
    open: [AtomicUsize; Holding::ALL.len()],
    refused: [AtomicU64; Holding::ALL.len()],
    /// Memory of its requests, in the unit of the server's budget; made by the first request that needs it.
    memory: OnceLock<Arc<Semaphore>>,
}

/// One held place; given back on drop.
#[derive(Debug)]
pub struct Hold {
    holdings: Arc<Holdings>,
    what: Holding,
}

/// Refusal of a place beyond the share of its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the caller holds {limit} {}, its share: end one, or raise per_caller.{} of its token in the tokens file",
    .what.name(), .what.name()
)]
pub struct ShareTaken {
    /// What the caller holds.
    pub what: Holding,
    /// Number that it may hold.
    pub limit: usize,
}

/// Returns the usual part of one caller.
pub(crate) fn usual_part(of: usize) -> usize {
    of / USUAL_PART
}

/// Keeps `held` until the body of a response ends, which may be long after the call that returned it.
pub(crate) fn held_by_body<T: Send + 'static>(response: Response, held: T) -> Response {
    response.map(|body| {
        Body::new(body.map_frame(move |frame| {
            // The closure owns it, and the body the closure.
            let _ = &held;
            frame
        }))
    })
}

impl Holding {
    /// All kinds, in the order of their numbers.
    pub(crate) const ALL: [Self; 4] = [Self::Calls, Self::Streams, Self::Subscriptions, Self::Connections];

    /// Returns the name, as in the tokens file and the metrics.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Calls => "calls",
            Self::Streams => "streams",
            Self::Subscriptions => "subscriptions",
            Self::Connections => "connections",
        }
    }
}

impl PerCaller {
    /// Returns these limits, completed by `defaults`.
    pub(crate) fn or(self, defaults: Self) -> Self {
        Self {
            calls: self.calls.or(defaults.calls),
            streams: self.streams.or(defaults.streams),
            subscriptions: self.subscriptions.or(defaults.subscriptions),
            connections: self.connections.or(defaults.connections),
        }
    }

    /// Returns the key of a limit of 0, which would refuse everything.
    pub(crate) fn zero(self) -> Option<&'static str> {
        Holding::ALL.into_iter().find(|what| self.set(*what) == Some(0)).map(Holding::name)
    }

    /// Returns how many of the server's `places` the caller may hold.
    pub(crate) fn limit(self, what: Holding, places: usize) -> usize {
        self.set(what).unwrap_or(usual_part(places).max(1))
    }

    fn set(self, what: Holding) -> Option<usize> {
        match what {
            Holding::Calls => self.calls,
            Holding::Streams => self.streams,
            Holding::Subscriptions => self.subscriptions,
            Holding::Connections => self.connections,
        }
    }
}

impl Holdings {
    /// Takes one of `limit` places.
    ///
    /// # Errors
    /// [`ShareTaken`] if all of them are held.
    pub(crate) fn hold(self: &Arc<Self>, what: Holding, limit: usize) -> Result<Hold, ShareTaken> {
        let open = &self.open[what as usize];
        let more = |open: usize| (open < limit).then_some(open + 1);
        match open.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more) {
            Ok(_) => Ok(Hold { holdings: Arc::clone(self), what }),
            Err(_) => {
                self.refused[what as usize].fetch_add(1, Ordering::Relaxed);
                Err(ShareTaken { what, limit })
            }
        }
    }

    /// Returns the memory for requests of the caller, its usual part of `budget`.
    pub(crate) fn memory(&self, budget: usize) -> &Arc<Semaphore> {
        self.memory.get_or_init(|| Arc::new(Semaphore::new(usual_part(budget))))
    }

    /// Returns the number of open places.
    pub(crate) fn open(&self, what: Holding) -> usize {
        self.open[what as usize].load(Ordering::Relaxed)
    }

    /// Returns the number of refused places.
    pub(crate) fn refused(&self, what: Holding) -> u64 {
        self.refused[what as usize].load(Ordering::Relaxed)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.holdings.open[self.what as usize].fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_holds_its_share_and_no_more_and_gets_back_what_it_gives_back() {
        let holdings = Arc::new(Holdings::default());
        let first = holdings.hold(Holding::Streams, 2).expect("a place");
        let _second = holdings.hold(Holding::Streams, 2).expect("a place");
        let refused = holdings.hold(Holding::Streams, 2).expect_err("its share is taken");
        assert!(
            refused.to_string().contains("2 streams") && refused.to_string().contains("per_caller.streams")
        );
        let _other_kind = holdings.hold(Holding::Calls, 1).expect("another kind");
        drop(first);
        let _third = holdings.hold(Holding::Streams, 2).expect("the place that was given back");
        assert_eq!((holdings.open(Holding::Streams), holdings.refused(Holding::Streams)), (2, 1));
        assert_eq!((holdings.open(Holding::Calls), holdings.refused(Holding::Calls)), (1, 0));
    }

    #[test]
    fn a_share_is_a_quarter_unless_the_token_or_the_file_says_otherwise() {
        let file = PerCaller { calls: Some(10), streams: Some(7), ..PerCaller::default() };
        let token = PerCaller { calls: Some(20), ..PerCaller::default() }.or(file);
        let rows = [
            (Holding::Calls, 1024, 20),
            (Holding::Streams, 1024, 7),
            (Holding::Subscriptions, 256, 64),
            (Holding::Subscriptions, 3, 1),
        ];
        for (what, places, limit) in rows {
            assert_eq!(token.limit(what, places), limit, "{what:?} of {places}");
        }
        assert_eq!(PerCaller { connections: Some(0), ..token }.zero(), Some("connections"));
        assert_eq!(token.zero(), None);
    }
}
