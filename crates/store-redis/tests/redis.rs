//! Behaviour of the Redis backend alone: exhausted memory, servers that restart, hang, lose data or move slots, lost replies,
//! unavailable replicas, members of two releases, servers and settings that are refused, rights that are missing, connections that
//! the network forgot, and stores that are lost.

#![allow(clippy::disallowed_methods, reason = "a test owns its tasks")]

mod redis {
    mod certificates;
    mod fixture;
    mod identity;
    mod idle;
    mod log_sizes;
    mod losses;
    mod members;
    mod openings;
    mod persistence;
    mod promises;
    mod refusals;
    mod replication;
    mod slots;
}
