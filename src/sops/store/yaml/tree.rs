//! Turns nodes into sops' tree: comments become entries, aliases are written out, scalars get their types.
//!
//! Follows sops 3.13.3 (`stores/yaml/store.go`). The first document is read twice there, once as go-yaml's map, which is
//! where double keys, unfit tags and wrong merges are refused; in later documents they pass.

use std::borrow::Cow;
use std::collections::HashSet;

use base64::Engine as _;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};

use super::node::{Comments, Document, Kind, Node as YamlNode, NodeId, Stream};
use super::resolve::{Scalar, resolve, resolve_tagged};
use super::{Error, Fault};
use crate::sops::store::MAX_DEPTH;
use crate::sops::tree::{Branch, Entry, Node, Text, Tree};

/// Nodes that aliases may make in a later document, where sops has no limit.
const MAX_ALIASED_NODES: u32 = 400_000;

/// What aliases may write out in all. Go shares their text; here it is copied.
const MAX_ALIASED_BYTES: usize = 64 << 20;

/// Builds the tree of all documents.
pub(super) fn build<'t>(stream: &Stream<'t>) -> Result<Tree<'t>, Error> {
    let mut aliased_bytes = 0;
    let mut branches = Vec::with_capacity(stream.documents.len());
    for (number, document) in stream.documents.iter().enumerate() {
        let mut builder = Builder {
            stream,
            strict: number == 0,
            open: Vec::new(),
            nodes: 0,
            aliased_nodes: 0,
            aliased_bytes,
            depth: 0,
        };
        branches.push(builder.document(document)?);
        aliased_bytes = builder.aliased_bytes;
    }
    Ok(Tree { branches })
}

