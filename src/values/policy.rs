//! Who may decrypt. This version knows the word `open` and nothing else: everything is refused otherwise.

/// What the operator allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Policy {
    /// Every project may use every key that this process holds.
    Open,
    /// Nothing was said: nothing is decrypted.
    Missing,
    /// Something was said that this version does not understand: nothing is decrypted.
    NotYet {
        /// As written.
        value: String,
    },
}

/// A side of the policy: nothing that was decrypted for a project of one side is used for a project of another.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Border(String);

impl Border {
    pub(super) fn named(name: &str) -> Self {
        Self(name.to_owned())
    }

    /// What tells it from others.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The right to decrypt one file, given by [`Policy::allow`] alone.
#[derive(Debug)]
pub struct Allowed(Border);

impl Allowed {
    /// The side for which it is given.
    #[must_use]
    pub fn border(&self) -> &Border {
        &self.0
    }

    #[cfg(test)]
    pub(super) fn on(border: Border) -> Self {
        Self(border)
    }
}

/// Policy does not allow it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// No policy.
    #[error("no policy allows decryption (`ARGOCD_SOPS_POLICY` is not set)")]
    Missing,
    /// A policy that is not understood.
    #[error("`ARGOCD_SOPS_POLICY={value}` is not supported yet; nothing is decrypted")]
    NotYet {
        /// As written.
        value: String,
    },
}

impl Refused {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        "set `ARGOCD_SOPS_POLICY=open` where every project may use every key of the plugin; policies for each project are \
         not supported yet"
            .into()
    }
}

impl Policy {
    /// Reads the setting.
    #[must_use]
    pub fn parse(value: Option<&str>) -> Self {
        match value {
            None | Some("") => Self::Missing,
            Some("open") => Self::Open,
            Some(other) => Self::NotYet { value: other.to_owned() },
        }
    }

    /// The side on which a project stands.
    #[must_use]
    pub fn border(&self, _project: Option<&str>) -> Border {
        Border::named(match self {
            Self::Open => "open",
            Self::Missing | Self::NotYet { .. } => "nothing",
        })
    }

    /// Asks whether a file may be decrypted for a project.
    ///
    /// # Errors
    ///
    /// [`Refused`], with the reason.
    pub fn allow(&self, project: Option<&str>) -> Result<Allowed, Refused> {
        match self {
            Self::Open => Ok(Allowed(self.border(project))),
            Self::Missing => Err(Refused::Missing),
            Self::NotYet { value } => Err(Refused::NotYet { value: value.clone() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_word_open_opens() {
        assert!(Policy::parse(Some("open")).allow(None).is_ok());
        for value in [None, Some(""), Some("Open"), Some("/etc/argocd-sops/policy.yaml"), Some("open ")] {
            assert!(Policy::parse(value).allow(None).is_err(), "{value:?}");
        }
    }
}
