//! Membership: workers of a deployment that send heartbeats. A store holds their names and expiry times and nothing else.

use super::info::StoreInfo;
use crate::error::Result;
use crate::position::Nonce;
use async_trait::async_trait;
use portrait_profile::{TimeDelta, Timestamp};

/// Largest length of a member's name, in bytes.
pub const MEMBER_NAME_MAX: usize = 256;
/// Largest number of members at a time.
pub const MEMBERS_MAX: usize = 1_024;

/// Members of a deployment: workers whose last heartbeat has not expired.
#[async_trait]
pub trait MembershipStore: StoreInfo {
    /// Registers the member or extends it by `ttl` from `now`, and returns all members, this one included, ordered by nonce.
    ///
    /// MUST fail with `TooBig` for a name longer than [`MEMBER_NAME_MAX`], and with `Full` beyond [`MEMBERS_MAX`]. `now` is the
    /// caller's clock; MAY use a clock of its own.
    async fn heartbeat(&self, worker: &Member, ttl: TimeDelta, now: Timestamp) -> Result<Vec<Member>>;

    /// Returns all members, ordered by nonce.
    async fn members(&self, now: Timestamp) -> Result<Vec<Member>>;

    /// Removes a member. MUST ignore an unknown one.
    async fn deregister(&self, nonce: Nonce) -> Result<()>;
}

/// Worker that is a member of the deployment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Member {
    /// Nonce of the worker's leases.
    pub nonce: Nonce,
    /// Name for people, such as `http://features-1:50051`; at most [`MEMBER_NAME_MAX`] bytes.
    pub name: String,
}
