//! The trees of a server: each archive is unpacked once, and shared by all who sent the same.

use std::collections::VecDeque;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::{fs, io};

use rustix::fd::OwnedFd;
use rustix::fs::{FlockOperation, Mode, OFlags, flock};

use super::archive::{ArchiveError, Unpacked};
use super::limits::Limits;
use super::receiving::Receiving;
use super::remover::Remover;
use super::tree::Tree;

/// How many checksums and commits of one tree are remembered: with `.git` in the archive, every second brings another.
const MAX_NAMES: usize = 256;

/// How a run's own folder begins.
const RUN: &str = "run-";

/// Takes archives in and shares the trees that they unpack to.
#[derive(Debug)]
pub struct Trees {
    store: Arc<Store>,
}

/// The commit that an archive was made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// The URL of the repository.
    pub repository: String,
    /// The commit's id. Only a full one, of 40 hexadecimal digits, names a tree.
    pub revision: String,
    /// The path of the archive's root in the repository.
    pub above: String,
}

/// What is said of an archive before it arrives.
#[derive(Debug, Clone)]
pub struct Announced {
    /// SHA-256 of the archive as it arrives.
    pub checksum: [u8; 32],
    /// Its size in bytes; informative.
    pub size: u64,
    /// What it was made of, if that is known.
    pub commit: Option<Commit>,
}

/// The folder for trees cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot keep trees in `{}`", folder.display())]
pub struct FolderError {
    /// As given.
    pub folder: PathBuf,
    /// Why not.
    #[source]
    pub cause: io::Error,
}

/// What the trees have cost and saved since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Trees that are kept now.
    pub trees: u64,
    /// Bytes of their files. Files that trees share count in each.
    pub bytes: u64,
    /// How long ago the oldest of them was made.
    pub oldest: Option<Duration>,
    /// Archives that were unpacked.
    pub unpacked: u64,
    /// Archives that were known by their checksum before they arrived.
    pub known_by_checksum: u64,
    /// Archives that were known by their commit before they arrived.
    pub known_by_commit: u64,
    /// Archives that another request was just unpacking.
    pub followed: u64,
    /// Archives that could not be taken in.
    pub failed: u64,
    /// Trees that went before their time, for want of room.
    pub evicted: u64,
    /// Bytes of archives that arrived.
    pub received_bytes: u64,
    /// Bytes of archives that were put aside while another request was unpacking the same.
    pub spooled_bytes: u64,
    /// Bytes of files that were written.
    pub written_bytes: u64,
    /// Bytes of files that were not written, since another tree had them.
    pub linked_bytes: u64,
    /// Bytes of files below `.git` that were inflated for nothing.
    pub git_bytes: u64,
}

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
    checksums: VecDeque<[u8; 32]>,
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

impl Trees {
    /// Prepares a folder for trees; it is made where it does not exist, for this user only. Each run has its own folder in
    /// it, locked as long as it lasts: what ended runs have left is removed, and several servers may share it.
    ///
    /// # Errors
    ///
    /// If the folder is another user's or a link, or the operating system refuses.
    pub fn open(folder: &Path, limits: Limits) -> Result<Self, FolderError> {
        let failed = |cause| FolderError { folder: folder.to_owned(), cause };
        let lock = prepare(folder).map_err(failed)?;
        let store = (|| {
            let own = tempfile::Builder::new().prefix(RUN).tempdir_in(folder)?.keep();
            let own = own.canonicalize()?;
            let own_lock = open_folder(&own)?;
            flock(&own_lock, FlockOperation::NonBlockingLockExclusive)?;
            Store::start(own, own_lock, limits)
        })()
        .map_err(failed)?;
        remove_ended(folder, &store).map_err(failed)?;
        drop(lock);
        Ok(Self { store })
    }

    /// Begins to take in an archive. Must be called in a tokio runtime.
    #[must_use]
    pub fn receive(&self, announced: Announced) -> Receiving {
        Receiving::begin(&self.store, announced)
    }

    /// What they have cost and saved.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let state = self.store.lock();
        Stats {
            trees: state.kept.len() as u64,
            bytes: state.bytes(),
            oldest: state.kept.first().map(|kept| kept.made.elapsed()),
            ..state.stats
        }
    }
}

impl Drop for Trees {
    /// Removes all trees but those that are in use; these go with their last user.
    fn drop(&mut self) {
        self.store.close();
        let _ = fs::remove_dir(&self.store.folder);
    }
}

impl Announced {
    /// The commit, if it names a tree.
    fn names(&self) -> Option<&Commit> {
        let full = |id: &str| id.len() == 40 && id.bytes().all(|digit| digit.is_ascii_hexdigit());
        self.commit.as_ref().filter(|commit| full(&commit.revision))
    }

    fn repository(&self) -> Option<&str> {
        self.commit.as_ref().map(|commit| commit.repository.as_str())
    }
}

