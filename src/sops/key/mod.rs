//! Master keys: how a file's data key is unwrapped, and what is said when it cannot be.
//!
//! A key reference is data, a [`Keyring`] is power: nothing here looks for credentials by itself. What private keys
//! there are, the keyring's [`KeyPlace`]s say; they are read when a file first needs them.

mod age;
mod age_pq;
mod fault;
mod identity;
mod order;
mod pgp;
mod pgp_message;
mod pgp_ocb;
mod ssh;

pub use fault::{KeyFault, PlaceFault, PlaceReport, Refusal, UnlockCause, UnlockError};
pub use identity::{Form, IdentityName, KeyPlace, Material};
pub use order::{DecryptionOrder, KeyTypeTwice};

use std::sync::{Arc, OnceLock};

use zeroize::Zeroizing;

use super::metadata::{AgeKey, MasterKey, Metadata};
use super::shamir;
use identity::Held;

/// A file's data key, or a Shamir share of it: 16, 24, 32 or 33 bytes, zeroed on drop.
pub struct DataKey(Zeroizing<Vec<u8>>);

impl DataKey {
    /// Takes the unwrapped bytes over.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes, for the cipher and for Shamir.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for DataKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[redacted]")
    }
}

/// What the operator gave us to unwrap data keys with.
///
/// Costs nothing to make: places are read when the first file with such a key comes along, then kept.
#[derive(Default)]
pub struct Keyring {
    places: Arc<[Box<dyn KeyPlace>]>,
    order: DecryptionOrder,
    held: OnceLock<Held>,
    pgp: OnceLock<pgp::Keys>,
}

/// A data key, and what gave it: one entry, or one per group with Shamir. Audit needs this.
#[derive(Debug)]
pub struct Unlocked {
    /// The data key of the file.
    pub data_key: DataKey,
    /// The master keys that were used, in the order of the groups.
    pub used: Vec<Used>,
}

/// One master key that opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Used {
    /// The key as the file names it; nothing of that name need be true.
    pub key: MasterKey,
    /// Which of our keys opened it; `None` where a key server did.
    pub identity: Option<IdentityName>,
}

/// What a keyring holds, in public names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inventory {
    /// The private keys, by their public halves.
    pub identities: Vec<IdentityName>,
    /// The places that gave nothing, or less than they could.
    pub reports: Vec<PlaceReport>,
}

/// Most master keys that a file may list. The largest files in the wild list some dozens.
const MAX_KEYS: usize = 1000;

impl Keyring {
    /// Makes a keyring of places, which are not read yet.
    #[must_use]
    pub fn new(places: Vec<Box<dyn KeyPlace>>, order: DecryptionOrder) -> Self {
        Self { places: places.into(), order, ..Self::default() }
    }

    /// A keyring of the same places, which are read anew when a file needs them.
    #[must_use]
    pub fn afresh(&self) -> Self {
        Self { places: Arc::clone(&self.places), order: self.order.clone(), ..Self::default() }
    }

