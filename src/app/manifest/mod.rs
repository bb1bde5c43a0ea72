//! An Application manifest, as people write it, becomes requests as Argo CD would have made them.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{ApiVersion, Environment, Error, KubeVersion, Parameters, Refs, Request, yaml};

mod error;
mod fields;
mod native;
mod overrides;

pub use error::ManifestError;
use fields::Fields;
pub use overrides::override_files;

/// An Argo CD Application, for rendering in a terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Application {
    /// `metadata.name`
    pub name: String,
    /// `metadata.namespace`
    pub namespace: Option<String>,
    /// `spec.project`; `default` if none is named.
    pub project: String,
    /// `spec.destination.namespace`
    pub destination_namespace: String,
    /// The sources that others may refer to: `ref` and repository, as written (a URL may hold credentials).
    pub refs: BTreeMap<String, String>,
    /// The sources to render, in order; sources that are only a `ref` for others are left out.
    pub sources: Vec<Source>,
}

/// One source of an Application, before and after override files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// `spec.source` or `spec.sources[1]`, for messages.
    pub place: String,
    /// `path`, as written: the application's directory in the repository.
    pub path: String,
    /// `repoURL`, as written (it may hold credentials).
    pub repo_url: String,
    fields: Map<String, Value>,
    refs: Refs,
}

/// What Argo CD would know, and a manifest does not say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// The name by which Applications call this plugin.
    pub plugin_name: String,
    /// The commit that is rendered, if known.
    pub revision: Option<String>,
    /// The cluster's version, if known.
    pub kube_version: Option<KubeVersion>,
    /// The cluster's API versions, if known.
    pub api_versions: Vec<ApiVersion>,
}

impl Application {
    /// Reads the YAML text of one Application.
    ///
    /// # Errors
    ///
    /// [`ManifestError`] if there is no Application, more than one, or something else; and for fields of a wrong type.
    pub fn parse(text: &str) -> Result<Self, ManifestError> {
        let mut documents = yaml::documents(text).map_err(|cause| ManifestError::Yaml { cause })?;
        let document = match (documents.len(), documents.pop()) {
            (1, Some(document)) => document,
            (count, _) => return Err(ManifestError::Documents { count }),
        };
        let mut fields = Fields::new("the manifest", document).map_err(|_| ManifestError::NotAnObject)?;
        let missing = |place: &str| ManifestError::Missing { place: place.to_owned() };
        let kind = fields.string("kind")?.ok_or_else(|| missing("kind"))?;
        let api = fields.string("apiVersion")?.ok_or_else(|| missing("apiVersion"))?;
        if kind != "Application" || !api.starts_with("argoproj.io/") {
            return Err(ManifestError::Kind { kind: printable(&kind), api: printable(&api) });
        }
        let mut metadata = Fields::new("metadata", fields.take("metadata").ok_or_else(|| missing("metadata"))?)?;
        let mut spec = Fields::new("spec", fields.take("spec").ok_or_else(|| missing("spec"))?)?;
        let mut destination = Fields::new("spec.destination", spec.take("destination").unwrap_or(empty()))?;
        let name = metadata.string("name")?.ok_or_else(|| missing("metadata.name"))?;
        if name.contains('/') || name.starts_with(['-', '.']) || name.contains(char::is_control) {
            return Err(ManifestError::Field { place: "metadata.name".to_owned(), expected: "a Kubernetes name" });
        }
        let (sources, refs) = sources(&mut spec)?;
        Ok(Self {
            name,
            namespace: metadata.string("namespace")?,
            project: spec.string("project")?.unwrap_or_else(|| "default".to_owned()),
            destination_namespace: destination.string("namespace")?.unwrap_or_default(),
            refs,
            sources,
        })
    }

    /// The name that Argo CD uses in its variables. Which namespace is Argo CD's own cannot be known here, so every
    /// Application counts as living there.
    #[must_use]
    pub fn instance_name(&self) -> &str {
        &self.name
    }

    /// What the repo-server would have sent a plugin for one source, after its override files were applied.
    ///
    /// # Errors
    ///
    /// [`ManifestError`] if the source is not for us, or says something wrong.
    pub fn request(&self, source: &Source, surroundings: &Surroundings) -> Result<Request, ManifestError> {
        let (parameters, refs) = source.parameters(&surroundings.plugin_name)?;
        let mut fields = Fields::new(&source.place, Value::Object(source.fields.clone()))?;
        let revision = surroundings.revision.as_deref().unwrap_or_default();
        let short = |length: usize| revision.get(..length).unwrap_or(revision).to_owned();
        let versions: Vec<_> = surroundings.api_versions.iter().map(ApiVersion::as_str).collect();
        let pairs = [
            ("ARGOCD_APP_NAME", self.instance_name().to_owned()),
            ("ARGOCD_APP_NAMESPACE", self.destination_namespace.clone()),
            ("ARGOCD_APP_PROJECT_NAME", self.project.clone()),
            ("ARGOCD_APP_REVISION", revision.to_owned()),
            ("ARGOCD_APP_REVISION_SHORT", short(7)),
            ("ARGOCD_APP_REVISION_SHORT_8", short(8)),
            ("ARGOCD_APP_SOURCE_REPO_URL", source.repo_url.clone()),
            ("ARGOCD_APP_SOURCE_PATH", source.path.clone()),
            ("ARGOCD_APP_SOURCE_TARGET_REVISION", fields.string("targetRevision")?.unwrap_or_default()),
            ("KUBE_VERSION", surroundings.kube_version.as_ref().map(ToString::to_string).unwrap_or_default()),
            ("KUBE_API_VERSIONS", versions.join(",")),
        ];
        let environment = Environment::from_pairs(pairs).map_err(|cause| source.refused("", cause))?;
        Ok(Request { environment, parameters, refs })
    }
}

