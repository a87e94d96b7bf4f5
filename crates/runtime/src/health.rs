//! Whether this process can do its work. In come the components' own words, out go `/readyz`, `/livez` and the gRPC health
//! service. A process that drains is not ready and still alive.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

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

    /// Says that a component is not ready, and why.
    pub fn not_ready(&self, component: &'static str, why: impl Into<String>) {
        self.set(component, Some(why.into()));
    }

    /// The components that are not ready, and why.
    pub fn waiting_for(&self) -> Vec<(&'static str, String)> {
        let components = self.components();
        components.iter().filter_map(|(name, why)| Some((*name, why.clone()?))).collect()
    }

    /// Whether every component is ready, now and whenever it changes.
    pub fn watch(&self) -> watch::Receiver<bool> {
        self.ready.subscribe()
    }

    fn set(&self, component: &'static str, why: Option<String>) {
        let mut components = self.components();
        components.insert(component, why);
        let ready = components.values().all(Option::is_none);
        drop(components);
        self.ready.send_if_modified(|known| std::mem::replace(known, ready) != ready);
    }

    fn components(&self) -> MutexGuard<'_, BTreeMap<&'static str, Option<String>>> {
        self.components.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
