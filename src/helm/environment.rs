//! The environment that helm gets: as little as rendering needs.

use std::ffi::OsString;
use std::path::Path;

/// A folder that does not exist: rendering reads no configuration, no plugins and no cache.
const NO_HOME: &str = "/nonexistent";

/// The heap may grow to this before Go collects garbage: a render is over before that pays.
const MEMORY_LIMIT: &str = "256MiB";

/// The variables of ours that helm may see, by what needs them.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    /// `TZ`: templates print dates.
    pub render: Vec<(OsString, OsString)>,
    /// Proxies and certificates: only a dependency build has to do with the network.
    pub network: Vec<(OsString, OsString)>,
}

impl Environment {
    /// Names of the variables that rendering may see.
    pub const RENDER: [&str; 1] = ["TZ"];
    /// Names of the variables that a dependency build may see beside those.
    pub const NETWORK: [&str; 8] = [
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "NO_PROXY",
        "http_proxy",
        "https_proxy",
        "no_proxy",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
    ];

    /// For `helm template`.
    pub(super) fn rendering(&self) -> Vec<(OsString, OsString)> {
        let mut variables = homes(Path::new(NO_HOME));
        variables.extend(tuning());
        variables.extend(self.render.iter().cloned());
        variables
    }

    /// For `helm repo add` and `helm dependency build`, with a home of their own.
    pub(super) fn building(&self, home: &Path) -> Vec<(OsString, OsString)> {
        let mut variables = homes(home);
        variables.extend(self.network.iter().cloned());
        variables
    }
}

fn homes(home: &Path) -> Vec<(OsString, OsString)> {
    let below = |name: &str| home.join(name).into_os_string();
    vec![
        ("HOME".into(), home.into()),
        ("XDG_CACHE_HOME".into(), below("cache")),
        ("XDG_CONFIG_HOME".into(), below("config")),
        ("XDG_DATA_HOME".into(), below("data")),
        ("HELM_CACHE_HOME".into(), below("cache")),
        ("HELM_CONFIG_HOME".into(), below("config")),
        ("HELM_DATA_HOME".into(), below("data")),
        ("HELM_PLUGINS".into(), below("plugins")),
        ("KUBECONFIG".into(), below("kubeconfig")),
        ("TMPDIR".into(), below("tmp")),
    ]
}

fn tuning() -> [(OsString, OsString); 2] {
    [("GOGC".into(), "off".into()), ("GOMEMLIMIT".into(), MEMORY_LIMIT.into())]
}
