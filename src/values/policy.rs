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

/// The right to decrypt one file, given by [`Policy::allow`] alone.
#[derive(Debug)]
pub struct Allowed(());

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

    /// Asks whether a file may be decrypted.
    ///
    /// # Errors
    ///
    /// [`Refused`], with the reason.
    pub fn allow(&self) -> Result<Allowed, Refused> {
        match self {
            Self::Open => Ok(Allowed(())),
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
        assert!(Policy::parse(Some("open")).allow().is_ok());
        for value in [None, Some(""), Some("Open"), Some("/etc/argocd-sops/policy.yaml"), Some("open ")] {
            assert!(Policy::parse(value).allow().is_err(), "{value:?}");
        }
    }
}
