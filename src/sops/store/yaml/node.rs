//! The nodes of a YAML stream, with the comments that go-yaml ties to them.

use std::borrow::Cow;

use super::cursor::Mark;

/// Where a node stands in [`Stream::nodes`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct NodeId(pub(super) usize);

/// All documents, their nodes in one place: aliases make a graph of them.
#[derive(Debug, Default)]
pub(super) struct Stream<'t> {
    pub(super) nodes: Vec<Node<'t>>,
    pub(super) documents: Vec<Document>,
}

#[derive(Debug)]
pub(super) struct Document {
    pub(super) root: NodeId,
    pub(super) head: String,
    pub(super) foot: String,
}

#[derive(Debug)]
pub(super) struct Node<'t> {
    pub(super) kind: Kind<'t>,
    pub(super) comments: Comments,
    pub(super) mark: Mark,
}

#[derive(Debug)]
pub(super) enum Kind<'t> {
    Scalar {
        text: Cow<'t, str>,
        /// The short form (`!!int`), where there is one.
        tag: Option<String>,
        plain: bool,
    },
    List(Vec<NodeId>),
    /// Key, value, key, value.
    Map(Vec<NodeId>),
    Alias {
        name: String,
        target: NodeId,
    },
}

/// With markers, lines joined by `\n`.
#[derive(Debug, Default, Clone)]
pub(super) struct Comments {
    pub(super) head: String,
    pub(super) line: String,
    pub(super) foot: String,
}

impl<'t> Stream<'t> {
    pub(super) fn node(&self, id: NodeId) -> &Node<'t> {
        &self.nodes[id.0]
    }

    pub(super) fn add(&mut self, node: Node<'t>) -> NodeId {
        self.nodes.push(node);
        NodeId(self.nodes.len() - 1)
    }
}
