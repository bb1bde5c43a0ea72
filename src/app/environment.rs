//! The variables that Argo CD hands to a plugin.

use std::collections::BTreeMap;

use super::{ApiVersion, Error, KubeVersion, expand::expand};

/// The variables that a text of an Application may use. Argo CD calls them the build environment; `KUBE_VERSION` and
/// `KUBE_API_VERSIONS` are not among them.
pub(super) const BUILD_VARIABLES: [&str; 9] = [
    APP_NAME,
    APP_NAMESPACE,
    PROJECT_NAME,
    REVISION,
    "ARGOCD_APP_REVISION_SHORT",
    "ARGOCD_APP_REVISION_SHORT_8",
    REPOSITORY,
    SOURCE_PATH,
    "ARGOCD_APP_SOURCE_TARGET_REVISION",
];

const APP_NAME: &str = "ARGOCD_APP_NAME";
const APP_NAMESPACE: &str = "ARGOCD_APP_NAMESPACE";
const PROJECT_NAME: &str = "ARGOCD_APP_PROJECT_NAME";
const REVISION: &str = "ARGOCD_APP_REVISION";
const REPOSITORY: &str = "ARGOCD_APP_SOURCE_REPO_URL";
const SOURCE_PATH: &str = "ARGOCD_APP_SOURCE_PATH";
const KUBE_VERSION: &str = "KUBE_VERSION";
const KUBE_API_VERSIONS: &str = "KUBE_API_VERSIONS";
const PARAMETERS: &str = "ARGOCD_APP_PARAMETERS";

/// The longest single variable that is read, in bytes. An Application cannot be larger than what etcd keeps (1.5 MiB),
/// but `.argocd-source.yaml` can, and a cluster may have thousands of API versions.
const MAX_BYTES: usize = 4 << 20;

/// What Argo CD says about an Application and its cluster. Everything else in an environment is left alone.
///
/// The names are Argo CD's own: an author's variables come as `ARGOCD_ENV_*` and `PARAM_*` and can take none of these.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Environment {
    variables: BTreeMap<&'static str, String>,
}

impl Environment {
    /// Picks the variables that matter out of a process environment, or out of a gRPC request.
    ///
    /// # Errors
    ///
    /// If one of them comes twice with different values, is absurdly long, or holds a NUL byte.
    pub fn from_pairs<N, V>(pairs: impl IntoIterator<Item = (N, V)>) -> Result<Self, Error>
    where
        N: AsRef<str>,
        V: Into<String>,
    {
        let mut variables = BTreeMap::new();
        for (name, value) in pairs {
            let wanted = BUILD_VARIABLES.into_iter().chain([KUBE_VERSION, KUBE_API_VERSIONS, PARAMETERS]);
            let Some(name) = { wanted }.find(|known| *known == name.as_ref()) else { continue };
            let value = value.into();
            if value.len() > MAX_BYTES {
                return Err(Error::VariableTooLong { name, bytes: value.len(), limit: MAX_BYTES });
            }
            if value.contains('\0') {
                return Err(Error::VariableNul { name });
            }
            if variables.get(name).is_some_and(|known| *known != value) {
                return Err(Error::VariableTwice { name });
            }
            variables.insert(name, value);
        }
        Ok(Self { variables })
    }

    /// The Application's name for messages: `<name>`, or `<namespace>_<name>` outside Argo CD's own namespace.
    #[must_use]
    pub fn application(&self) -> Option<&str> {
        self.filled(APP_NAME)
    }

    /// The `AppProject`. Authors cannot set it; it is absent where Argo CD asks about parameters only.
    #[must_use]
    pub fn project(&self) -> Option<&str> {
        self.filled(PROJECT_NAME)
    }

    /// The commit, chart version or digest; `streamed` for a tree that somebody uploaded.
    #[must_use]
    pub fn revision(&self) -> Option<&str> {
        self.filled(REVISION)
    }

    /// The URL of the repository, as configured.
    #[must_use]
    pub fn repository(&self) -> Option<&str> {
        self.filled(REPOSITORY)
    }

    /// The destination namespace.
    #[must_use]
    pub fn namespace(&self) -> Option<&str> {
        self.filled(APP_NAMESPACE)
    }

    /// `spec.source.path`, as written.
    #[must_use]
    pub fn source_path(&self) -> Option<&str> {
        self.filled(SOURCE_PATH)
    }

