//! Runs a program in a clean room: an environment of its own, a folder of its own, a time limit.

use std::ffi::OsStr;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// No decryption of a small file takes that long; a program that does has hung.
const TIME_LIMIT: Duration = Duration::from_mins(1);

/// What a program answered.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The exit code; `None` when it was killed, by a signal or for its time.
    pub(crate) code: Option<i32>,
    /// Everything on its standard output.
    pub(crate) stdout: Vec<u8>,
    /// Everything on its standard error.
    pub(crate) stderr: Vec<u8>,
}

impl Outcome {
    /// Whether the program says that it succeeded.
    pub(crate) fn done(&self) -> bool {
        self.code == Some(0)
    }
}

/// Runs `program` in `folder`, which is its home too, with nothing in its environment but `PATH` and `env`.
pub(crate) fn run<A: AsRef<OsStr>>(
    program: &Path,
    arguments: &[A],
    folder: &Path,
    env: &[(String, String)],
) -> Outcome {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let child = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .env("PATH", path)
        .env("HOME", folder)
        .env("LC_ALL", "C.UTF-8")
        .env("NO_COLOR", "1")
        .envs(env.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    match child {
        Ok(child) => watch(child),
        Err(fault) => panic!("{} does not start: {fault}", program.display()),
    }
}

/// Reads both outputs to their end, and ends the child when its time is over.
fn watch(mut child: Child) -> Outcome {
    let stdout = drain(child.stdout.take());
    let stderr = drain(child.stderr.take());
    let started = Instant::now();
    let mut pause = Duration::from_micros(500);
    let code = loop {
        match child.try_wait().expect("a child of ours can be waited for") {
            Some(status) => break status.code(),
            None if started.elapsed() > TIME_LIMIT => {
                child.kill().expect("a child of ours can be killed");
                child.wait().expect("a child of ours can be waited for");
                break None;
            }
            None => thread::sleep(pause),
        }
        pause = (pause * 2).min(Duration::from_millis(4));
    };
    let read = |reader: thread::JoinHandle<Vec<u8>>| reader.join().expect("reading does not panic");
    Outcome { code, stdout: read(stdout), stderr: read(stderr) }
}

fn drain(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            pipe.read_to_end(&mut bytes).expect("a pipe can be read");
        }
        bytes
    })
}
