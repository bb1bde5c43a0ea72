//! What the operator decided: every variable, read once, turned into types.

mod settings;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::time::Duration;

use tracing::Level;

pub use settings::{SETTINGS, Setting};

use crate::helm;
use crate::keyring::Places;
use crate::manifests;
use crate::secret::Plaintext;
use crate::sops::DecryptionOrder;
use crate::telemetry;
use crate::values::Policy;

/// The process environment, read once.
pub struct Variables(BTreeMap<OsString, OsString>);

/// A setting that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is not {expected}")]
pub struct Error {
    /// The variable.
    pub name: &'static str,
    /// What it must be.
    pub expected: &'static str,
}

impl Variables {
    /// Reads the environment of this process.
    #[must_use]
    pub fn of_process() -> Self {
        #[expect(clippy::disallowed_methods, reason = "the one place where the environment is read")]
        Self(std::env::vars_os().collect())
    }

    /// An environment made of pairs.
    pub fn new(pairs: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        Self(pairs.into_iter().collect())
    }

    /// The names and values that are UTF-8: Argo CD sends nothing else.
    pub fn text(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().filter_map(|(name, value)| Some((name.to_str()?, value.to_str()?)))
    }

    /// A variable; an empty one counts as absent.
    fn get(&self, name: &str) -> Option<&OsStr> {
        self.0.get(OsStr::new(name)).map(OsString::as_os_str).filter(|value| !value.is_empty())
    }

    fn text_of(&self, name: &'static str, expected: &'static str) -> Result<Option<&str>, Error> {
        self.get(name).map(|value| value.to_str().ok_or(Error { name, expected })).transpose()
    }

    fn path(&self, name: &str) -> Option<PathBuf> {
        self.get(name).map(PathBuf::from)
    }

    fn some(&self, names: &[&str]) -> Vec<(OsString, OsString)> {
        names.iter().filter_map(|name| Some((OsString::from(name), self.get(name)?.to_owned()))).collect()
    }

    /// How helm is run.
    #[must_use]
    pub fn helm(&self) -> helm::Options {
        helm::Options {
            program: self.get("ARGOCD_SOPS_HELM").unwrap_or(OsStr::new("helm")).to_owned(),
            search_path: self.get("PATH").map(OsStr::to_owned),
            scratch: self.path("ARGOCD_CMP_WORKDIR").or_else(|| self.path("TMPDIR")).unwrap_or_else(|| "/tmp".into()),
            max_output: 100 * 1024 * 1024,
            environment: helm::Environment {
                render: self.some(&helm::Environment::RENDER),
                network: self.some(&helm::Environment::NETWORK),
            },
        }
    }

    /// How the output is looked at.
    ///
    /// # Errors
    ///
    /// If a list is not UTF-8.
    pub fn manifests(&self) -> Result<manifests::Options, Error> {
        let kinds = self.text_of("ARGOCD_SOPS_ENCRYPTED_KINDS", "a list of kinds")?.unwrap_or_default();
        let kinds = kinds.split(',').map(str::trim).filter(|kind| !kind.is_empty());
        Ok(manifests::Options { encrypted_kinds: kinds.map(str::to_owned).collect() })
    }

    /// Who may decrypt, in a plugin.
    ///
    /// # Errors
    ///
    /// If it is not UTF-8.
    pub fn policy(&self) -> Result<Policy, Error> {
        Ok(Policy::parse(self.text_of("ARGOCD_SOPS_POLICY", "`open`")?))
    }

    /// How long a render may take.
    ///
    /// # Errors
    ///
    /// If it is not a duration.
    pub fn timeout(&self) -> Result<Duration, Error> {
        let error = Error { name: "ARGOCD_SOPS_TIMEOUT", expected: "a duration like `90s` or `2m`, up to `1h`" };
        match self.text_of(error.name, error.expected)? {
            None => Ok(Duration::from_secs(90)),
            Some(text) => humantime::parse_duration(text)
                .ok()
                .filter(|duration| (Duration::from_millis(1)..=Duration::from_hours(1)).contains(duration))
                .ok_or(error),
        }
    }

