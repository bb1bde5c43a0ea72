//! Which kinds of master keys are tried first.

use crate::sops::metadata::MasterKey;

/// The kinds of master keys to try before all others, in sops' names.
///
/// The default is sops' own: local keys before those that need a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecryptionOrder(Vec<String>);

/// A decryption order that names a kind of key twice; sops refuses it as well (exit 112).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the decryption order names `{name}` twice")]
pub struct KeyTypeTwice {
    /// The name.
    pub name: String,
}

impl KeyTypeTwice {
    /// What to do.
    #[must_use]
    pub fn hint(&self) -> String {
        format!("name `{}` once; the kinds are age, pgp, kms, gcp_kms, hckms, azure_kv, hc_vault", self.name)
    }
}

impl Default for DecryptionOrder {
    fn default() -> Self {
        Self(vec!["age".to_owned(), "pgp".to_owned()])
    }
}

impl DecryptionOrder {
    /// Reads the text of sops' `SOPS_DECRYPTION_ORDER`: names with commas between; an empty text is the default, and
    /// names that no key has are ignored.
    ///
    /// # Errors
    ///
    /// If a name stands twice.
    pub fn parse(text: &str) -> Result<Self, KeyTypeTwice> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        let mut names: Vec<String> = Vec::new();
        for name in text.split(',') {
            if names.iter().any(|known| known == name) {
                return Err(KeyTypeTwice { name: name.to_owned() });
            }
            names.push(name.to_owned());
        }
        Ok(Self(names))
    }

    /// The keys of a group in the order in which they are tried; equals stay as they were.
    pub(super) fn sort<'a>(&self, group: &'a [MasterKey]) -> Vec<&'a MasterKey> {
        let rank = |key: &MasterKey| self.0.iter().position(|name| name == type_name(key)).unwrap_or(self.0.len());
        let mut keys: Vec<_> = group.iter().collect();
        keys.sort_by_key(|key| rank(key));
        keys
    }
}

/// What sops calls this kind of key in metadata and settings.
fn type_name(key: &MasterKey) -> &'static str {
    match key {
        MasterKey::Age(_) => "age",
        MasterKey::Pgp(_) => "pgp",
        MasterKey::AwsKms(_) => "kms",
        MasterKey::GcpKms(_) => "gcp_kms",
        MasterKey::AzureKeyVault(_) => "azure_kv",
        MasterKey::Vault(_) => "hc_vault",
        MasterKey::HuaweiKms(_) => "hckms",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sops::metadata::{AgeKey, GcpKmsKey, HuaweiKey, PgpKey};

    fn group() -> Vec<MasterKey> {
        let enc = String::new;
        vec![
            MasterKey::GcpKms(GcpKmsKey { resource_id: enc(), enc: enc() }),
            MasterKey::HuaweiKms(HuaweiKey { key_id: enc(), enc: enc() }),
            MasterKey::Pgp(PgpKey { fp: enc(), enc: enc() }),
            MasterKey::Age(AgeKey { recipient: "first".to_owned(), enc: enc() }),
            MasterKey::Age(AgeKey { recipient: "second".to_owned(), enc: enc() }),
        ]
    }

    fn sorted(order: &DecryptionOrder) -> Vec<&'static str> {
        order.sort(&group()).into_iter().map(type_name).collect()
    }

    #[test]
    fn local_keys_come_first_by_default() {
        assert_eq!(sorted(&DecryptionOrder::default()), ["age", "age", "pgp", "gcp_kms", "hckms"]);
        assert_eq!(DecryptionOrder::parse(""), Ok(DecryptionOrder::default()));
    }

    #[test]
    fn keys_of_one_kind_keep_their_order() {
        let group = group();
        let ages: Vec<_> = DecryptionOrder::default().sort(&group).into_iter().take(2).collect();
        assert_eq!(ages, [&group[3], &group[4]]);
    }

    #[test]
    fn unknown_names_are_ignored() {
        let order = DecryptionOrder::parse("hckms,carrier-pigeon, age").expect("no name stands twice");
        assert_eq!(sorted(&order), ["hckms", "gcp_kms", "pgp", "age", "age"]);
    }

    #[test]
    fn a_name_twice_is_refused() {
        assert_eq!(DecryptionOrder::parse("pgp,age,pgp"), Err(KeyTypeTwice { name: "pgp".to_owned() }));
    }
}
