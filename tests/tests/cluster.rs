//! Whole deployments: real servers on free loopback ports, real kills, real clients. One binary, since linking is slow.

mod cluster {
    mod bad_input;
    mod chart;
    mod clients;
    mod crash;
    mod drift;
    mod erasures;
    mod faults;
    mod following;
    mod import;
    mod logs;
    mod operation;
    mod probe;
    mod recommend;
    mod roles;
    mod rolling;
    mod security;
    mod segments;
    mod subscribers;
    mod trouble;
    mod understanding;
}
