//! What the operator decided: every variable, read once, turned into types.

mod server;
mod settings;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::time::Duration;

use tracing::Level;

pub use settings::{SETTINGS, Setting};

use crate::cmp::http;
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
    ///
    /// # Errors
    ///
    /// If its memory is not a number of bytes, or too little to start with.
    pub fn helm(&self) -> Result<helm::Options, Error> {
        let least =
            Error { name: "ARGOCD_SOPS_HELM_MEMORY", expected: "a number of bytes from `128Mi` on, like `1Gi`" };
        let max_memory = self.bytes(least.name, 1 << 30).map_err(|_| least.clone())?;
        if max_memory < 128 << 20 {
            return Err(least);
        }
        Ok(helm::Options {
            program: self.get("ARGOCD_SOPS_HELM").unwrap_or(OsStr::new("helm")).to_owned(),
            search_path: self.get("PATH").map(OsStr::to_owned),
            scratch: self.scratch(),
            max_output: 100 * 1024 * 1024,
            max_memory,
            environment: helm::Environment {
                render: self.some(&helm::Environment::RENDER),
                network: self.some(&helm::Environment::NETWORK),
            },
        })
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
        self.duration("ARGOCD_SOPS_TIMEOUT", Duration::from_secs(90))
    }

    fn duration(&self, name: &'static str, default: Duration) -> Result<Duration, Error> {
        let error = Error { name, expected: "a duration like `90s` or `2m`, up to `1h`" };
        match self.text_of(name, error.expected)? {
            None => Ok(default),
            Some(text) => humantime::parse_duration(text)
                .ok()
                .filter(|duration| (Duration::from_millis(1)..=Duration::from_hours(1)).contains(duration))
                .ok_or(error),
        }
    }

    /// The folder for what is unpacked and built.
    fn scratch(&self) -> PathBuf {
        self.path("ARGOCD_CMP_WORKDIR").or_else(|| self.path("TMPDIR")).unwrap_or_else(|| "/tmp".into())
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

    /// How a command logs; `level` where the operator says nothing.
    ///
    /// # Errors
    ///
    /// If a level or a format is not known.
    pub fn telemetry(&self, level: Level) -> Result<telemetry::Options, Error> {
        let json = self.log_format("ARGOCD_SOPS_LOG_FORMAT")?.unwrap_or(false);
        Ok(telemetry::Options { level: self.log_level("ARGOCD_SOPS_LOG_LEVEL")?.unwrap_or(level), json, time: false })
    }

    /// How the server logs: as the stock server where only its variables say how, and by its defaults.
    ///
    /// # Errors
    ///
    /// If a level or a format is not known.
    pub fn server_telemetry(&self) -> Result<telemetry::Options, Error> {
        let mut level = self.log_level("ARGOCD_SOPS_LOG_LEVEL")?;
        if level.is_none() {
            level = self.log_level("ARGOCD_CMP_SERVER_LOGLEVEL")?;
        }
        let mut json = self.log_format("ARGOCD_SOPS_LOG_FORMAT")?;
        if json.is_none() {
            json = self.log_format("ARGOCD_CMP_SERVER_LOGFORMAT")?;
        }
        Ok(telemetry::Options { level: level.unwrap_or(Level::INFO), json: json.unwrap_or(true), time: true })
    }

    fn log_level(&self, name: &'static str) -> Result<Option<Level>, Error> {
        let error = Error { name, expected: "one of `error`, `warn`, `info`, `debug`, `trace`" };
        let level = |text: &str| match text.to_ascii_lowercase().as_str() {
            // Fatal and panic: what the stock server knows above an error.
            "error" | "fatal" | "panic" => Ok(Level::ERROR),
            "warn" | "warning" => Ok(Level::WARN),
            "info" => Ok(Level::INFO),
            "debug" => Ok(Level::DEBUG),
            "trace" => Ok(Level::TRACE),
            _ => Err(error.clone()),
        };
        self.text_of(name, error.expected)?.map(level).transpose()
    }

    /// Whether lines are JSON.
    fn log_format(&self, name: &'static str) -> Result<Option<bool>, Error> {
        let error = Error { name, expected: "`text` or `json`" };
        match self.text_of(name, error.expected)? {
            None => Ok(None),
            Some("text") => Ok(Some(false)),
            Some("json") => Ok(Some(true)),
            Some(_) => Err(error),
        }
    }

    /// Where the server sends traces, if anywhere.
    ///
    /// # Errors
    ///
    /// If a variable is not what the stock server takes, such as an address without a port.
    pub fn traces(&self) -> Result<Option<telemetry::traces::Options>, Error> {
        let error = |name, expected| Error { name, expected };
        let address = error("ARGOCD_CMP_SERVER_OTLP_ADDRESS", "`host:port`");
        let Some(text) = self.text_of(address.name, address.expected)? else { return Ok(None) };
        let text = text.strip_prefix("dns:///").unwrap_or(text);
        let authority = text.parse::<::http::uri::Authority>().ok();
        if authority.is_none_or(|parts| parts.port_u16().is_none() || text.contains('@')) {
            return Err(address);
        }
        let insecure = error("ARGOCD_CMP_SERVER_OTLP_INSECURE", "`true` or `false`");
        let insecure = match self.text_of(insecure.name, insecure.expected)? {
            // What Go takes for a truth value.
            None | Some("1" | "t" | "T" | "TRUE" | "true" | "True") => true,
            Some("0" | "f" | "F" | "FALSE" | "false" | "False") => false,
            Some(_) => return Err(insecure),
        };
        let headers = error("ARGOCD_CMP_SERVER_OTLP_HEADERS", "a list like `name=value,name=value`");
        let headers = match self.text_of(headers.name, headers.expected)? {
            None => telemetry::traces::Headers::default(),
            Some(text) => telemetry::traces::Headers::parse(text).ok_or(headers)?,
        };
        let attributes = error("ARGOCD_CMP_SERVER_OTLP_ATTRS", "a list like `key:value,key:value`");
        let listed = self.text_of(attributes.name, attributes.expected)?.unwrap_or_default();
        let pairs = listed.split(',').map(str::trim).filter(|pair| !pair.is_empty());
        let pairs = pairs.map(|pair| pair.split_once(':').filter(|(key, _)| !key.is_empty()));
        let owned = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
        let attributes = pairs.map(|pair| pair.map(owned)).collect::<Option<_>>().ok_or(attributes)?;
        let ratio = error("ARGOCD_CMP_SERVER_OTLP_SAMPLE_RATIO", "a number from 0 to 1");
        let sample_ratio = match self.text_of(ratio.name, ratio.expected)? {
            None => 1.0,
            Some(text) => text.parse().ok().filter(|part| (0.0..=1.0).contains(part)).ok_or(ratio)?,
        };
        Ok(Some(telemetry::traces::Options { address: text.to_owned(), insecure, headers, attributes, sample_ratio }))
    }

    /// Where metrics and probes are answered, if anywhere.
    ///
    /// # Errors
    ///
    /// If it is not an address with a port.
    pub fn http_address(&self) -> Result<Option<http::Address>, Error> {
        let error = Error { name: "ARGOCD_SOPS_HTTP_ADDRESS", expected: "an address like `:8087` or `127.0.0.1:8087`" };
        let address = |text| http::Address::parse(text).ok_or(error.clone());
        self.text_of(error.name, error.expected)?.map(address).transpose()
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
        assert_eq!(empty.helm().unwrap().program, "helm");
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
            ("ARGOCD_SOPS_HTTP_ADDRESS", "8087"),
            ("SOPS_DECRYPTION_ORDER", "age,age"),
        ] {
            let variables = variables(&[(name, value)]);
            let errors = [
                variables.timeout().err(),
                variables.telemetry(Level::INFO).err(),
                variables.places().err(),
                variables.http_address().err(),
            ];
            let found: Vec<_> = errors.into_iter().flatten().collect();
            assert_eq!(found.len(), 1, "{name}={value}");
            assert_eq!(found[0].name, name);
        }
    }

    #[test]
    fn the_server_logs_as_the_stock_server_was_told_to_unless_we_are_told_otherwise() {
        let logs = |pairs: &[(&str, &str)]| {
            let options = variables(pairs).server_telemetry().unwrap();
            (options.level, options.json)
        };
        assert_eq!(logs(&[]), (Level::INFO, true));
        let stock = [("ARGOCD_CMP_SERVER_LOGLEVEL", "warning"), ("ARGOCD_CMP_SERVER_LOGFORMAT", "text")];
        assert_eq!(logs(&stock), (Level::WARN, false));
        let ours = [("ARGOCD_SOPS_LOG_LEVEL", "debug"), ("ARGOCD_SOPS_LOG_FORMAT", "json")];
        assert_eq!(logs(&[stock, ours].concat()), (Level::DEBUG, true));
        // A command that the stock server runs answers on stdout and stderr; its level is not the server's.
        assert_eq!(
            variables(&[("ARGOCD_CMP_SERVER_LOGLEVEL", "debug")]).telemetry(Level::WARN).unwrap().level,
            Level::WARN
        );
    }

    #[test]
    fn traces_go_where_the_stock_server_would_send_them() {
        assert!(variables(&[("ARGOCD_CMP_SERVER_OTLP_HEADERS", "a=b")]).traces().unwrap().is_none(), "no address");
        let address = ("ARGOCD_CMP_SERVER_OTLP_ADDRESS", "otel-collector.monitoring:4317");
        let plain = variables(&[address]).traces().unwrap().unwrap();
        assert_eq!((plain.address.as_str(), plain.insecure), ("otel-collector.monitoring:4317", true));
        assert!((plain.sample_ratio - 1.0).abs() < f64::EPSILON);
        let full = variables(&[
            ("ARGOCD_CMP_SERVER_OTLP_ADDRESS", "dns:///[::1]:4317"),
            ("ARGOCD_CMP_SERVER_OTLP_INSECURE", "f"),
            ("ARGOCD_CMP_SERVER_OTLP_HEADERS", "Authorization=Bearer canary==,x=y"),
            ("ARGOCD_CMP_SERVER_OTLP_ATTRS", "cluster:prod, url:http://x"),
            ("ARGOCD_CMP_SERVER_OTLP_SAMPLE_RATIO", "0.25"),
        ]);
        let full = full.traces().unwrap().unwrap();
        assert_eq!((full.address.as_str(), full.insecure), ("[::1]:4317", false));
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(full.attributes, [pair("cluster", "prod"), pair("url", "http://x")]);
        let shown = format!("{full:?}");
        assert!(shown.contains("authorization") && !shown.contains("canary"), "{shown}");
    }

    #[test]
    fn a_variable_of_the_stock_server_that_cannot_be_used_is_named() {
        for (name, value) in [
            ("ARGOCD_CMP_SERVER_OTLP_ADDRESS", "http://collector:4317"),
            ("ARGOCD_CMP_SERVER_OTLP_ADDRESS", "collector"),
            ("ARGOCD_CMP_SERVER_OTLP_ADDRESS", "user:password@collector:4317"),
            ("ARGOCD_CMP_SERVER_OTLP_INSECURE", "no"),
            ("ARGOCD_CMP_SERVER_OTLP_HEADERS", "canary"),
            ("ARGOCD_CMP_SERVER_OTLP_HEADERS", "a b=canary"),
            ("ARGOCD_CMP_SERVER_OTLP_HEADERS", "a=canary\nb"),
            ("ARGOCD_CMP_SERVER_OTLP_ATTRS", "key"),
            ("ARGOCD_CMP_SERVER_OTLP_SAMPLE_RATIO", "1.5"),
            ("ARGOCD_CMP_SERVER_OTLP_SAMPLE_RATIO", "NaN"),
        ] {
            let mut pairs = vec![("ARGOCD_CMP_SERVER_OTLP_ADDRESS", "collector:4317")];
            pairs.push((name, value));
            let error = variables(&pairs).traces().unwrap_err();
            assert_eq!(error.name, name, "{value}");
            assert!(!error.to_string().contains("canary"));
        }
        let error = variables(&[("ARGOCD_CMP_SERVER_LOGLEVEL", "loud")]).server_telemetry().unwrap_err();
        assert_eq!(error.name, "ARGOCD_CMP_SERVER_LOGLEVEL");
    }

    #[test]
    fn the_socket_is_where_the_repo_server_looks_for_it() {
        assert_eq!(variables(&[]).socket_path().unwrap(), PathBuf::from("/home/argocd/cmp-server/plugins/sops.sock"));
        let moved = [("ARGOCD_PLUGINSOCKFILEPATH", "/p"), ("ARGOCD_SOPS_PLUGIN_NAME", "sops-v1.2")];
        assert_eq!(variables(&moved).socket_path().unwrap(), PathBuf::from("/p/sops-v1.2.sock"));
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
