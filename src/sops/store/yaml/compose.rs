//! Builds nodes from tokens, with go-yaml's idea of which comment belongs to which node.
//!
//! Follows go-yaml v3.0.4 (`parserc.go`, `decode.go`): a node takes the comments that have come up when it is complete
//! as a scalar, begins as a flow collection, or ends as a map. Block lists take none.

use std::borrow::Cow;
use std::collections::HashMap;

use super::cursor::Mark;
use super::lexemes::Quote;
use super::node::{Comments, Document, Kind, Node, NodeId, Stream};
use super::tokens::{Lexeme, Token, Tokens};
use super::{Error, Fault, MAX_DOCUMENTS};
use crate::sops::store::MAX_DEPTH;

const TAG_PREFIX: &str = "tag:yaml.org,2002:";

/// Reads all documents of `text`.
pub(super) fn compose(text: &str) -> Result<Stream<'_>, Error> {
    let mut composer = Composer {
        tokens: Tokens::of(text),
        stream: Stream::default(),
        waiting: Comments::default(),
        stem: None,
        anchors: HashMap::new(),
        tags: Vec::new(),
        depth: 0,
    };
    composer.stream()?;
    Ok(composer.stream)
}

struct Composer<'t> {
    tokens: Tokens<'t>,
    stream: Stream<'t>,
    /// Comments that have come up and belong to no node yet.
    waiting: Comments,
    /// The head comment of a list item, kept apart for the collection that begins there.
    stem: Option<String>,
    /// Anchors hold beyond the end of their document.
    anchors: HashMap<String, NodeId>,
    /// `%TAG` directives of the document.
    tags: Vec<(String, String)>,
    depth: usize,
}

/// What stands before the content of a node.
struct Properties {
    anchor: Option<String>,
    tag: Option<String>,
    mark: Mark,
}

impl Properties {
    fn none(mark: Mark) -> Self {
        Self { anchor: None, tag: None, mark }
    }
}

impl<'t> Composer<'t> {
    fn stream(&mut self) -> Result<(), Error> {
        self.peek()?;
        self.skip();
        let mut first = true;
        loop {
            self.peek()?;
            while !first && self.is(&Lexeme::DocumentEnd) {
                self.skip();
                self.peek()?;
            }
            if self.is(&Lexeme::StreamEnd) {
                return Ok(());
            }
            self.document(first)?;
            first = false;
        }
    }

    fn document(&mut self, may_be_bare: bool) -> Result<(), Error> {
        let explicit = self.at_directive() || self.is(&Lexeme::DocumentStart);
        let mut head = String::new();
        let root;
        if explicit || !may_be_bare {
            self.directives()?;
            if !self.is(&Lexeme::DocumentStart) {
                return Err(self.unexpected("did not find expected <document start>"));
            }
            self.skip();
            self.peek()?;
            let empty = self.at_directive()
                || self.is(&Lexeme::DocumentStart)
                || self.is(&Lexeme::DocumentEnd)
                || self.is(&Lexeme::StreamEnd);
            root = if empty { self.empty(self.mark()) } else { self.node(true, false)? };
        } else {
            head = split_document_head(&mut self.waiting.head);
            root = self.node(true, false)?;
        }
        self.peek()?;
        if self.is(&Lexeme::DocumentEnd) {
            self.skip();
        }
        self.tags.clear();
        let comments = self.take_comments();
        let foot = if comments.foot.is_empty() { comments.head } else { comments.foot };
        if self.stream.documents.len() == MAX_DOCUMENTS {
            return Err(self.mark().error(Fault::Documents));
        }
        self.stream.documents.push(Document { root, head, foot });
        Ok(())
    }

