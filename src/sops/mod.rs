//! The SOPS file format: parse, verify, decrypt, and print as `sops decrypt` prints.
//!
//! This room knows nothing of Argo CD, Helm, the environment or Kubernetes, and does no I/O but what a key service
//! needs. [`File::parse`] takes an encrypted file apart, a [`Keyring`] gives its [`DataKey`], and [`File::decrypt`] hands
//! out a [`Decrypted`] only after the MAC has agreed. [`detect()`] tells whether a file is one of ours.
//!
//! ```
//! use argocd_sops::sops::{DecryptionOrder, File, Form, Format, KeyPlace, Keyring, Material};
//! use zeroize::Zeroizing;
//!
//! struct Given(&'static str);
//!
//! impl KeyPlace for Given {
//!     fn read(&self, _recipient: &str) -> Vec<Material> {
//!         let content = Ok(Zeroizing::new(self.0.as_bytes().to_vec()));
//!         vec![Material { place: "given".into(), form: Form::AgeFile, content }]
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # const KEY: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/sops/keys/age-1.txt"));
//! # const ENCRYPTED: &[u8] =
//! #     include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/sops/cases/yaml-str-basic.yaml"));
//! let keyring = Keyring::new(vec![Box::new(Given(KEY))], DecryptionOrder::default());
//! let file = File::parse(Format::Yaml, ENCRYPTED)?;
//! let unlocked = keyring.unlock(file.metadata()).await?;
//! let plaintext = file.decrypt(unlocked.data_key)?.emit(Format::Yaml, None)?;
//! assert_eq!(plaintext.expose(), b"user: admin\npassword: hunter2\n");
//! # Ok(())
//! # }
//! ```

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
