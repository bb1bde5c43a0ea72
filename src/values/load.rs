//! Reads the files that were found, and decrypts those that are encrypted.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::task::spawn_blocking;
use tracing::{Span, debug, warn};

use super::data_keys::{DataKeyStats, DataKeys, Opened};
use super::{Allowed, Border, Error, Found, Policy};
use crate::app::Plan;
use crate::deadline::Deadline;
use crate::keyring::{Generation, Keys};
use crate::secret::Plaintext;
use crate::sops::{self, DataKey, Format, Metadata, UnlockError};

/// The most bytes of one values file.
const MAX_FILE: u64 = 64 * 1024 * 1024;

/// The most bytes of all values of a run: they are in memory at once.
const MAX_BYTES: usize = 256 * 1024 * 1024;

/// Loads values files; keys are read when the first encrypted file needs them.
pub struct Loader {
    policy: Policy,
    keys: Keys,
    data_keys: DataKeys,
}

/// What a request may decrypt with.
#[derive(Debug, Clone)]
pub struct Powers {
    /// The side of the policy on which its project stands.
    pub border: Border,
    /// The keys that are held now.
    pub keys: Generation,
    project: Option<String>,
}

/// What helm is fed with: a file's content and the name by which people know it.
#[derive(Debug)]
pub struct ValuesFile {
    /// As messages name it.
    pub name: String,
    /// The plaintext.
    pub content: Plaintext,
}

/// All inputs of a run.
#[derive(Debug, Default)]
pub struct Values {
    /// Values files, inline values, files of `fileParameters`: in the order of helm's command line.
    pub files: Vec<ValuesFile>,
    /// Every decrypted value, to be masked in what others say.
    pub secrets: Vec<Plaintext>,
}

/// What a file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// helm reads it as YAML.
    Values,
    /// A template gets its bytes.
    Bytes,
}

impl Values {
    fn add(&mut self, file: ValuesFile) -> Result<(), Error> {
        self.files.push(file);
        let bytes: usize = self.files.iter().map(|file| file.content.len()).sum();
        if bytes > MAX_BYTES { Err(Error::TooLarge { limit: MAX_BYTES }) } else { Ok(()) }
    }
}

impl Loader {
    /// A loader that has read nothing yet. Data keys are kept for `data_key_life`; not at all if that is zero.
    #[must_use]
    pub fn new(policy: Policy, keys: Keys, data_key_life: Duration) -> Self {
        Self { policy, keys, data_keys: DataKeys::new(data_key_life) }
    }

    /// What may be decrypted with for a plan. Looks at files: not for threads that must not wait.
    #[must_use]
    pub fn powers(&self, plan: &Plan) -> Powers {
        let project = plan.project.clone();
        Powers { border: self.policy.border(project.as_deref()), keys: self.keys.now(), project }
    }

    /// Reads and decrypts what [`super::find()`] has found, and puts it in order, with the plan's inline values between
    /// values files and files of `fileParameters`. It works on a thread of its own, so that the deadline and signals hold
    /// while it does; where nobody waits any more, that ends with the file at hand.
    ///
    /// # Errors
    ///
    /// If a file cannot be read, may not be decrypted, or cannot be; or if the deadline passes.
    pub async fn load(
        self: &Arc<Self>,
        plan: &Plan,
        values: Vec<Found>,
        files: Vec<Found>,
        powers: Powers,
        deadline: Deadline,
    ) -> Result<Values, Error> {
        let (loader, inline, runtime) = (Arc::clone(self), plan.inline_values.clone(), Handle::current());
        let wanted = Wanted::default();
        let still_wanted = Arc::clone(&wanted.0);
        let span = Span::current();
        let work = spawn_blocking(move || {
            // What is logged there belongs to the request as well.
            let _request = span.enter();
            let all = loader.all(values, inline, files, &powers, &still_wanted);
            span.in_scope(|| runtime.block_on(deadline.limit(all)))
        });
        match deadline.limit(work).await {
            Ok(Ok(Ok(outcome))) => outcome,
            // Nobody aborts such a thread, so it has panicked.
            Ok(Err(failed)) => std::panic::resume_unwind(failed.into_panic()),
            Ok(Ok(Err(passed))) | Err(passed) => Err(Error::TooLate { allowed: passed.allowed }),
        }
    }

    /// Forgets data keys whose time is over.
    pub fn sweep(&self) {
        self.data_keys.sweep(Instant::now());
    }

    /// What was asked of the data keys.
    #[must_use]
    pub fn stats(&self) -> DataKeyStats {
        self.data_keys.stats()
    }

    /// The number of the keys that are held; it grows when they change.
    #[must_use]
    pub fn keys_generation(&self) -> u64 {
        self.keys.generation()
    }

