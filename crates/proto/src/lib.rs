//! Wire types of the services: the generated types of `portrait.v1`, and their conversions to and from the domain.
//!
//! The conversions are here, one file per message family, so that no service depends on another's wire types and each is
//! written once. Nothing here calls or serves anything.

pub mod action;
pub mod bounded;
pub mod feature;
pub mod manifest;
pub mod methods;
mod profile;
pub mod receipt;
pub mod request;
pub mod status;
pub mod text_error;
pub mod time;
pub mod token;

/// Generated messages, clients and servers of `portrait.v1`; the `.proto` files document every field.
#[allow(
    missing_docs,
    clippy::all,
    clippy::pedantic,
    reason = "generated; the .proto files are documented and linted"
)]
pub mod v1 {
    tonic::include_proto!("portrait.v1");
}

/// Encoded descriptor set of `portrait.v1`, for reflection.
pub const DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/portrait.v1.bin"));
