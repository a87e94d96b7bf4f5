//! Limit on open connections. A slot is freed when it is dropped. If all slots are taken, the oldest connection that has not
//! completed a request head is evicted, so idle connections cannot keep callers out.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

/// Slots of one port; clones share them.
#[derive(Clone)]
pub(super) struct ConnectionLimiter {
    free: Arc<Semaphore>,
    idle: Arc<Mutex<IdleConnections>>,
}

/// Connections without a complete first request; at most as many as there are slots.
#[derive(Default)]
struct IdleConnections {
    /// Close token of each connection, by arrival.
    by_arrival: BTreeMap<u64, CancellationToken>,
    next: u64,
}

/// Slot of one connection, freed on drop.
pub(super) struct ConnectionSlot {
    arrival: u64,
    idle: Arc<Mutex<IdleConnections>>,
    /// Released with the connection.
    _permit: OwnedSemaphorePermit,
}

impl ConnectionLimiter {
    /// Creates a limiter of `max` slots.
    pub(super) fn new(max: usize) -> Self {
        Self { free: Arc::new(Semaphore::new(max)), idle: Arc::default() }
    }

    /// Acquires a slot for a connection that closes when `end` is cancelled.
    pub(super) async fn acquire(&self, end: CancellationToken) -> ConnectionSlot {
        let permit = match Arc::clone(&self.free).try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => self.wait_for_slot().await,
        };
        let mut idle = lock(&self.idle);
        let arrival = idle.next;
        idle.next += 1;
        // Every connection starts as idle; its first complete request removes it from the map.
        idle.by_arrival.insert(arrival, end);
        ConnectionSlot { arrival, idle: Arc::clone(&self.idle), _permit: permit }
    }

    /// Waits for a slot, after evicting the oldest idle connection if there is one.
    async fn wait_for_slot(&self) -> OwnedSemaphorePermit {
        match lock(&self.idle).by_arrival.pop_first() {
            Some((_, oldest)) => {
                tracing::debug!("connection limit reached: oldest idle connection evicted");
                oldest.cancel();
            }
            None => tracing::warn!("connection limit reached: new connections wait"),
        }
        // The evicted connection releases its permit when its task has dropped it.
        let permit = Arc::clone(&self.free).acquire_owned().await;
        permit.expect("the semaphore is never closed")
    }
}

impl ConnectionSlot {
    /// Protects the slot from eviction: the first request is complete.
    pub(super) fn mark_active(&self) {
        lock(&self.idle).by_arrival.remove(&self.arrival);
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        self.mark_active();
    }
}

fn lock(idle: &Mutex<IdleConnections>) -> MutexGuard<'_, IdleConnections> {
    idle.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    #[tokio::test]
    async fn an_idle_connection_loses_its_slot_and_an_active_one_keeps_it() {
        let limiter = ConnectionLimiter::new(2);
        let ends: Vec<CancellationToken> = (0..4).map(|_| CancellationToken::new()).collect();
        let evicted = || ends.iter().map(CancellationToken::is_cancelled).collect::<Vec<bool>>();
        let first = limiter.acquire(ends[0].clone()).await;
        let second = limiter.acquire(ends[1].clone()).await;
        first.mark_active();
        assert!(limiter.acquire(ends[2].clone()).now_or_never().is_none(), "no slot is free yet");
        assert_eq!(evicted(), [false, true, false, false]);
        drop(second);
        let third = limiter.acquire(ends[2].clone()).now_or_never().expect("a slot was freed");
        third.mark_active();
        assert!(limiter.acquire(ends[3].clone()).now_or_never().is_none(), "all are active");
        assert_eq!(evicted(), [false, true, false, false]);
        drop((first, third));
        assert!(lock(&limiter.idle).by_arrival.is_empty());
        assert_eq!(limiter.free.available_permits(), 2);
    }
}
