//! An archive becomes a folder of which nothing lies outside.

use std::io::{self, BufRead};
use std::path::Path;

use rustix::fd::{AsFd as _, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

use super::entries::{Entries, Kind};
use super::limits::Limits;
use super::tree::{Digest, Index, Item};

/// A file of a known tree is compared before it is written, up to this many bytes; a larger one is written.
const COMPARED: u64 = 4 * 1024 * 1024;

/// The longest name of a file or folder that Linux has.
const MAX_NAME: usize = 255;

/// The most bytes of all paths and targets of a tree together: they are kept in memory.
const MAX_NAMES: usize = 64 * 1024 * 1024;

/// An archive could not be taken in.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// What arrived is not what was announced.
    #[error("the archive does not have the announced checksum")]
    Checksum,
    /// The bytes are not an archive.
    #[error("the archive is broken: {reason}")]
    Broken {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A path that a source cannot have.
    #[error("the archive holds `{name}`, which {reason}")]
    Name {
        /// As written, made printable.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// An entry that is no file, folder or symbolic link.
    #[error("the archive holds `{name}`, which is {kind}")]
    Kind {
        /// As written, made printable.
        name: String,
        /// What it is.
        kind: &'static str,
    },
    /// More than is taken in.
    #[error("the archive holds more than {0}")]
    TooMuch(Excess),
    /// The work folder is full.
    #[error("the work folder is full")]
    Full,
    /// The operating system refused.
    #[error("cannot unpack the archive: {action}")]
    Io {
        /// What was to be done.
        action: &'static str,
        /// Its reason.
        #[source]
        cause: io::Error,
    },
    /// The client, or this server, stopped before its end.
    #[error("the archive was not taken in to its end")]
    Aborted,
}

/// Which limit an archive is beyond.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Excess {
    /// As it arrives.
    #[error("{0} bytes, compressed")]
    ArchiveBytes(u64),
    /// Once inflated.
    #[error("{0} bytes, unpacked")]
    UnpackedBytes(u64),
    /// Files, folders and links.
    #[error("{0} entries")]
    Entries(usize),
    /// Symbolic links.
    #[error("{0} symbolic links")]
    Links(usize),
    /// All paths together.
    #[error("{0} bytes of names")]
    Names(usize),
}

impl ArchiveError {
    pub(super) fn broken(reason: &'static str) -> Self {
        Self::Broken { reason }
    }

    fn name(name: &[u8], reason: &'static str) -> Self {
        Self::Name { name: printable(name), reason }
    }

    pub(super) fn io(action: &'static str, cause: impl Into<io::Error>) -> Self {
        let cause = cause.into();
        match cause.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full,
            _ => Self::Io { action, cause },
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Checksum => Some("refresh the application: its files may have changed while they were sent".into()),
            Self::Broken { .. } => Some("look for errors of the repo-server: it makes the archive".into()),
            Self::Name { .. } | Self::Kind { .. } => Some(
                "remove it from the repository, or keep it out of the archive with `reposerver.plugin.tar.exclusions`".into(),
            ),
            Self::TooMuch(_) => Some(
                "send less of the repository (`reposerver.plugin.tar.exclusions`, `reposerver.plugin.use.manifest.generate.paths`), or raise the limit".into(),
            ),
            Self::Full => Some("give the volume of the work folder more room, or keep fewer trees".into()),
            Self::Io { .. } | Self::Aborted => None,
        }
    }
}

/// What was made of an archive.
#[derive(Debug, Default)]
pub struct Unpacked {
    pub(super) index: Index,
    pub(super) sums: Sums,
}

/// Where an archive's bytes went.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sums {
    /// Bytes of files that were written.
    pub(super) written: u64,
    /// Bytes of files that another tree had.
    pub(super) linked: u64,
    /// Bytes of files below `.git`, which are left out.
    pub(super) git: u64,
}

/// A tree that may have some of the same files.
pub(super) struct Known<'a> {
    pub(super) folder: &'a Path,
    pub(super) index: &'a Index,
}

