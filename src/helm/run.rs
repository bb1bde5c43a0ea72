//! One run of `helm template`: started early, fed later, never left behind.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use command_fds::{CommandFdExt as _, FdMapping};
use rustix::fs::OFlags;
use rustix::pipe::PipeFlags;
use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process_group, prlimit};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::unix::pipe::Sender;
use tokio::process::{Child, Command};
use tokio::runtime::Handle;

use super::arguments::FIRST_INPUT;
use super::confine::confined;
use super::{Chart, Error, Helm, arguments, stderr};
use crate::app::Plan;
use crate::deadline::Deadline;
use crate::repo::RepoPath;
use crate::secret::Plaintext;
use crate::values::{Values, ValuesFile};

/// A helm that was started and waits for its inputs.
pub struct Run {
    // Dropped first: helm is dead before its pipes are closed, else it would take the end of a pipe for an empty file.
    process: Process,
    inputs: Vec<Sender>,
    folder: PathBuf,
    chart: RepoPath,
    max_output: usize,
    max_memory: u64,
    deadline: Deadline,
}

/// What helm printed: rendered Secrets are secrets.
#[derive(Debug)]
pub struct Rendered(Plaintext);

impl Rendered {
    /// Takes over what was printed.
    #[must_use]
    pub fn new(printed: Plaintext) -> Self {
        Self(printed)
    }

    /// The YAML documents, as helm printed them.
    #[must_use]
    pub fn into_plaintext(self) -> Plaintext {
        self.0
    }
}

/// A child in a process group of its own, killed and reaped when dropped.
pub(super) struct Process {
    /// Always there, until this is dropped.
    child: Option<Child>,
    group: Option<Pid>,
}

impl Drop for Process {
    /// Kills what still runs, and reaps it soon: tokio would do so at some later event of an idle server.
    fn drop(&mut self) {
        if self.group.is_none() {
            return;
        }
        self.kill();
        if let (Some(mut child), Ok(runtime)) = (self.child.take(), Handle::try_current()) {
            runtime.spawn(async move { child.wait().await });
        }
    }
}

impl Process {
    /// Starts helm with exactly this environment and without standard input.
    pub(super) fn start(
        program: &Path,
        arguments: &[OsString],
        environment: Vec<(OsString, OsString)>,
        folder: &Path,
        inherited: Vec<OwnedFd>,
        tree: Option<&Path>,
        max_memory: u64,
    ) -> Result<Self, Error> {
        #[expect(clippy::disallowed_methods, reason = "helm is started here and nowhere else")]
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env_clear()
            .envs(environment)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        let mappings = (FIRST_INPUT..).zip(inherited).map(|(child_fd, parent_fd)| FdMapping { parent_fd, child_fd });
        command.fd_mappings(mappings.collect()).map_err(|_| Error::Io(io::ErrorKind::InvalidInput.into()))?;
        let child = match tree {
            None => command.spawn(),
            Some(tree) => {
                let runtime = Handle::current();
                confined(program, tree, || {
                    let _guard = runtime.enter();
                    command.spawn()
                })
            }
        };
        let child = child.map_err(|cause| Error::Start { program: program.to_string_lossy().into_owned(), cause })?;
        let group = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        if let Some(helm) = group {
            // It has hardly begun; one that has ended already needs no limit.
            let limit = Rlimit { current: Some(max_memory), maximum: Some(max_memory) };
            let _ = prlimit(Some(helm), Resource::Data, limit);
        }
        Ok(Self { child: Some(child), group })
    }

    /// Kills the whole group. The id cannot belong to someone else: it is let go as soon as the child is reaped.
    fn kill(&mut self) {
        if let Some(group) = self.group.take() {
            let _ = kill_process_group(group, Signal::KILL);
        }
    }

    /// Reads both streams to their end and waits for the exit. More than `max_output` bytes of output end the child.
    pub(super) async fn finish(&mut self, max_output: usize) -> Result<Finished, Error> {
        let Some(child) = &mut self.child else { return Err(Error::Io(io::ErrorKind::NotFound.into())) };
        let (output, errors) = (child.stdout.take(), child.stderr.take());
        let read = async { tokio::join!(read_all(output, max_output), read_some(errors)) };
        let (output, errors) = read.await;
        let Some(output) = output.map_err(Error::Io)? else { return Err(Error::TooMuch { limit: max_output }) };
        let status = child.wait().await.map_err(Error::Io)?;
        self.group = None;
        Ok(Finished { output, errors, status })
    }
}

