//! Places for connections. In comes who wants one, out goes a place that is given back when it is dropped. If all are taken, the
//! connection that has said nothing for longest loses its own: whoever asks for something is served, however many only came.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

/// The places of one port.
#[derive(Clone)]
pub(super) struct Places {
    free: Arc<Semaphore>,
    silent: Arc<Mutex<Silent>>,
}

/// Connections that have said nothing yet; no more than there are places.
#[derive(Default)]
struct Silent {
    /// By when they came; cancelling one ends it.
    by_arrival: BTreeMap<u64, CancellationToken>,
    next: u64,
}

/// A place.
pub(super) struct Place {
    arrival: u64,
    silent: Arc<Mutex<Silent>>,
    /// Dropped with the connection: the next one may come.
    _permit: OwnedSemaphorePermit,
}

impl Places {
    /// So many.
    pub(super) fn new(max: usize) -> Self {
        Self { free: Arc::new(Semaphore::new(max)), silent: Arc::default() }
    }

    /// Takes one for a connection that ends when `end` is cancelled.
    pub(super) async fn take(&self, end: CancellationToken) -> Place {
        let permit = match Arc::clone(&self.free).try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => self.freed().await,
        };
        let mut silent = lock(&self.silent);
        let arrival = silent.next;
        silent.next += 1;
        silent.by_arrival.insert(arrival, end);
        Place { arrival, silent: Arc::clone(&self.silent), _permit: permit }
    }

    /// Waits for a place, which is one of a connection that said nothing if there is one.
    async fn freed(&self) -> OwnedSemaphorePermit {
        match lock(&self.silent).by_arrival.pop_first() {
            Some((_, oldest)) => {
                tracing::debug!("every connection that is allowed is open: one that says nothing is ended");
                oldest.cancel();
            }
            None => tracing::warn!("every connection that is allowed is open: the next one waits"),
        }
        let permit = Arc::clone(&self.free).acquire_owned().await;
        permit.expect("the room is never closed while its port is open")
    }
}

impl Place {
    /// Keeps it: the connection has said what it wants.
    pub(super) fn keep(&self) {
        lock(&self.silent).by_arrival.remove(&self.arrival);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.keep();
    }
}

fn lock(silent: &Mutex<Silent>) -> MutexGuard<'_, Silent> {
    silent.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    #[tokio::test]
    async fn who_says_nothing_loses_its_place_and_who_does_keeps_it() {
        let places = Places::new(2);
        let ends: Vec<CancellationToken> = (0..4).map(|_| CancellationToken::new()).collect();
        let told = || ends.iter().map(CancellationToken::is_cancelled).collect::<Vec<bool>>();
        let first = places.take(ends[0].clone()).await;
        let second = places.take(ends[1].clone()).await;
        first.keep();
        assert!(places.take(ends[2].clone()).now_or_never().is_none(), "nobody has gone yet");
        assert_eq!(told(), [false, true, false, false]);
        drop(second);
        let third = places.take(ends[2].clone()).now_or_never().expect("a place was given back");
        third.keep();
        assert!(places.take(ends[3].clone()).now_or_never().is_none(), "all have said something");
        assert_eq!(told(), [false, true, false, false]);
        drop((first, third));
        assert!(lock(&places.silent).by_arrival.is_empty());
        assert_eq!(places.free.available_permits(), 2);
    }
}