    /// `ARGOCD_APP_PARAMETERS`: JSON text.
    #[must_use]
    pub fn parameters(&self) -> Option<&str> {
        self.filled(PARAMETERS)
    }

    /// The cluster's version.
    pub(super) fn kube_version(&self) -> Result<Option<KubeVersion>, Error> {
        let Some(text) = self.filled(KUBE_VERSION) else { return Ok(None) };
        KubeVersion::parse(text).map(Some).map_err(|cause| Error::Variable { name: KUBE_VERSION, cause })
    }

    /// The cluster's API versions.
    pub(super) fn api_versions(&self) -> Result<Vec<ApiVersion>, Error> {
        let Some(text) = self.filled(KUBE_API_VERSIONS) else { return Ok(Vec::new()) };
        text.split(',')
            .map(|item| ApiVersion::parse(item).map_err(|cause| Error::Variable { name: KUBE_API_VERSIONS, cause }))
            .collect()
    }

    /// Replaces build variables in a text; unknown names become empty.
    pub(super) fn expand(&self, text: &str) -> String {
        expand(text, |name| {
            BUILD_VARIABLES.contains(&name).then(|| self.variables.get(name).map(String::as_str)).flatten()
        })
    }

    fn filled(&self, name: &'static str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> Environment {
        Environment::from_pairs(pairs.iter().copied()).expect("a good environment")
    }

    #[test]
    fn only_argo_cds_own_variables_are_read() {
        let environment = environment(&[
            ("ARGOCD_APP_NAME", "team_web"),
            ("ARGOCD_APP_PROJECT_NAME", "team"),
            ("ARGOCD_ENV_ARGOCD_APP_PROJECT_NAME", "other"),
            ("PARAM_X", "y"),
            ("HOME", "/root"),
        ]);
        assert_eq!(environment.application(), Some("team_web"));
        assert_eq!(environment.project(), Some("team"));
        assert_eq!(environment.expand("$HOME$PARAM_X$ARGOCD_ENV_ARGOCD_APP_PROJECT_NAME"), "");
    }

    #[test]
    fn an_empty_variable_is_an_absent_one() {
        let environment = environment(&[("ARGOCD_APP_NAMESPACE", ""), ("KUBE_VERSION", ""), ("KUBE_API_VERSIONS", "")]);
        assert_eq!(environment.namespace(), None);
        assert_eq!(environment.kube_version().expect("none"), None);
        assert_eq!(environment.api_versions().expect("none"), []);
    }

    #[test]
    fn the_clusters_versions_are_no_variables_for_texts() {
        let environment = environment(&[("KUBE_VERSION", "1.30.1"), ("ARGOCD_APP_REVISION", "abc")]);
        assert_eq!(environment.expand("$KUBE_VERSION-$ARGOCD_APP_REVISION"), "-abc");
    }

    #[test]
    fn a_variable_with_two_values_is_refused() {
        let twice = [("ARGOCD_APP_PROJECT_NAME", "a"), ("ARGOCD_APP_PROJECT_NAME", "b")];
        let error = Environment::from_pairs(twice).expect_err("must be refused");
        assert_eq!(error.to_string(), "`ARGOCD_APP_PROJECT_NAME` is given twice with different values");
    }

    #[test]
    fn a_flag_cannot_come_by_way_of_the_cluster() {
        let environment = environment(&[("KUBE_VERSION", "--x"), ("KUBE_API_VERSIONS", "v1,--post-renderer")]);
        let error = environment.kube_version().expect_err("must be refused");
        assert_eq!(error.to_string(), "`KUBE_VERSION` must not begin with `-`");
        let error = environment.api_versions().expect_err("must be refused");
        assert_eq!(error.to_string(), "`KUBE_API_VERSIONS` must not begin with `-`");
    }

    #[test]
    fn absurd_variables_are_refused() {
        let error = Environment::from_pairs([("KUBE_VERSION", "1".repeat(MAX_BYTES + 1))]).expect_err("too long");
        assert_eq!(error.to_string(), "`KUBE_VERSION` is 4194305 bytes long, more than 4194304");
        let error = Environment::from_pairs([("ARGOCD_APP_NAME", "a\0")]).expect_err("NUL");
        assert_eq!(error.to_string(), "`ARGOCD_APP_NAME` holds a NUL byte");
    }
}
