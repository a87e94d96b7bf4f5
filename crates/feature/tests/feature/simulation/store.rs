//! Store of the simulation: leases and members in memory by the rules of the backends, no records and no profiles. It runs leases
//! by its own clock, as Redis does, and notes how long each partition is without an owner.

use portrait_profile::{PartitionCount, PartitionId, PseudonymKey, TimeDelta, Timestamp};
use portrait_store::backend::lease::Lease;
use portrait_store::backend::membership::Membership;
use portrait_store::{
    Acquisition, Commit, CommitNo, Committed, Counters, Error, FeedSeq, GenerationId, Generations, Layout,
    LeaseClaim, LeaseToken, LogSeq, Member, MemberId, Nonce, PartitionMeta, Result, StoreId,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// Shared store of all simulated workers.
pub(super) struct SimulatedStore {
    pub(super) layout: Layout,
    state: Mutex<State>,
    /// True while no call is answered.
    paused: watch::Sender<bool>,
    started_at: Instant,
}

struct State {
    partitions: Vec<SimulatedPartition>,
    members: Membership,
    handovers: Vec<Duration>,
    calls: CallCounts,
}

struct SimulatedPartition {
    lease: Lease,
    commit_no: CommitNo,
    /// Every token that was ever the partition's.
    tokens: BTreeSet<(u64, u128)>,
    /// Begin of the time without a live owner; none while there is one.
    ownerless_since: Option<Instant>,
}

/// Numbers of calls that the workers have made.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct CallCounts {
    pub(super) heartbeats: u64,
    pub(super) claims: u64,
    pub(super) renewals: u64,
}

impl SimulatedStore {
    /// Creates a store whose partitions have no owner yet.
    pub(super) fn new(partitions: PartitionCount) -> Arc<Self> {
        let started_at = Instant::now();
        let of_partition = |_| SimulatedPartition {
            lease: Lease::default(),
            commit_no: CommitNo::ZERO,
            tokens: BTreeSet::new(),
            ownerless_since: Some(started_at),
        };
        let state = State {
            partitions: partitions.all().map(of_partition).collect(),
            members: Membership::default(),
            handovers: Vec::new(),
            calls: CallCounts::default(),
        };
        let layout = Layout {
            partitions,
            dedup_window: TimeDelta::from_hours(24),
            pseudonym_key: PseudonymKey::new(1),
            id: StoreId::new(1),
        };
        Arc::new(Self { layout, state: Mutex::new(state), paused: watch::Sender::new(false), started_at })
    }

    /// Stops answering calls, or answers those that wait and all later ones.
    pub(super) fn set_paused(&self, paused: bool) {
        self.paused.send_replace(paused);
    }

    /// Waits while calls are not answered.
    pub(super) async fn answering(&self) {
        // The sender is borrowed, so it cannot be dropped during the wait.
        let _ = self.paused.subscribe().wait_for(|paused| !paused).await;
    }

    /// Returns true if every partition has a live owner.
    pub(super) fn is_owned(&self) -> bool {
        self.state().partitions.iter().all(|partition| partition.ownerless_since.is_none())
    }

    /// Begins the time without an owner of every partition of a killed worker.
    pub(super) fn owner_died(&self, name: &str) {
        for partition in &mut self.state().partitions {
            if partition.lease.holder().as_deref() == Some(name) && partition.ownerless_since.is_none() {
                partition.ownerless_since = Some(Instant::now());
            }
        }
    }

    /// Returns the durations without an owner, and the calls, since the last time they were taken.
    pub(super) fn take_figures(&self) -> (Vec<Duration>, CallCounts) {
        let mut state = self.state();
        (std::mem::take(&mut state.handovers), std::mem::take(&mut state.calls))
    }

    /// Tries a commit with every token that was ever a partition's; returns the number of fenced ones.
    ///
    /// # Panics
    /// If another token than the newest one can commit, or the newest one cannot.
    pub(super) fn check_fencing(&self) -> usize {
        let mut fenced = 0;
        for partition in self.layout.partitions.all() {
            let tokens = self.state().partitions[partition.index()].tokens.clone();
            let newest = tokens.last().copied();
            let mut committed = BTreeSet::new();
            // Oldest first, as writes of paused owners that arrive late.
            for (epoch, nonce) in &tokens {
                let token =
                    LeaseToken { epoch: portrait_store::Epoch::new(*epoch), nonce: Nonce::new(*nonce) };
                let expected = self.state().partitions[partition.index()].commit_no;
                match self.commit(partition, token, expected) {
                    Ok(_) => {
                        committed.insert((*epoch, *nonce));
                    }
                    Err(Error::Fenced { .. }) => fenced += 1,
                    Err(error) => panic!("{error}"),
                }
            }
            assert_eq!(committed, newest.into_iter().collect(), "holders of {partition} that can commit");
        }
        fenced
    }

