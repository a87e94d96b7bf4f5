//! The room against a store with faults: what is counted, who may commit, and what vectors are given.

mod feature {
    mod commits;
    mod erasures;
    mod leases;
    mod fixture;
    mod segments;
    mod vectors;
}
