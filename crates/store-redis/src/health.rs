//! Health of an open store: counters for the metrics, and the problems that a person has to resolve. A problem is logged when it
//! appears and again every hour while it lasts, not with every request that meets it.

use super::command_class::CommandClass;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// Time after which a problem that lasts is logged again.
const LOGGED_AGAIN_AFTER: Duration = Duration::from_secs(3600);
/// Time after which a problem that no request has met again counts as resolved. Longer than the longest pause between two attempts
/// of the listener and of a rewrite, 30 s.
const RESOLVED_AFTER: Duration = Duration::from_secs(90);

/// Kind of a problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum ProblemKind {
    /// The store was lost, or is another one.
    Lost,
    /// A cluster lost the data of some partitions.
    PartitionsLost,
    /// A setting of the server breaks the promise of an acknowledgement level.
    Promise,
    /// The server refuses a class of commands.
    Refused(CommandClass),
}

/// Problem of the store that a person has to resolve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreProblem {
    /// Problem and remedy.
    pub text: String,
    /// True if the store answers no calls because of it.
    pub blocks_calls: bool,
}

/// Problem with the times of its reports.
struct Reported {
    problem: StoreProblem,
    met_at: Instant,
    logged_at: Instant,
}

/// Counters and problems of an open store.
#[derive(Default)]
pub struct StoreHealth {
    connections: AtomicU64,
    refusals: [AtomicU64; CommandClass::ALL.len()],
    losses: AtomicU64,
    /// True while calls are refused because the store was lost.
    is_lost: AtomicBool,
    reported: Mutex<BTreeMap<ProblemKind, Reported>>,
    /// Settings that were accepted by `store.accept_unsafe`, and promises that could not be checked.
    accepted: Mutex<Vec<String>>,
    /// Sends a new value when the set of problems has changed.
    changes: watch::Sender<u64>,
}

impl StoreHealth {
    /// Returns the number of connections that were opened or attempted.
    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    /// Returns the number of refusals by class of command.
    pub fn refusals(&self) -> impl Iterator<Item = (CommandClass, u64)> {
        let counts = self.refusals.iter().map(|count| count.load(Ordering::Relaxed));
        CommandClass::ALL.into_iter().zip(counts)
    }

    /// Returns how often the store, or the data of a partition, was found lost.
    pub fn losses(&self) -> u64 {
        self.losses.load(Ordering::Relaxed)
    }

    /// Returns the current problems, the worst first.
    pub fn problems(&self) -> Vec<StoreProblem> {
        self.reported().values().map(|reported| reported.problem.clone()).collect()
    }

    /// Returns a receiver of changes of the problems.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Returns the problems, and the settings that were accepted although a promise rests on them.
    pub(super) fn warnings(&self) -> Vec<String> {
        let accepted = self.accepted.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.problems().into_iter().map(|problem| problem.text).chain(accepted).collect()
    }

