//! The socket by which the repo-server finds the plugin: bound without a gap, opened to the right users, removed at the end.

use std::collections::BTreeSet;
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixListener as StdListener;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use rustix::process::geteuid;
use tokio::net::UnixListener;
use tokio::sync::oneshot;
use tracing::{debug, info, warn};

use super::connections::Connections;

/// The most bytes of a socket's path: the kernel's 108 with the NUL at the end (`unix(7)`).
const MAX_PATH: usize = 107;

/// The user of Argo CD's own containers (argo-cd 3.6, `Dockerfile`).
const ARGOCD_UID: u32 = 999;

/// Where `OpenShift` begins to number the users of its namespaces; there all containers of a Pod have the same.
const OPENSHIFT_UIDS: u32 = 1_000_000_000;

/// Where the socket is, and for whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The folder that repo-server and plugins share.
    pub folder: PathBuf,
    /// The name by which Applications call the plugin.
    pub plugin_name: String,
    /// Users that may connect beside the one that this process runs as.
    pub other_uids: BTreeSet<u32>,
}

/// The socket cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The name is not that of one file.
    #[error("`{name}` cannot be the name of a plugin")]
    Name {
        /// As given.
        name: String,
    },
    /// The path is longer than the kernel takes.
    #[error("`{}` is too long for a socket: {} bytes, {MAX_PATH} at most", path.display(), path.as_os_str().len())]
    TooLong {
        /// The socket's.
        path: PathBuf,
    },
    /// There is no such folder.
    #[error("there is no folder `{}` for the plugin's socket", folder.display())]
    NoFolder {
        /// As given.
        folder: PathBuf,
    },
    /// Something else is in the folder's place.
    #[error("`{}`, where the plugin's socket belongs, is not a folder", folder.display())]
    NotAFolder {
        /// As given.
        folder: PathBuf,
    },
    /// This user may not make files there.
    #[error("uid {uid} may not make a socket in `{}`, which belongs to uid {owner} and has mode {mode:04o}", folder.display())]
    MayNot {
        /// As given.
        folder: PathBuf,
        /// Who we are.
        uid: u32,
        /// Whose it is.
        owner: u32,
        /// Its permissions.
        mode: u32,
    },
    /// The folder is on a read-only file system.
    #[error("`{}`, where the plugin's socket belongs, is mounted read-only", folder.display())]
    ReadOnly {
        /// As given.
        folder: PathBuf,
    },
    /// Another server has this name.
    #[error("another plugin server answers on `{}`", path.display())]
    Taken {
        /// The socket's.
        path: PathBuf,
    },
    /// Something that is no socket has this name.
    #[error("`{}` is in the way: it is not a socket", path.display())]
    InTheWay {
        /// The socket's.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error("cannot listen on `{}`", path.display())]
    Io {
        /// The socket's.
        path: PathBuf,
        /// Its reason.
        #[source]
        cause: io::Error,
    },
}

impl Error {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Name { .. } => {
                "set `ARGOCD_SOPS_PLUGIN_NAME` to what Applications say in `plugin.name`: without `/`, and not hidden".into()
            }
            Self::TooLong { .. } => {
                "choose a shorter `ARGOCD_SOPS_PLUGIN_NAME`, or a shorter path for the volume in `ARGOCD_PLUGINSOCKFILEPATH`".into()
            }
            Self::NoFolder { folder } => format!(
                "mount the volume `plugins` of the repo-server's Pod at `{}`, or name its place by \
                 `ARGOCD_PLUGINSOCKFILEPATH`",
                folder.display()
            ),
            Self::NotAFolder { .. } => "name the folder by `ARGOCD_PLUGINSOCKFILEPATH`".into(),
            Self::MayNot { .. } => format!(
                "run the container as the repo-server's user (`runAsUser: {ARGOCD_UID}`), and let `plugins` be the Pod's own \
                 `emptyDir`"
            ),
            Self::ReadOnly { .. } => "mount the volume `plugins` without `readOnly`".into(),
            Self::Taken { .. } => {
                "two containers serve the same plugin: remove one, or name one by `ARGOCD_SOPS_PLUGIN_NAME`".into()
            }
            Self::InTheWay { .. } => "remove it, or choose another `ARGOCD_SOPS_PLUGIN_NAME`".into(),
            Self::Io { .. } => return None,
        })
    }
}

