//! Workers of the assigned partitions: each one starts when its partition is assigned to this process, and ends when it is
//! assigned elsewhere. A process has no task and no memory for the partitions of others.

use crate::assignment::PartitionAssignment;
use crate::context::FeatureContext;
use crate::worker::PartitionWorker;
use portrait_profile::PartitionId;
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Workers of this process.
pub(crate) struct PartitionWorkers {
    shared: Arc<FeatureContext>,
    assignment: watch::Receiver<PartitionAssignment>,
    running: BTreeSet<PartitionId>,
    /// Partitions that had a worker since the process started: only its first one takes back the lease of the process before.
    started: BTreeSet<PartitionId>,
    tasks: JoinSet<PartitionId>,
}

impl PartitionWorkers {
    /// Creates no worker yet.
    pub(crate) fn new(shared: Arc<FeatureContext>, assignment: watch::Receiver<PartitionAssignment>) -> Self {
        Self { shared, assignment, running: BTreeSet::new(), started: BTreeSet::new(), tasks: JoinSet::new() }
    }

    /// Runs a worker for each assigned partition until `shutdown`; returns when the last one has released its lease.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) {
        while !shutdown.is_cancelled() {
            self.start_assigned(&shutdown);
            tokio::select! {
                changed = self.assignment.changed() => {
                    // The assignment channel closed: the process shuts down.
                    if changed.is_err() {
                        break;
                    }
                }
                // A worker that panicked stays in the set: another one would meet the same record.
                Some(Ok(partition)) = self.tasks.join_next() => {
                    self.running.remove(&partition);
                }
                () = shutdown.cancelled() => {}
            }
        }
        while self.tasks.join_next().await.is_some() {}
    }

    /// Starts a worker for each assigned partition without one. A partition that was assigned again while its worker ended gets the
    /// next one here.
    fn start_assigned(&mut self, shutdown: &CancellationToken) {
        let assignment = self.assignment.borrow_and_update().clone();
        for partition in self.shared.store.layout().partitions.all() {
            if assignment.contains(partition) && self.running.insert(partition) {
                let is_first = self.started.insert(partition);
                let worker = PartitionWorker::new(
                    Arc::clone(&self.shared),
                    self.assignment.clone(),
                    partition,
                    is_first,
                );
                self.tasks.spawn(worker.run(shutdown.clone()));
            }
        }
    }
}
