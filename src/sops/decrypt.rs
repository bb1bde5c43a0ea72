//! The walk over all documents that decrypts what is due and computes the MAC, in one pass.

use std::thread;

use super::cipher::{Cipher, Opened};
use super::error::{Error, KeyPath, Step, ValueFault};
use super::key::DataKey;
use super::mac::Mac;
use super::metadata::Metadata;
use super::rules::{Comments, Covered, Rules};
use super::tree::{Branch, Entry, Node, Text, Tree};
use crate::secret::Plaintext;

/// Decrypts the tree in place; on success the MAC of the file has agreed.
///
/// Gives the decrypted texts that the tree does not hold as text: of ints, floats, bools and timestamps.
///
/// # Errors
/// The first value in document order that cannot be decrypted; else what is wrong with the MAC.
pub(crate) fn decrypt(
    tree: &mut Tree<'_>,
    size: usize,
    metadata: &Metadata,
    key: &DataKey,
) -> Result<Vec<Plaintext>, Error> {
    let cipher = Cipher::new(key)?;
    let rules = Rules::new(&metadata.selector)?;
    let mut walk = Walk {
        cipher: &cipher,
        rules: &rules,
        mac: Mac::new(metadata.mac_only_encrypted),
        only_encrypted: metadata.mac_only_encrypted,
        aad: Vec::with_capacity(256),
        texts: Vec::new(),
    };
    for (document, branch) in tree.branches.iter_mut().enumerate() {
        let walked = if size < LARGE { walk.branch(branch, Covered::default()) } else { walk.halves(branch) };
        walked.map_err(|mut trace| {
            trace.steps.reverse();
            Error::Value { path: KeyPath { document, steps: trace.steps }, fault: trace.fault }
        })?;
    }
    walk.mac.verify(&cipher, metadata).map_err(Error::Mac)?;
    Ok(walk.texts)
}

/// A file from this size on, in bytes, is worth a second thread.
const LARGE: usize = 256 * 1024;

struct Walk<'w> {
    cipher: &'w Cipher,
    rules: &'w Rules,
    mac: Mac,
    only_encrypted: bool,
    /// The keys down to where the walk stands, each with its `:`.
    aad: Vec<u8>,
    texts: Vec<Plaintext>,
}

/// A fault on its way up; every level adds its step, so that the path costs nothing while all is well.
struct Trace {
    fault: ValueFault,
    steps: Vec<Step>,
}

impl From<ValueFault> for Trace {
    fn from(fault: ValueFault) -> Self {
        Self { fault, steps: Vec::new() }
    }
}

impl Trace {
    fn below(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }
}

