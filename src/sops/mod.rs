//! The SOPS file format: parse, verify, decrypt, and print as `sops decrypt` prints.
//!
//! This room knows nothing of Argo CD, Helm, the environment or Kubernetes, and does no I/O but what a key service
//! needs. `sops::File::parse` takes an encrypted file apart, a [`Keyring`] gives its [`DataKey`],
//! and decryption hands out a tree only after the MAC has agreed.

mod key;
mod metadata;
mod tree;

pub use key::{
    DataKey, DecryptionOrder, Form, IdentityName, Inventory, KeyFault, KeyPlace, KeyTypeTwice, Keyring, Material,
    PlaceFault, PlaceReport, Refusal, UnlockCause, UnlockError, Unlocked, Used,
};
pub use metadata::{
    AgeKey, AwsKmsKey, AzureKey, GcpKmsKey, HuaweiKey, MasterKey, Metadata, PgpKey, Selector, VaultKey,
};
pub use tree::{Branch, Entry, Node, Text, Timestamp, Tree};