impl Source {
    /// Applies the text of an override file; see [`override_files`].
    ///
    /// # Errors
    ///
    /// [`ManifestError`] if the text is no patch.
    pub fn apply_override(&mut self, file: &str, text: &str) -> Result<(), ManifestError> {
        overrides::apply(&mut self.fields, file, text)
    }

    /// The parameters of the one section that the source has. A source without any counts as a chart, which Argo CD
    /// finds out by looking.
    fn parameters(&self, plugin_name: &str) -> Result<(Parameters, Refs), ManifestError> {
        let section = |name: &str| self.fields.get(name).filter(|value| !value.is_null());
        // In the order in which Argo CD names them.
        let kinds = [("kustomize", "Kustomize"), ("helm", "Helm"), ("directory", "Directory"), ("plugin", "Plugin")];
        let found: Vec<_> = kinds.into_iter().filter(|(name, _)| section(name).is_some()).collect();
        if found.len() > 1 {
            let kinds = found.into_iter().map(|(_, kind)| kind).collect();
            return Err(ManifestError::SeveralKinds { place: self.place.clone(), kinds });
        }
        if section("chart").is_some() {
            return Err(ManifestError::Chart { place: self.place.clone() });
        }
        match found.first() {
            None => Ok((Parameters::default(), self.refs.clone())),
            Some((name @ "helm", _)) => {
                let section = section(name).cloned().unwrap_or_default();
                Ok((Parameters::from_helm(&format!("{}.helm", self.place), section)?, self.refs.clone()))
            }
            Some((name @ "plugin", _)) => {
                let section = section(name).cloned().unwrap_or_default();
                Ok((self.plugin(section, plugin_name)?, Refs::Plugin))
            }
            Some((_, kind)) => Err(ManifestError::NotOurs { place: self.place.clone(), kind }),
        }
    }

    fn plugin(&self, section: Value, expected: &str) -> Result<Parameters, ManifestError> {
        let mut fields = Fields::new(format!("{}.plugin", self.place), section)?;
        let place = fields.place("name");
        let name = fields.string("name")?.ok_or_else(|| ManifestError::Missing { place: place.clone() })?;
        if name != expected {
            return Err(ManifestError::PluginName { place, name: printable(&name), expected: expected.to_owned() });
        }
        // `env` reaches a plugin as `ARGOCD_ENV_*`, which means nothing to us.
        for mut entry in fields.objects("env")? {
            entry.string("name")?;
            entry.string("value")?;
            entry.finish()?;
        }
        let items = fields.list("parameters")?;
        fields.finish()?;
        Parameters::from_items(items).map_err(|cause| match cause {
            Error::ParameterItem { index } => ManifestError::Field {
                place: format!("{}.plugin.parameters[{index}]", self.place),
                expected: "a `name` with a `string`, an `array` of strings or a `map` of strings",
            },
            cause => self.refused(".plugin.parameters", cause),
        })
    }

    fn refused(&self, section: &str, cause: Error) -> ManifestError {
        ManifestError::Parameters { place: format!("{}{section}", self.place), cause }
    }
}

/// `spec.sources` if there are any, else `spec.source`.
fn sources(spec: &mut Fields) -> Result<(Vec<Source>, BTreeMap<String, String>), ManifestError> {
    if spec.take("sourceHydrator").is_some() {
        return Err(ManifestError::Hydrator);
    }
    let several = spec.list("sources")?;
    let listed = if several.is_empty() {
        let source = spec.take("source").ok_or(ManifestError::Missing { place: "spec.source".to_owned() })?;
        vec![("spec.source".to_owned(), source)]
    } else {
        several.into_iter().enumerate().map(|(index, source)| (format!("spec.sources[{index}]"), source)).collect()
    };
    let multi = listed.first().is_some_and(|(place, _)| place != "spec.source");
    let mut refs = BTreeMap::new();
    let mut sources = Vec::new();
    for (place, value) in listed {
        let mut fields = Fields::new(place.clone(), value.clone())?;
        let (path, chart) = (fields.string("path")?, fields.take("chart"));
        let repo_url = fields.string("repoURL")?.unwrap_or_default();
        let name = if multi { fields.string("ref")? } else { None };
        if let Some(name) = &name {
            let fits = name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
            if !fits || refs.insert(name.clone(), repo_url.clone()).is_some() {
                let expected = "its own name of letters, digits, `_` and `-`";
                return Err(ManifestError::Field { place: format!("{place}.ref"), expected });
            }
        }
        if path.is_none() && chart.is_none() && !repo_url.starts_with("oci://") && name.is_some() {
            continue;
        }
        if path.is_none() && chart.is_none() && !repo_url.starts_with("oci://") {
            // As Argo CD 3.6 (`util/argo/argo.go`, `validateSourcePermissions`): the root of a repository is `.`.
            return Err(ManifestError::Missing { place: format!("{place}.path") });
        }
        let Value::Object(fields) = value else { continue };
        sources.push(Source { place, path: path.unwrap_or_default(), repo_url, fields, refs: Refs::Variables });
    }
    if sources.is_empty() {
        return Err(ManifestError::OnlyRefs);
    }
    if multi {
        for source in &mut sources {
            source.refs = Refs::Sources(refs.keys().cloned().collect());
        }
    }
    Ok((sources, refs))
}

fn empty() -> Value {
    Value::Object(Map::new())
}

/// A word of the manifest for a message: short, and without control characters.
fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(100).collect()
}

#[cfg(test)]
mod tests;
