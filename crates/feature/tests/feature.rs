//! Feature service over a store with injected faults: exactly-once commits, leases, erasures, segments and vectors.

mod feature {
    mod commits;
    mod erasures;
    mod fixture;
    mod leases;
    mod log_bytes;
    mod segments;
    mod vectors;
}
