//! Use of the servers' memory: a server at its limit refuses appends, so the fullest one counts.

use super::rewrite::info;
use super::store::RedisStore;
use portrait_store::{Error, Result, StoreSpace};
use std::collections::HashMap;

impl RedisStore {
    /// Returns the use of the memory of the server that is closest to its limit.
    pub(super) async fn fullest_server(&self) -> Result<StoreSpace> {
        let mut fullest: Option<StoreSpace> = None;
        for endpoint in self.cluster.primaries().await? {
            let connection = endpoint.connection().await?;
            let space = space_of(&info(&connection, "memory").await?);
            if fullest.is_none_or(|fullest| used_share(space) > used_share(fullest)) {
                fullest = Some(space);
            }
        }
        fullest.ok_or(Error::Unavailable(None))
    }
}

/// Reads the section `memory` of a server's information.
fn space_of(info: &HashMap<String, String>) -> StoreSpace {
    let limit = bytes(info, "maxmemory").filter(|bytes| *bytes > 0);
    StoreSpace {
        used_bytes: bytes(info, "used_memory").unwrap_or_default(),
        // Without `maxmemory` the machine is the limit: the kernel ends the server there.
        capacity_bytes: limit.or_else(|| bytes(info, "total_system_memory")),
    }
}

fn bytes(info: &HashMap<String, String>, name: &str) -> Option<u64> {
    info.get(name)?.parse().ok()
}

fn used_share(space: StoreSpace) -> f64 {
    space.capacity_bytes.map_or(0.0, |capacity| space.used_bytes as f64 / capacity.max(1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reply;

    #[test]
    fn the_limit_is_maxmemory_or_the_machine() {
        let rows = [
            ("used_memory:70\r\nmaxmemory:100\r\ntotal_system_memory:900", 70, Some(100)),
            ("used_memory:70\r\nmaxmemory:0\r\ntotal_system_memory:900", 70, Some(900)),
            ("used_memory:70\r\nmaxmemory:0", 70, None),
        ];
        for (lines, used_bytes, capacity_bytes) in rows {
            let info = reply::info_fields(lines);
            assert_eq!(space_of(&info), StoreSpace { used_bytes, capacity_bytes }, "{lines}");
        }
    }
}
