//! A tree that was unpacked: where it lies, and what is in it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::path::{Path, PathBuf};

use super::RepoPath;
use super::archive::Sums;
use super::remover::Remover;

/// The most entries that a fingerprint or a check of links covers.
const MAX_ENTRIES: usize = 200_000;

/// The deepest folder that a check of links enters.
const MAX_DEPTH: usize = 100;

/// The most links on the way to one file, as in Linux.
const MAX_LINKS: usize = 40;

/// What a file holds, as BLAKE3.
pub(super) type Digest = [u8; 32];

/// A source tree that was unpacked from an archive. Its folder goes when the last user has gone; nobody writes to it.
#[derive(Debug)]
pub struct Tree {
    folder: PathBuf,
    index: Index,
    sums: Sums,
    repository: Option<String>,
    /// Who removes the folder.
    remover: Remover,
}

/// What a tree holds, by path.
#[derive(Debug, Default)]
pub(super) struct Index {
    items: BTreeMap<Vec<u8>, Item>,
}

/// One entry of a tree.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Item {
    Folder,
    File { digest: Digest, size: u64 },
    Link { target: Vec<u8> },
}

/// Digest of all that a render can read of a tree: two trees with the same one render alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint([u8; 32]);

/// Which link must not be followed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum BadLink {
    /// It leaves the tree.
    Outside(Vec<u8>),
    /// It leads in a circle, or to more than is looked at.
    TooMany(Vec<u8>),
}

/// Why a path leads to nothing.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stray {
    /// It leaves the tree.
    Outside,
    /// There is nothing, or it leads in a circle.
    Nowhere,
}

impl Tree {
    pub(super) fn new(folder: PathBuf, index: Index, sums: Sums, repository: Option<String>, remover: Remover) -> Self {
        Self { folder, index, sums, repository, remover }
    }

    /// Where it lies.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// How many bytes its files have. Files that it shares with other trees count.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.sums.written + self.sums.linked
    }

    /// How many bytes of files below `.git` its archive held: what excluding `.git` would save, before compression.
    #[must_use]
    pub fn git_bytes(&self) -> u64 {
        self.sums.git
    }

    pub(super) fn repository(&self) -> Option<&str> {
        self.repository.as_deref()
    }

    pub(super) fn index(&self) -> &Index {
        &self.index
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        self.remover.remove(std::mem::take(&mut self.folder));
    }
}

impl Index {
    pub(super) fn get(&self, path: &[u8]) -> Option<&Item> {
        self.items.get(path)
    }

    pub(super) fn insert(&mut self, path: Vec<u8>, item: Item) {
        self.items.insert(path, item);
    }

    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    #[cfg(test)]
    pub(super) fn into_items(self) -> BTreeMap<Vec<u8>, Item> {
        self.items
    }

    /// Everything below a folder, at any depth, in the order of paths.
    pub(super) fn below(&self, folder: &[u8]) -> impl Iterator<Item = (&[u8], &Item)> {
        let mut prefix = folder.to_vec();
        if !prefix.is_empty() {
            prefix.push(b'/');
        }
        let from = Bound::Included(prefix.clone());
        self.items
            .range((from, Bound::Unbounded))
            .map(|(path, item)| (path.as_slice(), item))
            .take_while(move |(path, _)| path.starts_with(&prefix))
    }

    /// Where a path leads once all links are followed; the root is the empty path. As the kernel does it beneath a root:
    /// absolute targets, and those that step above the root on their way, lead out.
    pub(super) fn resolve(&self, path: &[u8]) -> Result<(Vec<u8>, &Item), Stray> {
        let mut rest: Vec<&[u8]> = path.split(|byte| *byte == b'/').rev().collect();
        let (mut at, mut item, mut links) = (Vec::new(), &Item::Folder, 0);
        while let Some(component) = rest.pop() {
            if *item != Item::Folder {
                return Err(Stray::Nowhere);
            }
            match component {
                b"" | b"." => continue,
                b".." if at.is_empty() => return Err(Stray::Outside),
                b".." => {
                    at.truncate(at.iter().rposition(|byte| *byte == b'/').unwrap_or(0));
                    continue;
                }
                _ => {}
            }
            let above = at.len();
            if above > 0 {
                at.push(b'/');
            }
            at.extend_from_slice(component);
            item = self.get(&at).ok_or(Stray::Nowhere)?;
            if let Item::Link { target } = item {
                links += 1;
                if target.starts_with(b"/") {
                    return Err(Stray::Outside);
                }
                if links > MAX_LINKS {
                    return Err(Stray::Nowhere);
                }
                at.truncate(above);
                item = &Item::Folder;
                rest.extend(target.split(|byte| *byte == b'/').rev());
            }
        }
        Ok((at, item))
    }

