//! Membership: workers of a deployment that send heartbeats. A store holds their names and expiry times and nothing else.

use super::info::StoreInfo;
use crate::error::Result;
use async_trait::async_trait;
use portrait_profile::{TimeDelta, Timestamp};
use std::fmt;
use xxhash_rust::xxh3::xxh3_128;

/// Largest length of a member's name, in bytes.
pub const MEMBER_NAME_MAX: usize = 256;
/// Largest number of members at a time.
pub const MEMBERS_MAX: usize = 1_024;

/// Members of a deployment: workers whose last heartbeat has not expired.
#[async_trait]
pub trait MembershipStore: StoreInfo {
    /// Registers the member or extends it by `ttl` from `now`, and returns all members, this one included, ordered by id.
    ///
    /// A worker that restarts under its name has the id of the one before, and so replaces it. MUST fail with `TooBig` for a name longer than [`MEMBER_NAME_MAX`], and with `Full` beyond [`MEMBERS_MAX`]. `now` is the
    /// caller's clock; MAY use a clock of its own.
    async fn heartbeat(&self, worker: &Member, ttl: TimeDelta, now: Timestamp) -> Result<Vec<Member>>;

    /// Returns all members, ordered by id.
    async fn members(&self, now: Timestamp) -> Result<Vec<Member>>;

    /// Removes a member. MUST ignore an unknown one.
    async fn deregister(&self, id: MemberId) -> Result<()>;
}

/// Worker that is a member of the deployment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Member {
    /// Id that partitions are assigned by.
    pub id: MemberId,
    /// Name of the process, such as `http://features-1:50051`; at most [`MEMBER_NAME_MAX`] bytes.
    pub name: String,
}

/// Id of a member: the XXH3 hash (128 bits) of its name. A restarted worker keeps its id, so the partitions that it had are
/// assigned to it again and no other worker's move. Releases before it drew the id at random, as the nonce of their leases.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberId(u128);

impl Member {
    /// Returns the member of that name.
    pub fn named(name: impl Into<String>) -> Self {
        let name = name.into();
        Self { id: MemberId(xxh3_128(name.as_bytes())), name }
    }
}

impl MemberId {
    /// Wraps the bits of a stored id.
    pub const fn new(bits: u128) -> Self {
        Self(bits)
    }

    /// Returns the bits of the id.
    pub const fn get(self) -> u128 {
        self.0
    }
}

impl fmt::Debug for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}