    fn directives(&mut self) -> Result<(), Error> {
        let mut versioned = false;
        loop {
            self.peek()?;
            let mark = self.mark();
            match self.data() {
                Lexeme::Version(major, minor) => {
                    if (*major, *minor) != (1, 1) {
                        return Err(mark.error(Fault::Syntax("found incompatible YAML document")));
                    }
                    if versioned {
                        return Err(mark.error(Fault::Syntax("found duplicate %YAML directive")));
                    }
                    versioned = true;
                }
                Lexeme::TagDirective(handle, prefix) => {
                    let (handle, prefix) = (handle.clone(), prefix.clone());
                    if self.tags.iter().any(|(known, _)| *known == handle) {
                        return Err(mark.error(Fault::Syntax("found duplicate %TAG directive")));
                    }
                    self.tags.push((handle, prefix));
                }
                _ => return Ok(()),
            }
            self.skip();
        }
    }

    fn at_directive(&self) -> bool {
        matches!(self.data(), Lexeme::Version(..) | Lexeme::TagDirective(..))
    }

    fn node(&mut self, block: bool, bare_list: bool) -> Result<NodeId, Error> {
        self.peek()?;
        if let Lexeme::Alias(name) = *self.data() {
            let name = name.to_owned();
            let mark = self.mark();
            let comments = self.take_comments();
            let target = *self.anchors.get(&name).ok_or_else(|| mark.error(Fault::UnknownAnchor))?;
            self.skip();
            return Ok(self.stream.add(Node { kind: Kind::Alias { name, target }, comments, mark }));
        }
        let properties = self.properties()?;
        if bare_list && self.is(&Lexeme::BlockEntry) {
            return self.nested(|this| this.bare_list(properties));
        }
        match self.data() {
            Lexeme::Scalar(..) => Ok(self.scalar(properties)),
            Lexeme::FlowListStart => self.nested(|this| this.flow_list(properties)),
            Lexeme::FlowMapStart => self.nested(|this| this.flow_map(properties)),
            Lexeme::BlockListStart if block => self.nested(|this| this.block_list(properties)),
            Lexeme::BlockMapStart if block => self.nested(|this| this.block_map(properties)),
            _ if properties.anchor.is_some() || properties.tag.is_some() => {
                Ok(self.add_scalar(Cow::Borrowed(""), true, properties, Comments::default()))
            }
            _ => Err(self.unexpected("did not find expected node content")),
        }
    }

    fn nested(&mut self, read: impl FnOnce(&mut Self) -> Result<NodeId, Error>) -> Result<NodeId, Error> {
        if self.depth == MAX_DEPTH {
            return Err(self.mark().error(Fault::Depth));
        }
        self.depth += 1;
        let node = read(self);
        self.depth -= 1;
        node
    }

    /// An anchor and a tag, each at most once, in either order.
    fn properties(&mut self) -> Result<Properties, Error> {
        let mut properties = Properties::none(self.mark());
        for _ in 0..2 {
            match self.data() {
                Lexeme::Anchor(name) if properties.anchor.is_none() => {
                    properties.anchor = Some((*name).to_owned());
                }
                Lexeme::Tag(handle, suffix) if properties.tag.is_none() => {
                    let tag = self.tag(handle, suffix);
                    let undefined = "found undefined tag handle";
                    properties.tag = Some(tag.ok_or_else(|| self.mark().error(Fault::Syntax(undefined)))?);
                }
                _ => break,
            }
            self.skip();
            self.peek()?;
        }
        Ok(properties)
    }

    fn tag(&self, handle: &str, suffix: &str) -> Option<String> {
        let prefix = match handle {
            "" => "",
            _ => match self.tags.iter().find(|(known, _)| known == handle) {
                Some((_, prefix)) => prefix,
                None if handle == "!" => "!",
                None if handle == "!!" => TAG_PREFIX,
                None => return None,
            },
        };
        Some(format!("{prefix}{suffix}")).filter(|tag| !tag.is_empty())
    }

