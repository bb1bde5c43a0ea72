//! Failures of commands, told to people: what, why, what to do.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use super::healthcheck::Unhealthy;
use crate::plugin::{self, Fault};
use crate::{app, cmp, config, keyring, message, repo, sops};

/// A command that did not do its work.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The request could not be answered.
    #[error(transparent)]
    Plugin(#[from] plugin::Error),
    /// The manifest cannot be used.
    #[error("cannot use `{}`", file.display())]
    Manifest {
        /// As written.
        file: PathBuf,
        #[source]
        cause: app::ManifestError,
    },
    /// An option cannot be used.
    #[error("`{name}` {cause}")]
    Option { name: &'static str, cause: app::WordError },
    /// A setting cannot be used.
    #[error(transparent)]
    Setting(#[from] config::Error),
    /// An option names a folder that is not there.
    #[error("`{option}`: `{}` is not a folder", folder.display())]
    Folder {
        option: &'static str,
        /// As written.
        folder: PathBuf,
    },
    /// The source cannot be opened.
    #[error(transparent)]
    Source(#[from] repo::Error),
    /// A file of the command line cannot be read.
    #[error("cannot read `{}`", file.display())]
    Read {
        /// As written.
        file: PathBuf,
        #[source]
        cause: io::Error,
    },
    /// A file of the command line is too large.
    #[error("`{}` is larger than {limit} bytes", file.display())]
    TooLarge {
        /// As written.
        file: PathBuf,
        limit: u64,
    },
    /// There is no work tree around the manifest.
    #[error("cannot find the repository of `{}`", file.display())]
    NoRepository {
        /// As written.
        file: PathBuf,
    },
    /// A file could not be decrypted.
    #[error("cannot decrypt `{}`", file.display())]
    Decrypt {
        /// As written.
        file: PathBuf,
        #[source]
        cause: sops::Error,
    },
    /// No key opened a file.
    #[error("cannot decrypt `{}`", file.display())]
    Unlock {
        /// As written.
        file: PathBuf,
        #[source]
        cause: sops::UnlockError,
    },
    /// `--extract` cannot be read.
    #[error("`--extract` is not a path")]
    ExtractPath(#[source] sops::ExtractFault),
    /// The plugin server does not serve.
    #[error(transparent)]
    Unhealthy(#[from] Unhealthy),
    /// stdout refused.
    #[error("cannot write the output")]
    Output(#[source] io::Error),
    /// The runtime did not start.
    #[error("cannot start")]
    Runtime(#[source] io::Error),
    /// The plugin server could not do its work.
    #[error(transparent)]
    Server(#[from] cmp::Error),
    /// There is no place for trees.
    #[error(transparent)]
    Trees(#[from] repo::FolderError),
    /// The duties of a container's first process.
    #[error(transparent)]
    Init(#[from] cmp::init::Error),
    /// A signal asked us to end.
    #[error("ended by signal {0}; nothing was written")]
    Signal(u8),
}

impl Failure {
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Self::Plugin(error) => error.fault().exit_code(),
            Self::Manifest { .. }
            | Self::Option { .. }
            | Self::Setting(_)
            | Self::Folder { .. }
            | Self::Source(_)
            | Self::Read { .. }
            | Self::TooLarge { .. }
            | Self::NoRepository { .. }
            | Self::ExtractPath(_) => Fault::Application.exit_code(),
            Self::Decrypt { cause, .. } => Fault::from(cause.kind()).exit_code(),
            Self::Unlock { .. } => Fault::Decrypt.exit_code(),
            Self::Server(cmp::Error::Socket(cmp::socket::Error::Name { .. } | cmp::socket::Error::TooLong { .. })) => {
                Fault::Application.exit_code()
            }
            Self::Unhealthy(_)
            | Self::Output(_)
            | Self::Runtime(_)
            | Self::Server(_)
            | Self::Trees(_)
            | Self::Init(_) => Fault::Dependency.exit_code(),
            Self::Signal(number) => 128 + number,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Plugin(error) => error.hint(),
            Self::Manifest { cause, .. } => Some(cause.hint()),
            Self::Source(error) => error.hint(),
            Self::Server(error) => error.hint(),
            Self::Trees(_) => {
                Some("mount a volume of the container's own (`emptyDir`), and name it by `ARGOCD_CMP_WORKDIR`".into())
            }
            Self::Init(error) => error.hint(),
            Self::Folder { .. } => Some("name a check-out of the repository".into()),
            Self::NoRepository { .. } => Some("name the check-out: `--repo DIR`".into()),
            Self::Decrypt { cause, .. } => Some(cause.hint().to_owned()),
            Self::Unlock { cause, .. } => Some(keyring::hint(cause)),
            Self::Unhealthy(error) => error.hint().map(str::to_owned),
            Self::ExtractPath(_) => Some("write it as `[\"key\"][0]`, in quotes for the shell".into()),
            Self::Setting(_)
            | Self::Option { .. }
            | Self::Read { .. }
            | Self::TooLarge { .. }
            | Self::Output(_)
            | Self::Runtime(_)
            | Self::Signal(_) => None,
        }
    }

    /// The lines for stderr.
    pub(super) fn render(&self, colour: bool) -> String {
        let paint =
            |code: &str, text: &str| if colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.into() };
        let (error, hint) = (paint("1;31", "error:"), paint("36", "hint:"));
        message::lines(&format!("{error} "), self, &format!("{hint} "), self.hint().as_deref())
    }
}

/// Notes where a panic happened, and nothing of what it was about: its message may hold a value.
#[derive(Debug, Clone, Default)]
pub(super) struct Panics(Arc<Mutex<Option<String>>>);

impl Panics {
    /// Takes the place of the default hook, which would print the message.
    pub(super) fn watch(&self) {
        let Self(place) = self.clone();
        std::panic::set_hook(Box::new(move |info| {
            let here = info.location().map(|location| format!(" at {}:{}", location.file(), location.line()));
            *place.lock().unwrap_or_else(PoisonError::into_inner) = here;
        }));
    }

    /// Tells about the last one.
    pub(super) fn report(&self) {
        let place = self.0.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_default();
        let text =
            format!("error: this is a bug of argocd-sops {}{place}; please report it\n", env!("CARGO_PKG_VERSION"));
        let _ = io::stderr().write_all(text.as_bytes());
    }
}
