//! Workers that are present.

use crate::attendance::Attendance;
use crate::store::Embedded;
use async_trait::async_trait;
use portrait_profile::{Span, Timestamp};
use portrait_store::backend::limits::within;
use portrait_store::{MembershipStore, Nonce, Result, WORKER_NAME_MAX, Worker};
use std::sync::{MutexGuard, PoisonError};

#[async_trait]
impl MembershipStore for Embedded {
    async fn attend(&self, worker: &Worker, ttl: Span, now: Timestamp) -> Result<Vec<Worker>> {
        within("a worker's name in bytes", worker.name.len(), WORKER_NAME_MAX)?;
        self.attendance().attend(worker, ttl, now)
    }

    async fn workers(&self, now: Timestamp) -> Result<Vec<Worker>> {
        Ok(self.attendance().workers(now))
    }

    async fn leave(&self, nonce: Nonce) -> Result<()> {
        self.attendance().leave(nonce);
        Ok(())
    }
}

impl Embedded {
    fn attendance(&self) -> MutexGuard<'_, Attendance> {
        self.attendance.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
