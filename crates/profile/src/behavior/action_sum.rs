//! Count of one action with its newest times.

use super::times::{ActionTimes, PackedTimes, TimesSeed};
use crate::action::Action;
use crate::codec::part;
use crate::decay::DecayedSum;
use serde::de::{Error, SeqAccess, Visitor};
use serde::ser::SerializeTuple;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// Number of encoded parts: action, total, sum and times.
const PARTS: usize = 4;

/// Count of one action.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ActionSum {
    pub(crate) action: Action,
    /// Count since the beginning.
    pub(crate) total: u64,
    /// Decayed count of the action.
    pub(crate) decayed: DecayedSum,
    /// Newest times, encoded as distances to the newest contribution of `decayed`.
    pub(crate) times: ActionTimes,
}

impl Serialize for ActionSum {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut parts = serializer.serialize_tuple(PARTS)?;
        parts.serialize_element(&self.action)?;
        parts.serialize_element(&self.total)?;
        parts.serialize_element(&self.decayed)?;
        let (kind, newest) = (self.action.kind(), self.decayed.at());
        parts.serialize_element(&PackedTimes { kind, newest, times: &self.times })?;
        parts.end()
    }
}

impl<'de> Deserialize<'de> for ActionSum {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_tuple(PARTS, SumVisitor)
    }
}

/// Deserializer of a count, part by part: the times depend on the parts before them.
struct SumVisitor;

impl<'de> Visitor<'de> for SumVisitor {
    type Value = ActionSum;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a count of an action")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<ActionSum, A::Error> {
        let action: Action = part(&mut parts)?;
        let total = part(&mut parts)?;
        let decayed: DecayedSum = part(&mut parts)?;
        let seed = TimesSeed { kind: action.kind(), newest: decayed.at() };
        let times = parts.next_element_seed(seed)?.ok_or_else(|| A::Error::custom("incomplete entry"))?;
        Ok(ActionSum { action, total, decayed, times })
    }
}
