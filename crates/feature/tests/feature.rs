//! Feature service over a store with injected faults: exactly-once commits, leases, erasures, segments and vectors.
//! And a simulation of many workers on virtual time.

mod feature {
    mod commits;
    mod erasures;
    mod fixture;
    mod leases;
    mod log_bytes;
    mod segments;
    mod simulation;
    mod vectors;
}
