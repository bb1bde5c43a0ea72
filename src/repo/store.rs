//! Which trees there are, which are being made, and how long they stay.

use std::collections::VecDeque;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::{fs, io};

use rustix::fd::OwnedFd;

use super::archive::{ArchiveError, Unpacked};
use super::limits::Limits;
use super::remover::Remover;
use super::tree::Tree;
use super::trees::{Announced, Commit, Had, Stats};

/// How many commits of one tree are remembered: several may have the same files, or be known by several addresses.
const MAX_COMMITS: usize = 256;

#[derive(Debug)]
pub(super) struct Store {
    /// This run's own folder.
    folder: PathBuf,
    /// Held as long as the run lasts: nobody else removes its folder.
    _lock: OwnedFd,
    pub(super) limits: Limits,
    pub(super) remover: Remover,
    state: Arc<Mutex<State>>,
    /// A flight is over.
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// In the order in which they were made.
    kept: Vec<Kept>,
    flights: Vec<Arc<Flight>>,
    next: u64,
    closed: bool,
    stats: Stats,
}

#[derive(Debug)]
struct Kept {
    tree: Arc<Tree>,
    /// Of the archive that it was made of.
    checksum: [u8; 32],
    commits: VecDeque<Commit>,
    made: Instant,
    /// When it was last seen in use.
    used: Instant,
}

/// An archive that is being unpacked.
#[derive(Debug)]
pub(super) struct Flight {
    folder: PathBuf,
    announced: Announced,
    /// Grows as long as it goes on.
    pub(super) progress: AtomicU64,
}

/// What an upload is to do.
#[derive(Debug)]
pub(super) enum Role {
    /// The tree is there.
    Known(Arc<Tree>),
    /// Somebody else is unpacking it.
    Follow(Arc<Flight>),
    /// It is to be unpacked.
    Lead(Lead),
}

/// The right to unpack an archive. Given up unused, its folder goes and others may try.
#[derive(Debug)]
pub(super) struct Lead {
    store: Arc<Store>,
    flight: Arc<Flight>,
    /// A tree of the same repository.
    pub(super) known: Option<Arc<Tree>>,
    published: bool,
}

impl Store {
    pub(super) fn start(folder: PathBuf, lock: OwnedFd, limits: Limits) -> io::Result<Arc<Self>> {
        let every = (limits.keep / 10).clamp(Duration::from_secs(1), Duration::from_mins(1));
        let state = Arc::new(Mutex::new(State::default()));
        let (weak, theirs) = (Arc::downgrade(&state), limits.clone());
        let idle = move || {
            if let Some(state) = weak.upgrade() {
                let old = guard(&state).sweep(&theirs, Instant::now());
                drop(old);
            }
        };
        let remover = Remover::start(every, idle)?;
        Ok(Arc::new(Self { folder, _lock: lock, limits, remover, state, changed: Condvar::new() }))
    }

