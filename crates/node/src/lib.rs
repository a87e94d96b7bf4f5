//! Assembly of one process: configuration, store, services of its roles, and the two ports.
//!
//! ```no_run
//! use portrait_node::{Config, Node, NodeRole};
//!
//! # async fn run() -> anyhow::Result<()> {
//! let config = Config::on_free_ports("./portrait-data".as_ref());
//! let node = Node::start(NodeRole::All, config).await?;
//! println!("gRPC at {}, metrics at {}/metrics", node.grpc_url(), node.http_url());
//! node.stop().await?;
//! # Ok(())
//! # }
//! ```

mod access;
mod cluster;
mod config;
mod models;
mod node;
mod roles;
mod serve;
mod store;

pub use cluster::ClusterConfig;
pub use config::{Config, ConnectConfig, NodeRole, ProfilesConfig, look_at_redis};
pub use models::{ModelFollower, ModelStatus};
pub use node::Node;
pub use portrait_store_embedded::readable_by_others;
pub use serve::serve;
pub use store::StoreConfig;
