//! The room against a store with faults: what enters, in which order, and what a caller is told when the store cannot keep up.

mod ingest {
    mod entering;
    mod erasures;
    mod pressure;
    mod room;
    mod streams;
}