    /// This run's own folder.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn stats(&self) -> Stats {
        let state = self.lock();
        Stats {
            trees: state.kept.len() as u64,
            bytes: state.bytes(),
            oldest: state.kept.first().map(|kept| kept.made.elapsed()),
            ..state.stats
        }
    }

    /// What an upload is to do now. `given_up` is a flight that it followed for too long.
    pub(super) fn join(
        self: &Arc<Self>,
        announced: &Announced,
        given_up: Option<&Arc<Flight>>,
    ) -> Result<Role, ArchiveError> {
        let mut state = self.lock();
        if let Some(flight) = given_up {
            state.flights.retain(|other| !Arc::ptr_eq(other, flight));
        }
        if let Some(kept) = state.find(announced, &self.limits) {
            return Ok(Role::Known(kept.tree.clone()));
        }
        if let Some(flight) = state.flights.iter().find(|flight| flight.leads_to(announced, &self.limits)) {
            return Ok(Role::Follow(flight.clone()));
        }
        let folder = self.folder.join(state.next.to_string());
        state.next += 1;
        fs::DirBuilder::new()
            .mode(0o755)
            .create(&folder)
            .map_err(|cause| ArchiveError::io("make its folder", cause))?;
        let flight = Arc::new(Flight { folder, announced: announced.clone(), progress: AtomicU64::new(0) });
        state.flights.push(flight.clone());
        let known = state.newest(announced.repository()).map(|kept| kept.tree.clone());
        Ok(Role::Lead(Lead { store: self.clone(), flight, known, published: false }))
    }

    /// Counts and tells how the tree of an upload that has just begun is had.
    pub(super) fn begun(&self, announced: &Announced, role: &Role) -> Had {
        let mut state = self.lock();
        let by_checksum = state.kept.iter().any(|kept| kept.checksum == announced.checksum);
        let (had, counted) = match role {
            Role::Known(_) if by_checksum => (Had::ByChecksum, &mut state.stats.known_by_checksum),
            Role::Known(_) => (Had::ByCommit, &mut state.stats.known_by_commit),
            Role::Follow(_) => (Had::Followed, &mut state.stats.followed),
            // Counted when it is done.
            Role::Lead(_) => return Had::Unpacked,
        };
        *counted += 1;
        had
    }

    /// Counts an upload that arrived whole.
    pub(super) fn ended(&self, spooled: u64, failed: bool) {
        let stats = &mut self.lock().stats;
        stats.spooled_bytes += spooled;
        stats.failed += u64::from(failed);
    }

    /// Counts what has arrived, of an upload that was given up as well.
    pub(super) fn received(&self, bytes: u64) {
        self.lock().stats.received_bytes += bytes;
    }

    /// Remembers what else names a tree, once the archive that was announced has been verified. If only its commit has led
    /// to the tree, nobody has looked into it: its checksum names nothing.
    pub(super) fn confirm(&self, tree: &Arc<Tree>, announced: &Announced) {
        let mut state = self.lock();
        if let Some(kept) = state.kept.iter_mut().find(|kept| Arc::ptr_eq(&kept.tree, tree)) {
            kept.used = Instant::now();
            if kept.checksum == announced.checksum {
                kept.remember(announced);
            }
        }
    }

    /// Whether a flight goes on.
    pub(super) fn flies(&self, flight: &Arc<Flight>) -> bool {
        self.lock().flies(flight)
    }

    /// Waits until a flight is over, or makes no progress for too long.
    pub(super) fn wait(&self, flight: &Arc<Flight>) {
        let mut state = self.lock();
        let (mut seen, mut since) = (flight.progress.load(Ordering::Relaxed), Instant::now());
        while state.flies(flight) {
            // Other flights that end wake us as well: time goes on meanwhile.
            let left = self.limits.patience.saturating_sub(since.elapsed());
            if left.is_zero() {
                return;
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
            let progress = flight.progress.load(Ordering::Relaxed);
            if progress != seen {
                (seen, since) = (progress, Instant::now());
            }
        }
    }

    /// Removes all trees that nobody uses; whether there was one.
    pub(super) fn make_room(&self) -> bool {
        let unused = self.lock().take(|kept| Arc::strong_count(&kept.tree) == 1);
        let some = !unused.is_empty();
        self.lock().stats.evicted += unused.len() as u64;
        drop(unused);
        self.remover.finish();
        some
    }

    /// A file without a name, for what arrives while somebody else unpacks the same.
    pub(super) fn spool(&self) -> Result<fs::File, ArchiveError> {
        tempfile::tempfile_in(&self.folder).map_err(|cause| ArchiveError::io("put it aside", cause))
    }

    pub(super) fn close(&self) {
        let kept = {
            let mut state = self.lock();
            state.closed = true;
            std::mem::take(&mut state.kept)
        };
        drop(kept);
        self.remover.finish();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        guard(&self.state)
    }
}

impl State {
    fn find(&mut self, announced: &Announced, limits: &Limits) -> Option<&mut Kept> {
        let commit = announced.names().filter(|_| limits.by_commit);
        let place = |same: &dyn Fn(&Kept) -> bool| self.kept.iter().position(same);
        let place = place(&|kept| kept.checksum == announced.checksum)
            .or_else(|| place(&|kept| commit.is_some_and(|commit| kept.commits.contains(commit))))?;
        let kept = self.kept.get_mut(place)?;
        kept.used = Instant::now();
        Some(kept)
    }

    fn newest(&self, repository: Option<&str>) -> Option<&Kept> {
        repository.and_then(|_| self.kept.iter().rfind(|kept| kept.tree.repository() == repository))
    }

    fn flies(&self, flight: &Arc<Flight>) -> bool {
        self.flights.iter().any(|other| Arc::ptr_eq(other, flight))
    }

    fn bytes(&self) -> u64 {
        self.kept.iter().map(|kept| kept.tree.bytes()).sum()
    }

    fn entries(&self) -> usize {
        self.kept.iter().map(|kept| kept.tree.entries()).sum()
    }

    fn are_too_many(&self, limits: &Limits) -> bool {
        self.kept.len() > limits.kept_trees || self.bytes() > limits.kept_bytes || self.entries() > limits.kept_entries
    }

    fn take(&mut self, goes: impl Fn(&Kept) -> bool) -> Vec<Kept> {
        let (gone, kept) = std::mem::take(&mut self.kept).into_iter().partition(goes);
        self.kept = kept;
        gone
    }

