//! Reads the files that were found, and decrypts those that are encrypted.

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::task::spawn_blocking;
use tracing::{debug, warn};

use super::{Allowed, Error, Found, Policy};
use crate::app::Plan;
use crate::deadline::Deadline;
use crate::secret::Plaintext;
use crate::sops::{self, Format, Keyring, Metadata, UnlockError, Unlocked};

/// The most bytes of one values file.
const MAX_FILE: u64 = 64 * 1024 * 1024;

/// The most bytes of all values of a run: they are in memory at once.
const MAX_BYTES: usize = 256 * 1024 * 1024;

/// Loads values files; keys are read when the first encrypted file needs them.
pub struct Loader {
    policy: Policy,
    keyring: Keyring,
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
    /// A loader that has read nothing yet.
    #[must_use]
    pub fn new(policy: Policy, keyring: Keyring) -> Self {
        Self { policy, keyring }
    }

    /// Reads and decrypts what [`super::find()`] has found, and puts it in order, with the plan's inline values between
    /// values files and files of `fileParameters`. It works on a thread of its own, so that the deadline and signals hold
    /// while it does.
    ///
    /// # Errors
    ///
    /// If a file cannot be read, may not be decrypted, or cannot be; or if the deadline passes.
    pub async fn load(
        self: &Arc<Self>,
        plan: &Plan,
        values: Vec<Found>,
        files: Vec<Found>,
        deadline: Deadline,
    ) -> Result<Values, Error> {
        let (loader, inline, runtime) = (Arc::clone(self), plan.inline_values.clone(), Handle::current());
        let work = spawn_blocking(move || runtime.block_on(loader.all(values, inline, files)));
        match deadline.limit(work).await {
            Ok(Ok(outcome)) => outcome,
            // Nobody aborts such a thread, so it has panicked.
            Ok(Err(failed)) => std::panic::resume_unwind(failed.into_panic()),
            Err(passed) => Err(Error::TooLate { allowed: passed.allowed }),
        }
    }

    async fn all(&self, values: Vec<Found>, inline: Option<String>, files: Vec<Found>) -> Result<Values, Error> {
        let mut loaded = Values::default();
        for found in values {
            let file = self.one(found, Purpose::Values, &mut loaded.secrets).await?;
            loaded.add(file)?;
        }
        if let Some(text) = inline {
            let content = Plaintext::from(text);
            loaded.add(ValuesFile { name: "the Application's `values`".into(), content })?;
        }
        for found in files {
            let file = self.one(found, Purpose::Bytes, &mut loaded.secrets).await?;
            loaded.add(file)?;
        }
        Ok(loaded)
    }

    async fn one(&self, found: Found, purpose: Purpose, secrets: &mut Vec<Plaintext>) -> Result<ValuesFile, Error> {
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
        let allowed = self.policy.allow().map_err(|cause| Error::Refused { file: path.clone(), cause })?;
        let encrypted = sops::File::parse(format, &bytes).map_err(decrypt_error)?;
        let unlocked = self
            .unlock(&allowed, encrypted.metadata())
            .await
            .map_err(|cause| Error::Unlock { file: path.clone(), cause })?;
        debug!(file = %path, keys = unlocked.used.len(), "data key unwrapped");
        let decrypted = encrypted.decrypt(unlocked.data_key).map_err(decrypt_error)?;
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

    /// The operator's keys, for those who may decrypt.
    async fn unlock(&self, _allowed: &Allowed, metadata: &Metadata) -> Result<Unlocked, UnlockError> {
        self.keyring.unlock(metadata).await
    }
}

/// What stands between the marks of YAML and JSON.
fn words(text: &[u8]) -> impl Iterator<Item = Plaintext> {
    let ends = |byte: &u8| byte.is_ascii_whitespace() || b"\"'`:,{}[]&*".contains(byte);
    text.split(ends).filter(|word| !word.is_empty()).map(|word| Plaintext::new(word.to_vec()))
}
