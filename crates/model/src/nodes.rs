//! Registry of the watching nodes and the model version that each serves, for `ListModels`.

use portrait_profile::Timestamp;
use portrait_proto::time;
use portrait_proto::v1::NodeStatus;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Shared registry of the watching nodes; cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct NodeRegistry(Arc<watch::Sender<NodeTable>>);

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
        let mut key = None;
        self.0.send_if_modified(|table| {
            if table.nodes.len() < limit {
                // Keys rather than names: during a rolling restart two nodes may have the same name.
                key = Some(table.next);
                table.next += 1;
                let since = Some(time::to_wire(now));
                let status = NodeStatus { node, serving_version, since, ..Default::default() };
                table.nodes.insert(table.next - 1, status);
            }
            key.is_some()
        });
        key.map(|key| NodeEntry { nodes: self.clone(), key })
    }

    /// Returns the status of every node.
    pub(crate) fn list(&self) -> Vec<NodeStatus> {
        self.0.borrow().nodes.values().cloned().collect()
    }

    /// Waits until every node that watches now serves `version`, has refused it, or has disconnected; at most `timeout`. Returns the
    /// status of these nodes.
    pub(crate) async fn acknowledged(&self, version: u64, timeout: Duration) -> Vec<NodeStatus> {
        let mut table = self.0.subscribe();
        let watching: Vec<u64> = table.borrow_and_update().nodes.keys().copied().collect();
        // A node that joins later gets the version as its first: only the present ones are waited for.
        let decided = table.wait_for(|table| {
            let mut present = watching.iter().filter_map(|key| table.nodes.get(key));
            present.all(|node| node.serving_version == version || node.refused_version == version)
        });
        let _ = tokio::time::timeout(timeout, decided).await;
        let table = self.0.borrow();
        watching.iter().filter_map(|key| table.nodes.get(key).cloned()).collect()
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
        self.nodes.0.send_modify(|table| {
            if let Some(status) = table.nodes.get_mut(&self.key) {
                change(status);
            }
        });
    }
}

impl Drop for NodeEntry {
    fn drop(&mut self) {
        self.nodes.0.send_modify(|table| {
            table.nodes.remove(&self.key);
        });
    }
}
