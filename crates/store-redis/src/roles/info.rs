//! Fixed properties of the store.

use crate::store::RedisStore;
use portrait_store::{Layout, Limits, StoreInfo};

impl StoreInfo for RedisStore {
    fn layout(&self) -> Layout {
        self.layout
    }

    fn limits(&self) -> Limits {
        self.limits
    }

    fn warnings(&self) -> Vec<String> {
        self.health.warnings()
    }
}
