//! A real server on free loopback ports, called over real connections.

#![allow(clippy::disallowed_methods, reason = "a test owns its tasks")]

mod serving {
    mod calls;
    mod drain;
    mod fixture;
    mod ports;
    mod tokens;
}
