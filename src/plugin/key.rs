//! What a render is known by: all that it could have read, and who may see it.

use std::hash::{Hash, Hasher};

use crate::app::Plan;
use crate::helm;
use crate::manifests;
use crate::repo::{Fingerprint, RepoPath};
use crate::values::{Border, Found, Powers};

/// A digest of all that decides what a request is answered with. It stays in this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key([u8; 32]);

/// A digest of what is known of a request before its files are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct About([u8; 32]);

/// All that a render depends on. Its hash is derived, down to the last field of a plan, so that none is forgotten.
#[derive(Hash)]
struct Reads<'a> {
    plan: &'a Plan,
    app: &'a RepoPath,
    values: Vec<File<'a>>,
    files: Vec<File<'a>>,
    fingerprint: Fingerprint,
    helm: helm::Identity,
    manifests: &'a manifests::Options,
    border: &'a Border,
    keys: u64,
}

/// A file in its order; its content is in the fingerprint.
#[derive(Hash)]
struct File<'a> {
    path: &'a RepoPath,
    said_to_be_encrypted: bool,
}

impl<'a> From<&'a Found> for File<'a> {
    fn from(Found { file, said_to_be_encrypted }: &'a Found) -> Self {
        Self { path: file.path(), said_to_be_encrypted: *said_to_be_encrypted }
    }
}

impl Key {
    pub(super) fn new(
        (plan, app): (&Plan, &RepoPath),
        (values, files): (&[Found], &[Found]),
        fingerprint: Fingerprint,
        helm: helm::Identity,
        manifests: &manifests::Options,
        powers: &Powers,
    ) -> Self {
        let values = values.iter().map(File::from).collect();
        let files = files.iter().map(File::from).collect();
        let (border, keys) = (&powers.border, powers.keys.number);
        Self(digest(&Reads { plan, app, values, files, fingerprint, helm, manifests, border, keys }))
    }

    #[cfg(test)]
    pub(super) fn of(number: u8) -> Self {
        Self([number; 32])
    }
}

impl About {
    pub(super) fn new(plan: &Plan) -> Self {
        Self(digest(plan))
    }

    #[cfg(test)]
    pub(super) fn of(number: u8) -> Self {
        Self([number; 32])
    }
}

fn digest(hashed: &impl Hash) -> [u8; 32] {
    let mut digest = Digest(blake3::Hasher::new());
    hashed.hash(&mut digest);
    *digest.0.finalize().as_bytes()
}

/// A hasher of which more is taken than 64 bits: what the standard library feeds it with is free of prefixes.
struct Digest(blake3::Hasher);

impl Hasher for Digest {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        let mut begin = [0; 8];
        begin.copy_from_slice(&self.0.finalize().as_bytes()[..8]);
        u64::from_le_bytes(begin)
    }
}
