//! The `sops` metadata of a file: how it was encrypted, for whom, and its MAC.

/// Everything that stands under `sops` in a file and that decryption needs.
#[derive(Debug)]
pub struct Metadata {
    /// `lastmodified`, re-formatted as sops does for the MAC's additional data.
    pub last_modified: String,
    /// `mac` as it stands in the file (an encrypted value); `None` where absent or empty.
    pub mac: Option<String>,
    /// `version` of the sops that wrote the file.
    pub version: String,
    /// Which leaves are encrypted.
    pub selector: Selector,
    /// `mac_only_encrypted`.
    pub mac_only_encrypted: bool,
    /// `shamir_threshold`; 0 where absent.
    pub shamir_threshold: usize,
    /// Key groups in file order, their keys in sops' order (`kms, gcp_kms, hckms, azure_kv, hc_vault, pgp, age`). Never
    /// empty; one group unless the file uses `key_groups`.
    pub key_groups: Vec<Vec<MasterKey>>,
}

/// The one selector that a file may have; regexes are kept as written (Go syntax).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector {
    /// `unencrypted_suffix`; the default is `_unencrypted`.
    UnencryptedSuffix(String),
    /// `encrypted_suffix`
    EncryptedSuffix(String),
    /// `unencrypted_regex`
    UnencryptedRegex(String),
    /// `encrypted_regex`
    EncryptedRegex(String),
    /// `unencrypted_comment_regex`
    UnencryptedCommentRegex(String),
    /// `encrypted_comment_regex`
    EncryptedCommentRegex(String),
}

/// One way to the data key: what the file says, and no power to use it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MasterKey {
    /// `age`
    Age(AgeKey),
    /// `pgp`
    Pgp(PgpKey),
    /// `kms`
    AwsKms(AwsKmsKey),
    /// `gcp_kms`
    GcpKms(GcpKmsKey),
    /// `azure_kv`
    AzureKeyVault(AzureKey),
    /// `hc_vault`
    Vault(VaultKey),
    /// `hckms`
    HuaweiKms(HuaweiKey),
}

/// An `age` entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgeKey {
    /// The recipient as noted in the file; not used to decrypt.
    pub recipient: String,
    /// The wrapped data key: an armored age file.
    pub enc: String,
}

/// A `pgp` entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PgpKey {
    /// The fingerprint as noted in the file; not used to decrypt.
    pub fp: String,
    /// The wrapped data key: an armored PGP message.
    pub enc: String,
}

/// A `kms` entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwsKmsKey {
    /// ARN of a key or an alias; the region is taken from it.
    pub arn: String,
    /// Role to assume first, where not empty.
    pub role: String,
    /// Encryption context, in file order; entries whose value is null are left out.
    pub context: Vec<(String, String)>,
    /// Profile of the shared AWS files, where not empty.
    pub aws_profile: String,
    /// The wrapped data key: standard base64.
    pub enc: String,
}

/// A `gcp_kms` entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GcpKmsKey {
    /// `projects/*/locations/*/keyRings/*/cryptoKeys/*`
    pub resource_id: String,
    /// The wrapped data key: standard base64.
    pub enc: String,
}

/// An `azure_kv` entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AzureKey {
    /// URL of the vault.
    pub vault_url: String,
    /// Name of the key.
    pub name: String,
    /// Version of the key.
    pub version: String,
    /// The wrapped data key: base64url without padding.
    pub enc: String,
}

/// An `hc_vault` entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VaultKey {
    /// URL of the server.
    pub vault_address: String,
    /// Path of the transit engine.
    pub engine_path: String,
    /// Name of the key.
    pub key_name: String,
    /// The wrapped data key: Vault's text.
    pub enc: String,
}

/// An `hckms` entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HuaweiKey {
    /// `region:uuid`
    pub key_id: String,
    /// The wrapped data key: the service's text.
    pub enc: String,
}
