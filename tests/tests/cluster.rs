//! End-to-end tests of whole deployments: real servers on free loopback ports, real kills, real clients. One test binary, because
//! linking is slow.

mod cluster {
    mod bad_input;
    mod chart;
    mod clients;
    mod commerce;
    mod crash;
    mod drift;
    mod erasures;
    mod faults;
    mod import;
    mod import_rows;
    mod logs;
    mod models;
    mod operation;
    mod probe;
    mod recommend;
    mod reimport;
    mod restarts;
    mod roles;
    mod rolling;
    mod scaling;
    mod security;
    mod segments;
    mod small_shops;
    mod steady_load;
    mod store_failures;
    mod subscribers;
    mod tables;
    mod traces;
}
