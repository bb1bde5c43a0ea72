//! Building a chart's dependencies in a private copy, as native Helm does when `helm template` has missed them.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::task::spawn_blocking;
use tracing::info;

use super::run::Process;
use super::{Error, Helm, stderr};
use crate::deadline::Deadline;
use crate::repo::{self, Base, RepoPath, Source};
use crate::secret::SafeUrl;
use crate::values::Sources;

/// The most bytes of `Chart.yaml` that are read.
const MAX_CHART_FILE: u64 = 1024 * 1024;

/// A private copy of a chart with its dependencies in place; gone when dropped.
pub struct Dependencies {
    scratch: tempfile::TempDir,
    chart: PathBuf,
}

impl Dependencies {
    /// The copy's folder, for `helm template`.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.chart
    }

    /// All that was copied.
    #[must_use]
    pub fn tree(&self) -> &Path {
        self.scratch.path()
    }
}

/// The files that tell helm what to fetch, and from where; whether each is a lock file.
const FILES: [(&str, bool); 4] =
    [("Chart.yaml", false), ("requirements.yaml", false), ("Chart.lock", true), ("requirements.lock", true)];

/// What of those files helm gets to see while it builds: these fields and no others, so that it reads what was checked. Go
/// would also take `Repository` for `repository`.
#[derive(Deserialize, Serialize)]
struct ChartFile {
    #[serde(rename = "apiVersion", default, skip_serializing_if = "Option::is_none")]
    api_version: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version: Option<Value>,
    /// Of a lock file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    digest: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dependencies: Option<Vec<Dependency>>,
}

/// Follows `Dependency` of helm 3 and 4 (`pkg/chart/dependency.go`): all of it is in the digest of a lock file.
#[derive(Deserialize, Serialize)]
struct Dependency {
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version: Option<Value>,
    #[serde(default)]
    repository: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    condition: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tags: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    enabled: Option<Value>,
    #[serde(rename = "import-values", default, skip_serializing_if = "Option::is_none")]
    import_values: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    alias: Option<Value>,
}

/// One of the [`FILES`], as written and as checked.
struct Prepared {
    path: RepoPath,
    is_lock: bool,
    original: Vec<u8>,
    checked: ChartFile,
}

/// Where a dependency comes from.
enum Origin<'a> {
    /// In `charts/` already.
    Vendored,
    /// A folder of the same source.
    Folder(&'a str),
    /// A chart repository, which helm wants to be registered first.
    Repository(&'a str),
    /// An OCI registry, or `http://`, for which native Helm registers nothing.
    Direct,
}

impl Dependency {
    fn origin(&self) -> Result<Origin<'_>, Error> {
        let repository = self.repository.as_str();
        let scheme = repository.split_once("://").map_or("", |(scheme, _)| scheme);
        match scheme {
            _ if repository.is_empty() => Ok(Origin::Vendored),
            "file" => Ok(Origin::Folder(&repository["file://".len()..])),
            "https" => Ok(Origin::Repository(repository)),
            "oci" | "http" => Ok(Origin::Direct),
            _ => Err(Error::NotYet { name: self.name.clone(), repository: SafeUrl(repository).to_string() }),
        }
    }
}

/// A copy that is ready for helm.
struct Copied {
    files: Vec<Prepared>,
    /// Chart repositories that helm must know.
    registrations: BTreeSet<String>,
    scratch: tempfile::TempDir,
    tree: PathBuf,
    chart: PathBuf,
    home: PathBuf,
}

/// Copies the chart and its `file://` dependencies at their places, then runs `helm dependency build` there.
pub(super) async fn build(
    helm: &Helm,
    sources: &Arc<Sources>,
    pass_credentials: bool,
    deadline: Deadline,
) -> Result<Dependencies, Error> {
    let (scratch, sources) = (helm.options.scratch.clone(), Arc::clone(sources));
    let copying = spawn_blocking(move || copy(&sources.own, &scratch));
    let copied = match deadline.limit(copying).await {
        Ok(Ok(copied)) => copied?,
        // Nobody aborts such a thread, so it has panicked.
        Ok(Err(failed)) => std::panic::resume_unwind(failed.into_panic()),
        Err(passed) => return Err(Error::BuildTooLate { allowed: passed.allowed }),
    };
    let Copied { files, registrations, scratch, tree, chart, home } = copied;
    for url in registrations {
        // The name that argo-cd gives a repository known by its URL alone (3.6, `util/helm/helm.go`).
        let name = url.replace('/', "-");
        let mut add = vec!["repo", "add", "--", &name, &url];
        if pass_credentials {
            add.insert(2, "--pass-credentials");
        }
        run(helm, &chart, &home, &add, deadline).await?;
    }
    run(helm, &chart, &home, &["dependency", "build"], deadline).await?;
    // Templates may read all of `Chart.yaml`.
    for file in &files {
        fs::write(tree.join(file.path.as_os_path()), &file.original).map_err(Error::Io)?;
    }
    Ok(Dependencies { scratch, chart })
}

