//! One source tree, and reading from it.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cap_std::ambient_authority;
use cap_std::fs::{Dir, MetadataExt as _};

use super::tree::BadLink;
use super::{Fingerprint, Glob, RepoPath, Tree};

/// The most entries that a glob, a listing or a check of a tree looks at.
const MAX_ENTRIES: usize = 200_000;

/// The most bytes of a private copy.
const MAX_COPY: u64 = 512 * 1024 * 1024;

/// The deepest folder that a walk enters.
const MAX_DEPTH: usize = 100;

/// A folder tree that nothing is read outside of, and the folder of the application in it.
pub struct Source {
    root: Dir,
    root_path: PathBuf,
    app: RepoPath,
    above: RepoPath,
    /// Where it was unpacked from an archive: kept alive, and what is in it is known.
    tree: Option<Arc<Tree>>,
}

/// A glob on its way through the tree.
struct Search {
    glob: Glob,
    entries: usize,
    /// The folders around the present one, by device and number: a link to one of them would never end.
    within: Vec<(u64, u64)>,
    found: Vec<RepoPath>,
}

/// Where a relative path begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Base {
    /// In the application's folder.
    Application,
    /// At the root of the source.
    Root,
}

/// A file of the source, opened.
#[derive(Debug)]
pub struct SourceFile {
    path: RepoPath,
    file: cap_std::fs::File,
}

/// A path of the source could not be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The text leads above the root, or a link does.
    #[error("`{path}` leads out of the source")]
    Outside {
        /// As written.
        path: String,
    },
    /// The file is in the repository, but above what was sent.
    #[error("`{path}` was not sent to this plugin")]
    NotSent {
        /// Relative to the root of the repository.
        path: RepoPath,
    },
    /// There is no such file.
    #[error("`{path}` does not exist")]
    Missing {
        /// Relative to the root of the source.
        path: RepoPath,
        /// Names nearby that are like it, best first.
        nearest: Vec<String>,
    },
    /// There is something, but not a regular file.
    #[error("`{path}` is not a file")]
    NotAFile {
        /// Relative to the root of the source.
        path: RepoPath,
    },
    /// The application's folder, or the root, is not there.
    #[error("`{path}` is not a folder")]
    NotAFolder {
        /// As given.
        path: String,
    },
    /// The file is larger than what is read.
    #[error("`{path}` is larger than {limit} bytes")]
    TooLarge {
        /// Relative to the root of the source.
        path: RepoPath,
        /// The limit in bytes.
        limit: u64,
    },
    /// The tree has more entries or levels than are walked.
    #[error("`{path}` holds more than {MAX_ENTRIES} entries or {MAX_DEPTH} levels")]
    TooMany {
        /// Relative to the root of the source.
        path: RepoPath,
    },
    /// A glob that cannot be read.
    #[error("`{pattern}` is not a valid glob")]
    BadGlob {
        /// As written.
        pattern: String,
    },
    /// The operating system refused.
    #[error("cannot read `{path}`")]
    Io {
        /// Relative to the root of the source.
        path: RepoPath,
        /// Its reason.
        #[source]
        cause: io::Error,
    },
}

impl Error {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Outside { .. } => Some(
                "refer to files of the same repository; a leading `/` means its root, and links must stay inside".into(),
            ),
            Self::NotSent { .. } => Some(
                "list its folder in the annotation `argocd.argoproj.io/manifest-generate-paths`, or remove the annotation".into(),
            ),
            Self::Missing { nearest, .. } if !nearest.is_empty() => {
                Some(format!("did you mean {}?", nearest.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" or ")))
            }
            Self::Missing { .. } => Some(
                "paths are relative to the application's folder; a leading `/` means the root of the repository".into(),
            ),
            Self::NotAFile { .. } => Some("name a file, or a glob that matches files".into()),
            Self::NotAFolder { .. } => Some("check `path` of the source".into()),
            Self::BadGlob { .. } => Some("`*` and `?` match within a folder, `**` across folders, `[a-z]` one character".into()),
            Self::TooLarge { .. } | Self::TooMany { .. } | Self::Io { .. } => None,
        }
    }
}

