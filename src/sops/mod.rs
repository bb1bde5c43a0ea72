//! The SOPS file format: parse, verify, decrypt, and print as `sops decrypt` prints.
//!
//! This room knows nothing of Argo CD, Helm, the environment or Kubernetes, and does no I/O but what a key service
//! needs. [`File::parse`] takes an encrypted file apart, a [`Keyring`] gives its [`DataKey`], and [`File::decrypt`] hands
//! out a [`Decrypted`] only after the MAC has agreed. [`detect()`] tells whether a file is one of ours.

mod cipher;
mod decrypt;
mod detect;
mod error;
mod extract;
mod file;
mod go_regex;
mod key;
mod mac;
mod metadata;
mod number;
mod rules;
mod shamir;
mod store;
mod timestamp;
mod tree;

pub use detect::detect;
pub use error::{EmitFault, Error, ErrorKind, ExtractFault, KeyPath, MacFault, Step, SyntaxFault, ValueFault};
pub use extract::ExtractPath;
pub use file::{Decrypted, File};
pub use key::{
    DataKey, DecryptionOrder, Form, IdentityName, Inventory, KeyFault, KeyPlace, KeyTypeTwice, Keyring, Material,
    PlaceFault, PlaceReport, Refusal, UnlockCause, UnlockError, Unlocked, Used,
};
pub use metadata::{
    AgeKey, AwsKmsKey, AzureKey, GcpKmsKey, HuaweiKey, MasterKey, Metadata, MetadataError, PgpKey, Selector, VaultKey,
};
pub use store::{Format, UnknownFormat};
pub use tree::{Branch, Entry, Node, Text, Timestamp, Tree};