    /// Where keys are. Key commands are read as well; only `decrypt` keeps them.
    ///
    /// # Errors
    ///
    /// If a text is not UTF-8, or the decryption order names a type twice.
    pub fn places(&self) -> Result<Places, Error> {
        let text = |name| self.text_of(name, "UTF-8 text").map(|value| value.map(str::to_owned));
        let order = self.text_of("SOPS_DECRYPTION_ORDER", "a list of key types")?;
        let order_error = |_| Error {
            name: "SOPS_DECRYPTION_ORDER",
            expected: "a list that names each key type once, like `age,pgp`",
        };
        Ok(Places {
            mounts: self.get("ARGOCD_SOPS_KEYS").map(split_paths),
            age_key: text("SOPS_AGE_KEY")?.map(Plaintext::from),
            age_key_file: self.path("SOPS_AGE_KEY_FILE"),
            ssh_key_file: self.path("SOPS_AGE_SSH_PRIVATE_KEY_FILE"),
            home: self.path("HOME"),
            xdg_config_home: self.path("XDG_CONFIG_HOME"),
            age_key_command: text("SOPS_AGE_KEY_CMD")?,
            ssh_key_command: text("SOPS_AGE_SSH_PRIVATE_KEY_CMD")?,
            order: order.map(DecryptionOrder::parse).transpose().map_err(order_error)?.unwrap_or_default(),
        })
    }

    /// How to log; `level` where the operator says nothing.
    ///
    /// # Errors
    ///
    /// If a level or a format is not known.
    pub fn telemetry(&self, level: Level) -> Result<telemetry::Options, Error> {
        let level_error =
            Error { name: "ARGOCD_SOPS_LOG_LEVEL", expected: "one of `error`, `warn`, `info`, `debug`, `trace`" };
        let level = match self.text_of(level_error.name, level_error.expected)? {
            None => level,
            Some(text) => text.parse().map_err(|_| level_error)?,
        };
        let format_error = Error { name: "ARGOCD_SOPS_LOG_FORMAT", expected: "`text` or `json`" };
        let json = match self.text_of(format_error.name, format_error.expected)? {
            None | Some("text") => false,
            Some("json") => true,
            Some(_) => return Err(format_error),
        };
        Ok(telemetry::Options { level, json, time: false })
    }

    /// Whether colours may be used on a terminal.
    #[must_use]
    pub fn colour(&self) -> bool {
        self.get("NO_COLOR").is_none() && self.get("TERM") != Some(OsStr::new("dumb"))
    }
}

/// Paths with `:` between them.
fn split_paths(list: &OsStr) -> Vec<PathBuf> {
    std::env::split_paths(list).filter(|path| !path.as_os_str().is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(pairs: &[(&str, &str)]) -> Variables {
        Variables::new(pairs.iter().map(|(name, value)| (OsString::from(name), OsString::from(value))))
    }

    #[test]
    fn every_setting_has_a_default() {
        let empty = variables(&[]);
        assert_eq!(empty.timeout().unwrap(), Duration::from_secs(90));
        assert_eq!(empty.policy().unwrap(), Policy::Missing);
        assert_eq!(empty.helm().program, "helm");
        assert!(empty.places().unwrap().mounts.is_none());
        assert!(empty.telemetry(Level::INFO).unwrap().level == Level::INFO);
    }

    #[test]
    fn a_setting_that_cannot_be_used_is_named() {
        for (name, value) in [
            ("ARGOCD_SOPS_TIMEOUT", "soon"),
            ("ARGOCD_SOPS_TIMEOUT", "0s"),
            ("ARGOCD_SOPS_TIMEOUT", "2days"),
            ("ARGOCD_SOPS_LOG_LEVEL", "loud"),
            ("ARGOCD_SOPS_LOG_FORMAT", "xml"),
            ("SOPS_DECRYPTION_ORDER", "age,age"),
        ] {
            let variables = variables(&[(name, value)]);
            let errors = [variables.timeout().err(), variables.telemetry(Level::INFO).err(), variables.places().err()];
            let found: Vec<_> = errors.into_iter().flatten().collect();
            assert_eq!(found.len(), 1, "{name}={value}");
            assert_eq!(found[0].name, name);
        }
    }

    #[test]
    fn an_empty_variable_is_an_absent_one() {
        assert_eq!(variables(&[("ARGOCD_SOPS_TIMEOUT", "")]).timeout().unwrap(), Duration::from_secs(90));
    }

    #[test]
    fn key_mounts_are_a_list() {
        let places = variables(&[("ARGOCD_SOPS_KEYS", "/a:/b/c.txt")]).places().unwrap();
        assert_eq!(places.mounts.unwrap(), [PathBuf::from("/a"), PathBuf::from("/b/c.txt")]);
    }
}