impl Walk<'_> {
    /// Walks a document with two threads. Where a pair ends no comment is active, so what follows it does not depend on it;
    /// what the second half adds to the MAC waits for the first.
    fn halves(&mut self, branch: &mut Branch<'_>) -> Result<(), Trace> {
        let middle = branch.len() / 2;
        let end_of_pair = branch[..middle].iter().rposition(|entry| matches!(entry, Entry::Pair(..)));
        let (first, second) = branch.split_at_mut(end_of_pair.map_or(0, |at| at + 1));
        let other = Walk {
            cipher: self.cipher,
            rules: self.rules,
            mac: Mac::of_later_part(),
            only_encrypted: self.only_encrypted,
            aad: Vec::with_capacity(256),
            texts: Vec::new(),
        };
        let mut job = Some((other, second));
        let mut work = || {
            job.take().map(|(mut walk, half)| {
                let walked = walk.branch(half, Covered::default());
                (walked, walk)
            })
        };
        let (first, second) = thread::scope(|scope| {
            let second = thread::Builder::new().spawn_scoped(scope, &mut work);
            (self.branch(first, Covered::default()), second.map(thread::ScopedJoinHandle::join))
        });
        // The fault that stands first in the file is the one to tell.
        first?;
        let second = match second {
            Ok(joined) => joined.unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            // There was no thread to be had.
            Err(_) => work(),
        };
        if let Some((walked, walk)) = second {
            walked?;
            self.mac.append(walk.mac);
            self.texts.extend(walk.texts);
        }
        Ok(())
    }

    fn branch(&mut self, branch: &mut [Entry<'_>], covered: Covered) -> Result<(), Trace> {
        let mut comments = Comments::default();
        for entry in branch {
            match entry {
                Entry::Comment(text) | Entry::InlineComment(text) => {
                    self.rules.note(&mut comments, text.bytes());
                    let due = self.rules.comment_is_due(covered, &comments);
                    if let Some(decrypted) = self.comment(text, due)? {
                        *entry = decrypted;
                    }
                }
                Entry::Pair(key, node) => {
                    let inner = self.rules.enter(covered, &comments, key);
                    let outside = self.aad.len();
                    self.aad.extend_from_slice(key.as_bytes());
                    self.aad.push(b':');
                    self.node(node, inner).map_err(|trace| trace.below(Step::Key(key.to_string())))?;
                    if matches!(node, Node::Comment(_) | Node::InlineComment(_)) {
                        return Err(Trace::from(ValueFault::Misplaced("comment")).below(Step::Key(key.to_string())));
                    }
                    self.aad.truncate(outside);
                    comments = Comments::default();
                }
            }
        }
        Ok(())
    }

    fn list(&mut self, items: &mut [Node<'_>], covered: Covered) -> Result<(), Trace> {
        let mut comments = Comments::default();
        for (index, item) in items.iter_mut().enumerate() {
            if let Node::Comment(text) | Node::InlineComment(text) = item {
                self.rules.note(&mut comments, text.bytes());
                let due = self.rules.comment_is_due(covered, &comments);
                self.listed_comment(item, due).map_err(|fault| Trace::from(fault).below(Step::Index(index)))?;
            } else {
                let inner = self.rules.enter_item(covered, &comments);
                self.node(item, inner).map_err(|trace| trace.below(Step::Index(index)))?;
                comments = Comments::default();
            }
        }
        Ok(())
    }

    fn node(&mut self, node: &mut Node<'_>, covered: Covered) -> Result<(), Trace> {
        match node {
            Node::Null => Ok(()),
            Node::Map(branch) => self.branch(branch, covered),
            Node::List(items) => self.list(items, covered),
            leaf => Ok(self.leaf(leaf, self.rules.leaf_is_due(covered))?),
        }
    }

    fn leaf(&mut self, leaf: &mut Node<'_>, due: bool) -> Result<(), ValueFault> {
        if due {
            let Node::Str(text) = leaf else { return Err(ValueFault::NotEncrypted(kind(leaf))) };
            if !text.bytes().is_empty() {
                let opened = self.cipher.open(text.bytes(), &self.aad)?;
                *leaf = self.keep(opened);
            }
        }
        if due || !self.only_encrypted { self.mac.add(leaf) } else { Ok(()) }
    }

    /// A comment of a map. One that cannot be decrypted is taken as a plain one, as sops does. A string enters the MAC, so
    /// that a changed type is noticed.
    fn comment<'a>(&mut self, text: &Text<'_>, due: bool) -> Result<Option<Entry<'a>>, ValueFault> {
        if !due || text.bytes().is_empty() {
            return Ok(None);
        }
        match self.cipher.open(text.bytes(), self.comment_aad()) {
            Err(_) => Ok(None),
            Ok(Opened::Comment(bytes)) => Ok(Some(Entry::Comment(Text::Secret(bytes)))),
            Ok(Opened::Str(bytes)) => {
                self.mac.add_bytes(&bytes);
                Ok(Some(Entry::Comment(Text::Secret(bytes))))
            }
            Ok(Opened::Other(..)) => Err(ValueFault::Misplaced("of a comment")),
        }
    }

    /// A plain comment among list items. Decrypted, it becomes an item of whatever type it has, as in sops: an empty one
    /// becomes an empty string.
    fn listed_comment(&mut self, item: &mut Node<'_>, due: bool) -> Result<(), ValueFault> {
        let (Node::Comment(text) | Node::InlineComment(text)) = &*item else { return Ok(()) };
        if due && let Ok(opened) = self.cipher.open(text.bytes(), self.comment_aad()) {
            *item = self.keep(opened);
            self.mac.add(item)?;
        }
        Ok(())
    }

    /// The path of a comment is that of its map or list; no path at all is written as one colon.
    fn comment_aad(&self) -> &[u8] {
        if self.aad.is_empty() { b":" } else { &self.aad }
    }

    fn keep(&mut self, opened: Opened) -> Node<'static> {
        match opened {
            Opened::Str(bytes) => Node::Str(Text::Secret(bytes)),
            Opened::Comment(bytes) => Node::Comment(Text::Secret(bytes)),
            Opened::Other(node, text) => {
                self.texts.push(text);
                node
            }
        }
    }
}

/// What a node is, for messages.
fn kind(node: &Node<'_>) -> &'static str {
    match node {
        Node::Null => "null",
        Node::Bool(_) => "a boolean",
        Node::Int(_) | Node::Float(_) => "a number",
        Node::Time(_) => "a timestamp",
        Node::Str(_) => "plain text",
        Node::Comment(_) | Node::InlineComment(_) => "a comment",
        Node::Map(_) => "a map",
        Node::List(_) => "a list",
    }
}