    /// Returns the number of partitions by name of the holder.
    pub(super) fn partitions_by_holder(&self) -> BTreeMap<Arc<str>, usize> {
        let mut counts = BTreeMap::new();
        for holder in self.state().partitions.iter().filter_map(|partition| partition.lease.holder()) {
            *counts.entry(holder).or_default() += 1;
        }
        counts
    }

    pub(super) fn acquire(&self, partition: PartitionId, claim: &LeaseClaim, ttl: TimeDelta) -> Acquisition {
        let now = self.now();
        let mut state = self.state();
        state.calls.claims += 1;
        let of_partition = &mut state.partitions[partition.index()];
        let acquisition = of_partition.lease.acquire(claim, ttl, now);
        if let Acquisition::Acquired(token) = acquisition {
            of_partition.tokens.insert((token.epoch.get(), token.nonce.get()));
            let since = of_partition.ownerless_since.take();
            state.handovers.extend(since.map(|since| since.elapsed()));
        }
        acquisition
    }

    pub(super) fn renew(&self, partition: PartitionId, token: LeaseToken, ttl: TimeDelta) -> bool {
        let now = self.now();
        let mut state = self.state();
        state.calls.renewals += 1;
        state.partitions[partition.index()].lease.renew(token, ttl, now)
    }

    pub(super) fn release(&self, partition: PartitionId, token: LeaseToken) {
        let mut state = self.state();
        let of_partition = &mut state.partitions[partition.index()];
        if of_partition.lease.is_held_by(token) {
            of_partition.ownerless_since = Some(Instant::now());
        }
        of_partition.lease.release(token);
    }

    pub(super) fn heartbeat(&self, worker: &Member, ttl: TimeDelta) -> Result<Vec<Member>> {
        let now = self.now();
        let mut state = self.state();
        state.calls.heartbeats += 1;
        state.members.heartbeat(worker, ttl, now)
    }

    pub(super) fn members(&self) -> Vec<Member> {
        self.state().members.members(self.now())
    }

    pub(super) fn deregister(&self, id: MemberId) {
        self.state().members.deregister(id);
    }

    pub(super) fn apply(&self, partition: PartitionId, commit: &Commit) -> Result<Committed> {
        self.commit(partition, commit.token, commit.expected)
    }

    pub(super) fn meta(&self, partition: PartitionId) -> PartitionMeta {
        let state = self.state();
        let of_partition = &state.partitions[partition.index()];
        let generation = GenerationId::new(Nonce::new(1));
        PartitionMeta {
            token: of_partition.lease.token(),
            holder: of_partition.lease.holder(),
            commit_no: of_partition.commit_no,
            applied_through: LogSeq::ZERO,
            log_end: LogSeq::ZERO,
            log_first: LogSeq::ZERO.next(),
            log_bytes: 0,
            log_generations: Generations::begin(generation, LogSeq::ZERO.next()),
            feed_end: FeedSeq::ZERO,
            feed_first: FeedSeq::ZERO.next(),
            feed_generations: Generations::begin(generation, FeedSeq::ZERO.next()),
            clock: Timestamp::EPOCH,
            counters: Counters::default(),
            note: bytes::Bytes::new(),
        }
    }

    fn commit(&self, partition: PartitionId, token: LeaseToken, expected: CommitNo) -> Result<Committed> {
        let mut state = self.state();
        let of_partition = &mut state.partitions[partition.index()];
        let current = of_partition.commit_no;
        if !of_partition.lease.is_held_by(token) || current != expected {
            return Err(Error::Fenced { partition, expected, current });
        }
        of_partition.commit_no = current.next();
        Ok(Committed { commit_no: of_partition.commit_no, feed_end: FeedSeq::ZERO })
    }

    fn now(&self) -> Timestamp {
        // A second after the epoch, since a lease that ended at the epoch must not run.
        let elapsed = i64::try_from(self.started_at.elapsed().as_millis()).unwrap_or(i64::MAX);
        Timestamp::from_millis(elapsed).plus(TimeDelta::from_secs(1))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
