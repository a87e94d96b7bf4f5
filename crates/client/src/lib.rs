//! Client of a Portrait deployment: role routing, retries of idempotent reads, a streaming sender of events, subscriptions that
//! resume after disconnects, and waits for the progress of partitions.
//!
//! The generated clients of `portrait-proto` take a [`RoleRouter`] as their channel. A read is idempotent, so [`RetryPolicy`] may
//! repeat it:
//!
//! ```no_run
//! # async fn read() -> Result<(), Box<dyn std::error::Error>> {
//! use portrait_proto::v1::GetProfileRequest;
//! use portrait_proto::v1::query_service_client::QueryServiceClient;
//!
//! use portrait_client::RetryPolicy;
//!
//! let router = portrait_client::connect("ingest=http://ingest:50051,query=http://query:50051").await?;
//! let request = GetProfileRequest { user_id: "lena".to_owned(), ..Default::default() };
//! let response = RetryPolicy::default()
//!     .run(|| {
//!         let mut query = QueryServiceClient::new(router.clone());
//!         let request = request.clone();
//!         async move { query.get_profile(request).await }
//!     })
//!     .await?;
//! let profile = response.into_inner().profile;
//! # Ok(())
//! # }
//! ```
//!
//! Events are sent as a stream. Events have ids, so after an error everything without a response can be sent again:
//!
//! ```no_run
//! # async fn send(events: Vec<portrait_proto::v1::Event>) -> Result<(), portrait_client::Error> {
//! let router = portrait_client::connect("http://127.0.0.1:50051").await?;
//! let mut sender = portrait_client::Sender::open(router).await?;
//! for event in events {
//!     sender.event(event).await?;
//! }
//! sender.flush().await?;
//! # Ok(())
//! # }
//! ```
//!
//! Feature `text` renders profiles and segments as text for a terminal; feature `clap` parses [`ServerArgs`] from command-line
//! flags.

mod error;
mod explained;
mod follow;
mod retry;
mod router;
mod sender;
mod target;
#[cfg(feature = "text")]
pub mod text;
mod train;
mod wait;

pub use error::Error;
pub use explained::explained;
pub use follow::{Subscription, follow};
pub use retry::RetryPolicy;
pub use router::{ROLES, RoleRouter, connect_lazy};
pub use sender::{REQUEST_EVENTS, REQUESTS_IN_FLIGHT_MAX, RequestResult, Sender, send_all};
pub use target::{LOCAL_ADDRESS, ServerArgs, connect};
pub use train::train;
pub use wait::{wait_until_applied, wait_until_swept};
