//! Removes the folders of trees, away from the requests that used them.

use std::path::PathBuf;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};
use std::{fs, io, thread};

use tracing::warn;

/// A thread that removes folders, in turn. It ends when nobody can hand it one any more.
#[derive(Debug, Clone)]
pub(super) struct Remover(Sender<Task>);

#[derive(Debug)]
enum Task {
    Remove(PathBuf),
    /// Says when all before it is done.
    Reached(Sender<()>),
}

impl Remover {
    /// Starts the thread, which also calls `idle` at about these intervals.
    pub(super) fn start(every: Duration, idle: impl Fn() + Send + 'static) -> io::Result<Self> {
        let (sender, tasks) = mpsc::channel();
        thread::Builder::new().name("trees".into()).spawn(move || {
            // Whatever there is to do, its turn comes.
            let mut turn = Instant::now() + every;
            loop {
                match tasks.recv_timeout(turn.saturating_duration_since(Instant::now())) {
                    Ok(Task::Remove(folder)) => remove(&folder),
                    Ok(Task::Reached(sender)) => drop(sender.send(())),
                    Err(RecvTimeoutError::Timeout) => {
                        idle();
                        turn = Instant::now() + every;
                    }
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            }
        })?;
        Ok(Self(sender))
    }

    pub(super) fn remove(&self, folder: PathBuf) {
        // The thread outlives every sender.
        let _ = self.0.send(Task::Remove(folder));
    }

    /// Waits until everything that was handed in before is gone.
    pub(super) fn finish(&self) {
        let (sender, reached) = mpsc::channel();
        if self.0.send(Task::Reached(sender)).is_ok() {
            let _ = reached.recv();
        }
    }
}

/// Follows no links.
fn remove(folder: &std::path::Path) {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            warn!(folder = %folder.display(), %error, "cannot remove a tree");
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_has_its_turn_whatever_there_is_to_do() {
        let (called, calls) = mpsc::channel();
        let idle = move || called.send(()).unwrap_or_default();
        let remover = Remover::start(Duration::from_millis(200), idle).unwrap();
        let begin = Instant::now();
        while calls.recv_timeout(Duration::from_millis(20)).is_err() {
            assert!(begin.elapsed() < Duration::from_mins(1), "it is kept from its turn");
            remover.remove("/nowhere".into());
        }
    }
}
