//! The nodes that watch, and which version each of them serves. In come what nodes say, out goes a list for people.

use portrait_profile::Timestamp;
use portrait_proto::time;
use portrait_proto::v1::NodeStatus;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// All of them; cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Nodes(Arc<Mutex<Table>>);

#[derive(Default)]
struct Table {
    next: u64,
    nodes: BTreeMap<u64, NodeStatus>,
}

/// One node's place in the list; given up when dropped.
pub(crate) struct Place {
    nodes: Nodes,
    key: u64,
}

impl Nodes {
    /// Takes a node in, if there is room for it.
    pub(crate) fn enter(
        &self,
        node: String,
        serving_version: u64,
        now: Timestamp,
        most: usize,
    ) -> Option<Place> {
        let mut table = self.table();
        if table.nodes.len() >= most {
            return None;
        }
        let key = table.next;
        table.next += 1;
        let since = Some(time::to_wire(now));
        table.nodes.insert(key, NodeStatus { node, serving_version, since, ..Default::default() });
        Some(Place { nodes: self.clone(), key })
    }

    /// What every node serves.
    pub(crate) fn list(&self) -> Vec<NodeStatus> {
        self.table().nodes.values().cloned().collect()
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// The node serves a version from now on.
    pub(crate) fn serves(&self, version: u64, now: Timestamp) {
        self.change(|status| {
            status.serving_version = version;
            status.since = Some(time::to_wire(now));
        });
    }

    /// The node has refused a version.
    pub(crate) fn refuses(&self, version: u64, why: String) {
        self.change(|status| (status.refused_version, status.refusal) = (version, why));
    }

    fn change(&self, change: impl FnOnce(&mut NodeStatus)) {
        if let Some(status) = self.nodes.table().nodes.get_mut(&self.key) {
            change(status);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.nodes.table().nodes.remove(&self.key);
    }
}
