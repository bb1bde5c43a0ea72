//! helm, started before the files of its chart are there.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tempfile::TempDir;
use tokio::task::JoinHandle;

use super::key::About;
use super::{Asked, Plugin, blocking};
use crate::app::{self, Plan};
use crate::deadline::Deadline;
use crate::helm::{Chart, Helm, Identity, Run, Slot};
use crate::repo::RepoPath;

/// An archive that takes longer than this to arrive gains nothing by a helm that was started early.
const PATIENCE: Duration = Duration::from_secs(5);

/// A larger chart is not put together anew: helm starts in less time.
const MAX_ENTRIES: usize = 1_000;

/// A helm that waits for its values, and for its chart in an empty folder of its own: the tree that is being unpacked is
/// shared, and nothing is put into it. The helm is killed when this is dropped, and has read nothing then.
pub struct Ahead {
    started: Arc<Mutex<Option<Started>>>,
    patience: JoinHandle<()>,
}

/// The parts of a helm that was started ahead.
pub(super) struct Started {
    // Dropped first.
    pub(super) run: Run,
    pub(super) slot: Arc<Slot>,
    /// What it works in.
    pub(super) folder: TempDir,
    plan: Plan,
    inputs: usize,
    helm: Option<Identity>,
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.patience.abort();
    }
}

impl Ahead {
    fn new(started: Started) -> Self {
        let started = Arc::new(Mutex::new(Some(started)));
        let held = Arc::clone(&started);
        let patience = tokio::spawn(async move {
            tokio::time::sleep(PATIENCE).await;
            drop(take(&held));
        });
        Self { started, patience }
    }
}

fn take(started: &Mutex<Option<Started>>) -> Option<Started> {
    started.lock().unwrap_or_else(PoisonError::into_inner).take()
}

impl Plugin {
    /// Starts helm for a request whose files are not there yet. `None` where that is not sure to be of use: the command
    /// line depends on the files, the answer is probably known, or there is no slot to spare.
    pub async fn ahead(&self, app: &app::Request, deadline: Deadline) -> Option<Ahead> {
        let plan = app::plan(app).ok()?;
        if plan.ignore_missing_value_files || plan.value_files.iter().any(|entry| entry.glob) {
            return None;
        }
        let inputs = plan.value_files.len() + usize::from(plan.inline_values.is_some());
        // With nothing to wait for, helm would look for the chart at once.
        if inputs + plan.set_file.len() == 0 || self.renders.expects(&About::new(&plan)) {
            return None;
        }
        let slot = Arc::new(self.slots.ahead()?);
        let options = self.helm.clone();
        let started = blocking(move || {
            let folder = tempfile::Builder::new().prefix("argocd-sops-").tempdir_in(&options.scratch).ok()?;
            let helm = Helm::find(options).ok()?;
            let chart = Chart { folder: folder.path(), tree: folder.path(), name: &RepoPath::root() };
            let run = helm.start(chart, &plan, inputs, deadline).ok()?;
            Some(Started { run, slot, folder, plan, inputs, helm: helm.identity() })
        });
        let started = started.await?;
        self.counters.ahead();
        Some(Ahead::new(started))
    }

    /// Takes over a helm that was started ahead, if it is the very one that would be started now: the same plan, the same
    /// program. It gets its chart here.
    pub(super) async fn taken_over(&self, ahead: Option<Ahead>, asked: &Arc<Asked>, inputs: usize) -> Option<Started> {
        let started = take(&ahead?.started)?;
        let name = asked.sources.own.app().clone();
        let asked = Arc::clone(asked);
        let taken = blocking(move || {
            let is_same = started.plan == asked.plan
                && started.inputs == inputs
                && started.helm.is_some()
                && started.helm == asked.helm.identity();
            (is_same && put_together(&asked.sources.own.app_folder(), started.folder.path()).is_ok()).then_some(started)
        });
        let mut taken = taken.await?;
        taken.run.rename(name);
        self.counters.ahead_used();
        Some(taken)
    }
}

/// Makes a folder like a chart's, of links to its files: nobody writes to either. A chart with links of its own is not
/// put together: they may lead out of it.
fn put_together(chart: &Path, folder: &Path) -> io::Result<()> {
    let mut folders = VecDeque::from([(chart.to_owned(), folder.to_owned())]);
    let mut entries = 0;
    while let Some((from, to)) = folders.pop_front() {
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            entries += 1;
            let target: PathBuf = to.join(entry.file_name());
            let kind = entry.file_type()?;
            if kind.is_dir() {
                fs::create_dir(&target)?;
                folders.push_back((entry.path(), target));
            } else if kind.is_file() {
                fs::hard_link(entry.path(), target)?;
            }
            if entries > MAX_ENTRIES || !(kind.is_dir() || kind.is_file()) {
                return Err(io::ErrorKind::Unsupported.into());
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_with_links_is_not_put_together() {
        let folder = tempfile::tempdir().unwrap();
        let (chart, other, third) = (folder.path().join("chart"), folder.path().join("2"), folder.path().join("3"));
        fs::create_dir_all(chart.join("templates")).unwrap();
        fs::write(chart.join("templates/a.yaml"), "a: 1\n").unwrap();
        fs::create_dir(&other).unwrap();
        put_together(&chart, &other).unwrap();
        assert_eq!(fs::read_to_string(other.join("templates/a.yaml")).unwrap(), "a: 1\n");
        std::os::unix::fs::symlink("/etc/passwd", chart.join("link")).unwrap();
        fs::create_dir(&third).unwrap();
        put_together(&chart, &third).unwrap_err();
    }
}
