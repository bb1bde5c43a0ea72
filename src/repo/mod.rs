//! The files Argo CD sent, and paths proven to stay inside them.
//!
//! A [`Source`] is a folder tree of which nothing outside can be read: files are opened beneath its root in the same act
//! that checks them (`openat2` where the kernel has it), so neither `..`, nor a link, nor a swap in between leads out.

mod archive;
mod glob;
mod limits;
mod path;
mod receiving;
mod remover;
#[cfg(test)]
mod samples;
mod source;
mod store;
mod tree;
mod trees;

pub use archive::{ArchiveError, Excess, Unpacked, unpack};
pub use glob::Glob;
pub use limits::Limits;
pub use path::RepoPath;
pub use receiving::Receiving;
pub use source::{Base, Error, Source, SourceFile};
pub use tree::{Fingerprint, Tree};
pub use trees::{Announced, Commit, FolderError, Had, Stats, Trees};
