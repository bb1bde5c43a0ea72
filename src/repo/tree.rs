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

    /// How many files, folders and links it has.
    #[must_use]
    pub fn entries(&self) -> usize {
        self.index.items.len()
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

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::archive::unpack;
    use super::super::samples::{Row, archive, file, folder, link};
    use super::super::{Limits, Source};
    use super::*;

    fn index(rows: &[Row<'_>]) -> (tempfile::TempDir, Index) {
        let folder = tempfile::tempdir().unwrap();
        let index = unpack(&archive(rows)[..], folder.path(), &Limits::default()).unwrap().index;
        (folder, index)
    }

    fn path(text: &str) -> RepoPath {
        RepoPath::root().join(text).unwrap()
    }

    /// The fingerprint of `app` with one file beside it.
    fn fingerprint(rows: &[Row<'_>]) -> Option<Fingerprint> {
        index(rows).1.fingerprint(&path("app"), &[&path("shared/values.yaml")])
    }

    const CHART: [Row<'static>; 5] = [
        (tar::EntryType::Regular, b"app/Chart.yaml", b"name: a"),
        (tar::EntryType::Regular, b"app/templates/a.yaml", b"a: 1"),
        (tar::EntryType::Symlink, b"app/templates/lib", b"../../lib"),
        (tar::EntryType::Regular, b"lib/one/x.tpl", b"x"),
        (tar::EntryType::Regular, b"shared/values.yaml", b"v: 1"),
    ];

    #[test]
    fn what_a_render_cannot_read_does_not_change_its_fingerprint() {
        let before = fingerprint(&CHART).unwrap();
        let others =
            [file("other/x", ""), file("application", "1"), file("app.yaml", ""), link("out", "/etc"), folder("z")];
        let rows: Vec<_> = CHART.into_iter().rev().chain(others).collect();
        assert_eq!(fingerprint(&rows), Some(before));
    }

    #[test]
    fn everything_that_a_render_can_read_changes_its_fingerprint() {
        let before = fingerprint(&CHART).unwrap();
        let with = |row: Row<'static>| {
            let rows: Vec<_> = CHART.into_iter().filter(|(_, name, _)| *name != row.1).chain([row]).collect();
            fingerprint(&rows).unwrap()
        };
        let changed = [
            with(file("app/Chart.yaml", "name: b")),
            with(file("app/templates/new.yaml", "")),
            with(file("app/.helmignore", "")),
            with(folder("app/empty")),
            with(link("app/Chart.yaml", "templates/a.yaml")),
            with(link("app/templates/lib", "../../lib/one")),
            with(link("app/dangling", "nowhere")),
            with(file("lib/one/x.tpl", "y")),
            with(file("lib/one/y.tpl", "x")),
            with(file("lib/new", "")),
            with(file("shared/values.yaml", "v: 2")),
            with(link("shared/values.yaml", "../app/Chart.yaml")),
            fingerprint(&CHART[1..]).unwrap(),
            fingerprint(&CHART[..4]).unwrap(),
        ];
        let all: BTreeSet<_> = changed.into_iter().chain([before]).collect();
        assert_eq!(all.len(), 15);
    }

    #[test]
    fn a_link_that_is_reached_through_another_is_covered_too() {
        let with = |target: &'static str, text: &'static str| {
            let rows = [link("app/a", "../b"), link("b", "c"), link("c/d", target), file("c/x", "1"), file("d", text)];
            fingerprint(&rows)
        };
        let before = with("../d", "1");
        assert!(before.is_some());
        assert_ne!(before, with("../d", "2"));
        assert_ne!(before, with("x", "1"));
        assert_eq!(with("../../d", "1"), None, "it leads out");
        assert_eq!(with("/d", "1"), None, "it leads out");
    }

    #[test]
    fn links_in_circles_have_a_fingerprint_and_are_refused_by_the_check() {
        for rows in [&[link("app/one", ".")][..], &[link("app/one", "."), link("app/two", "."), file("app/x", "")]] {
            assert!(fingerprint(rows).is_some());
            assert!(matches!(index(rows).1.check_links(b"app"), Err(BadLink::TooMany(_))));
        }
        let rows = [link("app/one", "two"), link("app/two", "one")];
        assert!(fingerprint(&rows).is_some());
        assert_eq!(index(&rows).1.check_links(b"app"), Ok(()), "it leads nowhere: helm will say so");
    }

    #[test]
    fn the_check_of_links_says_what_a_walk_of_the_folder_says() {
        for (number, (rows, fits)) in [
            (vec![link("app/in", "../shared"), file("shared/x", "")], true),
            (vec![link("app/root", ".."), link("out", "/etc/passwd")], false),
            (vec![file("app/x", ""), link("out", "/etc/passwd")], true),
            (vec![link("app/out", "../../x")], false),
            (vec![link("app/out", "/etc/passwd")], false),
            (vec![link("app/in", "../shared"), link("shared/out", "../../x")], false),
            (vec![link("app/in", "../shared/x"), file("shared/x", ""), link("shared/out", "../../x")], true),
            (vec![link("app/nowhere", "x/y"), link("app/self", "self")], true),
            (vec![link("app/file", "x/../y"), file("app/x", ""), file("app/y", "")], true),
        ]
        .into_iter()
        .enumerate()
        {
            let rows: Vec<_> = [folder("app")].into_iter().chain(rows).collect();
            let (place, index) = index(&rows);
            assert_eq!(index.check_links(b"app").is_ok(), fits, "{number}");
            assert_eq!(Source::open(place.path(), "app").unwrap().check_links().is_ok(), fits, "{number}");
        }
    }

    #[test]
    fn a_source_of_a_tree_keeps_it_and_knows_its_fingerprint() {
        let (place, index) = index(&CHART);
        let folder = place.keep();
        let remover = Remover::start(std::time::Duration::from_secs(1), || ()).unwrap();
        let tree = Tree::new(folder.clone(), index, Sums::default(), None, remover.clone());
        let source = Source::of_tree(tree.into(), "app", "").unwrap();
        assert!(source.fingerprint(&[]).is_some());
        source.check_links().unwrap();
        assert_eq!(Source::open(&folder, "app").unwrap().fingerprint(&[]), None, "nobody knows of a check-out");
        remover.finish();
        assert!(folder.is_dir());
        drop(source);
        remover.finish();
        assert!(!fs::exists(folder).unwrap());
    }
}
