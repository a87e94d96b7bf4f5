//! Measured sizes and rates of one user, event, item and process, by backend: the only place of these numbers.
//!
//! `portrait bench --store redis --only memory --users-of FORMAT=FILE` measures bytes of a user, and of an event in log, feed and ids;
//! `make scale` measures resident memory and events per second. `docs/operate/sizing.md` has the command of each number.

use serde::Serialize;

/// Sizes and rates of single units on one backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct UnitCosts {
    /// Bytes of a profile with its key.
    pub(super) profile_bytes: u64,
    /// Bytes of an event in the log, as encoded: `feature.log_bytes` counts these.
    pub(super) log_event_encoded_bytes: u64,
    /// Bytes of an event in the log, as stored.
    pub(super) log_event_bytes: u64,
    /// Bytes of the changes that an event causes.
    pub(super) change_bytes: u64,
    /// Bytes of a remembered event id.
    pub(super) id_bytes: u64,
    /// Bytes of an item of the catalogue.
    pub(super) item_bytes: u64,
    /// Bytes of a model version without its items.
    pub(super) model_bytes: u64,
    /// Bytes of an item in a model version.
    pub(super) model_item_bytes: u64,
    /// Resident bytes of a feature process without its cache of profiles and ids.
    pub(super) worker_bytes: u64,
    /// Bits of an id in the memory of the worker that owns its partition.
    pub(super) worker_id_bits: u64,
    /// Events that a feature process applies per second.
    pub(super) worker_events_per_second: u64,
    /// Events that one Redis server takes per second; for the embedded store, the whole process.
    pub(super) server_events_per_second: u64,
    /// Bytes of an event from its sender to ingest.
    pub(super) wire_event_bytes: u64,
    /// Bytes that the processes send to the store for an event.
    pub(super) store_in_event_bytes: u64,
    /// Bytes that the processes receive from the store for an event.
    pub(super) store_out_event_bytes: u64,
}

/// Costs on Redis 7.
pub(super) const REDIS: UnitCosts = UnitCosts {
    // Users with 87 events each (`taobao`); 411 with 7 events (`rees46`), 2,407 with 746 (`complete-journey`): a profile is bounded.
    profile_bytes: 1297,
    // The stored bytes less what the stream adds to large blocks (`scripts/log_overhead`).
    log_event_encoded_bytes: 88,
    // Large blocks; 125 where every event is a block of its own, since the stream adds 27 bytes to a block.
    log_event_bytes: 99,
    // Every event changes a profile in a commit of its own; 25 where a commit holds several events of a user.
    change_bytes: 46,
    // 8 bytes in a string that doubles as it grows; 14 in a small one.
    id_bytes: 10,
    item_bytes: 115,
    // Similar users (20,000 at most) are two thirds of it.
    model_bytes: 7 << 20,
    model_item_bytes: 384,
    worker_bytes: 300 << 20,
    // A binary fuse filter of 16 bits, with its surplus.
    worker_id_bits: 18,
    // Half of the 95,000 rows a second that two cores import with all roles and Redis on them, at 1,000,000 users.
    worker_events_per_second: 47_000,
    // Redis takes a quarter of the two cores at 142,000 events a second, each of another user, and has one thread.
    server_events_per_second: 200_000,
    wire_event_bytes: 59,
    store_in_event_bytes: 388,
    store_out_event_bytes: 137,
};

/// Costs on the embedded store, on disk.
pub(super) const EMBEDDED: UnitCosts = UnitCosts {
    // Upper bounds: the database compresses what is encoded.
    log_event_bytes: 88,
    id_bytes: 14,
    worker_events_per_second: 110_000,
    server_events_per_second: 110_000,
    // Ids are on disk; the newest ones are cached within `worker_bytes`.
    worker_id_bits: 0,
    store_in_event_bytes: 0,
    store_out_event_bytes: 0,
    ..REDIS
};