impl Source {
    /// Opens a tree. `app` is the application's folder, relative to the root.
    ///
    /// # Errors
    ///
    /// If the root or the application's folder is not a folder, or the latter leads out of the root.
    pub fn open(root: &Path, app: &str) -> Result<Self, Error> {
        Self::open_trimmed(root, app, "")
    }

    /// Opens a tree of which the repository holds more: `above` is the path of its root in the repository, so that paths
    /// from there find their files. Argo CD trims what it sends with `manifest-generate-paths`.
    ///
    /// # Errors
    ///
    /// As [`Source::open`].
    pub fn open_trimmed(root: &Path, app: &str, above: &str) -> Result<Self, Error> {
        let unopened = |path: &dyn std::fmt::Display, cause: io::Error| match cause.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::InvalidInput => {
                Error::NotAFolder { path: path.to_string() }
            }
            _ => Error::Io { path: shown(path.to_string().as_bytes()), cause },
        };
        let outside = |path: &str| Error::Outside { path: path.to_owned() };
        let root_path = root.canonicalize().map_err(|cause| unopened(&root.display(), cause))?;
        let dir =
            Dir::open_ambient_dir(&root_path, ambient_authority()).map_err(|cause| unopened(&root.display(), cause))?;
        let source = Self {
            root: dir,
            root_path,
            app: RepoPath::root().join(app).ok_or_else(|| outside(app))?,
            above: RepoPath::root().join(above).ok_or_else(|| outside(above))?,
            tree: None,
        };
        source
            .root
            .open_dir(source.app.as_os_path())
            .map_err(|cause| if is_escape(&cause) { outside(app) } else { unopened(&app, cause) })?;
        Ok(source)
    }

    /// Opens a tree that was unpacked from an archive, and keeps it from being removed. `above` as in
    /// [`Source::open_trimmed`].
    ///
    /// # Errors
    ///
    /// As [`Source::open`].
    pub fn of_tree(tree: Arc<Tree>, app: &str, above: &str) -> Result<Self, Error> {
        let source = Self::open_trimmed(tree.folder(), app, above)?;
        Ok(Self { tree: Some(tree), ..source })
    }

    /// Digest of all that can be read of the application's folder and of `files` (folders with all that is in them), links
    /// followed: names, kinds and contents. `None` where nobody knows, as in a check-out, or where a link leads out.
    #[must_use]
    pub fn fingerprint(&self, files: &[&RepoPath]) -> Option<Fingerprint> {
        self.tree.as_ref()?.index().fingerprint(&self.app, files)
    }

    /// The application's folder, relative to the root.
    #[must_use]
    pub fn app(&self) -> &RepoPath {
        &self.app
    }

    /// The application's folder for a child process to work in.
    #[must_use]
    pub fn app_folder(&self) -> PathBuf {
        self.root_path.join(self.app.as_os_path())
    }

    /// The root, for a private copy of parts of the tree.
    #[must_use]
    pub fn root_folder(&self) -> &Path {
        &self.root_path
    }

    /// The path of `text` in this source, without a look at the files.
    ///
    /// # Errors
    ///
    /// If it leads above the root of the repository, or above what was sent of it.
    pub fn resolve(&self, base: Base, text: &str) -> Result<RepoPath, Error> {
        let outside = || Error::Outside { path: text.to_owned() };
        if text.contains('\0') {
            return Err(outside());
        }
        let base = match base {
            Base::Application => self.above.join(self.app.as_str()).ok_or_else(outside)?,
            Base::Root => RepoPath::root(),
        };
        let path = base.join(text).ok_or_else(outside)?;
        path.below(&self.above).ok_or(Error::NotSent { path })
    }

    /// Opens a file beneath the root. Links are followed as long as they stay inside.
    ///
    /// # Errors
    ///
    /// If there is none, it is not a regular file, or a link leads out of the source.
    pub fn file(&self, path: RepoPath) -> Result<SourceFile, Error> {
        let file = self.root.open(path.as_os_path()).map_err(|cause| self.unopened(&path, cause))?;
        match file.metadata() {
            Ok(metadata) if metadata.is_file() => Ok(SourceFile { path, file }),
            Ok(_) => Err(Error::NotAFile { path }),
            Err(cause) => Err(Error::Io { path, cause }),
        }
    }

    fn unopened(&self, path: &RepoPath, cause: io::Error) -> Error {
        if is_escape(&cause) {
            return Error::Outside { path: path.to_string() };
        }
        match cause.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
                Error::Missing { path: path.clone(), nearest: self.nearest(path) }
            }
            _ => Error::Io { path: path.clone(), cause },
        }
    }

    /// Names beside a missing file that look like it, relative to the application's folder where they are in it.
    fn nearest(&self, missing: &RepoPath) -> Vec<String> {
        let folder = missing.parent();
        let Ok(entries) = self.root.read_dir(folder.as_os_path()) else { return Vec::new() };
        let wanted = missing.file_name();
        let mut near: Vec<(usize, String)> = entries
            .take(1_000)
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter_map(|name| {
                let distance = strsim::damerau_levenshtein(wanted, &name);
                let related = name.starts_with(wanted.split('.').next()?) && wanted.len() > 3;
                (distance <= 2.max(wanted.len() / 3) || related).then_some((distance, name))
            })
            .collect();
        near.sort();
        near.into_iter().take(3).filter_map(|(_, name)| Some(folder.join(&name)?.to_string())).collect()
    }

    /// The files that a glob matches, in the order of the doublestar library (4.10, as in argo-cd 3.6): lexical, a folder's
    /// own files before those of its sub-folders, unless the pattern ends in `**`, which lists them as they come. Links are
    /// followed, also to folders, as long as they stay inside; folders themselves are left out.
    ///
    /// # Errors
    ///
    /// If the glob cannot be read, a link leads out of the source, or the tree is too large to be walked.
    pub fn matches(&self, pattern: &RepoPath) -> Result<Vec<RepoPath>, Error> {
        let glob = Glob::new(pattern).ok_or_else(|| Error::BadGlob { pattern: pattern.to_string() })?;
        let mut search = Search { glob, entries: 0, within: Vec::new(), found: Vec::new() };
        match self.search(&search.glob.folder(), &mut search) {
            Err(Error::Missing { .. }) if search.found.is_empty() => {}
            outcome => outcome?,
        }
        Ok(search.found)
    }

    fn search(&self, folder: &RepoPath, search: &mut Search) -> Result<(), Error> {
        if search.within.len() > MAX_DEPTH {
            return Err(Error::TooMany { path: folder.clone() });
        }
        let identity = self.root.metadata(folder.as_os_path()).map_err(|cause| self.unopened(folder, cause))?;
        let identity = (identity.dev(), identity.ino());
        if search.within.contains(&identity) {
            return Ok(());
        }
        search.within.push(identity);
        let mut folders = Vec::new();
        for (name, kind) in self.listing(folder, &mut search.entries)? {
            let Some(path) = folder.join(&name).filter(|_| name != ".git") else { continue };
            let is_folder = kind.is_dir() || (kind.is_symlink() && self.leads_to_folder(&path, search)?);
            if !is_folder && search.glob.matches(&path) {
                search.found.push(path);
            } else if is_folder && search.glob.enters(&path) {
                if search.glob.lists_as_they_come() {
                    self.search(&path, search)?;
                } else {
                    folders.push(path);
                }
            }
        }
        for path in folders {
            self.search(&path, search)?;
        }
        search.within.pop();
        Ok(())
    }

    /// Whether a link leads to a folder. One that leads out of the source is an error only if the glob asks for it.
    fn leads_to_folder(&self, path: &RepoPath, search: &Search) -> Result<bool, Error> {
        match self.root.metadata(path.as_os_path()) {
            Ok(metadata) => Ok(metadata.is_dir()),
            Err(cause) if is_escape(&cause) && search.glob.matches(path) => {
                Err(Error::Outside { path: path.to_string() })
            }
            Err(_) => Ok(false),
        }
    }

    /// The path of a folder of the source, if it is one.
    ///
    /// # Errors
    ///
    /// If there is none, it is not a folder, or a link leads out of the source.
    pub fn folder(&self, path: RepoPath) -> Result<RepoPath, Error> {
        match self.root.metadata(path.as_os_path()) {
            Ok(metadata) if metadata.is_dir() => Ok(path),
            Ok(_) => Err(Error::NotAFolder { path: path.to_string() }),
            Err(cause) => Err(self.unopened(&path, cause)),
        }
    }

    /// Checks that no link that helm may follow leads out of the source: those below the application's folder, and those
    /// below folders that such links point to. helm reads `.git` as well, and names that are not UTF-8.
    ///
    /// # Errors
    ///
    /// [`Error::Outside`] for the first one that does.
    pub fn check_links(&self) -> Result<(), Error> {
        if let Some(tree) = &self.tree {
            return tree.index().check_links(self.app.as_str().as_bytes()).map_err(|bad| match bad {
                BadLink::Outside(path) => Error::Outside { path: String::from_utf8_lossy(&path).into_owned() },
                BadLink::TooMany(path) => Error::TooMany { path: shown(&path) },
            });
        }
        self.check_folder(Path::new(self.app.as_os_path()), 0, &mut 0)
    }

    fn check_folder(&self, folder: &Path, depth: usize, entries: &mut usize) -> Result<(), Error> {
        let shown = |path: &Path| shown(path.as_os_str().as_bytes());
        let unopened = |path: &Path, cause: io::Error| self.unopened(&shown(path), cause);
        if depth > MAX_DEPTH {
            return Err(Error::TooMany { path: shown(folder) });
        }
        for entry in self.root.read_dir(folder).map_err(|cause| unopened(folder, cause))? {
            let entry = entry.map_err(|cause| unopened(folder, cause))?;
            *entries += 1;
            if *entries > MAX_ENTRIES {
                return Err(Error::TooMany { path: shown(folder) });
            }
            let path = folder.join(entry.file_name());
            let kind = entry.file_type().map_err(|cause| unopened(&path, cause))?;
            let is_folder = kind.is_dir()
                || kind.is_symlink()
                    && match self.root.metadata(&path) {
                        Ok(metadata) => metadata.is_dir(),
                        Err(cause) if is_escape(&cause) => return Err(unopened(&path, cause)),
                        // Leads nowhere, or in a circle: helm will say so.
                        Err(_) => false,
                    };
            if is_folder {
                self.check_folder(&path, depth + 1, entries)?;
            }
        }
        Ok(())
    }

    /// Copies folders of the source to the same places below `target`. Links are followed as long as they stay inside;
    /// `.git` and special files are left out.
    ///
    /// # Errors
    ///
    /// If a link leads out of the source, there is more than is copied, or the operating system refuses.
    pub fn copy(&self, folders: &BTreeSet<RepoPath>, target: &Path) -> Result<(), Error> {
        let (mut entries, mut room) = (0, MAX_COPY);
        folders.iter().try_for_each(|folder| self.copy_folder(folder, target, 0, &mut entries, &mut room))
    }

    fn copy_folder(
        &self,
        folder: &RepoPath,
        target: &Path,
        depth: usize,
        entries: &mut usize,
        room: &mut u64,
    ) -> Result<(), Error> {
        if depth > MAX_DEPTH {
            return Err(Error::TooMany { path: folder.clone() });
        }
        let io_error = |path: &RepoPath, cause| Error::Io { path: path.clone(), cause };
        let too_large = || Error::TooLarge { path: folder.clone(), limit: MAX_COPY };
        // `target/.` cannot be made where there is no `target` yet.
        fs::create_dir_all(target.join(folder.as_str())).map_err(|cause| io_error(folder, cause))?;
        for (name, _) in self.listing(folder, entries)? {
            let Some(path) = folder.join(&name).filter(|_| name != ".git") else { continue };
            let metadata = match self.root.metadata(path.as_os_path()) {
                Ok(metadata) => metadata,
                Err(cause) if cause.kind() == io::ErrorKind::NotFound => continue,
                Err(cause) => return Err(self.unopened(&path, cause)),
            };
            if metadata.is_dir() {
                self.copy_folder(&path, target, depth + 1, entries, room)?;
            } else if metadata.is_file() {
                if metadata.len() > *room {
                    return Err(too_large());
                }
                let mut from = self.file(path.clone())?.file.take(*room + 1);
                let mut to =
                    fs::File::create(target.join(path.as_os_path())).map_err(|cause| io_error(&path, cause))?;
                let copied = io::copy(&mut from, &mut to).map_err(|cause| io_error(&path, cause))?;
                *room = room.checked_sub(copied).ok_or_else(too_large)?;
            }
        }
        Ok(())
    }

    /// The names in a folder and what they are, in lexical order; names that are not UTF-8 are left out.
    fn listing(&self, folder: &RepoPath, entries: &mut usize) -> Result<Vec<(String, cap_std::fs::FileType)>, Error> {
        let listing = self.root.read_dir(folder.as_os_path()).map_err(|cause| self.unopened(folder, cause))?;
        let mut names = Vec::new();
        for entry in listing {
            let entry = entry.map_err(|cause| Error::Io { path: folder.clone(), cause })?;
            *entries += 1;
            if *entries > MAX_ENTRIES {
                return Err(Error::TooMany { path: folder.clone() });
            }
            let kind = entry.file_type().map_err(|cause| Error::Io { path: folder.clone(), cause })?;
            if let Ok(name) = entry.file_name().into_string() {
                names.push((name, kind));
            }
        }
        names.sort_by(|(one, _), (other, _)| one.cmp(other));
        Ok(names)
    }
}

