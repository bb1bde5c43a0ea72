//! Why a values file cannot be had.

use std::time::Duration;

use super::Refused;
use crate::deadline::seconds;
use crate::keyring;
use crate::repo::{self, RepoPath};
use crate::sops;

/// A values file cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error(transparent)]
    Source(#[from] repo::Error),
    /// A glob matched nothing.
    #[error("values file glob `{pattern}` matched no files")]
    NoMatch {
        /// As the Application says it.
        pattern: String,
    },
    /// A `$name` that stands for no source.
    #[error("`${name}` is not a source that this process was given")]
    UnknownRef {
        /// The `ref` of the source.
        name: String,
    },
    /// The file is encrypted, and policy does not let this request decrypt it.
    #[error("may not decrypt `{file}`")]
    Refused {
        /// Relative to the root of the source.
        file: RepoPath,
        /// Why.
        #[source]
        cause: Refused,
    },
    /// The file is encrypted, and no key opened it.
    #[error("cannot decrypt `{file}`")]
    Unlock {
        /// Relative to the root of the source.
        file: RepoPath,
        /// Which keys were tried.
        #[source]
        cause: sops::UnlockError,
    },
    /// The file is not a sound SOPS file.
    #[error("cannot decrypt `{file}`")]
    Decrypt {
        /// Relative to the root of the source.
        file: RepoPath,
        /// What is wrong with it.
        #[source]
        cause: sops::Error,
    },
    /// dotenv or INI where helm reads YAML.
    #[error("`{file}` is {format}, but a values file must be YAML or JSON")]
    NotValues {
        /// Relative to the root of the source.
        file: RepoPath,
        /// What it is.
        format: sops::Format,
    },
    /// Something in the decrypted file is still encrypted.
    #[error("`{file}` holds a value that is still encrypted: {at}")]
    StillEncrypted {
        /// Relative to the root of the source.
        file: RepoPath,
        /// The keys that lead to it.
        at: sops::KeyPath,
    },
    /// An encrypted file in a binary envelope.
    #[error("`{file}` was encrypted twice")]
    Twice {
        /// Relative to the root of the source.
        file: RepoPath,
    },
    /// The time was up.
    #[error("the values files were not decrypted within {} s", seconds(*allowed))]
    TooLate {
        /// The time that the request had.
        allowed: Duration,
    },
    /// Whoever asked has gone; nobody reads this.
    #[error("the request is over")]
    Unwanted,
    /// More bytes of values than a run is given.
    #[error("the values files together hold more than {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: usize,
    },
    /// More values files than a run is given.
    #[error("more than {limit} values files")]
    TooMany {
        /// The limit.
        limit: usize,
    },
}

impl Error {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Source(error) => return error.hint(),
            Self::NoMatch { .. } => {
                "globs are relative to the application's folder; set `ignoreMissingValueFiles` if there may be none"
                    .into()
            }
            Self::UnknownRef { name } => format!("name a check-out of that source: `--ref {name}=DIR`"),
            Self::Refused { cause, .. } => cause.hint(),
            Self::Unlock { cause, .. } => keyring::hint(cause),
            Self::Decrypt { cause, .. } => cause.hint().to_owned(),
            Self::NotValues { .. } => "give it to a chart through `fileParameters`".into(),
            Self::StillEncrypted { .. } => {
                "it was encrypted twice, or edited by hand; encrypt it anew from plaintext".into()
            }
            Self::Twice { .. } => {
                "decrypt it once with `sops decrypt` and commit the result, which is encrypted still".into()
            }
            Self::TooLate { .. } => "make the values files smaller, or raise `ARGOCD_SOPS_TIMEOUT`".into(),
            Self::Unwanted => return None,
            Self::TooLarge { .. } | Self::TooMany { .. } => "merge some of them".into(),
        })
    }
}
