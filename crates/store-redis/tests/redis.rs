//! What is the room's own that lives on servers of Redis: memory that is used up, servers that restart, hang, lose what they had
//! or move their slots, answers that get lost, replicas that are away, and servers and settings that are refused.

#![allow(clippy::disallowed_methods, reason = "a test owns its tasks")]

mod redis {
    mod replication;
    mod persistence;
    mod losses;
    mod openings;
    mod fixture;
    mod slots;
}
