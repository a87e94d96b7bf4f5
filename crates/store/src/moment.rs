//! The moment that profiles decay to: the wall clock's, or, for replays of old logs, that of the newest event. One choice
//! for a whole deployment, so that every reader sees the same numbers.

use crate::contract::LogStore;
use crate::error::Result;
use portrait_profile::Timestamp;
use serde::{Deserialize, Serialize};

/// Which clock profiles decay by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProfileClock {
    /// The clock on the wall.
    #[default]
    Wall,
    /// The newest event time that was committed in any partition; the wall's until there is one.
    Events,
}

impl ProfileClock {
    /// The moment it is by this clock, when the wall's says `wall`.
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
        if clock > Timestamp::EPOCH {
            newest = newest.max(Some(clock));
        }
    }
    Ok(newest)
}
