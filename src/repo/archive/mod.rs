//! An archive becomes a folder of which nothing lies outside.

mod entries;
mod error;

use std::io::BufRead;
use std::path::Path;

use rustix::fd::{AsFd as _, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

use entries::{Entries, Kind};
pub use error::{ArchiveError, Excess};

use super::limits::Limits;
use super::tree::{Digest, Index, Item};

/// A file of a known tree is compared before it is written, up to this many bytes; a larger one is written.
const COMPARED: u64 = 4 * 1024 * 1024;

/// The longest name of a file or folder that Linux has.
const MAX_NAME: usize = 255;

/// The most bytes of all paths and targets of a tree together: they are kept in memory.
const MAX_NAMES: usize = 64 * 1024 * 1024;

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
    entries: usize,
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
        Ok(Self {
            limits,
            root,
            open: Vec::new(),
            known,
            make_room,
            made,
            entries: 0,
            links: 0,
            names: 0,
            content: Vec::new(),
        })
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
                Kind::Other(kind) => return Err(ArchiveError::kind(&path, kind)),
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
        // What is there twice was made twice.
        self.entries += 1;
        self.names += path.len();
        self.made.index.insert(path, item);
        if self.entries > self.limits.entries {
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

#[cfg(test)]
mod tests;
