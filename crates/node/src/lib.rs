//! One process of Portrait: the store, the roles it plays, and the two ports. In comes a configuration, out goes a running node that
//! gives its addresses and can be stopped.

mod access;
mod cluster;
mod config;
mod models;
mod node;
mod roles;
mod serve;
mod store;

pub use cluster::ClusterConfig;
pub use config::{Config, ProfilesConfig, NodeRole};
pub use models::ModelFollower;
pub use node::Node;
pub use serve::serve;
pub use store::{StoreConfig, open_store};