/// Unpacks a gzipped tar into an empty folder that nobody else writes to. Modes, times and owners are left out, and so is
/// `.git` at the root. Links are made as they are, also those that lead out: whoever opens one of those is refused then.
///
/// # Errors
///
/// If the archive is broken or beyond a limit, or the operating system refuses. What has been written stays.
pub fn unpack(archive: impl BufRead, folder: &Path, limits: &Limits) -> Result<Unpacked, ArchiveError> {
    Writer::new(folder, limits, None, &|| false)?.take_in(archive)
}

/// As [`unpack`], with files taken from a known tree, and with a way to make room once the disk is full.
pub(super) fn unpack_beside(
    archive: impl BufRead,
    folder: &Path,
    limits: &Limits,
    known: Option<Known<'_>>,
    make_room: &dyn Fn() -> bool,
) -> Result<Unpacked, ArchiveError> {
    Writer::new(folder, limits, known, make_room)?.take_in(archive)
}

struct Writer<'a> {
    limits: &'a Limits,
    root: OwnedFd,
    /// The folders around the present entry, opened, each by its path.
    open: Vec<(Vec<u8>, OwnedFd)>,
    known: Option<(Known<'a>, OwnedFd)>,
    make_room: &'a dyn Fn() -> bool,
    made: Unpacked,
    links: usize,
    names: usize,
    /// The content of a file that is compared.
    content: Vec<u8>,
}

impl<'a> Writer<'a> {
    fn new(
        folder: &Path,
        limits: &'a Limits,
        known: Option<Known<'a>>,
        make_room: &'a dyn Fn() -> bool,
    ) -> Result<Self, ArchiveError> {
        let open = |folder: &Path| {
            rustix::fs::open(folder, OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
                .map_err(|cause| ArchiveError::io("open its folder", cause))
        };
        let root = open(folder)?;
        // A known tree is a help, no need.
        let known = known.and_then(|known| open(known.folder).ok().map(|root| (known, root)));
        let made = Unpacked::default();
        Ok(Self { limits, root, open: Vec::new(), known, make_room, made, links: 0, names: 0, content: Vec::new() })
    }

    fn take_in(mut self, archive: impl BufRead) -> Result<Unpacked, ArchiveError> {
        let mut entries = Entries::new(archive, self.limits);
        while let Some(entry) = entries.next()? {
            let Some(path) = path(&entry.name, self.limits)? else { continue };
            if path.split(|byte| *byte == b'/').next() == Some(b".git") {
                self.made.sums.git += entry.size;
                continue;
            }
            match entry.kind {
                Kind::Folder => self.enter(&path)?,
                Kind::Link(target) => self.link(path, target)?,
                Kind::File => self.file(path, entry.size, &mut entries)?,
                Kind::Other(kind) => return Err(ArchiveError::Kind { name: printable(&path), kind }),
            }
        }
        Ok(self.made)
    }

    /// Opens a folder, made where it does not exist. No link is passed: each component is opened from the one above.
    fn enter(&mut self, path: &[u8]) -> Result<(), ArchiveError> {
        let around = |folder: &[u8]| path.starts_with(folder) && matches!(path.get(folder.len()), None | Some(b'/'));
        while self.open.last().is_some_and(|(folder, _)| !around(folder)) {
            self.open.pop();
        }
        let mut end = self.open.last().map_or(0, |(folder, _)| folder.len() + 1);
        while end < path.len() {
            let begin = end;
            end = path[begin..].iter().position(|byte| *byte == b'/').map_or(path.len(), |length| begin + length);
            let (folder, name) = (&path[..end], &path[begin..end]);
            end += 1;
            match self.made.index.get(folder) {
                Some(Item::Folder) => {}
                Some(_) => return Err(ArchiveError::name(path, "lies below something that is not a folder")),
                None => {
                    self.note(folder.to_vec(), Item::Folder)?;
                    let above = self.innermost();
                    self.retried("make a folder", || rustix::fs::mkdirat(above, name, Mode::from_raw_mode(0o755)))?;
                }
            }
            let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let opened = rustix::fs::openat(self.innermost(), name, flags, Mode::empty())
                .map_err(|cause| ArchiveError::io("open a folder", cause))?;
            self.open.push((folder.to_vec(), opened));
        }
        Ok(())
    }

    fn innermost(&self) -> BorrowedFd<'_> {
        self.open.last().map_or(self.root.as_fd(), |(_, folder)| folder.as_fd())
    }

