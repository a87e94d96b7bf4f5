//! Client of a Portrait deployment: connections that bring each call to its role, a stream of events with several requests under
//! way, a subscription that outlives its connections, and waits until everything sent is in the profiles.
//!
//! The generated clients of `portrait-proto` take a [`Line`] for a channel:
//!
//! ```no_run
//! # async fn read() -> Result<(), Box<dyn std::error::Error>> {
//! use portrait_proto::v1::GetProfileRequest;
//! use portrait_proto::v1::query_service_client::QueryServiceClient;
//!
//! let line = portrait_client::connect("ingest=http://ingest:50051,query=http://query:50051").await?;
//! let request = GetProfileRequest { user_id: "lena".to_owned(), ..Default::default() };
//! let profile = QueryServiceClient::new(line).get_profile(request).await?.into_inner().profile;
//! # Ok(())
//! # }
//! ```
//!
//! Feature `text` adds profiles and segments as text for a terminal; feature `clap` makes a [`Target`] of command line flags.

mod error;
mod follow;
mod router;
mod sender;
mod target;
#[cfg(feature = "text")]
pub mod text;
mod train;
mod wait;

pub use error::Error;
pub use follow::{Subscription, follow};
pub use router::{RoleRouter, ROLES, lazily};
pub use sender::{RequestResult, REQUEST_EVENTS, REQUESTS_IN_FLIGHT_MAX, Sender, send_all};
pub use target::{ServerArgs, connect};
pub use train::train;
pub use wait::{wait_until_applied, wait_until_swept};