    fn scalar(&mut self, properties: Properties) -> NodeId {
        let comments = self.take_comments();
        let Some(Token { lexeme: Lexeme::Scalar(text, quote), .. }) = self.skip() else {
            return self.empty(properties.mark);
        };
        self.add_scalar(text, quote == Quote::Plain, properties, comments)
    }

    fn add_scalar(&mut self, text: Cow<'t, str>, plain: bool, properties: Properties, comments: Comments) -> NodeId {
        let Properties { anchor, tag, mark } = properties;
        let tag = match tag.as_deref() {
            None | Some("!") if !plain => Some("!!str".to_owned()),
            None | Some("!") if text == "<<" => Some("!!merge".to_owned()),
            None | Some("!") => None,
            Some(tag) => Some(tag.strip_prefix(TAG_PREFIX).map_or_else(|| tag.to_owned(), |name| format!("!!{name}"))),
        };
        let node = self.stream.add(Node { kind: Kind::Scalar { text, tag, plain }, comments, mark });
        self.anchor(anchor, node);
        node
    }

    /// A value that is not there.
    fn empty(&mut self, mark: Mark) -> NodeId {
        self.add_scalar(Cow::Borrowed(""), true, Properties::none(mark), Comments::default())
    }

    /// A collection, to be filled: what it holds may refer to it.
    fn begin(&mut self, kind: Kind<'t>, properties: Properties, head: String) -> NodeId {
        let comments = Comments { head, ..Comments::default() };
        let node = self.stream.add(Node { kind, comments, mark: properties.mark });
        self.anchor(properties.anchor, node);
        node
    }

    fn anchor(&mut self, anchor: Option<String>, node: NodeId) {
        if let Some(name) = anchor {
            self.anchors.insert(name, node);
        }
    }

    fn block_list(&mut self, properties: Properties) -> Result<NodeId, Error> {
        let head = self.stem.take().unwrap_or_default();
        let list = self.begin(Kind::List(Vec::new()), properties, head);
        self.skip();
        let mut items = Vec::new();
        loop {
            self.peek()?;
            if self.is(&Lexeme::BlockEnd) {
                self.skip();
                break;
            }
            if !self.is(&Lexeme::BlockEntry) {
                return Err(self.unexpected("did not find expected '-' indicator"));
            }
            let end = self.list_item()?;
            let empty = self.is(&Lexeme::BlockEntry) || self.is(&Lexeme::BlockEnd);
            items.push(if empty { self.empty(end) } else { self.node(true, false)? });
        }
        self.stream.nodes[list.0].kind = Kind::List(items);
        Ok(list)
    }

    /// A list at the indent of its key.
    fn bare_list(&mut self, properties: Properties) -> Result<NodeId, Error> {
        let list = self.begin(Kind::List(Vec::new()), properties, String::new());
        let mut items = Vec::new();
        loop {
            self.peek()?;
            if !self.is(&Lexeme::BlockEntry) {
                break;
            }
            let end = self.list_item()?;
            let empty = matches!(self.data(), Lexeme::BlockEntry | Lexeme::Key | Lexeme::Value | Lexeme::BlockEnd);
            items.push(if empty { self.empty(end) } else { self.node(true, false)? });
        }
        self.stream.nodes[list.0].kind = Kind::List(items);
        Ok(list)
    }

    /// Takes a `-`, and puts the comment above it aside if a collection begins right there.
    fn list_item(&mut self) -> Result<Mark, Error> {
        let end = self.skip().map_or(Mark::default(), |token| token.end);
        let stem = self.waiting.head.len();
        self.peek()?;
        if stem > 0 && matches!(self.data(), Lexeme::BlockListStart | Lexeme::BlockMapStart) {
            let rest = self.waiting.head.split_off(stem);
            let stem = std::mem::replace(&mut self.waiting.head, rest.strip_prefix('\n').unwrap_or(&rest).to_owned());
            self.stem = Some(stem);
        }
        Ok(end)
    }