    fn link(&mut self, path: Vec<u8>, target: Vec<u8>) -> Result<(), ArchiveError> {
        self.links += 1;
        if self.links > self.limits.links {
            return Err(ArchiveError::TooMuch(Excess::Links(self.limits.links)));
        }
        if target.is_empty() || target.contains(&0) || target.len() > self.limits.path_bytes {
            return Err(ArchiveError::name(&path, "is a link with an empty or overlong target"));
        }
        if self.made.index.get(&path).is_some() {
            return Err(ArchiveError::name(&path, "is there twice"));
        }
        let (folder, name) = apart(&path);
        self.enter(folder)?;
        let folder = self.innermost();
        self.retried("make a link", || rustix::fs::symlinkat(&target[..], folder, name))?;
        self.names += target.len();
        self.note(path, Item::Link { target })
    }

    fn file<R: BufRead>(&mut self, path: Vec<u8>, size: u64, entries: &mut Entries<'_, R>) -> Result<(), ArchiveError> {
        let (folder, name) = apart(&path);
        self.enter(folder)?;
        match self.made.index.get(&path) {
            None => {}
            // The last one counts, as for the stock server.
            Some(Item::File { .. }) => rustix::fs::unlinkat(self.innermost(), name, AtFlags::empty())
                .map_err(|cause| ArchiveError::io("replace a file", cause))?,
            Some(_) => return Err(ArchiveError::name(&path, "is there twice")),
        }
        let alike = self.known.as_ref().and_then(|(known, _)| known.index.get(&path)).and_then(|item| match item {
            Item::File { digest, size: length } if *length == size && size <= COMPARED => Some(*digest),
            _ => None,
        });
        let digest = match alike {
            Some(digest) => self.compared(&path, digest, entries)?,
            None => self.written(name, entries)?,
        };
        self.note(path, Item::File { digest, size })
    }

    /// Writes a file as it comes.
    fn written<R: BufRead>(&mut self, name: &[u8], entries: &mut Entries<'_, R>) -> Result<Digest, ArchiveError> {
        let file = self.create(name)?;
        let mut hash = blake3::Hasher::new();
        loop {
            let bytes = entries.read()?;
            if bytes.is_empty() {
                return Ok(hash.finalize().into());
            }
            hash.update(bytes);
            self.write(&file, bytes)?;
            let bytes = bytes.len();
            entries.consume(bytes);
        }
    }

    /// Takes a file from the known tree if its content is the same there; else writes it.
    fn compared<R: BufRead>(
        &mut self,
        path: &[u8],
        known: Digest,
        entries: &mut Entries<'_, R>,
    ) -> Result<Digest, ArchiveError> {
        let mut content = std::mem::take(&mut self.content);
        content.clear();
        loop {
            let bytes = entries.read()?;
            if bytes.is_empty() {
                break;
            }
            content.extend_from_slice(bytes);
            let bytes = bytes.len();
            entries.consume(bytes);
        }
        let digest = blake3::hash(&content).into();
        let name = apart(path).1;
        // Not on every file system, and not without end: then it is written.
        let linked = digest == known
            && self.known.as_ref().is_some_and(|(_, root)| {
                rustix::fs::linkat(root, path, self.innermost(), name, AtFlags::empty()).is_ok()
            });
        if linked {
            self.made.sums.linked += content.len() as u64;
        } else {
            let file = self.create(name)?;
            self.write(&file, &content)?;
        }
        self.content = content;
        Ok(digest)
    }

