//! Roles of the contract: each method checks its limits and calls the rest of the crate.

mod catalogue;
mod feed;
mod info;
mod log;
mod membership;
mod owner;
mod profiles;
mod registry;
mod tombstones;
