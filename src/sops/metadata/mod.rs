//! The `sops` metadata of a file: how it was encrypted, for whom, and its MAC.

mod fields;
mod flat;

use fields::Fields;

use super::store::Format;
use super::tree::{Branch, Entry, Node, Timestamp, Tree};

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

/// Metadata that is there but cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MetadataError {
    /// Two `sops` entries.
    #[error("the file has two `sops` entries")]
    Duplicate,
    /// `sops: null`, a text, a list.
    #[error("`sops` is not a map")]
    NotAMap,
    /// The flattened names of dotenv and INI contradict each other.
    #[error("the name `{name}` {fault}")]
    Flat {
        /// The flattened name.
        name: String,
        /// What it contradicts.
        fault: &'static str,
    },
    /// A field of the wrong type or form.
    #[error("`{field}` {fault}")]
    Field {
        /// Where it stands, as `age[0].enc`.
        field: String,
        /// What it should be.
        fault: &'static str,
    },
    /// At most one rule may say what is encrypted.
    #[error("more than one selector (encrypted_suffix, encrypted_regex, ...)")]
    Selectors,
    /// A regex whose automaton would take too much memory.
    #[error("the regex that selects what is encrypted is too large")]
    SelectorTooLarge,
    /// No way to the data key.
    #[error("it lists no keys")]
    NoKeys,
}

/// `sops_` before each name of dotenv metadata.
pub(crate) const FLAT_PREFIX: &str = "sops_";

/// The entry that holds the metadata in the other formats.
pub(crate) const ENTRY: &str = "sops";

/// The names of the seven lists of keys.
const KEY_LISTS: [&str; 7] = ["kms", "gcp_kms", "hckms", "azure_kv", "hc_vault", "pgp", "age"];

/// Takes the metadata out of a tree; `Ok(None)` when there is none.
///
/// Only the first document's counts; entries named `sops` at the top of later ones are removed unread, as sops does.
pub(crate) fn take(format: Format, tree: &mut Tree<'_>) -> Result<Option<Metadata>, MetadataError> {
    let Some(branch) = take_branch(format, tree)? else { return Ok(None) };
    Metadata::read(&branch).map(Some)
}

/// The metadata's map, taken out of the tree and unflattened.
fn take_branch<'a>(format: Format, tree: &mut Tree<'a>) -> Result<Option<Branch<'a>>, MetadataError> {
    if format == Format::Dotenv {
        let Some(first) = tree.branches.first_mut() else { return Ok(None) };
        let taken: Branch<'a> = first.extract_if(.., |entry| has_flat_prefix(entry)).collect();
        if taken.is_empty() {
            return Ok(None);
        }
        return flat::unflatten(taken, FLAT_PREFIX.len(), false).map(Some);
    }
    let mut found = None;
    for (document, branch) in tree.branches.iter_mut().enumerate() {
        for entry in branch.extract_if(.., |entry| is_entry(entry)) {
            if document > 0 {
                continue;
            }
            if found.is_some() {
                return Err(MetadataError::Duplicate);
            }
            let Entry::Pair(_, Node::Map(map)) = entry else { return Err(MetadataError::NotAMap) };
            found = Some(map);
        }
    }
    match found {
        Some(map) if format == Format::Ini => flat::unflatten(map, 0, true).map(Some),
        found => Ok(found),
    }
}

fn is_entry(entry: &Entry<'_>) -> bool {
    matches!(entry, Entry::Pair(key, _) if key == ENTRY)
}

fn has_flat_prefix(entry: &Entry<'_>) -> bool {
    matches!(entry, Entry::Pair(key, _) if key.starts_with(FLAT_PREFIX))
}

/// Whether a map under `sops` was written by sops, or is somebody's own: it has a MAC, or a list of keys that hold one.
///
/// Broken metadata still counts, so that it becomes an error and not a plain file.
pub(crate) fn looks_like_metadata(map: &Branch<'_>) -> bool {
    let fields = Fields::new(map);
    let has_key_list = |fields: &Fields<'_, '_>| {
        KEY_LISTS.iter().any(|name| match fields.node(name) {
            Some(Node::List(items)) => items.iter().any(|item| matches!(item, Node::Map(map) if holds_key(map))),
            Some(Node::Map(map)) => holds_key(map),
            _ => false,
        })
    };
    let in_groups = match fields.node("key_groups") {
        Some(Node::List(groups)) => {
            groups.iter().any(|group| matches!(group, Node::Map(map) if has_key_list(&Fields::new(map))))
        }
        _ => false,
    };
    matches!(fields.node("mac"), Some(Node::Str(_))) || has_key_list(&fields) || in_groups
}

fn holds_key(map: &Branch<'_>) -> bool {
    Fields::new(map).node("enc").is_some()
}

impl Metadata {
    /// Reads the metadata's map, all of it: a broken entry of a key that nobody needs is an error too, as in sops.
    ///
    /// The version is checked as `sops decrypt` does.
    pub(crate) fn read(branch: &Branch<'_>) -> Result<Self, MetadataError> {
        let fields = Fields::new(branch);
        let key_groups = key_groups(&fields)?;
        let last_modified = rfc3339(&fields, "lastmodified")?;
        let mut text = Vec::with_capacity(25);
        last_modified.write_seconds(&mut text);
        let version = fields.text("version")?;
        if !is_version(&version) {
            return Err(fields.fault("version", "is not of the form 3.9.1"));
        }
        Ok(Self {
            last_modified: String::from_utf8(text).expect("a printed timestamp is ASCII"),
            mac: Some(fields.text("mac")?).filter(|mac| !mac.is_empty()),
            version,
            selector: selector(&fields)?,
            mac_only_encrypted: fields.boolean("mac_only_encrypted")?,
            shamir_threshold: usize::try_from(fields.integer("shamir_threshold")?).unwrap_or(0),
            key_groups,
        })
    }
}

