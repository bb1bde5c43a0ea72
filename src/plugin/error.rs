//! Why a request could not be answered, and who can do something about it.

use std::time::Duration;

use crate::deadline::{Deadline, seconds};
use crate::phases::Phases;
use crate::{app, helm, manifests, sops, values};

/// A request that could not be answered, by station.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The Application asks for something that is not there.
    #[error(transparent)]
    App(#[from] app::Error),
    /// A values file cannot be had.
    #[error(transparent)]
    Values(#[from] values::Error),
    /// helm could not do its work.
    #[error(transparent)]
    Helm(#[from] helm::Error),
    /// The output may not be handed on.
    #[error(transparent)]
    Manifests(#[from] manifests::Error),
    /// The time was up.
    #[error("{what} within {} s{}", seconds(*allowed), in_brackets(spent))]
    TooLate {
        /// What was not done.
        what: &'static str,
        /// The time that the request had.
        allowed: Duration,
        /// What the time went to.
        spent: String,
        /// What to do about it.
        hint: Option<String>,
    },
}

fn in_brackets(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(" ({text})") }
}

/// Who can do something about an error; each has its exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// helm could not render, or what it rendered cannot be used: the chart's author.
    Render,
    /// A wrong Application: its author.
    Application,
    /// Refused by policy: the operator, if at all.
    Refused,
    /// Cannot decrypt: whoever encrypted the file, or the operator who holds the keys.
    Decrypt,
    /// A dependency is missing, out of reach or out of time: the operator.
    Dependency,
}

impl From<sops::ErrorKind> for Fault {
    /// A file that is no sound SOPS file is like any other broken file of an Application; one whose values or MAC do not
    /// agree cannot be decrypted.
    fn from(kind: sops::ErrorKind) -> Self {
        use sops::ErrorKind;
        match kind {
            ErrorKind::Syntax
            | ErrorKind::MetadataMissing
            | ErrorKind::MetadataInvalid
            | ErrorKind::Emit
            | ErrorKind::Extract => Self::Application,
            ErrorKind::ValueAuth | ErrorKind::ValueFormat | ErrorKind::Mac => Self::Decrypt,
        }
    }
}

impl Fault {
    /// The exit code of the process.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Render => 1,
            Self::Application => 2,
            Self::Refused => 3,
            Self::Decrypt => 4,
            Self::Dependency => 5,
        }
    }
}

impl Error {
    /// The time was up; [`Error::with_phases`] says the rest.
    pub(super) fn too_late(what: &'static str) -> Self {
        let hint = "raise `ARGOCD_SOPS_TIMEOUT`, and Argo CD's own timeouts with it, or make the chart smaller";
        Self::TooLate { what, allowed: Duration::ZERO, spent: String::new(), hint: Some(hint.into()) }
    }

    /// Says what the time went to, if that is what the error is about.
    pub(super) fn with_phases(self, deadline: Deadline, phases: &Phases) -> Self {
        let what = match &self {
            Self::TooLate { what, .. } => what,
            Self::Values(values::Error::TooLate { .. }) => "the values files were not decrypted",
            Self::Helm(helm::Error::TooLate { .. }) => "helm did not finish",
            Self::Helm(helm::Error::Queue { .. }) => "none of the helm processes that may run was free",
            Self::Helm(helm::Error::BuildTooLate { .. }) => "the chart's dependencies were not built",
            _ => return self,
        };
        Self::TooLate { what, allowed: deadline.allowed(), spent: phases.to_string(), hint: self.hint() }
    }

    /// Who can do something about it.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::App(_) => Fault::Application,
            Self::Values(error) => match error {
                values::Error::Refused { .. } => Fault::Refused,
                values::Error::Decrypt { cause, .. } => cause.kind().into(),
                values::Error::Unlock { .. } | values::Error::StillEncrypted { .. } | values::Error::Twice { .. } => {
                    Fault::Decrypt
                }
                values::Error::TooLate { .. } | values::Error::Unwanted => Fault::Dependency,
                values::Error::Source(_)
                | values::Error::NoMatch { .. }
                | values::Error::UnknownRef { .. }
                | values::Error::NotValues { .. }
                | values::Error::TooLarge { .. }
                | values::Error::TooMany { .. } => Fault::Application,
            },
            Self::Helm(error) => match error {
                helm::Error::NotFound { .. }
                | helm::Error::Start { .. }
                | helm::Error::TooLate { .. }
                | helm::Error::Queue { .. }
                | helm::Error::BuildTooLate { .. }
                | helm::Error::Killed { .. }
                | helm::Error::Dependencies { .. }
                | helm::Error::Io(_) => Fault::Dependency,
                helm::Error::Memory { .. }
                | helm::Error::Failed { .. }
                | helm::Error::TooMuch { .. }
                | helm::Error::MissingDependencies { .. } => Fault::Render,
                helm::Error::Chart { .. }
                | helm::Error::Folder { .. }
                | helm::Error::NotYet { .. }
                | helm::Error::Source(_) => Fault::Application,
            },
            Self::Manifests(_) => Fault::Render,
            Self::TooLate { .. } => Fault::Dependency,
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::App(error) => Some(error.hint()),
            Self::Values(error) => error.hint(),
            Self::Helm(error) => error.hint(),
            Self::Manifests(error) => error.hint(),
            Self::TooLate { hint, .. } => hint.clone(),
        }
    }
}
