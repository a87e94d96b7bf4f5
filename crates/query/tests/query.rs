//! Query service from the caller's side, over an embedded store that the tests commit to. One binary, since linking
//! is slow.

#![allow(clippy::disallowed_methods, reason = "a test owns its tasks")]

mod query {
    mod failures;
    mod fixture;
    mod limits;
    mod read_after;
    mod reader;
    mod reads;
    mod resyncs;
    mod segments;
    mod subscriptions;
}