    fn block_map(&mut self, properties: Properties) -> Result<NodeId, Error> {
        let head = self.stem.take().unwrap_or_default();
        let map = self.begin(Kind::Map(Vec::new()), properties, head);
        self.skip();
        let mut content: Vec<NodeId> = Vec::new();
        loop {
            self.peek()?;
            if self.is(&Lexeme::BlockEnd) {
                break;
            }
            if !self.is(&Lexeme::Key) {
                return Err(self.unexpected("did not find expected key"));
            }
            let end = self.skip().map_or(Mark::default(), |token| token.end);
            let key = self.block_map_node(end)?;
            self.peek()?;
            // A foot comment in front of a key belongs to the entry before.
            if let [.., before, _] = content[..]
                && !self.comments(key).foot.is_empty()
            {
                self.comments(before).foot = std::mem::take(&mut self.comments(key).foot);
            }
            let value = if self.is(&Lexeme::Value) {
                let end = self.skip().map_or(Mark::default(), |token| token.end);
                self.block_map_node(end)?
            } else {
                self.empty(self.mark())
            };
            if self.comments(key).foot.is_empty() {
                self.comments(key).foot = std::mem::take(&mut self.comments(value).foot);
            }
            content.extend([key, value]);
        }
        let end = self.take_comments();
        self.skip();
        if !end.foot.is_empty()
            && let [.., last, _] = content[..]
        {
            self.comments(last).foot = end.foot;
        } else {
            self.comments(map).foot = end.foot;
        }
        self.comments(map).line = end.line;
        self.stream.nodes[map.0].kind = Kind::Map(content);
        Ok(map)
    }

    fn block_map_node(&mut self, end: Mark) -> Result<NodeId, Error> {
        self.peek()?;
        let empty = matches!(self.data(), Lexeme::Key | Lexeme::Value | Lexeme::BlockEnd);
        if empty { Ok(self.empty(end)) } else { self.node(true, true) }
    }

    fn flow_list(&mut self, properties: Properties) -> Result<NodeId, Error> {
        let head = self.take_comments().head;
        let list = self.begin(Kind::List(Vec::new()), properties, head);
        self.skip();
        let mut items = Vec::new();
        loop {
            self.peek()?;
            if !self.is(&Lexeme::FlowListEnd) && !items.is_empty() {
                if !self.is(&Lexeme::FlowEntry) {
                    return Err(self.unexpected("did not find expected ',' or ']'"));
                }
                self.skip();
                self.peek()?;
            }
            if self.is(&Lexeme::FlowListEnd) {
                break;
            }
            let item = if self.is(&Lexeme::Key) { self.nested(Self::flow_pair)? } else { self.node(false, false)? };
            items.push(item);
        }
        let end = self.take_comments();
        self.skip();
        self.comments(list).line = end.line;
        self.comments(list).foot = end.foot;
        self.stream.nodes[list.0].kind = Kind::List(items);
        Ok(list)
    }

    /// `[key: value]`: a map of one entry without braces.
    fn flow_pair(&mut self) -> Result<NodeId, Error> {
        let map = self.begin(Kind::Map(Vec::new()), Properties::none(self.mark()), String::new());
        self.skip();
        self.peek()?;
        let ends = |this: &Self| matches!(this.data(), Lexeme::FlowEntry | Lexeme::FlowListEnd);
        let key = if ends(self) || self.is(&Lexeme::Value) {
            // go-yaml, as libyaml, takes this token away with the missing key.
            let end = self.skip().map_or(Mark::default(), |token| token.end);
            self.empty(end)
        } else {
            self.node(false, false)?
        };
        self.peek()?;
        let mut value = None;
        if self.is(&Lexeme::Value) {
            self.skip();
            self.peek()?;
            if !ends(self) {
                value = Some(self.node(false, false)?);
            }
        }
        let value = value.unwrap_or_else(|| self.empty(self.mark()));
        self.peek()?;
        if self.comments(key).foot.is_empty() {
            self.comments(key).foot = std::mem::take(&mut self.comments(value).foot);
        }
        self.stream.nodes[map.0].kind = Kind::Map(vec![key, value]);
        Ok(map)
    }

