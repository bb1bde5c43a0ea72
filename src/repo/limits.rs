//! How much an archive may hold, and how long trees are kept.

use std::time::Duration;

/// What [`super::Trees`] takes in and keeps. Everything that arrives is hostile until it has been counted.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The most bytes of an archive as it arrives.
    pub archive_bytes: u64,
    /// The most bytes that an archive unpacks to, `.git` and headers included.
    pub unpacked_bytes: u64,
    /// The most files, folders and links of a tree.
    pub entries: usize,
    /// The most symbolic links of a tree.
    pub links: usize,
    /// The deepest path, in components.
    pub depth: usize,
    /// The longest path, and the longest target of a link.
    pub path_bytes: usize,
    /// Whether a full commit id is trusted to name a tree, so that its archive is not unpacked again.
    pub by_commit: bool,
    /// How long a tree is kept after its last use.
    pub keep: Duration,
    /// Beyond so many bytes in all trees, unused ones go early. Files that trees share count in each.
    pub kept_bytes: u64,
    /// Beyond so many trees, unused ones go early.
    pub kept_trees: usize,
    /// Beyond so many files, folders and links in all trees, unused ones go early: some 200 bytes of memory for each.
    pub kept_entries: usize,
    /// How long a request that has sent its whole archive waits for one that is unpacking the same without any progress.
    pub patience: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            archive_bytes: 1 << 30,
            unpacked_bytes: 2 << 30,
            entries: 200_000,
            links: 10_000,
            depth: 100,
            path_bytes: 2_048,
            by_commit: true,
            keep: Duration::from_mins(10),
            kept_bytes: 2 << 30,
            kept_trees: 64,
            kept_entries: 1_000_000,
            patience: Duration::from_secs(3),
        }
    }
}