impl SourceFile {
    /// Its path, relative to the root of the source.
    #[must_use]
    pub fn path(&self) -> &RepoPath {
        &self.path
    }

    /// Reads it whole.
    ///
    /// # Errors
    ///
    /// If it is larger than `limit` bytes, or the operating system refuses.
    pub fn read(self, limit: u64) -> Result<Vec<u8>, Error> {
        let Self { path, file } = self;
        let length = file.metadata().map_or(0, |metadata| metadata.len());
        if length > limit {
            return Err(Error::TooLarge { path, limit });
        }
        let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0) + 1);
        match file.take(limit + 1).read_to_end(&mut bytes) {
            Ok(_) if bytes.len() as u64 > limit => Err(Error::TooLarge { path, limit }),
            Ok(_) => Ok(bytes),
            Err(cause) => Err(Error::Io { path, cause }),
        }
    }
}

/// A path for a message.
fn shown(path: &[u8]) -> RepoPath {
    RepoPath::root().join(&String::from_utf8_lossy(path)).unwrap_or_default()
}

/// Whether opening failed because the path would have led out of the root: the kernel says `EXDEV`, cap-std's own walk
/// reports a permission error of its own making.
pub(super) fn is_escape(cause: &io::Error) -> bool {
    cause.raw_os_error() == Some(rustix::io::Errno::XDEV.raw_os_error())
        || (cause.kind() == io::ErrorKind::PermissionDenied && cause.raw_os_error().is_none())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn tree() -> (tempfile::TempDir, Source) {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("repo");
        for (path, text) in [
            ("app/values.yaml", "a: 1"),
            ("app/secrets.yaml", "b: 2"),
            ("app/env/qa/values.yaml", "c: 3"),
            ("app/env/values.yaml", "d: 4"),
            ("shared/values.yaml", "e: 5"),
        ] {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        fs::write(folder.path().join("outside.yaml"), "secret").unwrap();
        symlink("../../outside.yaml", root.join("app/out.yaml")).unwrap();
        symlink("/etc/passwd", root.join("app/absolute.yaml")).unwrap();
        symlink("../shared", root.join("app/linked")).unwrap();
        let source = Source::open(&root, "app").unwrap();
        (folder, source)
    }

    fn read(source: &Source, base: Base, path: &str) -> Result<String, Error> {
        let bytes = source.file(source.resolve(base, path)?)?.read(100)?;
        Ok(String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn files_are_read_from_the_application_and_from_the_root() {
        let (_keep, source) = tree();
        assert_eq!(read(&source, Base::Application, "values.yaml").unwrap(), "a: 1");
        assert_eq!(read(&source, Base::Application, "../shared/values.yaml").unwrap(), "e: 5");
        assert_eq!(read(&source, Base::Root, "shared/values.yaml").unwrap(), "e: 5");
        assert_eq!(read(&source, Base::Application, "linked/values.yaml").unwrap(), "e: 5");
    }

    #[test]
    fn what_the_system_refuses_is_not_called_missing() {
        let folder = tempfile::tempdir().unwrap();
        symlink("circle", folder.path().join("circle")).unwrap();
        fs::write(folder.path().join("file"), "").unwrap();
        let open = |app| Source::open(folder.path(), app).map(drop).unwrap_err();
        assert!(matches!(open("circle"), Error::Io { .. }), "{:?}", open("circle"));
        assert!(matches!(Source::open(&folder.path().join("circle"), "").map(drop), Err(Error::Io { .. })));
        for app in ["file", "nothing"] {
            assert!(matches!(open(app), Error::NotAFolder { .. }), "{app}");
        }
    }

    #[test]
    fn no_way_leads_out_of_the_source() {
        let (_keep, source) = tree();
        for path in ["../../outside.yaml", "out.yaml", "absolute.yaml", "../../../../etc/passwd"] {
            assert!(matches!(read(&source, Base::Application, path), Err(Error::Outside { .. })), "{path}");
        }
        assert!(matches!(source.check_links(), Err(Error::Outside { .. })));
    }

    #[test]
    fn a_link_that_helm_would_follow_out_is_found_wherever_it_hides() {
        use std::ffi::OsStr;

        let hides: [fn(&Path); 4] = [
            |root| {
                symlink("/etc/passwd", root.join("shared/out.yaml")).unwrap();
                symlink("../shared", root.join("app/linked")).unwrap();
            },
            |root| {
                fs::create_dir_all(root.join("app/.git")).unwrap();
                symlink("/etc/passwd", root.join("app/.git/out.yaml")).unwrap();
            },
            |root| symlink("/etc/passwd", root.join("app").join(OsStr::from_bytes(b"\xff.yaml"))).unwrap(),
            |root| {
                let folder = root.join("app").join(OsStr::from_bytes(b"\xff"));
                fs::create_dir_all(&folder).unwrap();
                symlink("/etc/passwd", folder.join("out.yaml")).unwrap();
            },
        ];
        for (number, hide) in hides.into_iter().enumerate() {
            let folder = tempfile::tempdir().unwrap();
            fs::create_dir_all(folder.path().join("app")).unwrap();
            fs::create_dir_all(folder.path().join("shared")).unwrap();
            let source = Source::open(folder.path(), "app").unwrap();
            source.check_links().unwrap();
            hide(folder.path());
            assert!(matches!(source.check_links(), Err(Error::Outside { .. })), "{number}");
        }
    }

    #[test]
    fn links_in_circles_end() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("app")).unwrap();
        for name in ["one", "two"] {
            symlink(".", folder.path().join("app").join(name)).unwrap();
        }
        let source = Source::open(folder.path(), "app").unwrap();
        assert!(source.check_links().is_err());
        let app = BTreeSet::from([RepoPath::root().join("app").unwrap()]);
        assert!(source.copy(&app, &folder.path().join("copy")).is_err());
    }

    #[test]
    fn a_copy_has_a_limit() {
        let (keep, _) = tree();
        let root = keep.path().join("repo/shared");
        fs::File::create(root.join("sparse")).unwrap().set_len(1 << 40).unwrap();
        let source = Source::open(&root, "").unwrap();
        let everything = BTreeSet::from([RepoPath::root()]);
        let error = source.copy(&everything, &keep.path().join("copy")).unwrap_err();
        assert!(matches!(error, Error::TooLarge { limit: MAX_COPY, .. }), "{error}");
    }

    #[test]
    fn a_trimmed_source_finds_what_was_sent_and_says_what_was_not() {
        let (keep, _) = tree();
        let source = Source::open_trimmed(&keep.path().join("repo/app"), "env", "app").unwrap();
        assert_eq!(read(&source, Base::Root, "app/values.yaml").unwrap(), "a: 1");
        assert_eq!(read(&source, Base::Application, "../values.yaml").unwrap(), "a: 1");
        let error = read(&source, Base::Application, "../../shared/values.yaml").unwrap_err();
        assert_eq!(error.to_string(), "`shared/values.yaml` was not sent to this plugin");
        assert!(matches!(read(&source, Base::Application, "../../../x"), Err(Error::Outside { .. })));
    }

    #[test]
    fn a_missing_file_names_its_neighbours() {
        let (_keep, source) = tree();
        let error = read(&source, Base::Application, "secret.yaml").unwrap_err();
        assert_eq!(error.to_string(), "`app/secret.yaml` does not exist");
        assert_eq!(error.hint().unwrap(), "did you mean `app/secrets.yaml`?");
    }

    #[test]
    fn a_folder_is_not_a_file() {
        let (_keep, source) = tree();
        assert!(matches!(read(&source, Base::Application, "env"), Err(Error::NotAFile { .. })));
    }

    #[test]
    fn a_file_beyond_the_limit_is_refused() {
        let (_keep, source) = tree();
        let file = source.file(source.resolve(Base::Application, "values.yaml").unwrap()).unwrap();
        assert!(matches!(file.read(3), Err(Error::TooLarge { limit: 3, .. })));
    }

    #[test]
    fn a_copy_holds_what_links_point_to() {
        let (keep, source) = tree();
        let target = keep.path().join("copy");
        let app = BTreeSet::from([RepoPath::root().join("app").unwrap()]);
        assert!(matches!(source.copy(&app, &target), Err(Error::Outside { .. })));
        fs::remove_file(keep.path().join("repo/app/out.yaml")).unwrap();
        fs::remove_file(keep.path().join("repo/app/absolute.yaml")).unwrap();
        source.copy(&app, &target).unwrap();
        assert_eq!(fs::read_to_string(target.join("app/linked/values.yaml")).unwrap(), "e: 5");
    }

    #[test]
    fn globs_list_a_folder_before_its_sub_folders() {
        let (_keep, source) = tree();
        let found = |pattern| -> Vec<String> {
            source
                .matches(&source.resolve(Base::Application, pattern).unwrap())
                .unwrap()
                .iter()
                .map(ToString::to_string)
                .collect()
        };
        assert_eq!(found("env/**/values.yaml"), ["app/env/values.yaml", "app/env/qa/values.yaml"]);
        assert_eq!(found("[s-v]*.yaml"), ["app/secrets.yaml", "app/values.yaml"]);
        assert_eq!(found("../shared/v?lues.yam[k-m]"), ["shared/values.yaml"]);
        assert_eq!(found("env/**"), ["app/env/qa/values.yaml", "app/env/values.yaml"]);
        assert_eq!(found("env/{qa,.}/v*"), ["app/env/qa/values.yaml"]);
        assert!(found("nothing/*.yaml").is_empty());
    }

    #[test]
    fn globs_follow_links_inside_the_source_and_end_in_a_loop() {
        let (_keep, source) = tree();
        let found = |pattern| source.matches(&source.resolve(Base::Application, pattern).unwrap());
        let shown = |paths: Vec<RepoPath>| paths.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(shown(found("*/values.yaml").unwrap()), ["app/env/values.yaml", "app/linked/values.yaml"]);
        symlink("../../app", source.app_folder().join("env/loop")).unwrap();
        assert_eq!(
            shown(found("env/**/values.yaml").unwrap()),
            [
                "app/env/values.yaml",
                "app/env/loop/values.yaml",
                "app/env/loop/linked/values.yaml",
                "app/env/qa/values.yaml"
            ]
        );
        assert!(matches!(found("*.yaml"), Err(Error::Outside { .. })), "a match that leads out is an error");
    }
}
