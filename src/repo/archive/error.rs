//! Why an archive could not be taken in.

use std::io;

/// An archive could not be taken in.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// What arrived is not what was announced.
    #[error("the archive does not have the announced checksum")]
    Checksum,
    /// The bytes are not an archive.
    #[error("the archive is broken: {reason}")]
    Broken {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A path that a source cannot have.
    #[error("the archive holds `{name}`, which {reason}")]
    Name {
        /// As written, made printable.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// An entry that is no file, folder or symbolic link.
    #[error("the archive holds `{name}`, which is {kind}")]
    Kind {
        /// As written, made printable.
        name: String,
        /// What it is.
        kind: &'static str,
    },
    /// More than is taken in.
    #[error("the archive holds more than {0}")]
    TooMuch(Excess),
    /// The work folder is full.
    #[error("the work folder is full")]
    Full,
    /// The operating system refused.
    #[error("cannot unpack the archive: {action}")]
    Io {
        /// What was to be done.
        action: &'static str,
        /// Its reason.
        #[source]
        cause: io::Error,
    },
    /// The client, or this server, stopped before its end.
    #[error("the archive was not taken in to its end")]
    Aborted,
}

/// Which limit an archive is beyond.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Excess {
    /// As it arrives.
    #[error("{0} bytes, compressed")]
    ArchiveBytes(u64),
    /// Once inflated.
    #[error("{0} bytes, unpacked")]
    UnpackedBytes(u64),
    /// Files, folders and links.
    #[error("{0} entries")]
    Entries(usize),
    /// Symbolic links.
    #[error("{0} symbolic links")]
    Links(usize),
    /// All paths together.
    #[error("{0} bytes of names")]
    Names(usize),
}

impl ArchiveError {
    pub(in crate::repo) fn broken(reason: &'static str) -> Self {
        Self::Broken { reason }
    }

    pub(super) fn name(name: &[u8], reason: &'static str) -> Self {
        Self::Name { name: printable(name), reason }
    }

    pub(super) fn kind(name: &[u8], kind: &'static str) -> Self {
        Self::Kind { name: printable(name), kind }
    }

    pub(in crate::repo) fn io(action: &'static str, cause: impl Into<io::Error>) -> Self {
        let cause = cause.into();
        match cause.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full,
            _ => Self::Io { action, cause },
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Checksum => Some("refresh the application: its files may have changed while they were sent".into()),
            Self::Broken { .. } => Some("look for errors of the repo-server: it makes the archive".into()),
            Self::Name { .. } | Self::Kind { .. } => Some(
                "remove it from the repository, or keep it out of the archive with `reposerver.plugin.tar.exclusions`".into(),
            ),
            Self::TooMuch(_) => Some(
                "send less of the repository (`reposerver.plugin.tar.exclusions`, `reposerver.plugin.use.manifest.generate.paths`), or raise the limit".into(),
            ),
            Self::Full => Some("give the volume of the work folder more room, or keep fewer trees".into()),
            Self::Io { .. } | Self::Aborted => None,
        }
    }
}

/// A name for a message: short, and without control characters.
fn printable(name: &[u8]) -> String {
    let name = String::from_utf8_lossy(name);
    let mut shown: String = name.chars().take(200).flat_map(char::escape_debug).collect();
    if name.chars().nth(200).is_some() {
        shown.push('…');
    }
    shown
}
