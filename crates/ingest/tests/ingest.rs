//! The room against a store with faults: what enters, in which order, and what a caller is told when the store cannot keep up.

#![allow(clippy::disallowed_methods, reason = "a test owns its tasks")]

mod ingest {
    mod tracking;
    mod erasures;
    mod pressure;
    mod fixture;
    mod streams;
}
