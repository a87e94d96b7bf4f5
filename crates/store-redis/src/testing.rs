//! Servers of Redis for tests: real processes on free ports of this machine, each in a folder of its own, ended with the value
//! that stands for them. In come settings; out come addresses. Whatever does not come about within [`PATIENCE`] is a panic
//! that says what, and never a test that is passed over.

mod cluster;
mod pair;
mod proxy;
mod server;
mod tls;
mod wait;

pub use cluster::Cluster;
pub use pair::Pair;
pub use proxy::{HeldRequest, FaultMoment, Proxy, FaultPoint};
pub use server::Server;
pub use tls::Certificates;
pub use wait::{WAIT_TIMEOUT, until};
