//! One entry of a partition's change feed: that a profile changed, and to which version. It says what happened, not what
//! the profile now is; who wants that reads the profile, which is as new or newer.

use crate::codec::{self, DecodeError};
use crate::id::UserId;
use crate::segment::SegmentId;
use crate::time::Timestamp;
use crate::trace::TraceContext;
use crate::version::ProfileVersion;
use serde::{Deserialize, Serialize};

/// A profile changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProfileChange {
    /// Whose profile.
    pub user_id: UserId,
    /// The version after the change.
    pub version: ProfileVersion,
    /// The profile is gone.
    pub deleted: bool,
    /// When ingest accepted the newest record in it: from here delivery latency is counted.
    pub accepted_at: Timestamp,
    /// Where a model had put the shopper before.
    pub segment_before: Option<SegmentId>,
    /// Where it has put the shopper now.
    pub segment_after: Option<SegmentId>,
    /// The span that committed it, if the call that brought it about is followed. As in [`crate::Record`], last and only if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace: Option<TraceContext>,
}

impl ProfileChange {
    /// Whether the shopper is in another segment now.
    pub fn moved(&self) -> bool {
        self.segment_before != self.segment_after
    }

    /// The bytes for the feed: a version byte and postcard.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(codec::CHANGE_VERSION.saying(self.trace.is_some()), self)
    }

    /// The change of such bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        codec::decode(codec::CHANGE_VERSION, bytes)
    }
}