impl Store {
    fn start(folder: PathBuf, lock: OwnedFd, limits: Limits) -> io::Result<Arc<Self>> {
        let every = (limits.keep / 10).clamp(Duration::from_secs(1), Duration::from_secs(60));
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

    /// Counts how an upload that has just begun was known.
    pub(super) fn begun(&self, announced: &Announced, role: &Role) {
        let mut state = self.lock();
        let by_checksum = state.kept.iter().any(|kept| kept.checksums.contains(&announced.checksum));
        let stats = &mut state.stats;
        match role {
            Role::Known(_) if by_checksum => stats.known_by_checksum += 1,
            Role::Known(_) => stats.known_by_commit += 1,
            Role::Follow(_) => stats.followed += 1,
            Role::Lead(_) => {}
        }
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

    /// Remembers that a verified archive was a tree's.
    pub(super) fn confirm(&self, tree: &Arc<Tree>, announced: &Announced) {
        let mut state = self.lock();
        if let Some(kept) = state.kept.iter_mut().find(|kept| Arc::ptr_eq(&kept.tree, tree)) {
            kept.remember(announced);
        }
    }

    /// Whether a flight goes on.
    pub(super) fn flies(&self, flight: &Arc<Flight>) -> bool {
        self.lock().flies(flight)
    }

    /// Waits until a flight is over, or makes no progress for too long.
    pub(super) fn wait(&self, flight: &Arc<Flight>) {
        let mut state = self.lock();
        while state.flies(flight) {
            let seen = flight.progress.load(Ordering::Relaxed);
            let (after, waited) =
                self.changed.wait_timeout(state, self.limits.patience).unwrap_or_else(PoisonError::into_inner);
            if waited.timed_out() && flight.progress.load(Ordering::Relaxed) == seen {
                return;
            }
            state = after;
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

    fn close(&self) {
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
        let place = place(&|kept| kept.checksums.contains(&announced.checksum))
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
        while self.kept.len() > limits.kept_trees || self.bytes() > limits.kept_bytes {
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
        self.used = Instant::now();
        remember(&mut self.checksums, &announced.checksum);
        if let Some(commit) = announced.names() {
            remember(&mut self.commits, commit);
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
            let (checksums, commits) = Default::default();
            let mut kept = Kept { tree: tree.clone(), checksums, commits, made: now, used: now };
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
        self.store.lock().flights.retain(|flight| !Arc::ptr_eq(flight, &self.flight));
        self.store.changed.notify_all();
        if !self.published {
            self.store.remover.remove(self.flight.folder.clone());
        }
    }
}

fn guard(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn remember<T: Clone + PartialEq>(names: &mut VecDeque<T>, name: &T) {
    if !names.contains(name) {
        names.push_back(name.clone());
    }
    if names.len() > MAX_NAMES {
        names.pop_front();
    }
}

/// Makes the folder for trees, checks that it is ours, and locks it as long as the result lives: one run at a time begins.
fn prepare(folder: &Path) -> io::Result<OwnedFd> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let opened = open_folder(folder)?;
    let ours = rustix::process::geteuid().as_raw();
    if rustix::fs::fstat(&opened)?.st_uid != ours {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "it belongs to another user"));
    }
    rustix::fs::fchmod(&opened, Mode::RWXU)?;
    flock(&opened, FlockOperation::LockExclusive)?;
    Ok(opened)
}

/// Removes the folders of runs that have ended: those whose lock nobody holds.
fn remove_ended(folder: &Path, store: &Store) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let ours = entry.file_name().to_string_lossy().starts_with(RUN) && entry.file_type()?.is_dir();
        if ours && flock(open_folder(&entry.path())?, FlockOperation::NonBlockingLockExclusive).is_ok() {
            // Under our own folder, so that no other run that begins meets it.
            let inside = store.folder.join(entry.file_name());
            fs::rename(entry.path(), &inside)?;
            store.remover.remove(inside);
        }
    }
    Ok(())
}

fn open_folder(folder: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::open(folder, flags, Mode::empty())?)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use sha2::{Digest as _, Sha256};

    use super::super::samples::{Row, archive, file, folder, link};
    use super::*;

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

    struct Kit {
        trees: Trees,
        folder: tempfile::TempDir,
    }

    fn kit(limits: Limits) -> Kit {
        let folder = tempfile::tempdir().unwrap();
        let trees = Trees::open(&folder.path().join("trees"), limits).unwrap();
        Kit { trees, folder }
    }

    fn commit(revision: &str) -> Commit {
        Commit { repository: "https://git.example.com/a".into(), revision: revision.into(), above: String::new() }
    }

    fn announced(archive: &[u8], commit: Option<Commit>) -> Announced {
        Announced { checksum: Sha256::digest(archive).into(), size: archive.len() as u64, commit }
    }

    fn rows() -> Vec<Row<'static>> {
        vec![folder("."), folder("app"), file("app/values.yaml", "a: 1"), link("app/out", "../../x")]
    }

    impl Kit {
        async fn send(&self, archive: &[u8], announced: Announced) -> Result<Arc<Tree>, ArchiveError> {
            let mut receiving = self.trees.receive(announced);
            for chunk in archive.chunks(7) {
                receiving.push(Bytes::copy_from_slice(chunk)).await;
            }
            receiving.finish().await
        }

        /// The names in the run's own folder, once all that is to be removed is gone.
        fn left(&self) -> usize {
            self.trees.store.remover.finish();
            fs::read_dir(&self.trees.store.folder).unwrap().count()
        }
    }

    #[tokio::test]
    async fn an_archive_is_unpacked_once_and_known_by_checksum_afterwards() {
        let kit = kit(Limits::default());
        let archive = archive(&rows());
        let first = kit.send(&archive, announced(&archive, None)).await.unwrap();
        let second = kit.send(&archive, announced(&archive, None)).await.unwrap();
        assert!(Arc::ptr_eq(&first, &second));
        assert_eq!(fs::read_to_string(first.folder().join("app/values.yaml")).unwrap(), "a: 1");
        let stats = kit.trees.stats();
        assert_eq!((stats.unpacked, stats.known_by_checksum, stats.trees, stats.bytes), (1, 1, 1, 4));
        assert_eq!(stats.received_bytes, 2 * archive.len() as u64);
    }
}
