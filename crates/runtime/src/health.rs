//! Whether this process can do its work. In come the components' own words, out go `/readyz`, `/livez` and the gRPC health
//! service. A process that drains is not ready and still alive.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

/// The state of every component; cheap to clone.
#[derive(Clone, Debug)]
pub struct Health {
    components: Arc<Mutex<BTreeMap<&'static str, Option<String>>>>,
    ready: watch::Sender<bool>,
}

impl Default for Health {
    fn default() -> Self {
        Self { components: Arc::default(), ready: watch::Sender::new(true) }
    }
}

impl Health {
    /// Says that a component is ready.
    pub fn ready(&self, component: &'static str) {
        self.set(component, None);
    }

    /// Says that a component is not ready, and why. A component that must be ready before the process is says so first.
    pub fn not_ready(&self, component: &'static str, why: impl Into<String>) {
        self.set(component, Some(why.into()));
    }

    /// The components that are not ready, and why.
    pub fn waiting_for(&self) -> Vec<(&'static str, String)> {
        let components = self.components();
        components.iter().filter_map(|(name, why)| Some((*name, why.clone()?))).collect()
    }

    /// Whether every component is ready.
    pub fn is_ready(&self) -> bool {
        *self.ready.borrow()
    }

    /// Whether every component is ready, now and whenever it changes.
    pub fn watch(&self) -> watch::Receiver<bool> {
        self.ready.subscribe()
    }

    fn set(&self, component: &'static str, why: Option<String>) {
        let mut components = self.components();
        components.insert(component, why);
        let ready = components.values().all(Option::is_none);
        // Under the lock, so that of two changes the later one is told last.
        self.ready.send_if_modified(|known| std::mem::replace(known, ready) != ready);
    }

    fn components(&self) -> MutexGuard<'_, BTreeMap<&'static str, Option<String>>> {
        self.components.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps the gRPC health service at what [`Health`] says.
pub(crate) struct Reporter {
    reporter: HealthReporter,
    names: Vec<&'static str>,
    following: JoinHandle<()>,
}

impl Reporter {
    /// Reports what is known now, and from then on every change. The empty name is the whole process.
    pub(crate) async fn begin(
        reporter: HealthReporter,
        mut names: Vec<&'static str>,
        health: Health,
    ) -> Self {
        names.push("");
        let mut ready = health.watch();
        let first = *ready.borrow_and_update();
        report(&reporter, &names, first).await;
        #[expect(clippy::disallowed_methods, reason = "held and aborted by the reporter")]
        let following = tokio::spawn({
            let (reporter, names) = (reporter.clone(), names.clone());
            async move {
                // The sender lives in `health`, which is kept here so that the end of other holders is no change.
                let _health = health;
                while ready.changed().await.is_ok() {
                    let now = *ready.borrow_and_update();
                    report(&reporter, &names, now).await;
                }
            }
        });
        Self { reporter, names, following }
    }

    /// Tells whoever watches that nothing is served any more, and ends their streams: a watcher must not hold up a drain.
    pub(crate) async fn end(mut self) {
        self.following.abort();
        report(&self.reporter, &self.names, false).await;
        for name in std::mem::take(&mut self.names) {
            self.reporter.clear_service_status(name).await;
        }
    }
}

impl Drop for Reporter {
    fn drop(&mut self) {
        self.following.abort();
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
        for (component, why, waiting_for) in rows {
            match why {
                Some(why) => health.not_ready(component, why),
                None => health.ready(component),
            }
            let names: Vec<&str> = health.waiting_for().into_iter().map(|(name, _)| name).collect();
            assert_eq!(names, waiting_for);
            assert_eq!(health.is_ready(), waiting_for.is_empty());
        }
        assert_eq!(health.waiting_for(), [("store", "the disk is full".to_owned())]);
    }
}
