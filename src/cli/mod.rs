//! What a person or a Pod may type: commands in, exit code out.

mod arguments;
mod decrypt;
mod generate;
mod healthcheck;
mod parameters;
mod report;
mod serve;

use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{CommandFactory as _, Parser as _};
use clap_complete::Shell;
use tracing::Level;

pub use arguments::Cli;
use arguments::Command;
use report::{Failure, Panics};

use crate::config::Variables;
use crate::manifests::Manifests;
use crate::secret::Plaintext;
use crate::telemetry;

/// The exit code of a bug of ours.
const BUG: u8 = 70;

/// Runs the program as the process asks for, and says how it ended.
#[must_use]
pub fn run() -> ExitCode {
    let panics = Panics::default();
    panics.watch();
    if let Ok(code) = std::panic::catch_unwind(|| {
        let variables = Variables::of_process();
        match Cli::try_parse() {
            Ok(cli) => act(cli.command, &variables),
            Err(usage) => {
                let _ = usage.print();
                ExitCode::from(u8::try_from(usage.exit_code()).unwrap_or(2))
            }
        }
    }) {
        code
    } else {
        panics.report();
        ExitCode::from(BUG)
    }
}

fn act(command: Command, variables: &Variables) -> ExitCode {
    let done = |()| ExitCode::SUCCESS;
    let outcome = match &command {
        Command::Serve => serve::run(variables),
        Command::Completions { shell } => print(completions(*shell).as_bytes()).map(done),
        Command::Parameters => print(&parameters::run(variables)).map(done),
        Command::Generate(_) | Command::Decrypt(_) | Command::Healthcheck(_) => work(command, variables).map(done),
    };
    match outcome {
        Ok(code) => code,
        Err(failure) => {
            let colour = variables.colour() && io::stderr().is_terminal();
            let _ = io::stderr().write_all(failure.render(colour).as_bytes());
            ExitCode::from(failure.exit_code())
        }
    }
}

fn completions(shell: Shell) -> String {
    let name = env!("CARGO_PKG_NAME");
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), name, &mut script);
    let script = String::from_utf8_lossy(&script);
    // clap_complete 4.6.11 spells the `-` of a name in two ways, so that bash completes nothing after the command.
    script.replace(&name.replace('-', "__subcmd__"), &name.replace('-', "__"))
}

/// Commands that need a runtime, and that a signal ends: what they started ends with them.
fn work(command: Command, variables: &Variables) -> Result<(), Failure> {
    // People want to know what takes so long; Argo CD would keep it in its own log.
    let level = if io::stderr().is_terminal() { Level::INFO } else { Level::WARN };
    telemetry::begin(variables.telemetry(level)?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::Runtime)?;
    let printed = runtime.block_on(async {
        let work = async {
            match command {
                Command::Generate(arguments) => generate::run(arguments, variables).await,
                Command::Decrypt(arguments) => {
                    decrypt::run(arguments, variables).await.map(|plain| vec![Printed::Plaintext(plain)])
                }
                Command::Healthcheck(arguments) => {
                    Ok(healthcheck::run(variables.socket_path()?, arguments.timeout).await.map(|()| Vec::new())?)
                }
                Command::Serve | Command::Parameters | Command::Completions { .. } => Ok(Vec::new()),
            }
        };
        tokio::select! {
            done = work => done,
            signal = ended() => Err(Failure::Signal(signal)),
        }
    });
    // A thread may still be at work for a request that is over; nobody waits for it.
    runtime.shutdown_background();
    let printed = printed?;
    for part in &printed {
        print(part.expose())?;
    }
    Ok(())
}

/// What a command hands to stdout when all of it is there.
enum Printed {
    Plaintext(Plaintext),
    Manifests(Arc<Manifests>),
}

impl Printed {
    fn expose(&self) -> &[u8] {
        match self {
            Self::Plaintext(text) => text.expose(),
            Self::Manifests(manifests) => manifests.text().expose(),
        }
    }
}

/// Waits for a signal that asks us to end; its number.
async fn ended() -> u8 {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => 2,
        _ = terminate.recv() => 15,
    }
}

/// Writes to stdout, all of it. A reader that has seen enough (`| head`) is no error.
fn print(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::Output(error)),
        _ => Ok(()),
    }
}
