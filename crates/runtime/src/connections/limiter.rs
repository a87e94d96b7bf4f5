//! Limit on open connections. A slot is freed when it is dropped. A connection gives way until it is admitted: until its first
//! call is authorised, or, on a port without calls, until its first request is complete. So connections that need no token hold
//! no slot that a caller needs, and a part of the slots is never theirs.

use crate::share::{Hold, Holding, ShareTaken};
use crate::tokens::Caller;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

/// Public calls that one connection may have open.
const PUBLIC_CALLS_MAX: usize = 8;
/// Part of the slots that only admitted connections hold.
const RESERVED_PART: usize = 4;

/// Slots of one port; clones share them.
#[derive(Clone)]
pub(super) struct ConnectionLimiter {
    max: usize,
    free: Arc<Semaphore>,
    strangers: Arc<Mutex<Strangers>>,
}

/// Connections that are not admitted; at most as many as there are slots.
#[derive(Default)]
struct Strangers {
    /// Close token of each connection, by arrival.
    by_arrival: BTreeMap<u64, CancellationToken>,
    next: u64,
}

/// Slot of one connection, freed on drop. Calls of the connection share it.
pub(crate) struct ConnectionSlot {
    max: usize,
    arrival: u64,
    strangers: Arc<Mutex<Strangers>>,
    is_admitted: AtomicBool,
    /// Share of the caller whose call was admitted first.
    owner: OnceLock<Hold>,
    public_calls: AtomicUsize,
    /// Released with the connection.
    _permit: OwnedSemaphorePermit,
}

/// Open public call of a connection; counted until dropped.
pub(crate) struct PublicCall(Arc<ConnectionSlot>);

impl ConnectionLimiter {
    /// Creates a limiter of `max` slots.
    pub(super) fn new(max: usize) -> Self {
        Self { max, free: Arc::new(Semaphore::new(max)), strangers: Arc::default() }
    }

    /// Acquires a slot for a connection that closes when `end` is cancelled.
    pub(super) async fn acquire(&self, end: CancellationToken) -> ConnectionSlot {
        let permit = match Arc::clone(&self.free).try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => self.wait_for_slot().await,
        };
        let mut strangers = lock(&self.strangers);
        let arrival = strangers.next;
        strangers.next += 1;
        strangers.by_arrival.insert(arrival, end);
        if strangers.by_arrival.len() > self.max - self.max / RESERVED_PART {
            strangers.evict_oldest();
        }
        ConnectionSlot {
            max: self.max,
            arrival,
            strangers: Arc::clone(&self.strangers),
            is_admitted: AtomicBool::new(false),
            owner: OnceLock::new(),
            public_calls: AtomicUsize::new(0),
            _permit: permit,
        }
    }

    /// Waits for a slot, after evicting the oldest connection that is not admitted if there is one.
    async fn wait_for_slot(&self) -> OwnedSemaphorePermit {
        if !lock(&self.strangers).evict_oldest() {
            tracing::warn!("connection limit reached: new connections wait");
        }
        // The evicted connection releases its permit when its task has dropped it.
        let permit = Arc::clone(&self.free).acquire_owned().await;
        permit.expect("the semaphore is never closed")
    }
}

impl Strangers {
    /// Closes the oldest connection that is not admitted; false if there is none.
    fn evict_oldest(&mut self) -> bool {
        let Some((_, oldest)) = self.by_arrival.pop_first() else { return false };
        tracing::debug!("connection limit reached: oldest connection without an admitted call closed");
        oldest.cancel();
        true
    }
}

impl ConnectionSlot {
    /// Protects the slot from eviction.
    pub(super) fn admit(&self) {
        if !self.is_admitted.swap(true, Ordering::Relaxed) {
            lock(&self.strangers).by_arrival.remove(&self.arrival);
        }
    }

    /// Protects the slot from eviction, for the first caller that is admitted on it; later callers pass.
    ///
    /// # Errors
    /// [`ShareTaken`] if the caller has its share of connections.
    pub(crate) fn admit_caller(&self, caller: Option<&Caller>) -> Result<(), ShareTaken> {
        if self.is_admitted.load(Ordering::Relaxed) {
            return Ok(());
        }
        if let Some(caller) = caller {
            let hold = caller.hold(Holding::Connections, self.max)?;
            // Of two first calls at once, one hold is dropped again.
            let _ = self.owner.set(hold);
        }
        self.admit();
        Ok(())
    }

    /// Counts a public call; `None` if the connection has too many of them open.
    pub(crate) fn public_call(self: &Arc<Self>) -> Option<PublicCall> {
        let more = |open: usize| (open < PUBLIC_CALLS_MAX).then_some(open + 1);
        let counted = self.public_calls.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        counted.is_ok().then(|| PublicCall(Arc::clone(self)))
    }
}

impl Drop for PublicCall {
    fn drop(&mut self) {
        self.0.public_calls.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        self.admit();
    }
}

fn lock(strangers: &Mutex<Strangers>) -> MutexGuard<'_, Strangers> {
    strangers.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    fn ends(count: usize) -> Vec<CancellationToken> {
        (0..count).map(|_| CancellationToken::new()).collect()
    }

    fn closed(ends: &[CancellationToken]) -> Vec<bool> {
        ends.iter().map(CancellationToken::is_cancelled).collect()
    }

    #[tokio::test]
    async fn a_connection_gives_way_until_it_is_admitted() {
        let limiter = ConnectionLimiter::new(2);
        let ends = ends(4);
        let first = limiter.acquire(ends[0].clone()).await;
        first.admit();
        let second = limiter.acquire(ends[1].clone()).await;
        assert!(limiter.acquire(ends[2].clone()).now_or_never().is_none(), "no slot is free yet");
        assert_eq!(closed(&ends), [false, true, false, false]);
        drop(second);
        let third = limiter.acquire(ends[2].clone()).now_or_never().expect("a slot was freed");
        third.admit();
        assert!(limiter.acquire(ends[3].clone()).now_or_never().is_none(), "all are admitted");
        assert_eq!(closed(&ends), [false, true, false, false]);
        drop((first, third));
        assert!(lock(&limiter.strangers).by_arrival.is_empty());
        assert_eq!(limiter.free.available_permits(), 2);
    }

    #[tokio::test]
    async fn a_part_of_the_slots_is_for_admitted_connections() {
        let limiter = ConnectionLimiter::new(8);
        let ends = ends(8);
        let mut slots = Vec::new();
        for end in &ends {
            slots.push(limiter.acquire(end.clone()).await);
        }
        let expected = [true, true, false, false, false, false, false, false];
        assert_eq!(closed(&ends), expected, "six of eight slots are for connections that are not admitted");
    }

    #[tokio::test]
    async fn a_connection_has_few_public_calls_open() {
        let limiter = ConnectionLimiter::new(1);
        let slot = Arc::new(limiter.acquire(CancellationToken::new()).await);
        let open: Vec<PublicCall> = (0..PUBLIC_CALLS_MAX).filter_map(|_| slot.public_call()).collect();
        assert_eq!(open.len(), PUBLIC_CALLS_MAX);
        assert!(slot.public_call().is_none());
        drop(open);
        assert!(slot.public_call().is_some());
    }
}
