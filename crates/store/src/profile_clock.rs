//! Clock that profiles decay by: the wall clock, or, for replays of old logs, the time of the newest event. One choice for a
//! whole deployment, so that every reader sees the same numbers.

use crate::contract::LogStore;
use crate::error::Result;
use portrait_profile::Timestamp;
use serde::{Deserialize, Serialize};

/// Clock that profiles decay by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProfileClock {
    /// Wall clock of the process.
    #[default]
    Wall,
    /// Newest event time committed in any partition; the wall clock until there is one.
    Events,
}

impl ProfileClock {
    /// Returns the time by this clock; `wall` is the current wall time. `Events` reads the state of every partition.
    pub async fn now(self, store: &dyn LogStore, wall: Timestamp) -> Result<Timestamp> {
        match self {
            Self::Wall => Ok(wall),
            Self::Events => newest_event(store).await.map(|newest| newest.unwrap_or(wall)),
        }
    }
}

async fn newest_event(store: &dyn LogStore) -> Result<Option<Timestamp>> {
    let mut newest = None;
    for partition in store.layout().partitions.all() {
        let clock = store.meta(partition).await?.clock;
        // A partition without commits reports the epoch, which would move a replay back to 1970.
        if clock > Timestamp::EPOCH {
            newest = newest.max(Some(clock));
        }
    }
    Ok(newest)
}
