//! The models of the deployment as the embedded room keeps them: the registry and the right to train as one value, the parts
//! beside it. The writer alone changes them; readers see what is on disk.

use super::lease::Lease;
use crate::contract::{Registry, RegistryChange};
use crate::error::{Error, Result};
use crate::position::RegistryNo;
use serde::{Deserialize, Serialize};

/// As it is stored.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Models {
    /// Who may train.
    pub(super) lease: Lease,
    /// What there is.
    pub(super) registry: Registry,
}

impl Models {
    /// Does what `change` asks for, or nothing.
    pub(super) fn change(&mut self, change: &RegistryChange) -> Result<RegistryNo> {
        let current = self.registry.registry_no;
        let moved = || Error::RegistryMoved { expected: change.expected, current };
        if current != change.expected {
            return Err(moved());
        }
        let mut next = self.registry.clone();
        if let Some((token, model)) = &change.publish {
            if !self.lease.is_held_by(*token) {
                return Err(Error::TrainerFenced);
            }
            if next.newest.is_some_and(|newest| model.version <= newest) {
                return Err(moved());
            }
            next.newest = Some(model.version);
            next.models.push(model.clone());
        }
        if let Some(version) = change.activate {
            next.model(version).ok_or(Error::NoSuchModel { version })?;
            next.active = Some(version);
        }
        if let Some(version) = change.forget.iter().copied().find(|version| next.active == Some(*version)) {
            return Err(Error::NoSuchModel { version });
        }
        next.models.retain(|model| !change.forget.contains(&model.version));
        next.registry_no = current.next();
        self.registry = next;
        Ok(self.registry.registry_no)
    }
}