    /// Takes out the trees whose time is over, and more where there are too many: the least recently used ones first, but
    /// the newest of a repository last, since the next commit is written as a difference from it.
    fn sweep(&mut self, limits: &Limits, now: Instant) -> Vec<Kept> {
        for kept in self.kept.iter_mut().filter(|kept| kept.in_use()) {
            kept.used = now;
        }
        let mut gone = self.take(|kept| !kept.in_use() && now.saturating_duration_since(kept.used) >= limits.keep);
        while self.are_too_many(limits) {
            let newest = |kept: &Kept| {
                self.newest(kept.tree.repository()).is_some_and(|newest| Arc::ptr_eq(&newest.tree, &kept.tree))
            };
            let unused = self.kept.iter().enumerate().filter(|(_, kept)| !kept.in_use());
            let Some((place, _)) = unused.min_by_key(|(_, kept)| (newest(kept), kept.used)) else { break };
            gone.push(self.kept.remove(place));
            self.stats.evicted += 1;
        }
        gone
    }
}

impl Kept {
    /// Nobody can begin to use it while the state is locked.
    fn in_use(&self) -> bool {
        Arc::strong_count(&self.tree) > 1
    }

    fn remember(&mut self, announced: &Announced) {
        let Some(commit) = announced.names().filter(|commit| !self.commits.contains(commit)) else { return };
        self.commits.push_back(commit.clone());
        if self.commits.len() > MAX_COMMITS {
            self.commits.pop_front();
        }
    }
}

impl Flight {
    /// Where it unpacks to.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    fn leads_to(&self, announced: &Announced, limits: &Limits) -> bool {
        let same_commit = || announced.names().is_some_and(|commit| self.announced.names() == Some(commit));
        self.announced.checksum == announced.checksum || limits.by_commit && same_commit()
    }
}

impl Lead {
    pub(super) fn flight(&self) -> &Flight {
        &self.flight
    }

    /// Shares what was unpacked, once its checksum has been verified.
    pub(super) fn publish(mut self, unpacked: Unpacked) -> Arc<Tree> {
        let repository = self.flight.announced.repository().map(str::to_owned);
        let store = self.store.clone();
        let mut state = store.lock();
        state.stats.unpacked += 1;
        state.stats.written_bytes += unpacked.sums.written;
        state.stats.linked_bytes += unpacked.sums.linked;
        state.stats.git_bytes += unpacked.sums.git;
        if let Some(kept) = state.find(&self.flight.announced, &store.limits) {
            // Somebody who lost patience was faster.
            let tree = kept.tree.clone();
            drop(state);
            return tree;
        }
        let tree = Arc::new(Tree::new(
            self.flight.folder.clone(),
            unpacked.index,
            unpacked.sums,
            repository,
            store.remover.clone(),
        ));
        self.published = true;
        if !state.closed {
            let now = Instant::now();
            let checksum = self.flight.announced.checksum;
            let mut kept = Kept { tree: tree.clone(), checksum, commits: VecDeque::new(), made: now, used: now };
            kept.remember(&self.flight.announced);
            state.kept.push(kept);
            let gone = state.sweep(&store.limits, now);
            drop(state);
            drop(gone);
        }
        tree
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        if !self.published {
            self.store.remover.remove(self.flight.folder.clone());
        }
        self.store.lock().flights.retain(|flight| !Arc::ptr_eq(flight, &self.flight));
        self.store.changed.notify_all();
    }
}

fn guard(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn flights_of_others_do_not_make_a_stalled_one_seem_to_go_on() {
        let folder = tempfile::tempdir().unwrap();
        let lock = fs::File::open(folder.path()).unwrap().into();
        let limits = Limits { patience: Duration::from_millis(200), ..Limits::default() };
        let store = Store::start(folder.path().to_owned(), lock, limits).unwrap();
        let announced = Announced { checksum: [1; 32], size: 0, commit: None };
        let Ok(Role::Lead(stalled)) = store.join(&announced, None) else { panic!("it is the first") };
        let (waited, over) = mpsc::channel();
        let (waiting, flight) = (Arc::clone(&store), Arc::clone(&stalled.flight));
        std::thread::spawn(move || {
            waiting.wait(&flight);
            waited.send(())
        });
        let begin = Instant::now();
        while over.recv_timeout(Duration::from_millis(20)).is_err() {
            assert!(begin.elapsed() < Duration::from_mins(1), "it waits as long as others come and go");
            store.changed.notify_all();
        }
        assert!(store.flies(&stalled.flight));
    }

    impl Store {
        /// Waits until nothing is being unpacked and all that is to be removed is gone; what is left in the folder then.
        pub(in crate::repo) fn settled(&self) -> usize {
            let mut state = self.lock();
            while !state.flights.is_empty() {
                state = self.changed.wait(state).unwrap();
            }
            drop(state);
            self.remover.finish();
            fs::read_dir(&self.folder).unwrap().count()
        }

        /// Lets time pass.
        pub(in crate::repo) fn sweep_after(&self, time: Duration) {
            let gone = self.lock().sweep(&self.limits, Instant::now() + time);
            drop(gone);
        }
    }
}
