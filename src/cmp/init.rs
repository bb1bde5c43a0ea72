//! The duties of the first process of a container: hand on signals, and reap what others leave behind.
//!
//! The server itself cannot do it: whoever reaps every process there is also takes those that helm's runs wait for. So the
//! first process starts the program once more and does nothing else.

use std::io;
use std::process::{Command, ExitCode};

use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, getpid, kill_process, wait};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::hardening::harden;

/// What is handed on. The kernel keeps from the first process every signal that it has no handler for.
const HANDED_ON: [Signal; 4] = [Signal::TERM, Signal::INT, Signal::HUP, Signal::QUIT];

/// The first process of a container could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Signals cannot be received.
    #[error("cannot receive signals as the first process of the container")]
    Signals(#[source] io::Error),
    /// The program cannot be started again.
    #[error("the first process of the container cannot start the program itself")]
    Start(#[source] io::Error),
    /// The program cannot be waited for.
    #[error("the first process of the container has lost the program")]
    Wait(#[source] io::Error),
}

impl Error {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Start(_) => Some("mount `/proc`, or let the container begin with an init of its own".into()),
            Self::Signals(_) | Self::Wait(_) => None,
        }
    }
}

/// Does the duties of the first process, if this is it, until the program that it started has ended: its exit code, or 128
/// and the number of the signal that ended it. `None` in any other process, which is then the server.
///
/// To be called before there are threads or a runtime.
///
/// # Errors
///
/// If the program cannot be started again.
#[must_use]
pub fn serve_as_init() -> Option<Result<ExitCode, Error>> {
    getpid().is_init().then(|| {
        // It has the same environment, and keys may stand there.
        harden();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().map_err(Error::Signals)?;
        runtime.block_on(supervise())
    })
}

async fn supervise() -> Result<ExitCode, Error> {
    // Before the program is started, so that no signal and no death is missed.
    let mut deaths = signal(SignalKind::child()).map_err(Error::Signals)?;
    let (sender, mut signals) = mpsc::channel(16);
    for number in HANDED_ON {
        let mut received = signal(SignalKind::from_raw(number.as_raw())).map_err(Error::Signals)?;
        let sender = sender.clone();
        tokio::spawn(async move { while received.recv().await.is_some() && sender.send(number).await.is_ok() {} });
    }
    let program = start()?;
    loop {
        tokio::select! {
            Some(number) = signals.recv() => {
                // It may have ended just now; nobody else can have its number before it is reaped below.
                let _ = kill_process(program, number);
            }
            _ = deaths.recv() => {
                if let Some(status) = reap(program)? {
                    return Ok(exit_code(status));
                }
            }
        }
    }
}

/// Starts the program with the same arguments and environment, in a process group of its own: what a terminal sends to its
/// group would come twice.
fn start() -> Result<Pid, Error> {
    use std::os::unix::process::CommandExt as _;

    let mut arguments = std::env::args_os();
    let name = arguments.next().unwrap_or_else(|| env!("CARGO_PKG_NAME").into());
    #[expect(clippy::disallowed_methods, reason = "the first process of a container starts the program itself")]
    let mut command = Command::new("/proc/self/exe");
    let child = command.arg0(name).args(arguments).process_group(0).spawn().map_err(Error::Start)?;
    Pid::from_raw(child.id().cast_signed()).ok_or_else(|| Error::Start(io::ErrorKind::InvalidData.into()))
}

/// Reaps all that have ended; the status of the program if it is among them.
fn reap(program: Pid) -> Result<Option<WaitStatus>, Error> {
    let mut status = None;
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some((ended, how))) if ended == program => status = Some(how),
            Ok(Some(_)) | Err(rustix::io::Errno::INTR) => {}
            Ok(None) => return Ok(status),
            Err(rustix::io::Errno::CHILD) if status.is_some() => return Ok(status),
            Err(cause) => return Err(Error::Wait(cause.into())),
        }
    }
}

/// As a shell counts.
fn exit_code(status: WaitStatus) -> ExitCode {
    let code = status.exit_status().or_else(|| status.terminating_signal().map(|number| 128 + number));
    ExitCode::from(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}
