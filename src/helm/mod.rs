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
mod slots;
mod stderr;
mod volatile;

/// Where the real helms are that tests ask.
#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests are told where the tools are")]
#[path = "../../tests/peers/tools.rs"]
pub(crate) mod tools;

use std::ffi::OsString;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub use arguments::arguments;
pub use dependencies::Dependencies;
pub use environment::Environment;
pub use run::{Rendered, Run};
pub use slots::{Slot, Slots};
pub use volatile::is_volatile;

use rustix::io::Errno;
use rustix::process::Signal;

use crate::app::Plan;
use crate::deadline::{Deadline, seconds};
use crate::repo;
use crate::values::Sources;

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
    /// The most bytes of memory that one helm may have.
    pub max_memory: u64,
    /// What of our environment helm gets.
    pub environment: Environment,
}

/// The helm that renders.
#[derive(Clone)]
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
    /// It wanted more memory than it may have.
    #[error("helm needed more than {} MiB of memory to render `{chart}`", limit >> 20)]
    Memory {
        /// The chart's folder, relative to the root of the source.
        chart: repo::RepoPath,
        /// The limit in bytes.
        limit: u64,
    },
    /// The time was up.
    #[error("helm did not finish within {} s", seconds(*allowed))]
    TooLate {
        /// The time that the request had.
        allowed: Duration,
    },
    /// The time was up before helm could be started.
    #[error("all helm processes that may run were busy for {} s", seconds(*allowed))]
    Queue {
        /// The time that the request had.
        allowed: Duration,
    },
    /// The dependency build was not done in time.
    #[error("the chart's dependencies were not built within {} s", seconds(*allowed))]
    BuildTooLate {
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

/// What helm says when a repository or the way to it is out of order, rather than the chart.
const NETWORK_FAULTS: [&str; 12] = [
    "connection refused",
    "connection reset",
    "i/o timeout",
    "TLS handshake timeout",
    "Client.Timeout exceeded",
    "context deadline exceeded",
    "server misbehaving",
    "temporary failure in name resolution",
    "unexpected EOF",
    " 429 ",
    " 502 ",
    " 503 ",
];

impl Error {
    /// Whether the same may succeed a moment later: the kernel was short of something, has killed helm (nobody else
    /// does), or the program was just being replaced; the network has failed a dependency build. What a chart is wrong
    /// about, it is wrong about always.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Killed { signal } => *signal == Signal::KILL.as_raw(),
            Self::Start { cause, .. } | Self::Io(cause) => {
                let short = [Errno::AGAIN, Errno::NOMEM, Errno::TXTBSY, Errno::MFILE, Errno::NFILE];
                cause.raw_os_error().is_some_and(|number| short.iter().any(|errno| errno.raw_os_error() == number))
            }
            Self::Dependencies { message } => NETWORK_FAULTS.iter().any(|words| message.contains(words)),
            _ => false,
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NotFound { .. } => "install helm 3 or 4 on PATH, or name it by `ARGOCD_SOPS_HELM`".into(),
            Self::Start { .. } => "check that it is a program for this machine and may be executed".into(),
            Self::Killed { .. } => "the container may be short of memory".into(),
            Self::Memory { .. } => {
                "look for what grows in the chart's templates, or raise `ARGOCD_SOPS_HELM_MEMORY`".into()
            }
            Self::TooLate { .. } => {
                "raise `ARGOCD_SOPS_TIMEOUT`, and Argo CD's own timeouts with it, or make the chart smaller".into()
            }
            Self::Queue { .. } => {
                "give the plugin more CPU and memory, or raise `ARGOCD_SOPS_TIMEOUT` and Argo CD's own timeouts with it".into()
            }
            Self::BuildTooLate { .. } => {
                "commit the dependencies (`helm dependency build`, then `charts/*.tgz`), or raise `ARGOCD_SOPS_TIMEOUT`".into()
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

    /// What decides what this helm makes of the same input: the program, and what it is run with. `None` where nobody
    /// knows. Of a script (as version managers install them) only the script itself is known.
    #[must_use]
    pub fn identity(&self) -> Option<Identity> {
        // The program was found by the first two; nothing rendered is in `scratch`, and what memory ends gives no manifests.
        let Options { program: _, search_path: _, scratch: _, max_output, max_memory: _, environment } = &self.options;
        let metadata = std::fs::metadata(&self.program).ok()?;
        Some(Identity {
            program: self.program.clone(),
            file: [metadata.dev(), metadata.ino(), metadata.size()],
            changed: [metadata.mtime(), metadata.mtime_nsec(), metadata.ctime(), metadata.ctime_nsec()],
            max_output: *max_output,
            environment: environment.rendering(),
        })
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
        sources: &Arc<Sources>,
        plan: &Plan,
        deadline: Deadline,
    ) -> Result<Dependencies, Error> {
        dependencies::build(self, sources, plan.pass_credentials, deadline).await
    }
}

/// One helm and its settings, as far as they decide what it renders.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Identity {
    program: PathBuf,
    file: [u64; 3],
    changed: [i64; 4],
    max_output: usize,
    environment: Vec<(OsString, OsString)>,
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