    async fn all(
        &self,
        values: Vec<Found>,
        inline: Option<String>,
        files: Vec<Found>,
        powers: &Powers,
        wanted: &AtomicBool,
    ) -> Result<Values, Error> {
        let mut loaded = Values::default();
        for found in values {
            let file = self.one(found, Purpose::Values, powers, wanted, &mut loaded.secrets).await?;
            loaded.add(file)?;
        }
        if let Some(text) = inline {
            let content = Plaintext::from(text);
            loaded.add(ValuesFile { name: "the Application's `values`".into(), content })?;
        }
        for found in files {
            let file = self.one(found, Purpose::Bytes, powers, wanted, &mut loaded.secrets).await?;
            loaded.add(file)?;
        }
        Ok(loaded)
    }

    async fn one(
        &self,
        found: Found,
        purpose: Purpose,
        powers: &Powers,
        wanted: &AtomicBool,
        secrets: &mut Vec<Plaintext>,
    ) -> Result<ValuesFile, Error> {
        if !wanted.load(Ordering::Relaxed) {
            return Err(Error::Unwanted);
        }
        let Found { file, said_to_be_encrypted } = found;
        let path = file.path().clone();
        let bytes = file.read(MAX_FILE)?;
        let decrypt_error = |cause| Error::Decrypt { file: path.clone(), cause };
        let Some(format) = sops::detect(path.file_name(), &bytes).map_err(decrypt_error)? else {
            if said_to_be_encrypted {
                warn!(file = %path, "`secrets://` names a file that is not encrypted; it is used as it is");
            }
            return Ok(ValuesFile { name: path.to_string(), content: Plaintext::new(bytes) });
        };
        if purpose == Purpose::Values && matches!(format, Format::Dotenv | Format::Ini) {
            return Err(Error::NotValues { file: path, format });
        }
        let allowed = self
            .policy
            .allow(powers.project.as_deref())
            .map_err(|cause| Error::Refused { file: path.clone(), cause })?;
        let encrypted = sops::File::parse(format, &bytes).map_err(decrypt_error)?;
        let Opened { unlocked, known } = self
            .unlock(&allowed, &powers.keys, encrypted.metadata())
            .await
            .map_err(|cause| Error::Unlock { file: path.clone(), cause })?;
        debug!(file = %path, keys = unlocked.used.len(), known, "data key opened");
        let data_key = DataKey::new(unlocked.data_key.expose().to_vec());
        let decrypted = encrypted.decrypt(data_key).map_err(decrypt_error)?;
        let content = decrypted.emit(format, None).map_err(decrypt_error)?;
        if let Some(at) = decrypted.still_encrypted() {
            return Err(Error::StillEncrypted { file: path, at });
        }
        if purpose == Purpose::Values && format == Format::Binary {
            // The envelope holds a file of its own, which nobody has looked at.
            if !matches!(sops::detect(path.file_name(), content.expose()), Ok(None)) {
                return Err(Error::Twice { file: path });
            }
            // One secret for us, many values for helm, which quotes them one by one.
            secrets.extend(words(content.expose()));
        }
        secrets.extend(decrypted.into_secrets());
        Ok(ValuesFile { name: path.to_string(), content })
    }

    /// The operator's keys, for those who may decrypt. Where none opens, there may be others by now.
    async fn unlock(&self, allowed: &Allowed, keys: &Generation, metadata: &Metadata) -> Result<Opened, UnlockError> {
        let refused = match self.data_keys.unlock(allowed, keys, metadata).await {
            Ok(opened) => return Ok(opened),
            Err(refused) => refused,
        };
        let now = self.keys.look();
        if now.number == keys.number { Err(refused) } else { self.data_keys.unlock(allowed, &now, metadata).await }
    }
}

/// Says to the thread at work that nobody waits any more.
struct Wanted(Arc<AtomicBool>);

impl Default for Wanted {
    fn default() -> Self {
        Self(Arc::new(AtomicBool::new(true)))
    }
}

impl Drop for Wanted {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// What stands between the marks of YAML and JSON.
fn words(text: &[u8]) -> impl Iterator<Item = Plaintext> {
    let ends = |byte: &u8| byte.is_ascii_whitespace() || b"\"'`:,{}[]&*".contains(byte);
    text.split(ends).filter(|word| !word.is_empty()).map(|word| Plaintext::new(word.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyring::Places;
    use crate::repo::{Base, Source};

    #[tokio::test]
    async fn a_thread_ends_with_the_file_at_hand_where_nobody_waits_any_more() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("values.yaml"), "a: 1\n").unwrap();
        let source = Source::open(folder.path(), ".").unwrap();
        let found = || {
            let file = source.file(source.resolve(Base::Root, "values.yaml").unwrap()).unwrap();
            vec![Found { file, said_to_be_encrypted: false }]
        };
        let keys = Keys::new(Places { mounts: Some(Vec::new()), ..Places::default() });
        let powers = Powers { border: Policy::Open.border(None), keys: keys.now(), project: None };
        let loader = Loader::new(Policy::Open, keys, Duration::ZERO);
        let wanted = Wanted::default();
        let of_the_thread = Arc::clone(&wanted.0);
        loader.all(found(), None, Vec::new(), &powers, &of_the_thread).await.unwrap();
        drop(wanted);
        let outcome = loader.all(found(), None, Vec::new(), &powers, &of_the_thread).await;
        assert!(matches!(outcome, Err(Error::Unwanted)));
    }
}
