//! Master keys: how a file's data key is unwrapped, and what is said when it cannot be.
//!
//! A key reference is data, a [`Keyring`] is power: nothing here looks for credentials by itself.

use zeroize::Zeroizing;

use super::metadata::MasterKey;

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
#[derive(Default)]
pub struct Keyring {}

/// A data key, and which master keys gave it (audit needs this; several with Shamir).
pub struct Unlocked {
    /// The data key of the file.
    pub data_key: DataKey,
    /// The master keys that were used.
    pub used: Vec<MasterKey>,
}

/// No way to the data key.
#[derive(Debug)]
pub struct UnlockError {
    /// Every key that was tried, in order, with the reason why it did not open.
    pub refusals: Vec<Refusal>,
}

/// One master key that did not open.
#[derive(Debug)]
pub struct Refusal {
    /// The key as the file names it.
    pub key: MasterKey,
    /// Why.
    pub fault: KeyFault,
}

/// Why one master key did not open.
#[derive(Debug)]
pub enum KeyFault {}