/// A child's last words.
pub(super) struct Finished {
    pub(super) output: Plaintext,
    pub(super) errors: Plaintext,
    pub(super) status: std::process::ExitStatus,
}

/// Starts `helm template` with one pipe for each values file and each file of `--set-file`.
pub(super) fn start(
    helm: &Helm,
    chart: Chart<'_>,
    plan: &Plan,
    values_files: usize,
    deadline: Deadline,
) -> Result<Run, Error> {
    let mut inputs = Vec::new();
    let mut inherited = Vec::new();
    for _ in 0..values_files + plan.set_file.len() {
        let (reader, writer) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(|cause| Error::Io(cause.into()))?;
        rustix::fs::fcntl_setfl(&writer, OFlags::NONBLOCK).map_err(|cause| Error::Io(cause.into()))?;
        inputs.push(Sender::from_owned_fd(writer).map_err(Error::Io)?);
        inherited.push(reader);
    }
    let process = Process::start(
        &helm.program,
        &arguments(plan, values_files),
        helm.options.environment.rendering(),
        chart.folder,
        inherited,
        Some(chart.tree),
        helm.options.max_memory,
    )?;
    Ok(Run {
        process,
        inputs,
        folder: chart.folder.to_owned(),
        chart: chart.name.clone(),
        max_output: helm.options.max_output,
        max_memory: helm.options.max_memory,
        deadline,
    })
}

impl Run {
    /// Changes what people call the chart.
    pub fn rename(&mut self, chart: RepoPath) {
        self.chart = chart;
    }

    /// Hands over the values, in the order of the command line, and waits for the manifests. Whatever was decrypted is
    /// masked in what helm may say.
    ///
    /// # Errors
    ///
    /// If helm fails, prints too much, or the deadline passes.
    pub async fn feed(self, values: &Values) -> Result<Rendered, Error> {
        let inputs = &values.files;
        let Self { mut process, inputs: pipes, folder, chart, max_output, max_memory, deadline } = self;
        debug_assert_eq!(pipes.len(), inputs.len(), "one input for each pipe");
        let work = async {
            // In the order in which helm reads them.
            let fed = async {
                for (pipe, input) in pipes.into_iter().zip(inputs) {
                    hand_over(pipe, input).await;
                }
            };
            tokio::join!(fed, process.finish(max_output)).1
        };
        let finished = match deadline.limit(work).await {
            Ok(finished) => finished?,
            Err(passed) => return Err(Error::TooLate { allowed: passed.allowed }),
        };
        if finished.status.success() {
            return Ok(Rendered::new(finished.output));
        }
        if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&finished.status) {
            return Err(Error::Killed { signal });
        }
        if stderr::was_short_of_memory(finished.errors.expose()) {
            return Err(Error::Memory { chart, limit: max_memory });
        }
        let mut message =
            stderr::readable(finished.errors.expose(), inputs, &values.secrets, &folder.to_string_lossy());
        if message.is_empty() {
            message = format!("it ended with exit code {} and no word", finished.status.code().unwrap_or_default());
        }
        Err(if stderr::missed_dependencies(&message) {
            Error::MissingDependencies { message }
        } else {
            Error::Failed { chart, message }
        })
    }
}

/// Writes an input and closes its pipe. helm may have gone without reading it; its own words are the error then.
async fn hand_over(mut pipe: Sender, input: &ValuesFile) {
    let _ = pipe.write_all(input.content.expose()).await;
}

/// Reads to the end; `None` where there is more than `limit` bytes.
async fn read_all(stream: Option<impl AsyncRead + Unpin>, limit: usize) -> io::Result<Option<Plaintext>> {
    let mut text = Plaintext::default();
    let Some(mut stream) = stream else { return Ok(Some(text)) };
    let mut buffer = zeroize::Zeroizing::new(vec![0; 64 * 1024]);
    loop {
        match stream.read(&mut buffer).await? {
            0 => return Ok(Some(text)),
            count if text.len() + count > limit => return Ok(None),
            count => text.extend(&buffer[..count]),
        }
    }
}

/// Reads to the end, but keeps only the beginning.
async fn read_some(stream: Option<impl AsyncRead + Unpin>) -> Plaintext {
    let mut text = Plaintext::default();
    let Some(mut stream) = stream else { return text };
    let mut buffer = zeroize::Zeroizing::new(vec![0; 8 * 1024]);
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        text.extend(&buffer[..count.min(stderr::MAX_STDERR.saturating_sub(text.len()))]);
    }
    text
}