/// Where the socket is, and which file it is.
#[derive(Debug, Clone)]
pub struct Place {
    path: PathBuf,
    identity: (u64, u64),
}

/// The socket's file; dropped means removed, unless it has become somebody else's.
#[derive(Debug)]
pub struct SocketFile {
    place: Place,
    /// Dropped with the file, which ends the connections' stream.
    _open: oneshot::Sender<()>,
}

/// Binds the socket and begins to listen. The file comes with the stream of those who connect: when the file is dropped, the
/// stream ends after the last one who had found it. Needs a tokio runtime.
///
/// A socket that a dead server left behind is replaced in one step, so that nobody finds the place empty. Until it listens,
/// ours is in a folder of its own: the repo-server would take it for a plugin (argo-cd 3.6, `util/app/discovery`, asks
/// every socket in the folder, whatever its name).
///
/// # Errors
///
/// If the name or the folder cannot be used, or another server answers there.
pub fn bind(options: &Options) -> Result<(SocketFile, Connections), Error> {
    let Options { folder, plugin_name, other_uids } = options;
    let name_error = || Error::Name { name: plugin_name.escape_debug().take(100).collect() };
    if plugin_name.is_empty()
        || plugin_name.starts_with('.')
        || plugin_name.contains(|c: char| c == '/' || c.is_control())
    {
        return Err(name_error());
    }
    let path = folder.join(format!("{plugin_name}.sock"));
    if path.as_os_str().len() > MAX_PATH {
        return Err(Error::TooLong { path });
    }
    let io_error = |cause| Error::Io { path: path.clone(), cause };
    let owner = check_folder(folder)?;
    // Servers that start at once look and bind one after the other.
    let lock = File::open(folder).map_err(|cause| unusable(folder, &owner, &path, cause))?;
    flock(&lock, FlockOperation::LockExclusive).map_err(|cause| io_error(cause.into()))?;
    check_place(&path)?;
    let nursery = tempfile::Builder::new()
        .prefix(".")
        .rand_bytes(3)
        .tempdir_in(folder)
        .map_err(|cause| unusable(folder, &owner, &path, cause))?;
    // Two bytes and the random ones: never longer than the shortest name.
    let cradle = nursery.path().join("s");
    let listener = StdListener::bind(&cradle).map_err(io_error)?;
    let mode = if other_uids.is_empty() { 0o600 } else { 0o666 };
    fs::set_permissions(&cradle, Permissions::from_mode(mode)).map_err(io_error)?;
    let about = fs::symlink_metadata(&cradle).map_err(io_error)?;
    listener.set_nonblocking(true).map_err(io_error)?;
    let listener = UnixListener::from_std(listener).map_err(io_error)?;
    fs::rename(&cradle, &path).map_err(io_error)?;
    let (open, closed) = oneshot::channel();
    say_what_is_served(options, &path);
    let allowed = other_uids.iter().copied().chain([geteuid().as_raw()]).collect();
    let connections = Connections::new(listener, allowed, closed);
    Ok((SocketFile { place: Place { path, identity: (about.dev(), about.ino()) }, _open: open }, connections))
}

fn say_what_is_served(options: &Options, path: &Path) {
    let uid = geteuid().as_raw();
    info!(plugin = options.plugin_name, socket = %path.display(), uid, "Applications call this plugin by `plugin.name: {}`", options.plugin_name);
    if uid != ARGOCD_UID && uid < OPENSHIFT_UIDS && options.other_uids.is_empty() {
        warn!(
            uid,
            "the repo-server can connect only if it has the same uid; Argo CD's is {ARGOCD_UID}: set `runAsUser: {ARGOCD_UID}`, or \
             list its uid in `ARGOCD_SOPS_ALLOWED_UIDS`"
        );
    }
    let others = fs::read_dir(&options.folder).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    for other in others.filter(|other| other != path && is_socket(other)) {
        debug!(socket = %other.display(), "another plugin");
    }
}

/// What the folder looks like, for messages.
fn check_folder(folder: &Path) -> Result<fs::Metadata, Error> {
    match fs::metadata(folder) {
        Ok(about) if about.is_dir() => Ok(about),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Err(Error::NoFolder { folder: folder.to_owned() }),
        Err(cause) if cause.kind() != io::ErrorKind::NotADirectory => Err(Error::Io { path: folder.to_owned(), cause }),
        _ => Err(Error::NotAFolder { folder: folder.to_owned() }),
    }
}

