//! The tree of a SOPS file: what every store parses into and prints from.

use std::borrow::Cow;

use zeroize::Zeroize;

/// All documents of a file, in order. Formats other than YAML have exactly one.
#[derive(Debug, Default)]
pub struct Tree<'a> {
    /// The documents; `sops` metadata is already taken out.
    pub branches: Vec<Branch<'a>>,
}

/// A map in file order. Double keys are kept, comments are entries of their own (as in sops' `TreeBranch`).
pub type Branch<'a> = Vec<Entry<'a>>;

/// One entry of a map.
#[derive(Debug)]
pub enum Entry<'a> {
    /// A comment line without its marker, leading blank included.
    Comment(Text<'a>),
    /// The same, but at the end of the line of the entry that follows; YAML only.
    InlineComment(Text<'a>),
    /// A key with its value.
    Pair(Cow<'a, str>, Node<'a>),
}

/// A value. Debug output shows of which kind, and no more: the tree may be a decrypted one.
pub enum Node<'a> {
    /// `null`, `~`, or nothing.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number; sops has no other width.
    Int(i64),
    /// A floating point number.
    Float(f64),
    /// A YAML timestamp.
    Time(Timestamp),
    /// A string: ciphertext, open text, or decrypted bytes (which need not be UTF-8).
    Str(Text<'a>),
    /// A comment that stands among list items.
    Comment(Text<'a>),
    /// The same, but at the end of the line of the item that follows; YAML only.
    InlineComment(Text<'a>),
    /// A map.
    Map(Branch<'a>),
    /// A list.
    List(Vec<Node<'a>>),
}

impl std::fmt::Debug for Node<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Null => f.write_str("Null"),
            Self::Bool(_) => f.write_str("Bool([redacted])"),
            Self::Int(_) => f.write_str("Int([redacted])"),
            Self::Float(_) => f.write_str("Float([redacted])"),
            Self::Time(_) => f.write_str("Time([redacted])"),
            Self::Str(text) => f.debug_tuple("Str").field(text).finish(),
            Self::Comment(text) => f.debug_tuple("Comment").field(text).finish(),
            Self::InlineComment(text) => f.debug_tuple("InlineComment").field(text).finish(),
            Self::Map(branch) => f.debug_tuple("Map").field(branch).finish(),
            Self::List(items) => f.debug_tuple("List").field(items).finish(),
        }
    }
}

/// Text of a leaf. The variant tells what was decrypted, so that error messages can be masked; owned text is zeroed
/// on drop.
pub enum Text<'a> {
    /// As it stands in the file.
    Borrowed(&'a [u8]),
    /// As the file says it, but unescaped or assembled.
    Owned(Vec<u8>),
    /// Decrypted.
    Secret(Vec<u8>),
}

impl Text<'_> {
    /// The bytes, UTF-8 or not. What they are depends on where the tree comes from: after decryption, a secret.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Borrowed(bytes) => bytes,
            Self::Owned(bytes) | Self::Secret(bytes) => bytes,
        }
    }
}

impl Drop for Text<'_> {
    fn drop(&mut self) {
        if let Self::Owned(bytes) | Self::Secret(bytes) = self {
            bytes.zeroize();
        }
    }
}

impl std::fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[redacted]")
    }
}

/// A point in time with the offset it was written with; the date exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timestamp {
    /// Year, 0 to 9999.
    pub year: u16,
    /// Month, 1 to 12.
    pub month: u8,
    /// Day of the month, from 1.
    pub day: u8,
    /// Hour, 0 to 23.
    pub hour: u8,
    /// Minute, 0 to 59.
    pub minute: u8,
    /// Second, 0 to 59.
    pub second: u8,
    /// Nanoseconds within the second.
    pub nanosecond: u32,
    /// Offset from UTC in seconds; zero prints as `Z`.
    pub offset_seconds: i32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_shows_kinds_and_keys_only() {
        let list =
            vec![Node::Int(4711), Node::Float(47.11), Node::Bool(true), Node::Str(Text::Secret(b"4711".to_vec()))];
        let shown = format!("{:?}", Tree { branches: vec![vec![Entry::Pair("key".into(), Node::List(list))]] });
        assert!(shown.contains("key") && shown.contains("Int([redacted])"), "{shown}");
        assert!(!shown.contains("47") && !shown.contains("true"), "{shown}");
    }
}
