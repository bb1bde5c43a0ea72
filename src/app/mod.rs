//! What an Application asked for: variables and parameters become a [`Plan`].
//!
//! Everything here is pure: no files, no network, no look at the process environment. [`Request`] holds what somebody
//! asked, in the words of Argo CD; [`plan`] decides what that means for helm, with the defaults and the odd corners of
//! Argo CD's own Helm support, so that a chart renders alike on both ways.

use std::collections::{BTreeMap, BTreeSet};

use crate::reference::{FilePath, Reference};

mod catalogue;
mod environment;
mod error;
mod expand;
mod manifest;
mod names;
mod parameters;
mod yaml;

pub use catalogue::{PARAMETERS, Parameter, Shape};
pub use environment::Environment;
pub use error::Error;
pub use manifest::{Application, ManifestError, Source, Surroundings, override_files};
pub use names::{ApiVersion, KubeVersion, Namespace, ReleaseName, WordError};
pub use parameters::Parameters;
pub use yaml::YamlError;

/// One source of an Application, as somebody asks for it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// What Argo CD says about the Application and its cluster.
    pub environment: Environment,
    /// What the Application says about helm.
    pub parameters: Parameters,
    /// What `$name/path` means in it.
    pub refs: Refs,
}

impl Request {
    /// The request of a plugin: all of it stands in the variables that Argo CD hands over.
    ///
    /// # Errors
    ///
    /// If a variable or a parameter is not what Argo CD or the [catalogue](PARAMETERS) says.
    pub fn from_plugin<N, V>(variables: impl IntoIterator<Item = (N, V)>) -> Result<Self, Error>
    where
        N: AsRef<str>,
        V: Into<String>,
    {
        let environment = Environment::from_pairs(variables)?;
        let parameters = environment.parameters().map(Parameters::from_json).transpose()?.unwrap_or_default();
        Ok(Self { environment, parameters, refs: Refs::Plugin })
    }
}

/// What an entry means that begins with `$name/`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Refs {
    /// A plugin receives one source: the name of another one is an error, unless it is a build variable.
    #[default]
    Plugin,
    /// A native Helm source on its own: `$name` is a variable.
    Variables,
    /// A native Helm source among several: `$name` is one of these sources.
    Sources(BTreeSet<String>),
}

/// What helm shall do. The `values` room finds the files, the `helm` room writes the command line.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of helm or of Argo CD, by its own name")]
pub struct Plan {
    /// The Application's name, for messages: `<name>` or `<namespace>_<name>`.
    pub application: String,
    /// The `AppProject`, for the key policy.
    pub project: Option<String>,
    /// `--name-template`
    pub release: ReleaseName,
    /// `--namespace`
    pub namespace: Option<Namespace>,
    /// `--kube-version`
    pub kube_version: Option<KubeVersion>,
    /// `--api-versions`, each
    pub api_versions: Vec<ApiVersion>,
    /// `--values`, each, later ones win.
    pub value_files: Vec<ValueFile>,
    /// The last `--values`: YAML text.
    pub inline_values: Option<String>,
    /// `--set`: names and escaped values, by name.
    pub set: Vec<(String, String)>,
    /// `--set-string`: names and escaped values, by name.
    pub set_string: Vec<(String, String)>,
    /// `--set-file`: names and files, by name. Never patterns.
    pub set_file: Vec<(String, Reference)>,
    /// Values files that do not exist, and patterns that match nothing, are left out.
    pub ignore_missing_value_files: bool,
    /// `--include-crds`
    pub include_crds: bool,
    /// `--skip-tests`
    pub skip_tests: bool,
    /// `--skip-schema-validation`
    pub skip_schema_validation: bool,
    /// `--pass-credentials`, when a chart repository is added.
    pub pass_credentials: bool,
    /// Zero objects are no error.
    pub allow_empty: bool,
}

/// One entry of `valueFiles`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ValueFile {
    /// The entry as its author knows it, before variables were expanded.
    pub as_written: String,
    /// Where the file is.
    pub reference: Reference,
    /// Whether the path is a pattern for several files.
    pub glob: bool,
}

