//! Entry of a partition's change feed: a profile changed, with its new version. It holds the event, not the state; a reader
//! that needs the profile reads it, at this version or a newer one.

use crate::codec::{self, DecodeError};
use crate::id::UserId;
use crate::segment::SegmentId;
use crate::time::Timestamp;
use crate::trace::TraceContext;
use crate::version::ProfileVersion;
use serde::{Deserialize, Serialize};

/// Change of a profile.
///
/// ```
/// use portrait_profile::{ProfileChange, ProfileVersion, SegmentId, Timestamp, UserId};
///
/// let change = ProfileChange {
///     user_id: UserId::parse("lena")?,
///     version: ProfileVersion::default().next(),
///     deleted: false,
///     accepted_at: Timestamp::from_millis(1_700_000_000_000),
///     segment_before: None,
///     segment_after: Some(SegmentId::new(7)),
///     trace: None,
/// };
/// assert!(change.moved());
/// assert_eq!(ProfileChange::decode(&change.encode())?, change);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProfileChange {
    /// User of the profile.
    pub user_id: UserId,
    /// Version after the change.
    pub version: ProfileVersion,
    /// True if the profile was deleted.
    pub deleted: bool,
    /// Ingest time of the newest record in the change; delivery latency is measured from here.
    pub accepted_at: Timestamp,
    /// Segment before the change.
    pub segment_before: Option<SegmentId>,
    /// Segment after the change.
    pub segment_after: Option<SegmentId>,
    /// Span of the commit, if the call that caused it is sampled. As in [`crate::Record`], last and only written if
    /// present.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace: Option<TraceContext>,
}

impl ProfileChange {
    /// Returns whether the change leads to another segment.
    pub fn moved(&self) -> bool {
        self.segment_before != self.segment_after
    }

    /// Encodes the change for the feed: a version byte and postcard.
    pub fn encode(&self) -> Vec<u8> {
        // Readers of the previous release run during a rolling update and do not know the trace context.
        codec::encode(codec::CHANGE_VERSION.for_content([self.trace.is_some()]), self)
    }

    /// Decodes a change from the bytes of [`Self::encode`].
    ///
    /// # Errors
    /// If the bytes are damaged or of a newer version.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        codec::decode(codec::CHANGE_VERSION, bytes)
    }
}
