//! YAML as sops reads and prints it: go-yaml v3.0.4's node tree, with comments as entries.

mod comments;
mod compose;
mod cursor;
mod emit;
mod entries;
mod float;
mod lexemes;
mod node;
mod resolve;
mod scalar;
mod text;
mod timestamp;
mod tokens;
mod tree;

pub(crate) use emit::emit;

use std::borrow::Cow;

use crate::sops::tree::Tree;

/// Broken YAML, or YAML of a shape that sops does not take. Says where and what, never what stands there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {fault}")]
pub struct Error {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong there.
    pub fault: Fault,
}

/// The most documents of a file: an empty one costs four bytes there, and two hundred here.
const MAX_DOCUMENTS: usize = 100_000;

/// What can be wrong with a YAML file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// Not well-formed.
    #[error("{0}")]
    Syntax(&'static str),
    /// Neither UTF-8 nor marked as UTF-16.
    #[error("not UTF-8")]
    Encoding,
    /// An alias without its anchor.
    #[error("unknown anchor")]
    UnknownAnchor,
    /// An alias within what it stands for.
    #[error("an anchor contains itself")]
    Recursion,
    /// Aliases that blow up the document.
    #[error("excessive aliasing")]
    Aliasing,
    /// Nested too deep.
    #[error("nested deeper than {} levels", super::MAX_DEPTH)]
    Depth,
    /// More documents than anybody writes.
    #[error("more than {MAX_DOCUMENTS} documents")]
    Documents,
    /// A key that stands twice in one map of the first document.
    #[error("the key stands twice in its map")]
    DuplicateKey,
    /// A key that is not a string.
    #[error("the key is not a string")]
    KeyType,
    /// Text that its tag does not allow.
    #[error("the value does not fit its tag")]
    Tag,
    /// A merge key with something else than maps.
    #[error("a merge needs a map or a list of maps")]
    Merge,
    /// A whole number beyond 64 bits with sign.
    #[error("the number is too big")]
    BigNumber,
    /// A document that is not a map.
    #[error("the document is not a map")]
    NotAMap,
}

/// A tree that cannot be printed; sops fails at the same places.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EmitError {
    /// A comment with bytes that are not UTF-8.
    #[error("a comment is not UTF-8")]
    CommentEncoding,
    /// A comment beside a text whose first line begins with a tab.
    #[error("a text of several lines begins with a tab and has a comment, which sops cannot print")]
    LostValue,
}

/// Reads all documents; the `sops` entry of each is still inside.
///
/// # Errors
///
/// Where sops refuses the file, and beyond the limits of depth and of aliases.
pub(crate) fn parse(input: &[u8]) -> Result<Tree<'_>, Error> {
    match text::decode(input)? {
        Cow::Borrowed(text) => tree::build(&compose::compose(text)?),
        Cow::Owned(text) => Ok(tree::owned(tree::build(&compose::compose(&text)?)?)),
    }
}

#[cfg(test)]
mod tests;