/// The same tree, independent of the text that it was read from.
pub(super) fn owned(tree: Tree<'_>) -> Tree<'static> {
    Tree { branches: tree.branches.into_iter().map(owned_branch).collect() }
}

fn owned_branch(branch: Branch<'_>) -> Branch<'static> {
    let entry = |entry| match entry {
        Entry::Comment(text) => Entry::Comment(owned_text(&text)),
        Entry::InlineComment(text) => Entry::InlineComment(owned_text(&text)),
        Entry::Pair(key, node) => Entry::Pair(Cow::Owned(key.into_owned()), owned_node(node)),
    };
    branch.into_iter().map(entry).collect()
}

fn owned_node(node: Node<'_>) -> Node<'static> {
    match node {
        Node::Null => Node::Null,
        Node::Bool(value) => Node::Bool(value),
        Node::Int(value) => Node::Int(value),
        Node::Float(value) => Node::Float(value),
        Node::Time(value) => Node::Time(value),
        Node::Str(text) => Node::Str(owned_text(&text)),
        Node::Comment(text) => Node::Comment(owned_text(&text)),
        Node::InlineComment(text) => Node::InlineComment(owned_text(&text)),
        Node::Map(branch) => Node::Map(owned_branch(branch)),
        Node::List(items) => Node::List(items.into_iter().map(owned_node).collect()),
    }
}

fn owned_text(text: &Text<'_>) -> Text<'static> {
    Text::Owned(text.bytes().to_vec())
}

struct Builder<'s, 't> {
    stream: &'s Stream<'t>,
    /// The first document.
    strict: bool,
    /// The aliases around.
    open: Vec<NodeId>,
    nodes: u32,
    aliased_nodes: u32,
    aliased_bytes: usize,
    depth: usize,
}

impl<'s, 't> Builder<'s, 't> {
    fn document(&mut self, document: &'s Document) -> Result<Branch<'t>, Error> {
        let mut branch = Vec::new();
        comment_entries(&document.head, false, &mut branch);
        self.root(document.root, &mut branch)?;
        comment_entries(&document.foot, false, &mut branch);
        Ok(branch)
    }

    fn root(&mut self, id: NodeId, branch: &mut Branch<'t>) -> Result<(), Error> {
        let node = self.count(id)?;
        match &node.kind {
            Kind::Map(content) => self.map(node, content, false, branch),
            Kind::Scalar { text, tag, plain } if self.is_null(text, tag.as_deref(), *plain) => {
                comment_entries(&node.comments.head, false, branch);
                comment_entries(&node.comments.line, false, branch);
                Ok(())
            }
            Kind::Alias { target, .. } => {
                comment_entries(&node.comments.head, false, branch);
                comment_entries(&node.comments.line, false, branch);
                self.aliased(node, *target, |this| this.root(*target, branch))?;
                comment_entries(&node.comments.foot, false, branch);
                Ok(())
            }
            _ => Err(node.mark.error(Fault::NotAMap)),
        }
    }

    fn is_null(&self, text: &str, tag: Option<&str>, plain: bool) -> bool {
        match tag {
            Some(tag) => tag == "!!null" && (!self.strict || resolve(text) == Scalar::Null),
            None => plain && resolve(text) == Scalar::Null,
        }
    }

    /// A map's entries. `commented`: its comments have been seen to with the list item or key it belongs to.
    fn map(
        &mut self,
        node: &'s YamlNode<'t>,
        content: &'s [NodeId],
        commented: bool,
        branch: &mut Branch<'t>,
    ) -> Result<(), Error> {
        if !commented {
            comment_entries(&node.comments.head, false, branch);
            comment_entries(&node.comments.line, false, branch);
        }
        if self.strict && self.open.is_empty() {
            self.refuse_double_keys(content)?;
        }
        branch.reserve(content.len() / 2);
        for pair in content.chunks_exact(2) {
            let (key, value) = (self.stream.node(pair[0]), self.stream.node(pair[1]));
            comment_entries(&key.comments.head, false, branch);
            comment_entries(&key.comments.line, false, branch);
            let leaf = matches!(value.kind, Kind::Scalar { .. } | Kind::Alias { .. });
            if leaf {
                comment_entries(&value.comments.head, false, branch);
                comment_entries(&value.comments.line, true, branch);
            }
            if self.strict && is_merge(key) {
                self.refuse_wrong_merge(value)?;
            }
            let key_text = self.key(pair[0])?;
            let node = self.value(pair[1], leaf)?;
            branch.push(Entry::Pair(key_text, node));
            if leaf {
                comment_entries(&value.comments.foot, false, branch);
            }
            comment_entries(&key.comments.foot, false, branch);
        }
        if !commented {
            comment_entries(&node.comments.foot, false, branch);
        }
        Ok(())
    }

    fn list(&mut self, node: &'s YamlNode<'t>, content: &'s [NodeId], commented: bool) -> Result<Node<'t>, Error> {
        let mut items = Vec::with_capacity(content.len());
        if !commented {
            comment_items(&node.comments.head, false, &mut items);
            comment_items(&node.comments.line, false, &mut items);
        }
        for id in content {
            let Comments { head, line, foot } = &self.stream.node(*id).comments;
            comment_items(head, false, &mut items);
            comment_items(line, true, &mut items);
            items.push(self.value(*id, true)?);
            comment_items(foot, false, &mut items);
        }
        if !commented {
            comment_items(&node.comments.foot, false, &mut items);
        }
        Ok(Node::List(items))
    }

    fn value(&mut self, id: NodeId, commented: bool) -> Result<Node<'t>, Error> {
        let node = self.count(id)?;
        match &node.kind {
            Kind::Scalar { text, tag, .. } => self.scalar(node, text, tag.as_deref()),
            Kind::List(content) => self.nested(node, |this| this.list(node, content, commented)),
            Kind::Map(content) => self.nested(node, |this| {
                let mut branch = Vec::new();
                this.map(node, content, commented, &mut branch)?;
                Ok(Node::Map(branch))
            }),
            Kind::Alias { target, .. } => self.aliased(node, *target, |this| this.value(*target, false)),
        }
    }

    fn nested<T>(&mut self, node: &YamlNode<'_>, read: impl FnOnce(&mut Self) -> Result<T, Error>) -> Result<T, Error> {
        if self.depth == MAX_DEPTH {
            return Err(node.mark.error(Fault::Depth));
        }
        self.depth += 1;
        let result = read(self);
        self.depth -= 1;
        result
    }

    fn aliased<T>(
        &mut self,
        node: &YamlNode<'_>,
        target: NodeId,
        read: impl FnOnce(&mut Self) -> Result<T, Error>,
    ) -> Result<T, Error> {
        if self.open.contains(&target) {
            return Err(node.mark.error(Fault::Recursion));
        }
        self.open.push(target);
        let result = self.nested(node, read);
        self.open.pop();
        result
    }

    /// Every node that is come to, with a limit on how many of them aliases may make.
    fn count(&mut self, id: NodeId) -> Result<&'s YamlNode<'t>, Error> {
        let node = self.stream.node(id);
        self.nodes += 1;
        if !self.open.is_empty() {
            self.aliased_nodes += 1;
            if let Kind::Scalar { text, .. } = &node.kind {
                self.aliased_bytes += text.len();
            }
        }
        let too_many = if self.strict {
            self.aliased_nodes > 100 && self.nodes > 1000 && self.aliased_share() > allowed_share(self.nodes)
        } else {
            self.aliased_nodes > MAX_ALIASED_NODES
        };
        if too_many || self.aliased_bytes > MAX_ALIASED_BYTES {
            return Err(node.mark.error(Fault::Aliasing));
        }
        Ok(node)
    }

    fn aliased_share(&self) -> f64 {
        f64::from(self.aliased_nodes) / f64::from(self.nodes)
    }

    fn key(&mut self, id: NodeId) -> Result<Cow<'t, str>, Error> {
        let node = self.count(id)?;
        let mark = node.mark;
        let not_a_string = || mark.error(Fault::KeyType);
        let value = match &node.kind {
            Kind::Scalar { text, tag, .. } => self.scalar(node, text, tag.as_deref())?,
            Kind::Alias { target, .. } => {
                let key = *target;
                return self.aliased(node, key, |this| this.key(key));
            }
            _ => return Err(not_a_string()),
        };
        match &value {
            Node::Str(Text::Borrowed(text)) => std::str::from_utf8(text).map(Cow::Borrowed).map_err(|_| not_a_string()),
            Node::Str(text) => String::from_utf8(text.bytes().to_vec()).map(Cow::Owned).map_err(|_| not_a_string()),
            _ => Err(not_a_string()),
        }
    }

    fn scalar(&self, node: &YamlNode<'_>, text: &Cow<'t, str>, tag: Option<&str>) -> Result<Node<'t>, Error> {
        let resolved = match tag {
            None => Some(resolve(text)),
            Some(tag @ ("!!null" | "!!bool" | "!!int" | "!!float" | "!!timestamp")) => resolve_tagged(tag, text),
            Some("!!binary") => match from_base64(text) {
                Some(bytes) => return Ok(Node::Str(Text::Owned(bytes))),
                None => None,
            },
            Some(_) => Some(Scalar::Str),
        };
        Ok(match resolved {
            Some(Scalar::Bool(value)) => Node::Bool(value),
            Some(Scalar::Int(value)) => Node::Int(value),
            Some(Scalar::Float(value)) => Node::Float(value),
            Some(Scalar::Time(value)) => Node::Time(value),
            Some(Scalar::Str) => Node::Str(match text {
                Cow::Borrowed(text) => Text::Borrowed(text.as_bytes()),
                Cow::Owned(text) => Text::Owned(text.as_bytes().to_vec()),
            }),
            Some(Scalar::TooBig(_)) => return Err(node.mark.error(Fault::BigNumber)),
            None if self.strict => return Err(node.mark.error(Fault::Tag)),
            // Later, sops does not look at the error.
            None | Some(Scalar::Null) => Node::Null,
        })
    }

    /// go-yaml compares kind and text: two keys that are collections are always the same.
    fn refuse_double_keys(&self, content: &[NodeId]) -> Result<(), Error> {
        let mut seen = HashSet::with_capacity(content.len() / 2);
        for id in content.iter().step_by(2) {
            let node = self.stream.node(*id);
            let shape = match &node.kind {
                Kind::Scalar { text, .. } => (0, text.as_ref()),
                Kind::Alias { name, .. } => (1, name.as_str()),
                Kind::List(_) => (2, ""),
                Kind::Map(_) => (3, ""),
            };
            if !seen.insert(shape) {
                return Err(node.mark.error(Fault::DuplicateKey));
            }
        }
        Ok(())
    }

    fn refuse_wrong_merge(&self, value: &YamlNode<'_>) -> Result<(), Error> {
        let is_map = |node: &YamlNode<'_>| match &node.kind {
            Kind::Map(_) => true,
            Kind::Alias { target, .. } => matches!(self.stream.node(*target).kind, Kind::Map(_)),
            _ => false,
        };
        let fits = match &value.kind {
            Kind::List(items) => items.iter().all(|item| is_map(self.stream.node(*item))),
            _ => is_map(value),
        };
        if fits { Ok(()) } else { Err(value.mark.error(Fault::Merge)) }
    }
}

/// The share of nodes that may come from aliases: go-yaml's limit, tighter from 400,000 nodes on.
fn allowed_share(nodes: u32) -> f64 {
    let tightened = (f64::from(nodes) - 400_000.0) / 3_600_000.0;
    0.99 - 0.89 * tightened.clamp(0.0, 1.0)
}

fn is_merge(key: &YamlNode<'_>) -> bool {
    matches!(&key.kind, Kind::Scalar { text, tag: Some(tag), .. } if text == "<<" && tag == "!!merge")
}

fn comment_entries(comment: &str, inline: bool, branch: &mut Branch<'_>) {
    branch.extend(lines(comment).map(if inline { Entry::InlineComment } else { Entry::Comment }));
}

fn comment_items(comment: &str, inline: bool, items: &mut Vec<Node<'_>>) {
    items.extend(lines(comment).map(if inline { Node::InlineComment } else { Node::Comment }));
}

/// The lines of a comment without their markers.
fn lines<'t>(comment: &str) -> impl Iterator<Item = Text<'t>> {
    comment.split('\n').filter_map(|line| line.strip_prefix('#')).map(|line| Text::Owned(line.as_bytes().to_vec()))
}

/// As Go decodes: padded, line breaks passed over, unused bits of any value.
fn from_base64(text: &str) -> Option<Vec<u8>> {
    const LOOSE: GeneralPurpose = GeneralPurpose::new(
        &base64::alphabet::STANDARD,
        GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
    );
    let text: Vec<u8> = text.bytes().filter(|byte| !matches!(byte, b'\r' | b'\n')).collect();
    LOOSE.decode(text).ok()
}