    /// Unwraps the data key of a file.
    ///
    /// Follows sops 3.13 `sops.go` (`GetDataKeyWithKeyServices`): inside a group the first key that opens wins; of
    /// several groups all are tried, and Shamir combines what came of them.
    ///
    /// # Errors
    ///
    /// [`UnlockError`] lists every key that was tried, and why each did not open.
    #[expect(
        clippy::unused_async,
        reason = "key servers are asked over the network, and callers shall not change then"
    )]
    pub async fn unlock(&self, metadata: &Metadata) -> Result<Unlocked, UnlockError> {
        let listed = metadata.key_groups.iter().map(Vec::len).sum::<usize>();
        if listed > MAX_KEYS {
            return Err(UnlockError::new(UnlockCause::TooManyKeys { listed, most: MAX_KEYS }));
        }
        let mut attempt = Attempt::default();
        let mut parts = Vec::new();
        let mut used = Vec::new();
        for (index, group) in metadata.key_groups.iter().enumerate() {
            attempt.group = (metadata.key_groups.len() > 1).then_some(index + 1);
            if let Some((part, by)) = self.unlock_group(group, &mut attempt) {
                parts.push(part);
                used.push(by);
            }
        }
        let cause = match combine(parts, metadata) {
            Ok(data_key) => return Ok(Unlocked { data_key, used }),
            Err(cause) => cause,
        };
        let mut known = self.known_for(metadata);
        known.extend(attempt.asked);
        Err(UnlockError { cause, refusals: attempt.refusals, identities: known.identities, reports: known.reports })
    }

    /// What the keyring holds. Reads all places but key commands, which answer for one file at a time.
    #[must_use]
    pub fn inventory(&self) -> Inventory {
        let mut inventory = self.held().inventory();
        inventory.extend(self.pgp().inventory());
        inventory
    }

    fn unlock_group(&self, group: &[MasterKey], attempt: &mut Attempt) -> Option<(DataKey, Used)> {
        for key in self.order.sort(group) {
            match self.unwrap(key, attempt) {
                Ok((data_key, identity)) => return Some((data_key, Used { key: key.clone(), identity })),
                Err(fault) => attempt.refusals.push(Refusal { key: key.clone(), group: attempt.group, fault }),
            }
        }
        None
    }

    fn unwrap(&self, key: &MasterKey, attempt: &mut Attempt) -> Result<(DataKey, Option<IdentityName>), KeyFault> {
        let not_yet = |service| Err(KeyFault::NotYet { service });
        match key {
            MasterKey::Age(key) => self.unwrap_age(key, attempt).map(|(data_key, name)| (data_key, Some(name))),
            MasterKey::Pgp(key) => self.pgp().unwrap(key).map(|(data_key, name)| (data_key, Some(name))),
            MasterKey::AwsKms(_) => not_yet("AWS KMS"),
            MasterKey::GcpKms(_) => not_yet("Google Cloud KMS"),
            MasterKey::AzureKeyVault(_) => not_yet("Azure Key Vault"),
            MasterKey::Vault(_) => not_yet("Vault"),
            MasterKey::HuaweiKms(_) => not_yet("Huawei Cloud KMS"),
        }
    }

    /// Tries what we hold; only then asks the key commands, which sops runs always: the outcome is the same.
    fn unwrap_age(&self, key: &AgeKey, attempt: &mut Attempt) -> Result<(DataKey, IdentityName), KeyFault> {
        let held = self.held();
        let fault = match age::unwrap(key, &held.identities) {
            Ok((data_key, index)) => return Ok((data_key, held.identities[index].name())),
            Err(fault @ KeyFault::Damaged(_)) => return Err(fault),
            Err(fault) => fault,
        };
        let asked = Held::read(self.places.iter().filter(|place| place.is_asked_per_key()), &key.recipient);
        attempt.asked.extend(asked.inventory());
        if asked.identities.is_empty() {
            return Err(fault);
        }
        match age::unwrap(key, &asked.identities) {
            Ok((data_key, index)) => Ok((data_key, asked.identities[index].name())),
            Err(KeyFault::NoMatch { held: more }) => Err(KeyFault::NoMatch { held: held.identities.len() + more }),
            Err(fault) => Err(fault),
        }
    }

    fn held(&self) -> &Held {
        self.held.get_or_init(|| Held::read(self.places.iter().filter(|place| !place.is_asked_per_key()), ""))
    }

    fn pgp(&self) -> &pgp::Keys {
        self.pgp.get_or_init(|| pgp::Keys::parse(&self.held().pgp))
    }

    /// What we hold of the kinds that the file asks for: PGP keys are not parsed to explain an age file.
    fn known_for(&self, metadata: &Metadata) -> Inventory {
        let wants = |wanted: fn(&MasterKey) -> bool| metadata.key_groups.iter().flatten().any(wanted);
        let mut inventory = Inventory::default();
        if wants(|key| matches!(key, MasterKey::Age(_) | MasterKey::Pgp(_))) {
            inventory.reports.clone_from(&self.held().reports);
        }
        if wants(|key| matches!(key, MasterKey::Age(_))) {
            inventory.identities = self.held().names();
        }
        if wants(|key| matches!(key, MasterKey::Pgp(_))) {
            inventory.extend(self.pgp().inventory());
        }
        inventory
    }
}

/// What is noted while the keys of a file are tried.
#[derive(Default)]
struct Attempt {
    /// Number of the group at hand, where there are several.
    group: Option<usize>,
    refusals: Vec<Refusal>,
    /// What key commands gave.
    asked: Inventory,
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[redacted]")
    }
}

impl Inventory {
    fn extend(&mut self, other: Self) {
        self.identities.extend(other.identities);
        self.reports.extend(other.reports);
    }
}

/// The data key of one group, or the secret that the parts of several make. One group ignores the threshold.
fn combine(mut parts: Vec<DataKey>, metadata: &Metadata) -> Result<DataKey, UnlockCause> {
    if metadata.key_groups.len() < 2 {
        return parts.pop().ok_or(UnlockCause::NoKeyOpens);
    }
    if parts.is_empty() {
        return Err(UnlockCause::NoKeyOpens);
    }
    let need = metadata.shamir_threshold.max(2);
    if parts.len() < need {
        return Err(UnlockCause::TooFewParts { have: parts.len(), need });
    }
    shamir::combine(&parts).map_err(|error| UnlockCause::Combine { reason: error.to_string() })
}

#[cfg(test)]
mod tests;
