//! A call that could not be answered, and what the repo-server is told.

use std::time::Duration;

use tonic::{Code, Status};

use crate::deadline::seconds;
use crate::message;
use crate::plugin::{self, Fault};
use crate::repo::{self, ArchiveError};

/// The longest message, in bytes: it travels as a header, and clients drop connections over large ones.
const MAX_MESSAGE: usize = 8 * 1024;

/// A call that could not be answered.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("the stream does not begin with metadata")]
    NoMetadata,
    #[error("the stream holds metadata twice")]
    MetadataTwice,
    #[error("the stream holds a message without content")]
    EmptyMessage,
    #[error("the metadata's `checksum` is not a SHA-256 in hex")]
    NoChecksum,
    #[error("a message of the stream is too large: {cause}")]
    MessageTooLarge {
        /// In the words of the transport.
        cause: String,
    },
    #[error("the stream broke: {cause}")]
    Broken {
        /// In the words of the transport.
        cause: String,
    },
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    #[error(transparent)]
    Source(#[from] repo::Error),
    #[error(transparent)]
    Plugin(#[from] plugin::Error),
    #[error("the manifests are larger than one message may be: {bytes} bytes, {limit} are allowed")]
    ReplyTooLarge { bytes: usize, limit: usize },
    #[error("not done within {} s ({phases})", seconds(*allowed))]
    TooLate { allowed: Duration, phases: String },
    #[error("this is a bug of argocd-sops {}; please report it, with the lines of its log", env!("CARGO_PKG_VERSION"))]
    Bug,
}

impl Error {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Plugin(error) => error.hint(),
            Self::Archive(error) => error.hint(),
            Self::Source(error) => error.hint(),
            Self::ReplyTooLarge { .. } => {
                Some("raise `ARGOCD_GRPC_MAX_SIZE_MB` for the repo-server and for this plugin, or split the application".into())
            }
            Self::MessageTooLarge { .. } => Some(
                "give the repo-server a smaller `ARGOCD_CMP_CHUNK_SIZE`, or this plugin a larger `ARGOCD_GRPC_MAX_SIZE_MB`".into(),
            ),
            Self::TooLate { .. } => Some(
                "raise Argo CD's own timeouts (`controller.repo.server.timeout.seconds`, `server.repo.server.timeout.seconds`) \
                 and `ARGOCD_SOPS_TIMEOUT`, or send less of the repository"
                    .into(),
            ),
            Self::NoMetadata
            | Self::MetadataTwice
            | Self::EmptyMessage
            | Self::NoChecksum
            | Self::Broken { .. }
            | Self::Bug => None,
        }
    }

    fn code(&self) -> Code {
        match self {
            Self::Bug | Self::Source(repo::Error::Io { .. }) => Code::Internal,
            Self::NoMetadata | Self::MetadataTwice | Self::EmptyMessage | Self::NoChecksum | Self::Source(_) => {
                Code::InvalidArgument
            }
            Self::Broken { .. } => Code::Aborted,
            Self::Archive(error) => match error {
                ArchiveError::Checksum
                | ArchiveError::Broken { .. }
                | ArchiveError::Name { .. }
                | ArchiveError::Kind { .. } => Code::InvalidArgument,
                ArchiveError::TooMuch(_) | ArchiveError::Full => Code::ResourceExhausted,
                ArchiveError::Io { .. } => Code::Internal,
                ArchiveError::Aborted => Code::Aborted,
            },
            Self::TooLate { .. } | Self::Plugin(plugin::Error::TooLate { .. }) => Code::DeadlineExceeded,
            Self::Plugin(error) => match error.fault() {
                Fault::Render | Fault::Application => Code::InvalidArgument,
                Fault::Refused => Code::PermissionDenied,
                Fault::Decrypt => Code::FailedPrecondition,
                Fault::Dependency => Code::Unavailable,
            },
            Self::MessageTooLarge { .. } | Self::ReplyTooLarge { .. } => Code::ResourceExhausted,
        }
    }
}

/// The code is a word in the text that the user reads; the text is what `generate` prints for the same fault.
impl From<Error> for Status {
    fn from(error: Error) -> Self {
        let mut text = message::lines("", &error, "hint: ", error.hint().as_deref());
        text.truncate(text.trim_end().len());
        if text.len() > MAX_MESSAGE {
            text.truncate(text.floor_char_boundary(MAX_MESSAGE));
            text.push_str(" ...");
        }
        Self::new(error.code(), text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_message_is_cut() {
        let status = Status::from(Error::Broken { cause: "ä".repeat(1 << 20) });
        assert!(status.message().len() < MAX_MESSAGE + 8, "{}", status.message().len());
        assert!(status.message().starts_with("the stream broke: ä") && status.message().ends_with("ä ..."));
    }
}
