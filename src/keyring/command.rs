//! Key commands: programs that print a private key, as sops runs them.

use std::process::{Child, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use super::files::read_limited;
use crate::sops::{Form, KeyPlace, Material, PlaceFault};

/// A password manager may ask a person first.
const TIME_LIMIT: Duration = Duration::from_mins(1);

/// A key command: its line is split with a shell's quoting rules, and run without a shell.
pub(super) struct Command {
    setting: &'static str,
    line: String,
    form: Form,
    time_limit: Duration,
}

impl Command {
    pub(super) fn boxed(setting: &'static str, line: String, form: Form) -> Box<dyn KeyPlace> {
        Box::new(Self { setting, line, form, time_limit: TIME_LIMIT })
    }

    #[cfg(test)]
    pub(super) fn limited(line: String, time_limit: Duration) -> Self {
        Self { setting: "test", line, form: Form::AgeFile, time_limit }
    }

    fn run(&self, recipient: &str) -> Result<Zeroizing<Vec<u8>>, PlaceFault> {
        let words = shell_words::split(&self.line).map_err(|_| PlaceFault::CommandSyntax)?;
        let (program, arguments) = words.split_first().ok_or(PlaceFault::CommandSyntax)?;
        #[expect(clippy::disallowed_methods, reason = "the key command, which `decrypt` alone may run")]
        let mut child = std::process::Command::new(program)
            .args(arguments)
            .env("SOPS_AGE_RECIPIENT", recipient)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| PlaceFault::CommandNotStarted(error.kind()))?;
        let output = self.output(&mut child);
        if output.is_err() {
            // It may have ended by itself, then there is nothing to kill.
            let _ = child.kill();
        }
        let status = child.wait().map_err(|error| PlaceFault::Unreadable(error.kind()))?;
        let output = output?;
        if status.success() { Ok(output) } else { Err(PlaceFault::CommandFailed { code: status.code() }) }
    }

    /// Reads what it prints. Ends when its output is closed and it has ended, or when the time is over.
    fn output(&self, child: &mut Child) -> Result<Zeroizing<Vec<u8>>, PlaceFault> {
        let timed_out = PlaceFault::CommandTimedOut { seconds: self.time_limit.as_secs() };
        let end = Instant::now() + self.time_limit;
        let stdout = child.stdout.take().ok_or(PlaceFault::CommandFailed { code: None })?;
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || sender.send(read_limited(stdout, 0)));
        let output = receiver.recv_timeout(self.time_limit).map_err(|_| timed_out.clone())??;
        while child.try_wait().is_ok_and(|status| status.is_none()) {
            if Instant::now() >= end {
                return Err(timed_out);
            }
            thread::sleep(Duration::from_millis(1));
        }
        Ok(output)
    }
}

impl KeyPlace for Command {
    fn read(&self, recipient: &str) -> Vec<Material> {
        vec![Material { place: self.setting.to_owned(), form: self.form, content: self.run(recipient) }]
    }

    fn is_asked_per_key(&self) -> bool {
        true
    }
}
