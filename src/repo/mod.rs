//! The files Argo CD sent, and paths proven to stay inside them.
//!
//! A [`Source`] is a folder tree of which nothing outside can be read: files are opened beneath its root in the same act
//! that checks them (`openat2` where the kernel has it), so neither `..`, nor a link, nor a swap in between leads out.

mod glob;
mod path;
mod source;

pub use glob::Glob;
pub use path::RepoPath;
pub use source::{Base, Error, Source, SourceFile};