fn selector(fields: &Fields<'_, '_>) -> Result<Selector, MetadataError> {
    type Make = fn(String) -> Selector;
    const SELECTORS: [(&str, Make); 6] = [
        ("unencrypted_suffix", Selector::UnencryptedSuffix),
        ("encrypted_suffix", Selector::EncryptedSuffix),
        ("unencrypted_regex", Selector::UnencryptedRegex),
        ("encrypted_regex", Selector::EncryptedRegex),
        ("unencrypted_comment_regex", Selector::UnencryptedCommentRegex),
        ("encrypted_comment_regex", Selector::EncryptedCommentRegex),
    ];
    let mut found = None;
    for (name, make) in SELECTORS {
        let text = fields.text(name)?;
        if !text.is_empty() && found.replace(make(text)).is_some() {
            return Err(MetadataError::Selectors);
        }
    }
    Ok(found.unwrap_or_else(|| Selector::UnencryptedSuffix("_unencrypted".to_owned())))
}

/// The top-level lists are one group; only when all are empty does `key_groups` count.
fn key_groups(fields: &Fields<'_, '_>) -> Result<Vec<Vec<MasterKey>>, MetadataError> {
    let groups = fields.maps("key_groups")?;
    let top = Group::read(fields)?;
    let groups = groups.iter().map(Group::read).collect::<Result<Vec<_>, _>>()?;
    if !top.keys.is_empty() {
        return Ok(vec![top.checked()?]);
    }
    if groups.is_empty() {
        return Err(MetadataError::NoKeys);
    }
    groups.into_iter().map(Group::checked).collect()
}

/// The keys of one group. Faults that sops only finds in groups that it uses are kept until the group is used.
struct Group {
    keys: Vec<MasterKey>,
    fault: Option<MetadataError>,
}

impl Group {
    fn checked(self) -> Result<Vec<MasterKey>, MetadataError> {
        self.fault.map_or(Ok(self.keys), Err)
    }

    fn read(fields: &Fields<'_, '_>) -> Result<Self, MetadataError> {
        let mut group = Self { keys: Vec::new(), fault: None };
        for name in KEY_LISTS {
            for key in fields.maps(name)? {
                let read = group.key(name, &key)?;
                group.keys.push(read);
            }
        }
        Ok(group)
    }

    fn key(&mut self, list: &str, fields: &Fields<'_, '_>) -> Result<MasterKey, MetadataError> {
        let text = |name| fields.text(name);
        let enc = text("enc")?;
        let created_at = text("created_at")?;
        if list != "age" && Timestamp::parse_rfc3339(created_at.as_bytes()).is_none() {
            self.fault.get_or_insert_with(|| fields.fault("created_at", "is not an RFC 3339 timestamp"));
        }
        Ok(match list {
            "age" => MasterKey::Age(AgeKey { recipient: text("recipient")?, enc }),
            "pgp" => MasterKey::Pgp(PgpKey { fp: text("fp")?, enc }),
            "kms" => MasterKey::AwsKms(AwsKmsKey {
                arn: text("arn")?,
                role: text("role")?,
                context: fields.context("context")?,
                aws_profile: text("aws_profile")?,
                enc,
            }),
            "gcp_kms" => MasterKey::GcpKms(GcpKmsKey { resource_id: text("resource_id")?, enc }),
            "azure_kv" => MasterKey::AzureKeyVault(AzureKey {
                vault_url: text("vault_url")?,
                name: text("name")?,
                version: text("version")?,
                enc,
            }),
            "hc_vault" => MasterKey::Vault(VaultKey {
                vault_address: text("vault_address")?,
                engine_path: text("engine_path")?,
                key_name: text("key_name")?,
                enc,
            }),
            _ => {
                let key_id = text("key_id")?;
                let parts = key_id.trim().split_once(':');
                if !parts.is_some_and(|(region, uuid)| !region.trim().is_empty() && !uuid.trim().is_empty()) {
                    self.fault.get_or_insert_with(|| fields.fault("key_id", "is not of the form region:uuid"));
                }
                MasterKey::HuaweiKms(HuaweiKey { key_id, enc })
            }
        })
    }
}

fn rfc3339(fields: &Fields<'_, '_>, name: &str) -> Result<Timestamp, MetadataError> {
    Timestamp::parse_rfc3339(fields.text(name)?.as_bytes())
        .ok_or_else(|| fields.fault(name, "is not an RFC 3339 timestamp"))
}

/// What sops accepts: `1.` and anything, or a semantic version of three numbers, `v` allowed in front.
fn is_version(text: &str) -> bool {
    if text.starts_with("1.") {
        return true;
    }
    let text = text.strip_prefix('v').unwrap_or(text);
    let (text, build) = text.split_once('+').map_or((text, None), |(text, build)| (text, Some(build)));
    let (numbers, pre) = text.split_once('-').map_or((text, None), |(text, pre)| (text, Some(pre)));
    let word = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let number = |word: &str| {
        word.bytes().all(|byte| byte.is_ascii_digit())
            && word.parse::<u64>().is_ok()
            && (word.len() == 1 || !word.starts_with('0'))
    };
    let all_digits = |word: &str| word.bytes().all(|byte| byte.is_ascii_digit());
    numbers.split('.').count() == 3
        && numbers.split('.').all(number)
        && pre.is_none_or(|pre| pre.split('.').all(|part| word(part) && (!all_digits(part) || number(part))))
        && build.is_none_or(|build| build.split('.').all(word))
}

#[cfg(test)]
mod tests;