    /// Counts an attempt to connect.
    pub(super) fn connecting(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a refusal, and reports it.
    pub(super) fn refused(&self, class: CommandClass, text: &str) {
        let index = CommandClass::ALL.iter().position(|known| *known == class);
        if let Some(count) = index.and_then(|index| self.refusals.get(index)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.report(ProblemKind::Refused(class), text, false);
    }

    /// Counts a loss, and reports it.
    pub(super) fn lost(&self, kind: ProblemKind, text: &str, blocks_calls: bool) {
        self.losses.fetch_add(1, Ordering::Relaxed);
        if kind == ProblemKind::Lost {
            self.is_lost.store(blocks_calls, Ordering::SeqCst);
        }
        self.report(kind, text, blocks_calls);
    }

    /// Returns whether calls are refused because the store was lost.
    pub(super) fn is_lost(&self) -> bool {
        self.is_lost.load(Ordering::SeqCst)
    }

    /// Returns the text of a problem that lasts.
    pub(super) fn text_of(&self, kind: ProblemKind) -> Option<String> {
        self.reported().get(&kind).map(|reported| reported.problem.text.clone())
    }

    /// Notes a setting that is accepted although a promise rests on it.
    pub(super) fn accepted(&self, text: String) {
        let mut accepted = self.accepted.lock().unwrap_or_else(PoisonError::into_inner);
        if !accepted.contains(&text) {
            tracing::warn!(problem = text, "unsafe setting accepted by store.accept_unsafe");
            accepted.push(text);
        }
    }

    /// Reports a problem; it is logged if it is new, has another text or was logged an hour ago.
    pub(super) fn report(&self, kind: ProblemKind, text: &str, blocks_calls: bool) {
        let now = Instant::now();
        let mut problems = self.reported();
        if let Some(known) = problems.get_mut(&kind) {
            known.met_at = now;
            if known.problem.text == text && now.duration_since(known.logged_at) < LOGGED_AGAIN_AFTER {
                return;
            }
        }
        let problem = StoreProblem { text: text.to_owned(), blocks_calls };
        problems.insert(kind, Reported { problem, met_at: now, logged_at: now });
        drop(problems);
        log(kind, text);
        self.changes.send_modify(|number| *number += 1);
    }

    /// Removes a problem that is resolved.
    pub(super) fn resolved(&self, kind: ProblemKind) {
        if kind == ProblemKind::Lost {
            self.is_lost.store(false, Ordering::SeqCst);
        }
        if let Some(resolved) = self.reported().remove(&kind) {
            tracing::info!(problem = resolved.problem.text, "problem of the store is resolved");
            self.changes.send_modify(|number| *number += 1);
        }
    }

    /// Removes problems that no request has met for a while. A loss stays until the data is back or the process restarts.
    pub(super) fn expire(&self) {
        let now = Instant::now();
        let is_old = |reported: &Reported| now.duration_since(reported.met_at) > RESOLVED_AFTER;
        let old: Vec<ProblemKind> = self
            .reported()
            .iter()
            .filter(|(kind, reported)| {
                matches!(kind, ProblemKind::Promise | ProblemKind::Refused(_)) && is_old(reported)
            })
            .map(|(kind, _)| *kind)
            .collect();
        old.into_iter().for_each(|kind| self.resolved(kind));
    }

    fn reported(&self) -> MutexGuard<'_, BTreeMap<ProblemKind, Reported>> {
        self.reported.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn log(kind: ProblemKind, text: &str) {
    match kind {
        // The store goes on without them: notifications are replaced by polling, and a rewrite is awaited.
        ProblemKind::Refused(CommandClass::Channel | CommandClass::Rewrite) => {
            tracing::warn!(problem = text, "redis refuses commands");
        }
        ProblemKind::Refused(_) => tracing::error!(problem = text, "redis refuses commands"),
        ProblemKind::Promise => {
            tracing::error!(problem = text, "redis does not keep what the acknowledge level promises");
        }
        ProblemKind::Lost | ProblemKind::PartitionsLost => {
            tracing::error!(problem = text, "the store was lost");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_problem_lasts_while_requests_meet_it_and_a_loss_until_it_is_resolved() {
        let health = StoreHealth::default();
        let mut changes = health.changes();
        health.refused(CommandClass::Channel, "no channels");
        health.refused(CommandClass::Channel, "no channels");
        health.lost(ProblemKind::Lost, "empty", true);
        assert_eq!(*changes.borrow_and_update(), 2, "one change for each problem");
        assert!(health.refusals().any(|row| row == (CommandClass::Channel, 2)));
        assert_eq!((health.losses(), health.is_lost()), (1, true));
        let texts =
            |health: &StoreHealth| health.problems().into_iter().map(|one| one.text).collect::<Vec<_>>();
        assert_eq!(texts(&health), ["empty", "no channels"], "the worst first");
        tokio::time::advance(RESOLVED_AFTER * 2).await;
        health.expire();
        assert_eq!(texts(&health), ["empty"]);
        health.resolved(ProblemKind::Lost);
        assert!(texts(&health).is_empty() && !health.is_lost());
    }
}
