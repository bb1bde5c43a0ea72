//! Building a chart's dependencies in a private copy, as native Helm does when `helm template` has missed them.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use tracing::info;

use super::run::Process;
use super::{Error, Helm, stderr};
use crate::deadline::Deadline;
use crate::repo::{Base, RepoPath, Source};
use crate::secret::SafeUrl;

/// The most bytes of `Chart.yaml` that are read.
const MAX_CHART_FILE: u64 = 1024 * 1024;

/// The most dependencies that are prepared.
const MAX_DEPENDENCIES: usize = 200;

/// A private copy of a chart with its dependencies in place; gone when dropped.
pub struct Dependencies {
    _scratch: tempfile::TempDir,
    chart: PathBuf,
}

impl Dependencies {
    /// The copy's folder, for `helm template`.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.chart
    }
}

#[derive(Deserialize)]
struct ChartFile {
    #[serde(default)]
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    #[serde(default)]
    repository: String,
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

/// Copies the chart and its `file://` dependencies at their places, then runs `helm dependency build` there.
pub(super) async fn build(helm: &Helm, source: &Source, deadline: Deadline) -> Result<Dependencies, Error> {
    let dependencies = read(source)?;
    let scratch =
        tempfile::Builder::new().prefix("argocd-sops-").tempdir_in(&helm.options.scratch).map_err(Error::Io)?;
    let tree = scratch.path().join("tree");
    source.copy(source.app(), &tree)?;
    info!(chart = %source.app(), "building the chart's dependencies");
    let mut registrations = Vec::new();
    for dependency in dependencies.iter().take(MAX_DEPENDENCIES) {
        match dependency.origin()? {
            Origin::Folder(path) => source
                .resolve(Base::Application, path)
                .and_then(|folder| source.copy(&folder, &tree))
                .map_err(|cause| Error::Folder { name: dependency.name.clone(), cause })?,
            Origin::Repository(url) => registrations.push(url),
            Origin::Vendored | Origin::Direct => {}
        }
    }
    let chart = tree.join(source.app().as_os_path());
    let home = scratch.path().join("home");
    for folder in ["cache", "config", "data", "plugins", "tmp"] {
        std::fs::create_dir_all(home.join(folder)).map_err(Error::Io)?;
    }
    registrations.sort_unstable();
    registrations.dedup();
    for url in registrations {
        // The name that argo-cd gives a repository known by its URL alone (3.6, `util/helm/helm.go`).
        run(helm, &chart, &home, &["repo", "add", "--", &url.replace('/', "-"), url], deadline).await?;
    }
    run(helm, &chart, &home, &["dependency", "build"], deadline).await?;
    Ok(Dependencies { _scratch: scratch, chart })
}

/// The dependencies of `Chart.yaml`, or of the `requirements.yaml` of older charts.
fn read(source: &Source) -> Result<Vec<Dependency>, Error> {
    let mut dependencies = Vec::new();
    for name in ["Chart.yaml", "requirements.yaml"] {
        let path: RepoPath = source.resolve(Base::Application, name)?;
        let Ok(file) = source.file(path.clone()) else { continue };
        let text = file.read(MAX_CHART_FILE)?;
        let chart: ChartFile = serde_yaml::from_slice(&text).map_err(|error| Error::Chart {
            file: path,
            at: error.location().map(|location| (location.line(), location.column())),
        })?;
        dependencies.extend(chart.dependencies);
    }
    Ok(dependencies)
}

async fn run(helm: &Helm, chart: &Path, home: &Path, arguments: &[&str], deadline: Deadline) -> Result<(), Error> {
    let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
    let environment = helm.options.environment.building(home);
    let mut process = Process::start(&helm.program, &arguments, environment, chart, Vec::new())?;
    let finished = match deadline.limit(process.finish(helm.options.max_output)).await {
        Ok(finished) => finished?,
        Err(passed) => return Err(Error::TooLate { allowed: passed.allowed }),
    };
    if finished.status.success() {
        return Ok(());
    }
    let message = stderr::readable(finished.errors.expose(), &[], [], &chart.to_string_lossy());
    Err(Error::Dependencies { message })
}
