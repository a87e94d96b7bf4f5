//! Trace context of records and changes, which links one call across services. It changes no profile.

use serde::{Deserialize, Serialize};

/// Span of a trace: the 16 bytes of the trace id and the 8 bytes of the span id, as in W3C Trace Context.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TraceContext(pub [u8; 24]);