/// Decides what helm shall do for a request.
///
/// Defaults and order follow `helmTemplate` in Argo CD 3.6 (`reposerver/repository/repository.go`). Single values are
/// sorted by name, where Argo CD's order is random.
///
/// # Errors
///
/// [`Error`] names the parameter that cannot be used.
pub fn plan(request: &Request) -> Result<Plan, Error> {
    let Request { environment, parameters, .. } = request;
    let application = environment.application().ok_or(Error::NoApplication)?;
    let kube_version = match &parameters.kube_version {
        Some(version) => Some(version.clone()),
        None => environment.kube_version()?,
    };
    let api_versions = match &parameters.api_versions[..] {
        [] => environment.api_versions()?,
        versions => versions.to_vec(),
    };
    let entries = parameters.value_files.iter().enumerate();
    let value_files = entries.map(|(index, entry)| request.value_file(index, entry)).collect::<Result<_, _>>()?;
    let files = parameters.set_file.iter();
    let set_file = files.map(|(key, path)| request.file_parameter(key, path)).collect::<Result<_, _>>()?;
    let single = |values: &BTreeMap<String, String>| {
        values.iter().map(|(key, value)| (key.clone(), expand::escape_commas(&environment.expand(value)))).collect()
    };
    Ok(Plan {
        application: application.to_owned(),
        project: environment.project().map(str::to_owned),
        release: release(application, parameters.release_name.as_ref())?,
        namespace: namespace(environment, parameters.namespace.as_ref())?,
        kube_version,
        api_versions,
        value_files,
        inline_values: parameters.values.clone(),
        set: single(&parameters.set),
        set_string: single(&parameters.set_string),
        set_file,
        ignore_missing_value_files: parameters.ignore_missing_value_files,
        include_crds: !parameters.skip_crds,
        skip_tests: parameters.skip_tests,
        skip_schema_validation: parameters.skip_schema_validation,
        pass_credentials: parameters.pass_credentials,
        allow_empty: parameters.allow_empty,
    })
}

/// The name given, else that of the Application without the namespace before its first `_`.
fn release(application: &str, given: Option<&ReleaseName>) -> Result<ReleaseName, Error> {
    if let Some(name) = given {
        return Ok(name.clone());
    }
    let name = application.split_once('_').map_or(application, |(_, name)| name);
    let name = if name.is_empty() { application } else { name };
    ReleaseName::parse(name).map_err(|cause| Error::Variable { name: "ARGOCD_APP_NAME", cause })
}

fn namespace(environment: &Environment, given: Option<&Namespace>) -> Result<Option<Namespace>, Error> {
    if given.is_some() {
        return Ok(given.cloned());
    }
    let parse = |text| Namespace::parse(text).map_err(|cause| Error::Variable { name: "ARGOCD_APP_NAMESPACE", cause });
    environment.namespace().map(parse).transpose()
}

impl Request {
    fn value_file(&self, index: usize, entry: &str) -> Result<ValueFile, Error> {
        let reference = self.reference("valueFiles", entry)?;
        let reference = reference.map_err(|cause| Error::Entry { parameter: "valueFiles", index, cause })?;
        let glob = reference.file().is_pattern();
        Ok(ValueFile { as_written: entry.to_owned(), reference, glob })
    }

    fn file_parameter(&self, key: &str, path: &str) -> Result<(String, Reference), Error> {
        if !is_one_name(key) {
            return Err(Error::FileParameterKey { key: key.chars().take(100).collect() });
        }
        let reference = self.reference("fileParameters", path)?;
        let reference = reference.map_err(|cause| Error::FileParameter { key: key.to_owned(), cause })?;
        Ok((key.to_owned(), reference))
    }

    /// Expands and reads an entry; the outer error is about other sources, the inner one about the reference itself.
    fn reference(
        &self,
        parameter: &'static str,
        entry: &str,
    ) -> Result<Result<Reference, crate::reference::Error>, Error> {
        match (&self.refs, other_source(entry)) {
            (Refs::Plugin, Some((name, _))) if !environment::BUILD_VARIABLES.contains(&name) => {
                return Err(Error::RefInPlugin { parameter, name: name.to_owned() });
            }
            (Refs::Sources(known), _) if entry.starts_with('$') => {
                let (name, path) = entry[1..].split_once('/').unwrap_or((&entry[1..], ""));
                if !known.contains(name) {
                    let known = known.iter().cloned().collect();
                    let name = name.chars().take(100).collect();
                    return Err(Error::RefUnknown { parameter, name, known });
                }
                let file = FilePath::parse(&format!("/{}", self.environment.expand(path)));
                let reference = file.map(|file| Reference::Ref { name: name.to_owned(), file });
                return Ok(reference.ok_or(crate::reference::Error::NoFile));
            }
            (Refs::Sources(known), Some((name, _))) if known.contains(name) => {
                return Err(Error::RefBehindScheme { parameter, name: name.to_owned() });
            }
            _ => {}
        }
        Ok(Reference::parse(&self.environment.expand(entry)))
    }
}

/// The name and the path of `$name/path`, also behind `secrets://`, where people try it.
fn other_source(entry: &str) -> Option<(&str, &str)> {
    let entry = entry.strip_prefix("secrets://").unwrap_or(entry);
    let (name, path) = entry.strip_prefix('$')?.split_once('/')?;
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    (!name.is_empty() && name.chars().all(fits)).then_some((name, path))
}

/// Whether helm reads a text in front of `=` as one name. It reads a file for each `name=path` of `--set-file`, so a name
/// like `a=/etc/passwd,b` would be a way to any file. A backslash takes the meaning from what follows it (helm 3 and 4,
/// `pkg/strvals/parser.go`).
fn is_one_name(key: &str) -> bool {
    let mut characters = key.chars();
    while let Some(character) = characters.next() {
        match character {
            '=' | ',' => return false,
            '\\' if characters.next().is_none() => return false,
            _ => {}
        }
    }
    true
}

#[cfg(test)]
mod tests;