    fn create(&self, name: &[u8]) -> Result<OwnedFd, ArchiveError> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder = self.innermost();
        self.retried("make a file", || rustix::fs::openat(folder, name, flags, Mode::from_raw_mode(0o444)))
    }

    fn write(&mut self, file: &OwnedFd, mut bytes: &[u8]) -> Result<(), ArchiveError> {
        self.made.sums.written += bytes.len() as u64;
        while !bytes.is_empty() {
            let written = self.retried("write a file", || rustix::io::write(file, bytes))?;
            bytes = &bytes[written..];
        }
        Ok(())
    }

    /// Does something, once more if the disk was full and room could be made.
    fn retried<T>(
        &self,
        action: &'static str,
        mut act: impl FnMut() -> rustix::io::Result<T>,
    ) -> Result<T, ArchiveError> {
        loop {
            match act() {
                Err(Errno::INTR) => {}
                Err(Errno::NOSPC | Errno::DQUOT) if (self.make_room)() => {
                    return act().map_err(|cause| ArchiveError::io(action, cause));
                }
                outcome => return outcome.map_err(|cause| ArchiveError::io(action, cause)),
            }
        }
    }

    fn note(&mut self, path: Vec<u8>, item: Item) -> Result<(), ArchiveError> {
        self.names += path.len();
        self.made.index.insert(path, item);
        if self.made.index.len() > self.limits.entries {
            return Err(ArchiveError::TooMuch(Excess::Entries(self.limits.entries)));
        }
        if self.names > MAX_NAMES {
            return Err(ArchiveError::TooMuch(Excess::Names(MAX_NAMES)));
        }
        Ok(())
    }
}

/// The path that an entry's name means, without `.` and empty components; `None` for the root itself.
fn path(name: &[u8], limits: &Limits) -> Result<Option<Vec<u8>>, ArchiveError> {
    let refuse = |reason| Err(ArchiveError::name(name, reason));
    if name.contains(&0) {
        return refuse("has a name with a zero byte");
    }
    if name.len() > limits.path_bytes {
        return refuse("has too long a path");
    }
    if name.starts_with(b"/") {
        return refuse("is an absolute path");
    }
    let mut path = Vec::with_capacity(name.len());
    let mut depth = 0;
    for component in name.split(|byte| *byte == b'/') {
        match component {
            b"" | b"." => continue,
            b".." => return refuse("leads out of it"),
            _ if component.len() > MAX_NAME => return refuse("has too long a name"),
            _ if depth == limits.depth => return refuse("is in too deep a folder"),
            _ => depth += 1,
        }
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(component);
    }
    Ok((!path.is_empty()).then_some(path))
}

/// The folder and the name of a path.
fn apart(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (&[], path),
    }
}

