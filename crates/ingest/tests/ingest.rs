//! Ingest service over a store with injected faults: accepted and rejected items, order, erasures, streams and overload.

#![allow(clippy::disallowed_methods, reason = "a test owns its tasks")]

mod ingest {
    mod erasures;
    mod fixture;
    mod pressure;
    mod privacy;
    mod streams;
    mod tracking;
}