    /// Checks that no link below a folder leads out, nor one below the folders that such links lead to. The folder must be one.
    pub(super) fn check_links(&self, folder: &[u8]) -> Result<(), BadLink> {
        let (real, _) = self.resolve(folder).map_err(|_| BadLink::Outside(folder.to_vec()))?;
        self.check_below(&real, 0, &mut 0)
    }

    fn check_below(&self, folder: &[u8], depth: usize, entries: &mut usize) -> Result<(), BadLink> {
        let levels = |path: &[u8]| path.split(|byte| *byte == b'/').filter(|name| !name.is_empty()).count();
        for (path, item) in self.below(folder) {
            *entries += 1;
            let depth = depth + levels(path) - levels(folder);
            if *entries > MAX_ENTRIES || depth > MAX_DEPTH {
                return Err(BadLink::TooMany(path.to_vec()));
            }
            let Item::Link { .. } = item else { continue };
            match self.resolve(path) {
                Ok((real, Item::Folder)) => self.check_below(&real, depth, entries)?,
                Err(Stray::Outside) => return Err(BadLink::Outside(path.to_vec())),
                // helm will say so.
                Ok(_) | Err(Stray::Nowhere) => {}
            }
        }
        Ok(())
    }

    /// Digest of everything below a folder, of `files`, and of where links among them lead. `None` where one leads out, or
    /// there is more than is looked at.
    pub(super) fn fingerprint(&self, folder: &RepoPath, files: &[&RepoPath]) -> Option<Fingerprint> {
        let mut cover = Cover { index: self, hash: blake3::Hasher::new(), open: Vec::new() };
        cover.path(folder.as_str().as_bytes())?;
        for file in files {
            cover.path(file.as_str().as_bytes())?;
        }
        let mut done: BTreeSet<Vec<u8>> = BTreeSet::new();
        let mut entries = 0;
        while let Some(folder) = cover.open.pop() {
            if around(&folder).any(|above| done.contains(above)) {
                continue;
            }
            for (path, item) in self.below(&folder) {
                entries += 1;
                if entries > MAX_ENTRIES {
                    return None;
                }
                cover.entry(path, item)?;
            }
            done.insert(folder);
        }
        Some(Fingerprint(cover.hash.finalize().into()))
    }
}

/// A fingerprint in the making.
struct Cover<'a> {
    index: &'a Index,
    hash: blake3::Hasher,
    /// Folders whose entries are still to be covered.
    open: Vec<Vec<u8>>,
}

impl Cover<'_> {
    fn entry(&mut self, path: &[u8], item: &Item) -> Option<()> {
        match item {
            Item::Folder => self.text(b'd', path),
            Item::File { digest, .. } => {
                self.text(b'f', path);
                self.hash.update(digest);
            }
            Item::Link { target } => {
                self.text(b'l', path);
                self.text(b't', target);
                self.path(path)?;
            }
        }
        Some(())
    }

    /// Covers where a path leads.
    fn path(&mut self, path: &[u8]) -> Option<()> {
        self.text(b'p', path);
        match self.index.resolve(path) {
            Err(Stray::Outside) => return None,
            Err(Stray::Nowhere) => self.text(b'n', b""),
            Ok((real, Item::File { digest, .. })) => {
                self.text(b'f', &real);
                self.hash.update(digest);
            }
            Ok((real, _)) => {
                self.text(b'o', &real);
                self.open.push(real);
            }
        }
        Some(())
    }

    /// What it is, how long it is, and the text: no two lists of entries are the same bytes.
    fn text(&mut self, kind: u8, text: &[u8]) {
        self.hash.update(&[kind]);
        self.hash.update(&(text.len() as u64).to_le_bytes());
        self.hash.update(text);
    }
}

/// A folder and all that hold it, the root last.
fn around(folder: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::successors(Some(folder), |folder| {
        (!folder.is_empty()).then(|| &folder[..folder.iter().rposition(|byte| *byte == b'/').unwrap_or(0)])
    })
}