fn copy(source: &Source, scratch: &Path) -> Result<Copied, Error> {
    let files = read(source)?;
    let mut folders = BTreeSet::from([source.app().clone()]);
    let mut registrations = BTreeSet::new();
    for file in &files {
        for dependency in file.checked.dependencies.iter().flatten() {
            match dependency.origin()? {
                Origin::Folder(path) => {
                    let name = || dependency.name.clone();
                    folders.insert(inside(source, path).map_err(|cause| Error::Folder { name: name(), cause })?);
                }
                Origin::Repository(url) if !file.is_lock => {
                    registrations.insert(url.to_owned());
                }
                Origin::Repository(_) | Origin::Vendored | Origin::Direct => {}
            }
        }
    }
    let scratch = tempfile::Builder::new().prefix("argocd-sops-").tempdir_in(scratch).map_err(Error::Io)?;
    let tree = scratch.path().join("tree");
    info!(chart = %source.app(), "building the chart's dependencies");
    source.copy(&folders, &tree)?;
    let chart = tree.join(source.app().as_os_path());
    let home = scratch.path().join("home");
    for folder in ["cache", "config", "data", "plugins", "tmp"] {
        fs::create_dir_all(home.join(folder)).map_err(Error::Io)?;
    }
    for file in &files {
        let checked = serde_json::to_vec(&file.checked).map_err(|error| Error::Io(error.into()))?;
        fs::write(tree.join(file.path.as_os_path()), checked).map_err(Error::Io)?;
    }
    Ok(Copied { files, registrations, scratch, tree, chart, home })
}

/// The folder of a `file://` dependency. helm takes an absolute path for one of the machine's.
fn inside(source: &Source, path: &str) -> Result<RepoPath, repo::Error> {
    if path.starts_with('/') {
        return Err(repo::Error::Outside { path: path.to_owned() });
    }
    source.folder(source.resolve(Base::Application, path)?)
}

/// What there is of the [`FILES`].
fn read(source: &Source) -> Result<Vec<Prepared>, Error> {
    let mut files = Vec::new();
    for (name, is_lock) in FILES {
        let path: RepoPath = source.resolve(Base::Application, name)?;
        let original = match source.file(path.clone()) {
            Ok(file) => file.read(MAX_CHART_FILE)?,
            Err(repo::Error::Missing { .. }) => continue,
            Err(error) => return Err(error.into()),
        };
        let parsed = serde_yaml::from_slice(&original).and_then(|mut value: serde_yaml::Value| {
            value.apply_merge()?;
            serde_yaml::from_value(value)
        });
        let checked = parsed.map_err(|error| Error::Chart {
            file: path.clone(),
            at: error.location().map(|location| (location.line(), location.column())),
        })?;
        files.push(Prepared { path, is_lock, original, checked });
    }
    Ok(files)
}

async fn run(helm: &Helm, chart: &Path, home: &Path, arguments: &[&str], deadline: Deadline) -> Result<(), Error> {
    let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
    let environment = helm.options.environment.building(home);
    let mut process =
        Process::start(&helm.program, &arguments, environment, chart, Vec::new(), None, helm.options.max_memory)?;
    let finished = match deadline.limit(process.finish(helm.options.max_output)).await {
        Ok(finished) => finished?,
        Err(passed) => return Err(Error::BuildTooLate { allowed: passed.allowed }),
    };
    if finished.status.success() {
        return Ok(());
    }
    let message = stderr::readable(finished.errors.expose(), &[], [], &chart.to_string_lossy());
    Err(Error::Dependencies { message })
}
