//! Readiness of the process, reported by its components and exported as `/readyz`, `/livez` and the gRPC health service. A
//! draining process is not ready, but alive.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

/// Readiness of all components; clones share it.
///
/// ```
/// use portrait_runtime::health::Health;
///
/// let health = Health::default();
/// health.not_ready("store", "opening");
/// assert!(!health.is_ready());
/// health.ready("store");
/// assert!(health.is_ready());
/// ```
#[derive(Clone, Debug)]
pub struct Health {
    components: Arc<Mutex<BTreeMap<&'static str, ComponentState>>>,
    ready: watch::Sender<bool>,
}

/// State of one component.
#[derive(Clone, Debug, PartialEq, Eq)]
enum ComponentState {
    Ready,
    /// Ready with a problem that a person should look at.
    Degraded(String),
    NotReady(String),
}

impl Default for Health {
    fn default() -> Self {
        Self { components: Arc::default(), ready: watch::Sender::new(true) }
    }
}

impl Health {
    /// Marks a component as ready.
    pub fn ready(&self, component: &'static str) {
        self.set(component, ComponentState::Ready);
    }

    /// Marks a component as ready with a problem that a person should look at: `/readyz` lists it, and calls keep coming.
    pub fn degraded(&self, component: &'static str, reason: impl Into<String>) {
        self.set(component, ComponentState::Degraded(reason.into()));
    }

    /// Marks a component as not ready, with the reason. A component that must be ready before the process calls this first.
    pub fn not_ready(&self, component: &'static str, reason: impl Into<String>) {
        self.set(component, ComponentState::NotReady(reason.into()));
    }

    /// Returns the components that are not ready, each with its reason.
    pub fn waiting_for(&self) -> Vec<(&'static str, String)> {
        self.reasons(|state| match state {
            ComponentState::NotReady(reason) => Some(reason),
            ComponentState::Ready | ComponentState::Degraded(_) => None,
        })
    }

    /// Returns the components that are not ready or degraded, each with its reason.
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        self.reasons(|state| match state {
            ComponentState::NotReady(reason) | ComponentState::Degraded(reason) => Some(reason),
            ComponentState::Ready => None,
        })
    }

    /// Returns `true` if all components are ready.
    pub fn is_ready(&self) -> bool {
        *self.ready.borrow()
    }

    /// Subscribes to the readiness of the process.
    pub fn watch(&self) -> watch::Receiver<bool> {
        self.ready.subscribe()
    }

    fn reasons(&self, reason: impl Fn(&ComponentState) -> Option<&String>) -> Vec<(&'static str, String)> {
        let components = self.components();
        components.iter().filter_map(|(name, state)| Some((*name, reason(state)?.clone()))).collect()
    }

    fn set(&self, component: &'static str, state: ComponentState) {
        let mut components = self.components();
        components.insert(component, state);
        let ready = !components.values().any(|state| matches!(state, ComponentState::NotReady(_)));
        // Under the lock, so that concurrent changes are published in their order.
        self.ready.send_if_modified(|current| std::mem::replace(current, ready) != ready);
    }

    fn components(&self) -> MutexGuard<'_, BTreeMap<&'static str, ComponentState>> {
        // A panic elsewhere must not end the health checks; an entry is always set as a whole.
        self.components.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Task that mirrors [`Health`] into the gRPC health service.
pub(crate) struct HealthPublisher {
    reporter: HealthReporter,
    names: Vec<&'static str>,
    task: JoinHandle<()>,
}

impl HealthPublisher {
    /// Reports the current state, then each change. The empty name stands for the whole process.
    pub(crate) async fn start(
        reporter: HealthReporter,
        mut names: Vec<&'static str>,
        health: Health,
    ) -> Self {
        names.push("");
        let mut ready = health.watch();
        // Marked as seen, so that the loop below waits for later changes only.
        let initial = *ready.borrow_and_update();
        report(&reporter, &names, initial).await;
        #[expect(clippy::disallowed_methods, reason = "held and aborted by the reporter")]
        let task = tokio::spawn({
            let reporter = reporter.clone();
            let names = names.clone();
            async move {
                // The sender lives in `health`; this clone keeps the channel open after other holders are dropped.
                let _health = health;
                while ready.changed().await.is_ok() {
                    let now = *ready.borrow_and_update();
                    report(&reporter, &names, now).await;
                }
            }
        });
        Self { reporter, names, task }
    }

    /// Reports NOT_SERVING and ends the streams of watchers, which would otherwise delay the drain.
    pub(crate) async fn end(mut self) {
        // First, so that the task does not report SERVING once more.
        self.task.abort();
        report(&self.reporter, &self.names, false).await;
        for name in std::mem::take(&mut self.names) {
            self.reporter.clear_service_status(name).await;
        }
    }
}

impl Drop for HealthPublisher {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn report(reporter: &HealthReporter, names: &[&'static str], ready: bool) {
    let status = if ready { ServingStatus::Serving } else { ServingStatus::NotServing };
    for name in names {
        reporter.set_service_status(*name, status).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_ready_when_every_component_is() {
        let health = Health::default();
        let rows: [(&'static str, Option<&str>, &[&str]); 5] = [
            ("store", Some("opening"), &["store"]),
            ("feature", Some("no lease"), &["feature", "store"]),
            ("store", None, &["feature"]),
            ("feature", None, &[]),
            ("store", Some("the disk is full"), &["store"]),
        ];
        for (component, reason, waiting_for) in rows {
            match reason {
                Some(reason) => health.not_ready(component, reason),
                None => health.ready(component),
            }
            let names: Vec<&str> = health.waiting_for().into_iter().map(|(name, _)| name).collect();
            assert_eq!(names, waiting_for);
            assert_eq!(health.is_ready(), waiting_for.is_empty());
        }
        assert_eq!(health.waiting_for(), [("store", "the disk is full".to_owned())]);
        health.ready("store");
        health.degraded("model", "version 2 is refused");
        assert!(health.is_ready() && health.waiting_for().is_empty());
        assert_eq!(health.problems(), [("model", "version 2 is refused".to_owned())]);
    }
}
