//! Fixed properties of the store.

use crate::store::Embedded;
use portrait_store::{Layout, Limits, StoreInfo};

impl StoreInfo for Embedded {
    fn layout(&self) -> Layout {
        self.layout
    }

    fn limits(&self) -> Limits {
        self.limits
    }
}
