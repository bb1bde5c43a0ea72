//! Helm's runs: `template`, and `dependency build` where a chart needs it.
//!
//! helm takes most of its time to start, and reads its values first: so a [`Run`] is started before the values are there,
//! and waits for them on pipes that it inherits. Nothing decrypted touches a disk, an argument or a variable. A run that
//! is dropped is killed before its pipes are closed, so that it has read nothing.

mod arguments;
mod confine;
mod dependencies;
mod environment;
mod run;
mod stderr;
mod volatile;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use arguments::arguments;
pub use dependencies::Dependencies;
pub use environment::Environment;
pub use run::{Rendered, Run};
pub use volatile::is_volatile;

use crate::app::Plan;
use crate::deadline::Deadline;
use crate::repo::{self, Source};

/// How helm is run: settings of the operator.
#[derive(Debug, Clone)]
pub struct Options {
    /// The program: a path, or a name to be found on `search_path`.
    pub program: OsString,
    /// `PATH`, of which helm itself sees nothing.
    pub search_path: Option<OsString>,
    /// Where a private copy of a chart is made while its dependencies are built.
    pub scratch: PathBuf,
    /// The most bytes of manifests that are read.
    pub max_output: usize,
    /// What of our environment helm gets.
    pub environment: Environment,
}

/// The helm that renders.
pub struct Helm {
    program: PathBuf,
    options: Options,
}

/// helm could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no helm.
    #[error("cannot find helm (`{program}`)")]
    NotFound {
        /// As configured.
        program: String,
    },
    /// helm is there, but does not start.
    #[error("cannot start helm (`{program}`)")]
    Start {
        /// Its path.
        program: String,
        /// The operating system's reason.
        #[source]
        cause: std::io::Error,
    },
    /// helm ended with an error; its words, masked.
    #[error("helm could not render `{chart}`: {message}")]
    Failed {
        /// The chart's folder, relative to the root of the source.
        chart: repo::RepoPath,
        /// What it wrote to stderr, without decrypted values.
        message: String,
    },
    /// helm was ended by a signal that was not ours.
    #[error("helm was ended by signal {signal}")]
    Killed {
        /// The signal's number.
        signal: i32,
    },
    /// The time was up.
    #[error("helm did not finish within {} s", allowed.as_secs_f32())]
    TooLate {
        /// The time that the request had.
        allowed: Duration,
    },
    /// More manifests than are read.
    #[error("helm printed more than {limit} bytes of manifests")]
    TooMuch {
        /// The limit in bytes.
        limit: usize,
    },
    /// The chart names dependencies that are not in its `charts` folder; [`Helm::build_dependencies`] is the way on.
    #[error("the chart's dependencies are missing: {message}")]
    MissingDependencies {
        /// helm's words, masked.
        message: String,
    },
    /// The chart's dependencies could not be built.
    #[error("cannot build the chart's dependencies: {message}")]
    Dependencies {
        /// helm's words, masked.
        message: String,
    },
    /// `Chart.yaml` (or `requirements.yaml`) cannot be read.
    #[error("`{file}` is not valid YAML{}", place(*at))]
    Chart {
        /// Relative to the root of the source.
        file: repo::RepoPath,
        /// Line and column.
        at: Option<(usize, usize)>,
    },
    /// A dependency of the same source is not there.
    #[error("the chart's dependency `{name}` cannot be had")]
    Folder {
        /// The dependency.
        name: String,
        /// What is wrong with its folder.
        #[source]
        cause: repo::Error,
    },
    /// A dependency that this version does not build.
    #[error("dependency `{name}` comes from `{repository}`, which is not supported yet")]
    NotYet {
        /// The dependency.
        name: String,
        /// Its repository.
        repository: String,
    },
    /// Files of the chart could not be read.
    #[error(transparent)]
    Source(#[from] repo::Error),
    /// The private copy, or a pipe, could not be made.
    #[error("cannot prepare helm's work")]
    Io(#[source] std::io::Error),
}

fn place(at: Option<(usize, usize)>) -> String {
    at.map_or_else(String::new, |(line, column)| format!(" (line {line}, column {column})"))
}

impl Error {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NotFound { .. } => "install helm 3 or 4 on PATH, or name it by `ARGOCD_SOPS_HELM`".into(),
            Self::Start { .. } => "check that it is a program for this machine and may be executed".into(),
            Self::Killed { .. } => "the container may be short of memory".into(),
            Self::TooLate { .. } => {
                "raise `ARGOCD_SOPS_TIMEOUT`, and Argo CD's own timeouts with it, or make the chart smaller".into()
            }
            Self::TooMuch { .. } => "split the application".into(),
            Self::MissingDependencies { .. } | Self::Dependencies { .. } => {
                "commit the dependencies (`helm dependency build`, then `charts/*.tgz`), or make their repository reachable \
                 without credentials"
                    .into()
            }
            Self::Folder { name, .. } => {
                format!("the `file://` path of `{name}` in `Chart.yaml` is relative to the chart; commit the chart it names")
            }
            Self::Chart { .. } => "mend it; `helm lint` shows more".into(),
            Self::NotYet { .. } => "use the repository's URL (`https://`, `oci://`) or a `file://` path".into(),
            Self::Source(error) => return error.hint(),
            Self::Failed { .. } | Self::Io(_) => return None,
        })
    }
}

impl Helm {
    /// Finds helm.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`]
    pub fn find(options: Options) -> Result<Self, Error> {
        let program = which::which_in(&options.program, options.search_path.as_ref(), "/")
            .map_err(|_| Error::NotFound { program: options.program.to_string_lossy().into_owned() })?;
        Ok(Self { program, options })
    }

    /// Where it is, for people.
    #[must_use]
    pub fn program(&self) -> String {
        self.program.display().to_string()
    }

    /// Starts `helm template` in a chart's folder. It waits for `inputs` files (values files first, then the files of
    /// `--set-file`), which [`Run::feed`] hands over.
    ///
    /// # Errors
    ///
    /// If it does not start.
    pub fn start(&self, chart: Chart<'_>, plan: &Plan, values_files: usize, deadline: Deadline) -> Result<Run, Error> {
        run::start(self, chart, plan, values_files, deadline)
    }

    /// Builds the dependencies of the source's chart in a private copy, as native Helm does when `helm template` has
    /// missed them.
    ///
    /// # Errors
    ///
    /// If a dependency cannot be had, or the copy cannot be made.
    pub async fn build_dependencies(
        &self,
        source: &Source,
        plan: &Plan,
        deadline: Deadline,
    ) -> Result<Dependencies, Error> {
        dependencies::build(self, source, plan.pass_credentials, deadline).await
    }
}

/// The chart of a run: where it lies, and what people call it.
#[derive(Debug, Clone, Copy)]
pub struct Chart<'a> {
    /// The folder that helm works in: the source's own, or a copy with its dependencies.
    pub folder: &'a Path,
    /// The tree that holds the folder, and all that its links may lead to: helm reads nothing else.
    pub tree: &'a Path,
    /// Relative to the root of the source.
    pub name: &'a repo::RepoPath,
}