fn unusable(folder: &Path, about: &fs::Metadata, path: &Path, cause: io::Error) -> Error {
    let folder = folder.to_owned();
    match cause.kind() {
        io::ErrorKind::PermissionDenied => {
            Error::MayNot { folder, uid: geteuid().as_raw(), owner: about.uid(), mode: about.mode() & 0o7777 }
        }
        io::ErrorKind::ReadOnlyFilesystem => Error::ReadOnly { folder },
        _ => Error::Io { path: path.to_owned(), cause },
    }
}

/// Whether the place is free, or held by a socket that nobody listens on.
fn check_place(path: &Path) -> Result<(), Error> {
    let io_error = |cause| Error::Io { path: path.to_owned(), cause };
    match fs::symlink_metadata(path) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(cause) => return Err(io_error(cause)),
        Ok(about) if !about.file_type().is_socket() => return Err(Error::InTheWay { path: path.to_owned() }),
        Ok(_) => {}
    }
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let address = SocketAddrUnix::new(path).map_err(|cause| io_error(cause.into()))?;
    let probe =
        socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).map_err(|cause| io_error(cause.into()))?;
    match connect(&probe, &address) {
        Err(rustix::io::Errno::CONNREFUSED | rustix::io::Errno::NOENT) => {
            debug!(socket = %path.display(), "replacing the socket of a server that has ended");
            Ok(())
        }
        // It answers, is too busy to, or is another user's and so no leftover of this container.
        Ok(()) | Err(rustix::io::Errno::AGAIN | rustix::io::Errno::ACCESS | rustix::io::Errno::PERM) => {
            Err(Error::Taken { path: path.to_owned() })
        }
        Err(cause) => Err(io_error(cause.into())),
    }
}

fn is_socket(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|about| about.file_type().is_socket())
}

impl SocketFile {
    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.place.path
    }

    /// By which one can see whether it is still there.
    #[must_use]
    pub fn place(&self) -> Place {
        self.place.clone()
    }
}

impl Place {
    /// Whether the socket is still there, and not somebody else's.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        fs::symlink_metadata(&self.path).is_ok_and(|about| (about.dev(), about.ino()) == self.identity)
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.place.is_ours() {
            let _ = fs::remove_file(&self.place.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixStream as StdStream;

    use tokio::net::UnixStream;
    use tokio_stream::StreamExt as _;

    use super::*;

    fn options(folder: &Path, name: &str) -> Options {
        Options { folder: folder.to_owned(), plugin_name: name.to_owned(), other_uids: BTreeSet::new() }
    }

    fn names(folder: &Path) -> Vec<String> {
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    fn error(folder: &Path, name: &str) -> Error {
        bind(&options(folder, name)).map(|_| ()).unwrap_err()
    }

    #[tokio::test]
    async fn the_socket_has_the_plugins_name_and_is_for_its_own_user() {
        let folder = tempfile::tempdir().unwrap();
        let (file, mut connections) = bind(&options(folder.path(), "sops")).unwrap();
        assert_eq!(names(folder.path()), ["sops.sock"]);
        assert_eq!(fs::metadata(file.path()).unwrap().mode() & 0o777, 0o600);
        let _client = UnixStream::connect(file.path()).await.unwrap();
        assert!(connections.next().await.unwrap().is_ok());
        drop(file);
        assert!(names(folder.path()).is_empty());
    }

    #[tokio::test]
    async fn a_list_of_users_opens_the_socket_to_them() {
        let folder = tempfile::tempdir().unwrap();
        let other = geteuid().as_raw() + 1;
        let options = Options { other_uids: BTreeSet::from([other]), ..options(folder.path(), "sops") };
        let (file, mut connections) = bind(&options).unwrap();
        assert_eq!(fs::metadata(file.path()).unwrap().mode() & 0o777, 0o666);
        let _client = UnixStream::connect(file.path()).await.unwrap();
        assert!(connections.next().await.unwrap().is_ok());
    }

    #[tokio::test]
    async fn a_dead_servers_socket_is_replaced_and_a_live_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sops.sock");
        let live = StdListener::bind(&path).unwrap();
        assert!(matches!(error(folder.path(), "sops"), Error::Taken { .. }));
        assert!(StdStream::connect(&path).is_ok());
        drop(live);
        let (_file, mut connections) = bind(&options(folder.path(), "sops")).unwrap();
        let _client = UnixStream::connect(&path).await.unwrap();
        assert!(connections.next().await.unwrap().is_ok());
        let error = error(folder.path(), "sops");
        assert!(error.to_string().contains("another plugin server answers"), "{error}");
        assert!(error.hint().unwrap().contains("ARGOCD_SOPS_PLUGIN_NAME"));
    }

    #[tokio::test]
    async fn a_server_too_busy_to_answer_is_alive() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sops.sock");
        let busy = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::empty(), None).unwrap();
        rustix::net::bind(&busy, &SocketAddrUnix::new(&path).unwrap()).unwrap();
        rustix::net::listen(&busy, 0).unwrap();
        let _waits = StdStream::connect(&path).unwrap();
        assert!(matches!(error(folder.path(), "sops"), Error::Taken { .. }));
    }

