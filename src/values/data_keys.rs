//! Data keys are kept for a short while, so that files of one master key ask its server once.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::Allowed;
use crate::flight::{Flights, Joined};
use crate::keyring::Generation;
use crate::sops::{AgeKey, AwsKmsKey, AzureKey, GcpKmsKey, HuaweiKey, MasterKey, Metadata, PgpKey, VaultKey};
use crate::sops::{UnlockError, Unlocked};

/// The most data keys that are kept.
const MAX_KEPT: usize = 10_000;

/// The data keys that were unwrapped lately, zeroed when they go.
pub(super) struct DataKeys {
    life: Duration,
    kept: Mutex<Kept>,
    flights: Flights<Name, Result<Arc<Unlocked>, UnlockError>>,
    asked: AtomicU64,
    unwrapped: AtomicU64,
}

/// A digest of all that decides whether two files have the same data key and may share it.
type Name = [u8; 32];

/// A data key, and how it was had.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) unlocked: Arc<Unlocked>,
    /// Whether it was known, or somebody else unwrapped it meanwhile.
    pub(super) known: bool,
}

impl Opened {
    fn now(unlocked: Arc<Unlocked>) -> Self {
        Self { unlocked, known: false }
    }
}

#[derive(Default)]
struct Kept {
    /// The keys that opened what is kept.
    generation: u64,
    keys: HashMap<Name, (Arc<Unlocked>, Instant)>,
}

/// What was asked of the data keys, and how many there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DataKeyStats {
    /// Encrypted files that were to be opened.
    pub asked: u64,
    /// Those for which master keys were tried; the others were opened by what was known.
    pub unwrapped: u64,
    /// The data keys that are kept.
    pub kept: usize,
}

impl DataKeys {
    /// Keeps each data key for `life`; none if that is zero.
    pub(super) fn new(life: Duration) -> Self {
        let (asked, unwrapped) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { life, kept: Mutex::default(), flights: Flights::default(), asked, unwrapped }
    }

