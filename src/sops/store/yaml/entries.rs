//! Puts the comments of a map or list to its entries, as sops does before it prints.

use super::EmitError;
use crate::sops::tree::{Entry, Node, Text};

/// A map with its comments put to entries as sops does.
pub(super) struct Map<'t, 'a> {
    /// What stands before the first entry belongs to the map.
    pub(super) head: Vec<u8>,
    pub(super) pairs: Vec<Pair<'t, 'a>>,
    /// What stands after the last entry.
    pub(super) foot: Vec<u8>,
}

pub(super) struct Pair<'t, 'a> {
    pub(super) first: bool,
    pub(super) head: Vec<&'t Text<'a>>,
    pub(super) inline: Vec<&'t Text<'a>>,
    pub(super) key: &'t str,
    pub(super) value: &'t Node<'a>,
}

impl<'t, 'a> Map<'t, 'a> {
    pub(super) fn of(branch: &'t [Entry<'a>]) -> Result<Self, EmitError> {
        let mut pairs: Vec<Pair<'t, 'a>> = Vec::with_capacity(branch.len());
        let (mut head, mut inline) = (Vec::new(), Vec::new());
        for entry in branch {
            match entry {
                Entry::Comment(text) => head.push(text),
                Entry::InlineComment(text) => inline.push(text),
                Entry::Pair(key, value) => pairs.push(Pair {
                    first: pairs.is_empty(),
                    head: std::mem::take(&mut head),
                    inline: std::mem::take(&mut inline),
                    key,
                    value,
                }),
            }
        }
        head.append(&mut inline);
        let rest = joined(&head)?;
        match pairs.first() {
            Some(first) => Ok(Self { head: joined(&first.head)?, pairs, foot: rest }),
            None => Ok(Self { head: rest, pairs, foot: Vec::new() }),
        }
    }
}

/// The same for a list.
pub(super) struct List<'t, 'a> {
    pub(super) head: Vec<u8>,
    pub(super) items: Vec<Item<'t, 'a>>,
    pub(super) foot: Vec<u8>,
}

pub(super) struct Item<'t, 'a> {
    pub(super) head: Vec<&'t Text<'a>>,
    pub(super) inline: Vec<&'t Text<'a>>,
    pub(super) value: &'t Node<'a>,
}

impl<'t, 'a> List<'t, 'a> {
    pub(super) fn of(nodes: &'t [Node<'a>]) -> Result<Self, EmitError> {
        let mut items: Vec<Item<'t, 'a>> = Vec::with_capacity(nodes.len());
        let (mut head, mut inline) = (Vec::new(), Vec::new());
        for node in nodes {
            match node {
                Node::Comment(text) => head.push(text),
                Node::InlineComment(text) => inline.push(text),
                value => {
                    items.push(Item { head: std::mem::take(&mut head), inline: std::mem::take(&mut inline), value });
                }
            }
        }
        head.append(&mut inline);
        let rest = joined(&head)?;
        match items.first() {
            Some(first) => Ok(Self { head: joined(&first.head)?, items, foot: rest }),
            None => Ok(Self { head: rest, items, foot: Vec::new() }),
        }
    }
}

/// Comments with their markers, a line each.
pub(super) fn joined(comments: &[&Text<'_>]) -> Result<Vec<u8>, EmitError> {
    let mut joined = Vec::new();
    for comment in comments {
        if std::str::from_utf8(comment.bytes()).is_err() {
            return Err(EmitError::CommentEncoding);
        }
        if !joined.is_empty() {
            joined.push(b'\n');
        }
        joined.push(b'#');
        joined.extend_from_slice(comment.bytes());
    }
    Ok(joined)
}

/// Two comments above each other.
pub(super) fn lines(above: &[u8], below: &[u8]) -> Vec<u8> {
    let separator: &[u8] = if above.is_empty() || below.is_empty() { b"" } else { b"\n" };
    [above, separator, below].concat()
}