    #[tokio::test]
    async fn nothing_but_a_socket_is_ever_replaced() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("file.sock"), "x").unwrap();
        fs::create_dir(folder.path().join("folder.sock")).unwrap();
        symlink("nowhere", folder.path().join("link.sock")).unwrap();
        for name in ["file", "folder", "link"] {
            assert!(matches!(error(folder.path(), name), Error::InTheWay { .. }), "{name}");
        }
        assert_eq!(names(folder.path()).len(), 3);
    }

    #[tokio::test]
    async fn of_servers_that_start_at_once_one_has_the_name() {
        let folder = tempfile::tempdir().unwrap();
        drop(StdListener::bind(folder.path().join("sops.sock")).unwrap());
        let starts: Vec<_> = (0..8)
            .map(|_| {
                let options = options(folder.path(), "sops");
                tokio::task::spawn_blocking(move || bind(&options))
            })
            .collect();
        let mut bound = Vec::new();
        for start in starts {
            bound.extend(start.await.unwrap().ok());
        }
        assert_eq!(bound.len(), 1);
        assert_eq!(names(folder.path()), ["sops.sock"]);
    }

    #[tokio::test]
    async fn a_name_must_be_that_of_one_file_that_fits() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["", ".", "..", "a/b", "../x", "/x", ".hidden", "a\nb", "a\0b"] {
            assert!(matches!(error(folder.path(), name), Error::Name { .. }), "{name:?}");
        }
        let room = MAX_PATH - folder.path().as_os_str().len() - "/.sock".len();
        assert!(bind(&options(folder.path(), &"x".repeat(room))).is_ok());
        assert!(matches!(error(folder.path(), &"x".repeat(room + 1)), Error::TooLong { .. }));
    }

    #[tokio::test]
    async fn a_short_name_fits_wherever_a_path_fits() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("d".repeat(MAX_PATH - folder.path().as_os_str().len() - "//x.sock".len()));
        fs::create_dir(&deep).unwrap();
        assert!(bind(&options(&deep, "x")).is_ok());
    }

    #[test]
    fn a_folder_that_cannot_be_used_is_explained() {
        let folder = tempfile::tempdir().unwrap();
        let missing = error(&folder.path().join("plugins"), "sops");
        assert!(missing.hint().unwrap().contains("mount the volume `plugins`"), "{missing}");
        fs::write(folder.path().join("file"), "").unwrap();
        assert!(matches!(error(&folder.path().join("file"), "sops"), Error::NotAFolder { .. }));
        assert!(matches!(error(&folder.path().join("file/below"), "sops"), Error::NotAFolder { .. }));
        fs::set_permissions(folder.path(), Permissions::from_mode(0o750)).unwrap();
        let about = fs::metadata(folder.path()).unwrap();
        let refused =
            |kind: io::ErrorKind| unusable(Path::new("/plugins"), &about, Path::new("/plugins/x"), kind.into());
        let may_not = refused(io::ErrorKind::PermissionDenied);
        assert!(may_not.to_string().contains("and has mode 0750"), "{may_not}");
        assert!(may_not.hint().unwrap().contains("runAsUser: 999"));
        assert!(matches!(refused(io::ErrorKind::ReadOnlyFilesystem), Error::ReadOnly { .. }));
    }

    #[tokio::test]
    async fn a_socket_that_has_become_somebody_elses_stays() {
        let folder = tempfile::tempdir().unwrap();
        let (file, _connections) = bind(&options(folder.path(), "sops")).unwrap();
        fs::remove_file(file.path()).unwrap();
        let _theirs = StdListener::bind(file.path()).unwrap();
        drop(file);
        assert_eq!(names(folder.path()), ["sops.sock"]);
    }
}
