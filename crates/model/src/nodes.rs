//! Registry of the watching nodes and the model version that each serves, for `ListModels`.

use portrait_profile::Timestamp;
use portrait_proto::time;
use portrait_proto::v1::NodeStatus;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Shared registry of the watching nodes; cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct NodeRegistry(Arc<Mutex<NodeTable>>);

#[derive(Default)]
struct NodeTable {
    next: u64,
    nodes: BTreeMap<u64, NodeStatus>,
}

/// Registration of one node; removed when dropped.
pub(crate) struct NodeEntry {
    nodes: NodeRegistry,
    key: u64,
}

impl NodeRegistry {
    /// Registers a node; none if `limit` nodes are registered already.
    pub(crate) fn register(
        &self,
        node: String,
        serving_version: u64,
        now: Timestamp,
        limit: usize,
    ) -> Option<NodeEntry> {
        let mut table = self.table();
        if table.nodes.len() >= limit {
            return None;
        }
        // Keys rather than names: during a rolling restart two nodes may have the same name.
        let key = table.next;
        table.next += 1;
        let since = Some(time::to_wire(now));
        table.nodes.insert(key, NodeStatus { node, serving_version, since, ..Default::default() });
        Some(NodeEntry { nodes: self.clone(), key })
    }

    /// Returns the status of every node.
    pub(crate) fn list(&self) -> Vec<NodeStatus> {
        self.table().nodes.values().cloned().collect()
    }

    fn table(&self) -> MutexGuard<'_, NodeTable> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl NodeEntry {
    /// Records the version that the node serves.
    pub(crate) fn set_serving(&self, version: u64, now: Timestamp) {
        self.change(|status| {
            status.serving_version = version;
            status.since = Some(time::to_wire(now));
        });
    }

    /// Records a version that the node refused, with its reason.
    pub(crate) fn set_refused(&self, version: u64, reason: String) {
        self.change(|status| {
            status.refused_version = version;
            status.refusal = reason;
        });
    }

    fn change(&self, change: impl FnOnce(&mut NodeStatus)) {
        if let Some(status) = self.nodes.table().nodes.get_mut(&self.key) {
            change(status);
        }
    }
}

impl Drop for NodeEntry {
    fn drop(&mut self) {
        self.nodes.table().nodes.remove(&self.key);
    }
}
