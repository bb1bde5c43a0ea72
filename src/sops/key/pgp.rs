//! `pgp` entries.

use super::fault::KeyFault;
use super::identity::{IdentityName, Material};
use super::{DataKey, Inventory};
use crate::sops::metadata::PgpKey;

#[derive(Default)]
pub(super) struct Keys {}

impl Keys {
    pub(super) fn parse(_rings: &[Material]) -> Self {
        Self::default()
    }
    pub(super) fn inventory(&self) -> Inventory {
        Inventory::default()
    }
    pub(super) fn unwrap(&self, _key: &PgpKey) -> Result<(DataKey, IdentityName), KeyFault> {
        Err(KeyFault::NoneHeld { kind: "PGP key" })
    }
}
