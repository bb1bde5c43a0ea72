//! Settings of the plugin server.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use super::{Error, Variables};
use crate::cmp::{self, socket};
use crate::helm::Slots;
use crate::plugin;
use crate::repo;

/// Where the repo-server looks for plugins (argo-cd 3.6, `common/common.go`).
const SOCKETS: &str = "/home/argocd/cmp-server/plugins";

/// The folder for trees, below the work folder; the stock server's is `_cmp_server`.
const TREES: &str = "_argocd_sops";

const UIDS: &str = "a list of user ids, like `999,1001`";

impl Variables {
    /// How the plugin server works.
    ///
    /// # Errors
    ///
    /// If a setting cannot be used.
    pub fn server(&self) -> Result<cmp::Options, Error> {
        Ok(cmp::Options {
            socket: self.socket()?,
            http: self.http_address()?,
            timeout: self.timeout()?,
            drain: self.duration_or_none("ARGOCD_SOPS_DRAIN", Duration::from_secs(20))?,
            max_message: self.max_message()?,
        })
    }

    /// Where the socket is, and for whom.
    ///
    /// # Errors
    ///
    /// If a setting cannot be used.
    pub fn socket(&self) -> Result<socket::Options, Error> {
        let uids = self.text_of("ARGOCD_SOPS_ALLOWED_UIDS", UIDS)?.unwrap_or_default();
        let uids = uids.split(',').map(str::trim).filter(|uid| !uid.is_empty());
        let uids: Result<BTreeSet<u32>, _> = uids.map(str::parse).collect();
        Ok(socket::Options {
            folder: self.path("ARGOCD_PLUGINSOCKFILEPATH").unwrap_or_else(|| SOCKETS.into()),
            plugin_name: self.text_of("ARGOCD_SOPS_PLUGIN_NAME", "UTF-8 text")?.unwrap_or("sops").to_owned(),
            other_uids: uids.map_err(|_| Error { name: "ARGOCD_SOPS_ALLOWED_UIDS", expected: UIDS })?,
        })
    }

    /// The path of the socket.
    ///
    /// # Errors
    ///
    /// If the plugin's name is not UTF-8.
    pub fn socket_path(&self) -> Result<PathBuf, Error> {
        let socket::Options { folder, plugin_name, .. } = self.socket()?;
        Ok(folder.join(format!("{plugin_name}.sock")))
    }

    /// How long data keys are kept; zero turns it off.
    ///
    /// # Errors
    ///
    /// If it is not a duration.
    pub fn data_keys(&self) -> Result<Duration, Error> {
        self.duration_or_none("ARGOCD_SOPS_DATA_KEYS_KEEP", Duration::from_mins(5))
    }

    /// How many renders are kept.
    ///
    /// # Errors
    ///
    /// If it is not a number of bytes.
    pub fn renders(&self) -> Result<plugin::Options, Error> {
        let defaults = plugin::Options::default();
        let bytes = self.bytes("ARGOCD_SOPS_RENDERS_SIZE", defaults.max_bytes as u64)?;
        Ok(plugin::Options { max_bytes: usize::try_from(bytes).unwrap_or(usize::MAX), ..defaults })
    }

    /// How many helms may run at once; as many as cores and memory allow, if nothing is said.
    ///
    /// # Errors
    ///
    /// If it is not a number from 1.
    pub fn slots(&self) -> Result<Slots, Error> {
        let error = Error { name: "ARGOCD_SOPS_HELM_RUNS", expected: "a number from 1 to 1000" };
        match self.text_of(error.name, error.expected)? {
            None => Ok(Slots::fitting()),
            Some(text) => {
                let count = text.parse().ok().filter(|count| (1..=1000).contains(count));
                count.map(Slots::new).ok_or(error)
            }
        }
    }

    /// Where trees are unpacked.
    #[must_use]
    pub fn trees(&self) -> PathBuf {
        self.scratch().join(TREES)
    }

    /// What may be unpacked, and how much of it is kept.
    ///
    /// # Errors
    ///
    /// If a setting cannot be used.
    pub fn limits(&self) -> Result<repo::Limits, Error> {
        let defaults = repo::Limits::default();
        let by_commit = Error { name: "ARGOCD_SOPS_TREES_BY_COMMIT", expected: "`true` or `false`" };
        Ok(repo::Limits {
            unpacked_bytes: self.bytes("ARGOCD_SOPS_TREE_SIZE", defaults.unpacked_bytes)?.max(1),
            entries: usize::try_from(self.number("ARGOCD_SOPS_TREE_ENTRIES", defaults.entries as u64)?)
                .unwrap_or(usize::MAX),
            by_commit: match self.text_of(by_commit.name, by_commit.expected)? {
                None | Some("true") => true,
                Some("false") => false,
                Some(_) => return Err(by_commit),
            },
            keep: self.duration_or_none("ARGOCD_SOPS_TREES_KEEP", defaults.keep)?,
            kept_bytes: self.bytes("ARGOCD_SOPS_TREES_SIZE", defaults.kept_bytes)?,
            ..defaults
        })
    }

    /// As [`Variables::duration`], and `0` turns it off.
    fn duration_or_none(&self, name: &'static str, default: Duration) -> Result<Duration, Error> {
        match self.text_of(name, "a duration")? {
            Some("0" | "0s") => Ok(Duration::ZERO),
            _ => self.duration(name, default),
        }
    }

    /// Bytes, as Kubernetes writes them.
    pub(super) fn bytes(&self, name: &'static str, default: u64) -> Result<u64, Error> {
        let error = Error { name, expected: "a number of bytes, like `512Mi` or `2Gi`" };
        let Some(text) = self.text_of(name, error.expected)? else { return Ok(default) };
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let unit: u64 = match unit {
            "" => 1,
            "Ki" => 1 << 10,
            "Mi" => 1 << 20,
            "Gi" => 1 << 30,
            _ => return Err(error),
        };
        number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit)).ok_or(error)
    }

    fn number(&self, name: &'static str, default: u64) -> Result<u64, Error> {
        let error = Error { name, expected: "a number" };
        self.text_of(name, error.expected)?.map_or(Ok(default), |text| text.parse().map_err(|_| error))
    }

    /// The stock server's variable, in its unit.
    fn max_message(&self) -> Result<usize, Error> {
        let error = Error { name: "ARGOCD_GRPC_MAX_SIZE_MB", expected: "a number of MiB, from 1 to 2047" };
        let mebibytes = match self.text_of(error.name, error.expected)? {
            None => 100,
            Some(text) => text.parse().ok().filter(|number| (1..=2047).contains(number)).ok_or(error)?,
        };
        Ok(mebibytes * 1024 * 1024)
    }
}