/// A name for a message: short, and without control characters.
fn printable(name: &[u8]) -> String {
    let name = String::from_utf8_lossy(name);
    let mut shown: String = name.chars().take(200).flat_map(char::escape_debug).collect();
    if name.chars().nth(200).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;
    use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    use cap_std::ambient_authority;
    use cap_std::fs::Dir;
    use proptest::prelude::*;
    use tar::EntryType;

    use super::super::samples::{Row, archive, file, folder, gzip, link, tar_of};
    use super::super::tree::Stray;
    use super::*;

    fn unpacked(archive: &[u8], limits: &Limits) -> (tempfile::TempDir, Result<Unpacked, ArchiveError>) {
        let folder = tempfile::tempdir().unwrap();
        let outcome = unpack(archive, folder.path(), limits);
        (folder, outcome)
    }

    fn message(rows: &[Row<'_>]) -> String {
        unpacked(&archive(rows), &Limits::default()).1.unwrap_err().to_string()
    }

    /// What lies in a folder, as an index would say it.
    fn found(folder: &Path) -> BTreeMap<Vec<u8>, Item> {
        fn walk(root: &Path, below: &Path, found: &mut BTreeMap<Vec<u8>, Item>) {
            for entry in fs::read_dir(root.join(below)).unwrap() {
                let entry = entry.unwrap();
                let path = below.join(entry.file_name());
                let kind = entry.file_type().unwrap();
                let item = if kind.is_dir() {
                    walk(root, &path, found);
                    Item::Folder
                } else if kind.is_symlink() {
                    Item::Link { target: fs::read_link(entry.path()).unwrap().into_os_string().into_vec() }
                } else {
                    let content = fs::read(entry.path()).unwrap();
                    Item::File { digest: blake3::hash(&content).into(), size: content.len() as u64 }
                };
                found.insert(path.as_os_str().as_bytes().to_vec(), item);
            }
        }
        let mut all = BTreeMap::new();
        walk(folder, Path::new(""), &mut all);
        all
    }

    fn indexed(unpacked: Unpacked) -> BTreeMap<Vec<u8>, Item> {
        unpacked.index.into_items()
    }

    #[test]
    fn files_folders_and_links_become_what_they_were_without_modes() {
        let rows =
            [folder("."), folder("a"), file("a/x", "1"), link("a/l", "x"), file("b/deep/y", ""), file("./c", "3")];
        let (place, outcome) = unpacked(&archive(&rows), &Limits::default());
        let outcome = outcome.unwrap();
        assert_eq!(outcome.sums, Sums { written: 2, linked: 0, git: 0 });
        assert_eq!(indexed(outcome), found(place.path()));
        let read = |path: &str| fs::read_to_string(place.path().join(path)).unwrap();
        assert_eq!((read("a/l"), read("b/deep/y"), read("c")), ("1".into(), String::new(), "3".into()));
        assert_eq!(place.path().join("a/x").metadata().unwrap().permissions().mode() & 0o777, 0o444);
    }

    #[test]
    fn git_is_left_out_at_the_root_and_counted() {
        let rows = [
            folder(".git"),
            file(".git/index", "12345"),
            (EntryType::Link, b".git/x", b".git/index"),
            // What a submodule has: helm reads it.
            file("module/.git", "gitdir: ../.git/modules/module"),
            file(".gitignore", ""),
        ];
        let (place, outcome) = unpacked(&archive(&rows), &Limits::default());
        assert_eq!(outcome.unwrap().sums.git, 5);
        let names: Vec<_> = found(place.path()).into_keys().map(|name| String::from_utf8(name).unwrap()).collect();
        assert_eq!(names, [".gitignore", "module", "module/.git"]);
    }

    #[test]
    fn names_need_not_be_utf8_and_may_be_long() {
        let long = format!("{0}/{0}/{0}", "x".repeat(90));
        let pax = format!("path={long}\n");
        let pax = format!("{} {pax}", pax.len() + 4);
        let rows = [
            (EntryType::Regular, &b"\xff.yaml"[..], &b"1"[..]),
            (EntryType::XHeader, b"pax", pax.as_bytes()),
            file("short", "2"),
            (EntryType::GNULongName, b"././@LongLink", b"gnu/long\0"),
            file("short", "3"),
            (EntryType::GNULongLink, b"././@LongLink", b"gnu/long\0"),
            link("gnulink", "x"),
        ];
        let (place, outcome) = unpacked(&archive(&rows), &Limits::default());
        assert_eq!(indexed(outcome.unwrap()), found(place.path()));
        assert_eq!(fs::read_to_string(place.path().join(long)).unwrap(), "2");
        assert_eq!(fs::read_to_string(place.path().join("gnulink")).unwrap(), "3");
    }

    #[test]
    fn names_that_lead_out_are_refused() {
        for (name, reason) in [
            ("../x", "leads out of it"),
            ("a/../../x", "leads out of it"),
            ("a/../x", "leads out of it"),
            ("/etc/x", "is an absolute path"),
        ] {
            assert_eq!(message(&[file(name, "")]), format!("the archive holds `{name}`, which {reason}"));
        }
    }

    #[test]
    fn nothing_is_written_through_a_link_or_a_file() {
        for rows in [
            [link("a", ".."), file("a/x", "")],
            [link("a", "."), folder("a/b")],
            [link("a", "b"), link("a/c", "d")],
            [file("a", ""), file("a/x", "")],
        ] {
            assert!(message(&rows).ends_with("which lies below something that is not a folder"));
        }
    }

    #[test]
    fn the_last_file_of_a_name_counts_and_other_doubles_are_refused() {
        let (place, outcome) = unpacked(&archive(&[file("a", "long"), file("a", "x")]), &Limits::default());
        assert_eq!(indexed(outcome.unwrap()), found(place.path()));
        assert_eq!(fs::read_to_string(place.path().join("a")).unwrap(), "x");
        for rows in [
            [link("a", "b"), file("a", "")],
            [file("a", ""), link("a", "b")],
            [link("a", "b"), link("a", "c")],
            [folder("a"), file("a", "")],
            [folder("a"), link("a", "b")],
        ] {
            assert_eq!(message(&rows), "the archive holds `a`, which is there twice");
        }
        assert!(message(&[link("a", "b"), folder("a")]).ends_with("which lies below something that is not a folder"));
    }

    #[test]
    fn what_a_source_never_holds_is_refused_by_name() {
        for (kind, text) in [
            (EntryType::Link, "a hard link"),
            (EntryType::Char, "a device"),
            (EntryType::Fifo, "a pipe"),
            (EntryType::GNUSparse, "a sparse file"),
            (EntryType::new(b'?'), "of an unknown kind"),
        ] {
            assert_eq!(message(&[(kind, b"x\n", b"")]), format!("the archive holds `x\\n`, which is {text}"));
        }
        let sparse = (EntryType::XHeader, &b"pax"[..], &b"22 GNU.sparse.major=1\n"[..]);
        assert_eq!(message(&[sparse, file("x", "")]), "the archive holds `x`, which is a sparse file");
    }

    #[test]
    fn links_that_lead_out_are_made_and_left_to_whoever_follows_them() {
        let (place, outcome) = unpacked(&archive(&[link("a", "/etc/passwd"), link("b", "../x")]), &Limits::default());
        let index = outcome.unwrap().index;
        assert_eq!(index.resolve(b"a"), Err(Stray::Outside));
        assert_eq!(index.resolve(b"b"), Err(Stray::Outside));
        assert_eq!(fs::read_link(place.path().join("a")).unwrap(), Path::new("/etc/passwd"));
    }

    #[test]
    fn an_archive_beyond_a_limit_is_refused() {
        let rows = [folder("a"), file("a/x", "1234"), link("a/l", "x"), file("b", "")];
        let with = |change: fn(&mut Limits)| {
            let mut limits = Limits::default();
            change(&mut limits);
            unpacked(&archive(&rows), &limits).1.map(|_| ()).unwrap_err().to_string()
        };
        assert_eq!(with(|limits| limits.entries = 3), "the archive holds more than 3 entries");
        assert_eq!(with(|limits| limits.links = 0), "the archive holds more than 0 symbolic links");
        assert_eq!(with(|limits| limits.depth = 1), "the archive holds `a/x`, which is in too deep a folder");
        assert_eq!(with(|limits| limits.path_bytes = 2), "the archive holds `a/x`, which has too long a path");
        assert_eq!(with(|limits| limits.unpacked_bytes = 3_583), "the archive holds more than 3583 bytes, unpacked");
        let limits =
            Limits { entries: 4, links: 1, depth: 2, path_bytes: 3, unpacked_bytes: 4_096, ..Limits::default() };
        unpacked(&archive(&rows), &limits).1.unwrap();
    }

    #[test]
    fn a_bomb_is_refused_before_it_is_written() {
        let mut tar = tar_of(&[file("bomb", "")]);
        let mut header = tar::Header::from_byte_slice(&tar[..512]).clone();
        header.set_size(1 << 40);
        header.set_cksum();
        tar[..512].copy_from_slice(header.as_bytes());
        let (place, outcome) = unpacked(&gzip(&tar), &Limits::default());
        assert!(matches!(outcome, Err(ArchiveError::TooMuch(Excess::UnpackedBytes(_)))));
        assert!(found(place.path()).is_empty());
    }

    #[test]
    fn an_archive_that_is_not_whole_is_refused() {
        let tar = tar_of(&[file("a", "1234")]);
        let reason = |archive: &[u8]| match unpacked(archive, &Limits::default()).1 {
            Err(ArchiveError::Broken { reason }) => reason,
            other => panic!("{other:?}"),
        };
        assert_eq!(reason(b""), "it ends too early");
        assert_eq!(reason(&tar), "it is not gzip");
        assert_eq!(reason(&gzip(&tar)[..30]), "it ends too early");
        assert_eq!(reason(&gzip(&tar[..600])), "it ends within a file");
        assert_eq!(reason(&gzip(&tar[..500])), "it ends within a header");
        assert_eq!(reason(&[gzip(&tar), b"more".to_vec()].concat()), "it ends too early");
        assert_eq!(reason(&[gzip(&tar), b"more than a header".to_vec()].concat()), "it is not gzip");
        assert_eq!(reason(&[gzip(&tar), gzip(b"x")].concat()), "something follows its end");
        let mut wrong = tar.clone();
        wrong[0] = b'b';
        assert_eq!(reason(&gzip(&wrong)), "a header's checksum is wrong");
        let mut wrong = gzip(&tar);
        let sum = wrong.len() - 8;
        wrong[sum] ^= 1;
        assert_eq!(reason(&wrong), "it is not gzip");
        let pax = (EntryType::XHeader, &b"pax"[..], &b"99 path=x\n"[..]);
        assert_eq!(reason(&archive(&[pax, file("x", "")])), "an extended header cannot be read");
        assert_eq!(reason(&archive(&[(EntryType::Directory, b"x", b"1")])), "something that is not a file has content");
        let two = [gzip(&tar[..700]), gzip(&tar[700..]), gzip(&[0; 512])].concat();
        unpacked(&two, &Limits::default()).1.unwrap();
    }

    #[test]
    fn a_file_that_a_known_tree_has_is_not_written_again() {
        let (known, first) = unpacked(&archive(&[file("a/same", "1"), file("a/other", "2")]), &Limits::default());
        let first = first.unwrap();
        let place = tempfile::tempdir().unwrap();
        let archive = archive(&[file("a/same", "1"), file("a/other", "3"), file("same", "1")]);
        let beside = Known { folder: known.path(), index: &first.index };
        let second = unpack_beside(&archive[..], place.path(), &Limits::default(), Some(beside), &|| false).unwrap();
        assert_eq!(second.sums, Sums { written: 2, linked: 1, git: 0 });
        assert_eq!(indexed(second), found(place.path()));
        let number = |folder: &Path, path: &str| folder.join(path).metadata().unwrap().ino();
        assert_eq!(number(known.path(), "a/same"), number(place.path(), "a/same"));
        assert_eq!(indexed(first), found(known.path()));
    }

    #[test]
    fn an_archive_that_go_wrote_is_read() {
        let (place, outcome) = unpacked(include_bytes!("../../tests/vectors/archive/tree.tgz"), &Limits::default());
        let outcome = outcome.unwrap();
        assert_eq!(outcome.sums, Sums { written: 320_025, linked: 0, git: 21 });
        assert_eq!(indexed(outcome), found(place.path()));
        let long = "folder-with-a-long-name/".repeat(12) + "values.yaml";
        let read = |path: &[u8]| fs::read_to_string(place.path().join(std::ffi::OsStr::from_bytes(path))).unwrap();
        assert_eq!(read("app/größe.yaml".as_bytes()), "b: 2\n");
        assert_eq!(read(b"app/\xff.yaml"), "c: 3\n");
        assert_eq!(read(long.as_bytes()), "d: 4\n");
        assert_eq!(read(b"app/long-link"), "d: 4\n");
        assert_eq!(read(b"app/root/app/link"), "a: 1\n");
    }

    #[test]
    fn a_full_disk_is_tried_again_once_room_was_made() {
        let (place, limits) = (tempfile::tempdir().unwrap(), Limits::default());
        for (room, outcome) in [(true, "Ok(2)"), (false, "Err(Full)")] {
            let make_room = || room;
            let writer = Writer::new(place.path(), &limits, None, &make_room).unwrap();
            let mut times = 0;
            let tried = writer.retried("try", || {
                times += 1;
                if times == 1 { Err(Errno::NOSPC) } else { Ok(times) }
            });
            assert_eq!(format!("{tried:?}"), outcome);
        }
    }

    fn odd_name() -> impl Strategy<Value = String> {
        let component = prop_oneof![8 => "[ab]", 1 => Just("..".to_owned()), 1 => Just(".".to_owned()),
            1 => Just(String::new()), 1 => Just(".git".to_owned())];
        proptest::collection::vec(component, 1..4).prop_map(|components| components.join("/"))
    }

    fn odd_rows() -> impl Strategy<Value = Vec<(EntryType, String, String)>> {
        let kind = prop_oneof![4 => Just(EntryType::Regular), 2 => Just(EntryType::Directory), 4 => Just(EntryType::Symlink),
            1 => Just(EntryType::Link)];
        let row = (kind, odd_name(), odd_name()).prop_map(|(kind, name, other)| {
            let other = if kind == EntryType::Directory { String::new() } else { other };
            (kind, name, other)
        });
        proptest::collection::vec(row, 1..12)
    }

    proptest! {
        #[test]
        fn no_archive_reaches_anything_outside_its_folder(rows in odd_rows()) {
            let rows: Vec<Row<'_>> =
                rows.iter().map(|(kind, name, other)| (*kind, name.as_bytes(), other.as_bytes())).collect();
            let outer = tempfile::tempdir().unwrap();
            let inner = outer.path().join("inner");
            fs::create_dir(&inner).unwrap();
            fs::create_dir(outer.path().join("a")).unwrap();
            fs::write(outer.path().join("a/b"), "secret").unwrap();
            fs::write(outer.path().join("b"), "secret").unwrap();
            let outcome = unpack(&archive(&rows)[..], &inner, &Limits::default());
            let mut names: Vec<_> = fs::read_dir(outer.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            names.sort();
            prop_assert_eq!(names, ["a", "b", "inner"]);
            prop_assert_eq!(fs::read_dir(outer.path().join("a")).unwrap().count(), 1);
            prop_assert_eq!(fs::read_to_string(outer.path().join("a/b")).unwrap(), "secret");
            prop_assert_eq!(fs::read_to_string(outer.path().join("b")).unwrap(), "secret");
            if let Ok(unpacked) = outcome {
                // The index and the kernel agree on where every path leads.
                let root = Dir::open_ambient_dir(&inner, ambient_authority()).unwrap();
                for path in ["a", "b", "a/a", "a/b", "b/a", "b/b", "a/../b", "a/a/b", "b/a/.."] {
                    match (unpacked.index.resolve(path.as_bytes()), root.metadata(path)) {
                        (Ok((_, Item::Folder)), Ok(kind)) => prop_assert!(kind.is_dir(), "{}", path),
                        (Ok((real, Item::File { digest, .. })), Ok(_)) => {
                            let content = root.read(path).unwrap();
                            prop_assert_eq!(digest, &Digest::from(blake3::hash(&content)));
                            prop_assert_eq!(&content, &fs::read(inner.join(std::ffi::OsStr::from_bytes(&real))).unwrap());
                        }
                        (Err(Stray::Outside), Err(cause)) => prop_assert!(super::super::source::is_escape(&cause), "{} {}", path, cause),
                        (Err(Stray::Nowhere), Err(cause)) => prop_assert!(!super::super::source::is_escape(&cause), "{} {}", path, cause),
                        (ours, kernels) => prop_assert!(false, "{} {:?} {:?}", path, ours, kernels),
                    }
                }
                prop_assert_eq!(indexed(unpacked), found(&inner));
            }
        }

        #[test]
        fn a_known_tree_changes_nothing_but_what_is_written(first in odd_rows(), second in odd_rows()) {
            let rows = |rows: &[(EntryType, String, String)]| {
                let rows: Vec<Row<'_>> =
                    rows.iter().map(|(kind, name, other)| (*kind, name.as_bytes(), other.as_bytes())).collect();
                archive(&rows)
            };
            let (known, first) = unpacked(&rows(&first), &Limits::default());
            let archive = rows(&second);
            let (alone, without) = unpacked(&archive, &Limits::default());
            if let (Ok(first), Ok(without)) = (first, without) {
                let place = tempfile::tempdir().unwrap();
                let beside = Known { folder: known.path(), index: &first.index };
                let with = unpack_beside(&archive[..], place.path(), &Limits::default(), Some(beside), &|| false).unwrap();
                prop_assert_eq!(with.sums.written + with.sums.linked, without.sums.written);
                prop_assert_eq!(indexed(with), found(alone.path()));
                prop_assert_eq!(found(place.path()), found(alone.path()));
                prop_assert_eq!(indexed(first), found(known.path()));
            }
        }

        #[test]
        fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2_000)) {
            let limits = Limits::default();
            let _ = unpacked(&bytes, &limits);
            let _ = unpacked(&gzip(&bytes), &limits);
        }
    }
}
