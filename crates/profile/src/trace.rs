//! Where a record or a change comes from, for those who follow one call through all rooms. It changes no profile.

use serde::{Deserialize, Serialize};

/// A span of a trace: the 16 bytes of the trace's id and the 8 of its own, as in W3C Trace Context.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TraceContext(pub [u8; 24]);
