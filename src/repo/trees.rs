//! The trees of a server: each archive is unpacked once, and shared by all who sent the same.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use std::{fs, io};

use rustix::fd::OwnedFd;
use rustix::fs::{FlockOperation, Mode, OFlags, flock};

use super::limits::Limits;
use super::receiving::Receiving;
use super::store::Store;

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

/// How the tree of an upload is had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Had {
    /// The archive's checksum was known.
    ByChecksum,
    /// The commit was known.
    ByCommit,
    /// Another upload was just unpacking it.
    Followed,
    /// The archive was unpacked.
    Unpacked,
}

impl Had {
    /// Its name in logs and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ByChecksum => "checksum",
            Self::ByCommit => "commit",
            Self::Followed => "followed",
            Self::Unpacked => "unpacked",
        }
    }
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

    /// This run's own folder, for other things that shall be gone when it has ended, however it ends. Their names must not
    /// be numbers.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.store.folder()
    }

    /// Removes all trees but those that are in use; these go with their last user. Those that are still made are not kept.
    pub fn close(&self) {
        self.store.close();
        let _ = fs::remove_dir(self.store.folder());
    }

    /// What they have cost and saved.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.store.stats()
    }
}

impl Drop for Trees {
    fn drop(&mut self) {
        self.close();
    }
}

impl Announced {
    /// The commit, if it names a tree.
    pub(super) fn names(&self) -> Option<&Commit> {
        let full = |id: &str| id.len() == 40 && id.bytes().all(|digit| digit.is_ascii_hexdigit());
        self.commit.as_ref().filter(|commit| full(&commit.revision))
    }