    fn flow_map(&mut self, properties: Properties) -> Result<NodeId, Error> {
        let head = self.take_comments().head;
        let map = self.begin(Kind::Map(Vec::new()), properties, head);
        self.skip();
        let mut content = Vec::new();
        let ends = |this: &Self| matches!(this.data(), Lexeme::FlowEntry | Lexeme::FlowMapEnd);
        loop {
            self.peek()?;
            if !self.is(&Lexeme::FlowMapEnd) && !content.is_empty() {
                if !self.is(&Lexeme::FlowEntry) {
                    return Err(self.unexpected("did not find expected ',' or '}'"));
                }
                self.skip();
                self.peek()?;
            }
            if self.is(&Lexeme::FlowMapEnd) {
                break;
            }
            let (key, mut value) = if self.is(&Lexeme::Key) {
                self.skip();
                self.peek()?;
                let empty = ends(self) || self.is(&Lexeme::Value);
                (if empty { self.empty(self.mark()) } else { self.node(false, false)? }, None)
            } else {
                let key = self.node(false, false)?;
                self.peek()?;
                (key, Some(self.empty(self.mark())))
            };
            self.peek()?;
            if value.is_none() && self.is(&Lexeme::Value) {
                self.skip();
                self.peek()?;
                if !ends(self) {
                    value = Some(self.node(false, false)?);
                }
            }
            let value = value.unwrap_or_else(|| self.empty(self.mark()));
            self.peek()?;
            if self.comments(key).foot.is_empty() {
                self.comments(key).foot = std::mem::take(&mut self.comments(value).foot);
            }
            content.extend([key, value]);
        }
        let end = self.take_comments();
        self.skip();
        self.comments(map).line = end.line;
        self.comments(map).foot = end.foot;
        self.stream.nodes[map.0].kind = Kind::Map(content);
        Ok(map)
    }

    fn comments(&mut self, node: NodeId) -> &mut Comments {
        &mut self.stream.nodes[node.0].comments
    }

    /// Looks at the next token, and lets the comments up to it come up.
    fn peek(&mut self) -> Result<(), Error> {
        self.tokens.peek()?;
        while let Some(comment) = self.tokens.next_comment() {
            let Comments { head, line, foot } = &mut self.waiting;
            for (place, text) in [(head, &comment.head), (foot, &comment.foot), (line, &comment.line)] {
                if !text.is_empty() {
                    if !place.is_empty() {
                        place.push('\n');
                    }
                    place.push_str(text);
                }
            }
        }
        Ok(())
    }

    fn take_comments(&mut self) -> Comments {
        self.stem = None;
        std::mem::take(&mut self.waiting)
    }

    fn skip(&mut self) -> Option<Token<'t>> {
        self.tokens.skip()
    }

    fn data(&self) -> &Lexeme<'t> {
        &self.tokens.head().lexeme
    }

    fn mark(&self) -> Mark {
        self.tokens.head().start
    }

    fn is(&self, data: &Lexeme<'_>) -> bool {
        self.data() == data
    }

    fn unexpected(&self, problem: &'static str) -> Error {
        self.mark().error(Fault::Syntax(problem))
    }
}

/// Of the comment above a document without `---`, what stands above the last empty line belongs to the document.
fn split_document_head(head: &mut String) -> String {
    let (above, below) = if let Some(above) = head.strip_suffix('\n').filter(|above| !above.is_empty()) {
        (above.len(), head.len())
    } else if let Some(at) = head.rfind("\n\n") {
        (at, at + 2)
    } else {
        return String::new();
    };
    let below = head.split_off(below);
    let mut document = std::mem::replace(head, below);
    document.truncate(above);
    document
}
