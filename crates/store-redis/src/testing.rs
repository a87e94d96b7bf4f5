//! Redis servers for tests: real processes on free ports of this machine, each in a folder of its own, which end when their value is
//! dropped. A condition that is not met within [`WAIT_TIMEOUT`] is a panic with its description, so no test passes silently.

mod cluster;
mod pair;
mod proxy;
mod server;
mod tls;
mod wait;

pub use cluster::Cluster;
pub use pair::Pair;
pub use proxy::{FaultMoment, FaultPoint, HeldRequest, Proxy};
pub use server::Server;
pub use tls::Certificates;
pub use wait::{WAIT_TIMEOUT, until};
