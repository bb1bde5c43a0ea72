//! The keys that are there now: a process that lives long reads them again when they change.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tracing::info;

use super::files::{MAX_FILES, SUB_FOLDERS, names};
use super::{Places, load, watched};
use crate::sops::Keyring;

/// How often the places are looked at. A key that was taken away opens nothing after that.
const EVERY: Duration = Duration::from_secs(1);

/// The keys of some places, as they are now.
pub struct Keys {
    places: Keyring,
    watched: Vec<PathBuf>,
    every: Duration,
    state: Mutex<State>,
}

/// The keys as they were at one time. Whoever holds this keeps them; others get later ones.
#[derive(Debug, Clone)]
pub struct Generation {
    /// From 1; another one means that something has changed.
    pub number: u64,
    /// The keys, read when a file needs them.
    pub keyring: Arc<Keyring>,
}

struct State {
    looked: Option<Instant>,
    seen: Seen,
    generation: Generation,
}

/// What the watched paths looked like: a digest of what changes with their content.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Seen([u8; 32]);

impl Keys {
    /// The keys of these places, none of which is read yet.
    #[must_use]
    pub fn new(places: Places) -> Self {
        Self::looked_at(places, EVERY)
    }

    pub(crate) fn looked_at(places: Places, every: Duration) -> Self {
        let watched = watched(&places);
        let places = load(places);
        let generation = Generation { number: 1, keyring: Arc::new(places.afresh()) };
        let state = Mutex::new(State { looked: None, seen: Seen([0; 32]), generation });
        Self { places, watched, every, state }
    }

    /// The keys as they are now, or were a second ago at most. Looks at files: not for threads that must not wait.
    #[must_use]
    pub fn now(&self) -> Generation {
        let mut state = self.lock();
        match state.looked {
            Some(looked) if looked.elapsed() < self.every => state.generation.clone(),
            Some(_) => {
                // Others need not wait for a slow disk.
                state.looked = Some(Instant::now());
                drop(state);
                self.look()
            }
            None => {
                // Before anything is read, so that what changes later is seen.
                state.looked = Some(Instant::now());
                state.seen = Seen::now(&self.watched);
                state.generation.clone()
            }
        }
    }

    /// As [`Keys::now`], but looked at this moment.
    #[must_use]
    pub fn look(&self) -> Generation {
        let seen = Seen::now(&self.watched);
        let mut state = self.lock();
        if state.seen != seen {
            let number = state.generation.number + 1;
            state.generation = Generation { number, keyring: Arc::new(self.places.afresh()) };
            state.seen = seen;
            info!(generation = number, "keys have changed");
        }
        state.generation.clone()
    }

    /// The number of the present keys, without a look at files.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.lock().generation.number
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    fn now(paths: &[PathBuf]) -> Self {
        let mut digest = blake3::Hasher::new();
        let mut room = 2 * MAX_FILES;
        for path in paths {
            look_at(path, SUB_FOLDERS + 1, &mut room, &mut digest);
        }
        Self(*digest.finalize().as_bytes())
    }
}

/// Takes in what is at a path, through links, as the files of a mount are read: a folder with what is in it.
fn look_at(path: &Path, levels: usize, room: &mut usize, digest: &mut blake3::Hasher) {
    digest.update(path.as_os_str().as_encoded_bytes()).update(&[0]);
    let Ok(metadata) = fs::metadata(path) else { return };
    digest.update(&metadata.dev().to_le_bytes()).update(&metadata.ino().to_le_bytes());
    if metadata.is_file() {
        for number in [metadata.mtime(), metadata.mtime_nsec(), metadata.ctime(), metadata.ctime_nsec()] {
            digest.update(&number.to_le_bytes());
        }
        digest.update(&metadata.size().to_le_bytes());
    } else if metadata.is_dir() && levels > 0 {
        for path in names(path).unwrap_or_default() {
            if *room == 0 {
                return;
            }
            *room -= 1;
            look_at(&path, levels - 1, room, digest);
        }
    }
}
