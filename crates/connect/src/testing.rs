//! Database servers of tests: each is a process of its own on a free port of loopback, and ends with its value. They need the packages
//! that `scripts/setup` installs.

#![allow(clippy::unwrap_used, reason = "clippy allows it in tests, but not in the functions they share")]

mod mariadb;
mod postgres;
mod process;

pub use mariadb::MariaDb;
pub use postgres::{Postgres, PostgresAdmin};
pub use process::{PASSWORD, PATIENCE, eventually};
