//! The nodes of a YAML stream, with the comments that go-yaml ties to them.

use super::tokens::Mark;

/// Where a node stands in [`Stream::nodes`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct NodeId(pub(super) usize);

/// All documents, their nodes in one place: aliases make a graph of them.
#[derive(Debug, Default)]
pub(super) struct Stream {
    pub(super) nodes: Vec<Node>,
    pub(super) documents: Vec<Document>,
}

#[derive(Debug)]
pub(super) struct Document {
    pub(super) root: NodeId,
    pub(super) head: String,
    pub(super) foot: String,
}

#[derive(Debug)]
pub(super) struct Node {
    pub(super) kind: Kind,
    pub(super) comments: Comments,
    pub(super) mark: Mark,
}

#[derive(Debug)]
pub(super) enum Kind {
    Scalar {
        text: String,
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

impl Stream {
    pub(super) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0]
    }

    pub(super) fn add(&mut self, node: Node) -> NodeId {
        self.nodes.push(node);
        NodeId(self.nodes.len() - 1)
    }
}