    pub(super) fn repository(&self) -> Option<&str> {
        self.commit.as_ref().map(|commit| commit.repository.as_str())
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
        if !entry.file_name().to_string_lossy().starts_with(RUN) || !entry.file_type()?.is_dir() {
            continue;
        }
        // Under our own folder, so that no other run that begins meets it.
        let inside = store.folder().join(entry.file_name());
        let moved = open_folder(&entry.path()).and_then(|opened| {
            match flock(&opened, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => fs::rename(entry.path(), &inside).map(|()| true),
                Err(_) => Ok(false),
            }
        });
        match moved {
            Ok(true) => store.remover.remove(inside),
            Ok(false) => {}
            // A run that ends takes its folder along.
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => {}
            Err(cause) => return Err(cause),
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
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use bytes::Bytes;
    use sha2::{Digest as _, Sha256};

    use super::super::samples::{archive, file, folder};
    use super::super::{ArchiveError, Tree};
    use super::*;

    const ONE: &str = "0123456789abcdef0123456789abcdef01234567";
    const TWO: &str = "89abcdef0123456789abcdef0123456789abcdef";

    struct Kit {
        trees: Trees,
        folder: tempfile::TempDir,
    }

    fn kit(limits: Limits) -> Kit {
        let folder = tempfile::tempdir().unwrap();
        let trees = Trees::open(&folder.path().join("trees"), limits).unwrap();
        Kit { trees, folder }
    }

    fn of(archive: &[u8]) -> Announced {
        Announced { checksum: Sha256::digest(archive).into(), size: archive.len() as u64, commit: None }
    }

    fn at(archive: &[u8], revision: &str) -> Announced {
        let commit =
            Commit { repository: "https://git.example.com/a".into(), revision: revision.into(), above: String::new() };
        Announced { commit: Some(commit), ..of(archive) }
    }

    fn sample(text: &str) -> Vec<u8> {
        archive(&[folder("."), folder("app"), file("app/values.yaml", text), file("app/same", "same")])
    }

    /// More than waits for the other thread, so that an upload is seen half unpacked.
    fn large() -> Vec<u8> {
        let mut random = 1_u32;
        let text: String = std::iter::repeat_with(|| {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            char::from((random >> 25) as u8)
        })
        .take(4_000_000)
        .collect();
        archive(&[file("first", "1"), file("large", &text)])
    }

    async fn push(receiving: &mut Receiving, archive: &[u8]) {
        for chunk in archive.chunks(1_000) {
            receiving.push(Bytes::copy_from_slice(chunk)).await;
        }
    }

    impl Kit {
        async fn send(&self, archive: &[u8], announced: Announced) -> Result<Arc<Tree>, ArchiveError> {
            let mut receiving = self.trees.receive(announced);
            push(&mut receiving, archive).await;
            receiving.finish().await
        }

        /// How many trees there are on disk, and how many archives were unpacked.
        fn seen(&self) -> (usize, u64) {
            (self.trees.store.settled(), self.trees.stats().unpacked)
        }
    }

    fn text(tree: &Tree) -> String {
        fs::read_to_string(tree.folder().join("app/values.yaml")).unwrap()
    }

    #[tokio::test]
    async fn an_archive_is_unpacked_once_and_known_by_its_checksum_afterwards() {
        let kit = kit(Limits::default());
        let archive = sample("a: 1");
        let first = kit.send(&archive, of(&archive)).await.unwrap();
        let mut second = kit.trees.receive(of(&archive));
        assert!(Arc::ptr_eq(&first, &second.known().unwrap()));
        push(&mut second, &archive).await;
        assert!(Arc::ptr_eq(&first, &second.finish().await.unwrap()));
        assert_eq!(text(&first), "a: 1");
        let stats = kit.trees.stats();
        assert_eq!((stats.unpacked, stats.known_by_checksum, stats.trees, stats.bytes), (1, 1, 1, 8));
        assert_eq!(stats.received_bytes, 2 * archive.len() as u64);
    }

    #[tokio::test]
    async fn what_was_announced_must_arrive_even_if_it_is_known() {
        let kit = kit(Limits::default());
        let (archive, other) = (sample("a: 1"), sample("a: 2"));
        assert!(matches!(kit.send(&other, of(&archive)).await, Err(ArchiveError::Checksum)));
        assert_eq!(kit.seen(), (0, 0));
        kit.send(&archive, at(&archive, ONE)).await.unwrap();
        assert!(matches!(kit.send(&other, of(&archive)).await, Err(ArchiveError::Checksum)));
        assert!(matches!(kit.send(&archive, at(&other, ONE)).await, Err(ArchiveError::Checksum)));
        assert_eq!(kit.trees.stats().failed, 3);
        // The wrong one was not remembered for the tree.
        assert_eq!(text(&kit.send(&other, of(&other)).await.unwrap()), "a: 2");
    }

    #[tokio::test]
    async fn a_full_commit_id_names_a_tree() {
        let kit = kit(Limits::default());
        let (archive, other) = (sample("a: 1"), sample("git has touched a file"));
        let tree = kit.send(&archive, at(&archive, ONE)).await.unwrap();
        assert!(Arc::ptr_eq(&tree, &kit.send(&other, at(&other, ONE)).await.unwrap()));
        assert_eq!(kit.trees.stats().known_by_commit, 1);
        // The same archive is another commit's as well.
        assert!(Arc::ptr_eq(&tree, &kit.send(&archive, at(&archive, TWO)).await.unwrap()));
        assert!(Arc::ptr_eq(&tree, &kit.send(&other, at(&other, TWO)).await.unwrap()));
        assert_eq!(kit.seen(), (1, 1));
    }

    #[tokio::test]
    async fn an_archive_that_was_not_looked_into_is_not_known_by_its_checksum() {
        let kit = kit(Limits::default());
        let (archive, other) = (sample("a: 1"), sample("a: 2"));
        kit.send(&archive, at(&archive, ONE)).await.unwrap();
        assert_eq!(text(&kit.send(&other, at(&other, ONE)).await.unwrap()), "a: 1", "the commit is trusted");
        for announced in [at(&other, TWO), at(&other, "streamed"), of(&other)] {
            assert_eq!(text(&kit.send(&other, announced).await.unwrap()), "a: 2", "and nothing beyond it");
        }
    }

    #[tokio::test]
    async fn nothing_but_a_full_commit_id_names_a_tree_nor_does_that_if_the_operator_says_so() {
        for (revision, by_commit) in [("streamed", true), ("v1.0.0", true), ("0123456", true), (ONE, false)] {
            let kit = kit(Limits { by_commit, ..Limits::default() });
            let (archive, other) = (sample("a: 1"), sample("a: 2"));
            let first = kit.send(&archive, at(&archive, revision)).await.unwrap();
            let second = kit.send(&other, at(&other, revision)).await.unwrap();
            assert_eq!((text(&first), text(&second)), ("a: 1".into(), "a: 2".into()));
        }
        let kit = kit(Limits::default());
        let (archive, other) = (sample("a: 1"), sample("a: 2"));
        kit.send(&archive, at(&archive, ONE)).await.unwrap();
        let mut trimmed = at(&other, ONE);
        trimmed.commit.as_mut().unwrap().above = "app".into();
        assert_eq!(text(&kit.send(&other, trimmed).await.unwrap()), "a: 2");
    }

    #[tokio::test]
    async fn a_new_commit_costs_its_difference() {
        let kit = kit(Limits::default());
        let (archive, other) = (sample("a: 1"), sample("a: 2"));
        let _first = kit.send(&archive, at(&archive, ONE)).await.unwrap();
        let second = kit.send(&other, at(&other, TWO)).await.unwrap();
        assert_eq!(text(&second), "a: 2");
        let stats = kit.trees.stats();
        assert_eq!((stats.written_bytes, stats.linked_bytes), (12, 4));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn those_who_send_the_same_at_the_same_time_share_one_tree() {
        let kit = kit(Limits { patience: Duration::from_mins(10), ..Limits::default() });
        let archive = Arc::new(large());
        let all: Vec<_> = (0..9).map(|_| kit.trees.receive(of(&archive))).collect();
        let tasks: Vec<_> = all
            .into_iter()
            .map(|mut receiving| {
                let archive = archive.clone();
                tokio::spawn(async move {
                    push(&mut receiving, &archive).await;
                    receiving.finish().await.unwrap()
                })
            })
            .collect();
        let mut trees = Vec::new();
        for task in tasks {
            trees.push(task.await.unwrap());
        }
        assert!(trees.iter().all(|tree| Arc::ptr_eq(tree, &trees[0])));
        assert_eq!(kit.seen(), (1, 1));
        assert_eq!(kit.trees.stats().followed, 8);
    }

    #[tokio::test]
    async fn a_request_that_goes_away_harms_nobody_who_sends_the_same() {
        let kit = kit(Limits { patience: Duration::from_mins(10), ..Limits::default() });
        let archive = large();
        let (first, second) = archive.split_at(archive.len() / 2);
        let mut leader = kit.trees.receive(of(&archive));
        push(&mut leader, first).await;
        let mut follower = kit.trees.receive(of(&archive));
        let mut late = kit.trees.receive(of(&archive));
        push(&mut follower, first).await;
        drop(leader);
        push(&mut follower, second).await;
        push(&mut late, &archive).await;
        // Either of them may be the next to unpack.
        let (tree, late) = tokio::join!(follower.finish(), late.finish());
        let tree = tree.unwrap();
        assert!(Arc::ptr_eq(&tree, &late.unwrap()));
        assert_eq!(fs::metadata(tree.folder().join("large")).unwrap().len(), 4_000_000);
        assert_eq!(kit.seen(), (1, 1));
        assert!(kit.trees.stats().spooled_bytes > 0);
    }

    #[tokio::test]
    async fn a_bad_archive_harms_nobody_who_sends_a_good_one_of_the_same_commit() {
        let good = sample("a: 1");
        let short = &good[..good.len() - 1];
        let other = &b"no archive"[..];
        for (bytes, announced) in [(short, at(&good, ONE)), (short, at(short, ONE)), (other, at(other, ONE))] {
            let kit = kit(Limits { patience: Duration::from_mins(10), ..Limits::default() });
            let mut leader = kit.trees.receive(announced);
            let mut follower = kit.trees.receive(at(&good, ONE));
            push(&mut follower, &good).await;
            push(&mut leader, bytes).await;
            assert!(leader.finish().await.is_err());
            assert_eq!(text(&follower.finish().await.unwrap()), "a: 1");
            assert_eq!(kit.seen(), (1, 1));
        }
    }

    #[tokio::test]
    async fn a_follower_with_a_wrong_checksum_fails_alone() {
        let kit = kit(Limits { patience: Duration::from_mins(10), ..Limits::default() });
        let archive = large();
        let mut leader = kit.trees.receive(of(&archive));
        let mut follower = kit.trees.receive(of(&archive));
        push(&mut follower, b"something else").await;
        push(&mut leader, &archive).await;
        leader.finish().await.unwrap();
        assert!(matches!(follower.finish().await, Err(ArchiveError::Checksum)));
        assert_eq!(kit.seen(), (1, 1));
    }

    #[tokio::test]
    async fn nobody_waits_for_a_request_that_has_stopped_sending() {
        let kit = kit(Limits { patience: Duration::ZERO, ..Limits::default() });
        let archive = large();
        let (first, second) = archive.split_at(archive.len() / 2);
        let mut stalled = kit.trees.receive(of(&archive));
        push(&mut stalled, first).await;
        let mut follower = kit.trees.receive(of(&archive));
        push(&mut follower, &archive).await;
        let tree = follower.finish().await.unwrap();
        push(&mut stalled, second).await;
        assert!(Arc::ptr_eq(&tree, &stalled.finish().await.unwrap()));
        assert_eq!(kit.seen().0, 1);
    }

    #[tokio::test]
    async fn an_upload_that_is_given_up_leaves_nothing() {
        let kit = kit(Limits::default());
        let archive = large();
        let mut receiving = kit.trees.receive(of(&archive));
        push(&mut receiving, &archive[..archive.len() / 2]).await;
        assert_eq!(fs::read_dir(kit.trees.store.folder()).unwrap().count(), 1);
        drop(receiving);
        assert_eq!(kit.seen(), (0, 0));
        assert_eq!(kit.trees.stats().received_bytes, archive.len() as u64 / 2);
    }

    #[tokio::test]
    async fn an_archive_with_too_many_bytes_is_drained_and_refused() {
        let archive = large();
        let kit = kit(Limits { archive_bytes: 1_000_000, ..Limits::default() });
        let error = kit.send(&archive, of(&archive)).await.unwrap_err();
        assert_eq!(error.to_string(), "the archive holds more than 1000000 bytes, compressed");
        assert_eq!(kit.seen(), (0, 0));
    }

    #[tokio::test]
    async fn an_unused_tree_goes_after_a_while_and_a_used_one_stays() {
        let kit = kit(Limits::default());
        let (one, two) = (sample("a: 1"), sample("a: 2"));
        let used = kit.send(&one, of(&one)).await.unwrap();
        kit.send(&two, of(&two)).await.unwrap();
        kit.trees.store.sweep_after(Duration::from_mins(9));
        assert_eq!(kit.seen().0, 2);
        kit.trees.store.sweep_after(Duration::from_mins(11));
        assert_eq!(kit.seen().0, 1);
        assert_eq!(text(&used), "a: 1");
        drop(used);
        kit.trees.store.sweep_after(Duration::from_mins(20));
        assert_eq!(kit.seen().0, 1, "its time begins when its use ends");
        kit.trees.store.sweep_after(Duration::from_mins(22));
        assert_eq!(kit.seen().0, 0);
    }

    #[tokio::test]
    async fn where_there_are_too_many_the_least_used_goes_and_the_newest_of_a_repository_stays() {
        let archive = sample("a: 1");
        let kept_entries = 2 * kit(Limits::default()).send(&archive, of(&archive)).await.unwrap().entries();
        for limits in [
            Limits { kept_trees: 2, ..Limits::default() },
            Limits { kept_bytes: 17, ..Limits::default() },
            Limits { kept_entries, ..Limits::default() },
        ] {
            let kit = kit(limits);
            let archives = ["a: 1", "a: 2", "a: 3", "a: 4"].map(sample);
            let used = kit.send(&archives[0], of(&archives[0])).await.unwrap();
            // The newest of its repository, and used longest ago of those that may go.
            kit.send(&archives[1], at(&archives[1], ONE)).await.unwrap();
            kit.send(&archives[2], of(&archives[2])).await.unwrap();
            kit.send(&archives[3], of(&archives[3])).await.unwrap();
            assert_eq!(text(&used), "a: 1");
            let known: Vec<_> =
                archives.iter().map(|archive| kit.trees.receive(of(archive)).known().is_some()).collect();
            assert_eq!(known, [true, false, false, true], "the last one was in use when there were too many");
            kit.trees.store.sweep_after(Duration::ZERO);
            assert_eq!(kit.trees.stats().trees, 2);
        }
    }

    #[tokio::test]
    async fn trees_go_with_their_store_and_those_in_use_with_their_last_user() {
        let Kit { trees, folder } = kit(Limits::default());
        let (one, two) = (sample("a: 1"), sample("a: 2"));
        let kit = Kit { trees, folder };
        let used = kit.send(&one, of(&one)).await.unwrap();
        kit.send(&two, of(&two)).await.unwrap();
        let (run, remover) = (kit.trees.store.folder().to_owned(), kit.trees.store.remover.clone());
        drop(kit.trees);
        assert_eq!(fs::read_dir(&run).unwrap().count(), 1);
        assert_eq!(text(&used), "a: 1");
        drop(used);
        remover.finish();
        assert_eq!(fs::read_dir(&run).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn what_an_ended_run_left_is_removed_and_what_others_have_is_not() {
        let kit = kit(Limits::default());
        let archive = sample("a: 1");
        kit.send(&archive, of(&archive)).await.unwrap();
        let folder = kit.folder.path().join("trees");
        for name in ["run-ended/0/app", "something else"] {
            fs::create_dir_all(folder.join(name)).unwrap();
        }
        fs::write(folder.join("run-file"), "").unwrap();
        fs::create_dir(kit.folder.path().join("outside")).unwrap();
        symlink("../outside", folder.join("run-link")).unwrap();
        symlink("../../../outside", folder.join("run-ended/0/app/link")).unwrap();
        fs::write(kit.folder.path().join("outside/file"), "").unwrap();

        let second = Trees::open(&folder, Limits::default()).unwrap();
        second.store.settled();
        assert!(!folder.join("run-ended").exists());
        assert!(folder.join("something else").is_dir() && folder.join("run-file").is_file());
        assert!(kit.folder.path().join("outside/file").is_file());
        assert_eq!(text(&kit.send(&archive, of(&archive)).await.unwrap()), "a: 1");
        assert_eq!(kit.trees.stats().known_by_checksum, 1);
        assert_eq!(folder.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_folder_that_is_a_link_is_refused() {
        let place = tempfile::tempdir().unwrap();
        fs::create_dir(place.path().join("theirs")).unwrap();
        symlink("theirs", place.path().join("trees")).unwrap();
        let error = Trees::open(&place.path().join("trees"), Limits::default()).unwrap_err();
        assert_eq!(error.to_string(), format!("cannot keep trees in `{}`", place.path().join("trees").display()));
    }
}
