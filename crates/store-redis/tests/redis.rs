//! Behaviour of the Redis backend alone: exhausted memory, servers that restart, hang, lose data or move slots, lost replies,
//! unavailable replicas, members of two releases, and servers and settings that are refused.

#![allow(clippy::disallowed_methods, reason = "a test owns its tasks")]

mod redis {
    mod fixture;
    mod log_sizes;
    mod losses;
    mod members;
    mod openings;
    mod persistence;
    mod replication;
    mod slots;
}
