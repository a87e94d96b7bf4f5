//! Roles of the contract: each method checks its limits and does its work by what the rest of the crate offers.

mod catalogue;
mod copies;
mod feed;
mod info;
mod log;
mod membership;
mod owner;
mod profiles;
mod registry;