    /// The data key of a file, unwrapped or known. Those who ask for the same at the same time share one answer, also a
    /// refusal; only data keys are kept beyond that.
    pub(super) async fn unlock(
        &self,
        allowed: &Allowed,
        keys: &Generation,
        metadata: &Metadata,
    ) -> Result<Opened, UnlockError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        if self.life.is_zero() {
            return self.unwrap(keys, metadata).await.map(Opened::now);
        }
        let name = name(allowed, keys.number, metadata);
        loop {
            if let Some(known) = self.known(&name, Instant::now()) {
                return Ok(Opened { unlocked: known, known: true });
            }
            match self.flights.join(&name) {
                Joined::Others(waiting) => {
                    if let Some(outcome) = waiting.landed().await {
                        return outcome.map(|unlocked| Opened { unlocked, known: true });
                    }
                }
                Joined::Mine(flight) => {
                    // It may have landed between the two questions.
                    if self.known(&name, Instant::now()).is_some() {
                        continue;
                    }
                    let outcome = self.unwrap(keys, metadata).await;
                    if let Ok(unlocked) = &outcome {
                        self.keep(name, keys.number, unlocked, Instant::now());
                    }
                    flight.land(outcome.clone());
                    return outcome.map(Opened::now);
                }
            }
        }
    }

    /// Forgets what is too old.
    pub(super) fn sweep(&self, now: Instant) {
        self.lock().keys.retain(|_, (_, since)| now.saturating_duration_since(*since) < self.life);
    }

    pub(super) fn stats(&self) -> DataKeyStats {
        DataKeyStats {
            asked: self.asked.load(Ordering::Relaxed),
            unwrapped: self.unwrapped.load(Ordering::Relaxed),
            kept: self.lock().keys.len(),
        }
    }

    async fn unwrap(&self, keys: &Generation, metadata: &Metadata) -> Result<Arc<Unlocked>, UnlockError> {
        self.unwrapped.fetch_add(1, Ordering::Relaxed);
        keys.keyring.unlock(metadata).await.map(Arc::new)
    }

    fn known(&self, name: &Name, now: Instant) -> Option<Arc<Unlocked>> {
        let kept = self.lock();
        let (unlocked, since) = kept.keys.get(name)?;
        (now.saturating_duration_since(*since) < self.life).then(|| Arc::clone(unlocked))
    }

    fn keep(&self, name: Name, generation: u64, unlocked: &Arc<Unlocked>, now: Instant) {
        self.sweep(now);
        let mut kept = self.lock();
        // What earlier keys have opened can no longer be asked for.
        if generation > kept.generation {
            kept.keys.clear();
            kept.generation = generation;
        }
        if generation == kept.generation && kept.keys.len() < MAX_KEPT {
            kept.keys.insert(name, (Arc::clone(unlocked), now));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes in the side of the policy, the keys that are held, and all of a file's key groups with their wrapped keys.
fn name(allowed: &Allowed, generation: u64, metadata: &Metadata) -> Name {
    let mut digest = blake3::Hasher::new();
    let number = |number: u64, digest: &mut blake3::Hasher| {
        digest.update(&number.to_le_bytes());
    };
    let text = |text: &str, digest: &mut blake3::Hasher| {
        digest.update(&(text.len() as u64).to_le_bytes()).update(text.as_bytes());
    };
    text(allowed.border().as_str(), &mut digest);
    number(generation, &mut digest);
    number(metadata.shamir_threshold as u64, &mut digest);
    number(metadata.key_groups.len() as u64, &mut digest);
    for group in &metadata.key_groups {
        number(group.len() as u64, &mut digest);
        for key in group {
            let (kind, texts, context): (u64, Vec<&str>, &[(String, String)]) = match key {
                MasterKey::Age(AgeKey { recipient, enc }) => (1, vec![recipient, enc], &[]),
                MasterKey::Pgp(PgpKey { fp, enc }) => (2, vec![fp, enc], &[]),
                MasterKey::AwsKms(AwsKmsKey { arn, role, context, aws_profile, enc }) => {
                    (3, vec![arn, role, aws_profile, enc], context)
                }
                MasterKey::GcpKms(GcpKmsKey { resource_id, enc }) => (4, vec![resource_id, enc], &[]),
                MasterKey::AzureKeyVault(AzureKey { vault_url, name, version, enc }) => {
                    (5, vec![vault_url, name, version, enc], &[])
                }
                MasterKey::Vault(VaultKey { vault_address, engine_path, key_name, enc }) => {
                    (6, vec![vault_address, engine_path, key_name, enc], &[])
                }
                MasterKey::HuaweiKms(HuaweiKey { key_id, enc }) => (7, vec![key_id, enc], &[]),
            };
            number(kind, &mut digest);
            for part in texts {
                text(part, &mut digest);
            }
            number(context.len() as u64, &mut digest);
            for (name, value) in context {
                text(name, &mut digest);
                text(value, &mut digest);
            }
        }
    }
    *digest.finalize().as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sops::{DecryptionOrder, Form, KeyPlace, Keyring, Material, PlaceFault, Selector};
    use crate::values::policy::Border;

    const LIFE: Duration = Duration::from_mins(5);

    struct Mount(&'static str);

    impl KeyPlace for Mount {
        fn read(&self, _recipient: &str) -> Vec<Material> {
            let content = if self.0.is_empty() {
                Err(PlaceFault::Missing)
            } else {
                Ok(zeroize::Zeroizing::new(self.0.as_bytes().to_vec()))
            };
            vec![Material { place: "mount".into(), form: Form::Any, content }]
        }
    }

    fn keys(number: u64, key: &'static str) -> Generation {
        Generation { number, keyring: Arc::new(Keyring::new(vec![Box::new(Mount(key))], DecryptionOrder::default())) }
    }

    const KEY: &str = include_str!("../../tests/vectors/keys/age-x25519.txt");

    fn metadata() -> Metadata {
        let enc = include_str!("../../tests/vectors/keys/age-x25519.age").to_owned();
        Metadata {
            last_modified: String::new(),
            mac: None,
            version: "3.13.3".to_owned(),
            selector: Selector::UnencryptedSuffix("_unencrypted".to_owned()),
            mac_only_encrypted: false,
            shamir_threshold: 0,
            key_groups: vec![vec![MasterKey::Age(AgeKey { recipient: "age1asked".to_owned(), enc })]],
        }
    }

    fn side(name: &str) -> Allowed {
        Allowed::on(Border::named(name))
    }

    #[tokio::test]
    async fn a_data_key_is_unwrapped_once() {
        let data_keys = DataKeys::new(LIFE);
        let keys = keys(1, KEY);
        let one = data_keys.unlock(&side("a"), &keys, &metadata()).await.unwrap();
        let other = data_keys.unlock(&side("a"), &keys, &metadata()).await.unwrap();
        assert_eq!(one.unlocked.data_key.expose(), other.unlocked.data_key.expose());
        assert_eq!((one.known, other.known), (false, true));
        assert_eq!(data_keys.stats(), DataKeyStats { asked: 2, unwrapped: 1, kept: 1 });
    }

    #[tokio::test]
    async fn nothing_crosses_a_border_of_the_policy() {
        let data_keys = DataKeys::new(LIFE);
        let keys = keys(1, KEY);
        data_keys.unlock(&side("a"), &keys, &metadata()).await.unwrap();
        data_keys.unlock(&side("b"), &keys, &metadata()).await.unwrap();
        assert_eq!(data_keys.stats().unwrapped, 2);
    }

    #[tokio::test]
    async fn a_key_that_was_taken_away_opens_nothing_at_once() {
        let data_keys = DataKeys::new(LIFE);
        data_keys.unlock(&side("a"), &keys(1, KEY), &metadata()).await.unwrap();
        data_keys.unlock(&side("a"), &keys(2, ""), &metadata()).await.unwrap_err();
    }

    #[tokio::test]
    async fn new_keys_take_the_place_of_what_old_ones_opened() {
        let data_keys = DataKeys::new(LIFE);
        let old = keys(1, KEY);
        data_keys.unlock(&side("a"), &old, &metadata()).await.unwrap();
        data_keys.unlock(&side("a"), &keys(2, KEY), &metadata()).await.unwrap();
        assert_eq!(data_keys.stats().kept, 1);
        data_keys.unlock(&side("a"), &old, &metadata()).await.unwrap();
        assert_eq!(data_keys.stats(), DataKeyStats { asked: 3, unwrapped: 3, kept: 1 }, "late ones are not kept");
    }

    #[tokio::test]
    async fn refusals_are_not_kept() {
        let data_keys = DataKeys::new(LIFE);
        let keys = keys(1, "");
        data_keys.unlock(&side("a"), &keys, &metadata()).await.unwrap_err();
        data_keys.unlock(&side("a"), &keys, &metadata()).await.unwrap_err();
        assert_eq!(data_keys.stats(), DataKeyStats { asked: 2, unwrapped: 2, kept: 0 });
    }

    #[tokio::test]
    async fn a_data_key_is_forgotten_when_its_time_is_over() {
        let data_keys = DataKeys::new(LIFE);
        let (allowed, keys) = (side("a"), keys(1, KEY));
        data_keys.unlock(&allowed, &keys, &metadata()).await.unwrap();
        let name = name(&allowed, 1, &metadata());
        assert!(data_keys.known(&name, Instant::now()).is_some());
        assert!(data_keys.known(&name, Instant::now() + LIFE).is_none());
        data_keys.sweep(Instant::now() + LIFE);
        assert_eq!(data_keys.stats().kept, 0);
    }

    #[tokio::test]
    async fn it_can_be_turned_off() {
        let data_keys = DataKeys::new(Duration::ZERO);
        let keys = keys(1, KEY);
        data_keys.unlock(&side("a"), &keys, &metadata()).await.unwrap();
        data_keys.unlock(&side("a"), &keys, &metadata()).await.unwrap();
        assert_eq!(data_keys.stats(), DataKeyStats { asked: 2, unwrapped: 2, kept: 0 });
    }

    #[test]
    fn all_of_the_key_groups_is_in_the_name() {
        let kms = |context: &[(&str, &str)]| {
            MasterKey::AwsKms(AwsKmsKey {
                arn: "arn".into(),
                role: String::new(),
                context: context.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
                aws_profile: String::new(),
                enc: "enc".into(),
            })
        };
        let of = |threshold, key_groups| {
            name(&side("a"), 1, &Metadata { shamir_threshold: threshold, key_groups, ..metadata() })
        };
        let names = [
            of(0, vec![vec![kms(&[])]]),
            of(0, vec![vec![kms(&[("a", "b")])]]),
            of(0, vec![vec![kms(&[("ab", "")])]]),
            of(0, vec![vec![kms(&[]), kms(&[])]]),
            of(0, vec![vec![kms(&[])], vec![kms(&[])]]),
            of(2, vec![vec![kms(&[])], vec![kms(&[])]]),
        ];
        let different: std::collections::HashSet<_> = names.iter().collect();
        assert_eq!(different.len(), names.len());
    }
}
