//! Model service from the caller's side, over an embedded store and generated vectors. One binary, since linking is
//! slow.

#![allow(clippy::disallowed_methods, reason = "a test owns its tasks")]

mod model {
    mod drift;
    mod features;
    mod manifest;
    mod publishing;
    mod requests;
    mod sampling;
    mod sandbox;
    mod schedule;
    mod shortfalls;
    mod training;
    mod watcher;
    mod watching;
}
