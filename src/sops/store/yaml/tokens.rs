//! Tokens with the comments between them, in the rhythm of go-yaml's scanner.
//!
//! Which node a comment falls to depends in go-yaml on how far its scanner has read ahead when the parser asks for the
//! next token (at least two tokens further, see `yaml_parser_fetch_more_tokens`), so that distance is kept here. That,
//! its small deviations from libyaml, and panics of libyaml-safer on hostile input are why the scanner is our own.

use std::borrow::Cow;
use std::collections::VecDeque;

use super::Error;
use super::comments::{Comment, Scan};
use super::cursor::Mark;
use super::lexemes::{self, Block, Directive, Quote};

/// How far behind its start the `:` of a key may stand, in bytes.
const KEY_LENGTH: usize = 1024;

/// What a token is.
#[derive(Debug, PartialEq)]
pub(super) enum Lexeme<'t> {
    StreamStart,
    StreamEnd,
    Version(u8, u8),
    TagDirective(String, String),
    DocumentStart,
    DocumentEnd,
    BlockListStart,
    BlockMapStart,
    BlockEnd,
    FlowListStart,
    FlowListEnd,
    FlowMapStart,
    FlowMapEnd,
    BlockEntry,
    FlowEntry,
    Key,
    Value,
    Alias(&'t str),
    Anchor(&'t str),
    Tag(String, String),
    Scalar(Cow<'t, str>, Quote),
}

pub(super) struct Token<'t> {
    pub(super) lexeme: Lexeme<'t>,
    pub(super) start: Mark,
    pub(super) end: Mark,
}

/// What may turn out to be a key when its `:` comes.
#[derive(Clone, Copy)]
struct SimpleKey {
    /// Number of its first token.
    token: usize,
    start: Mark,
    /// Nothing else can stand here.
    required: bool,
}

pub(super) struct Tokens<'t> {
    queue: VecDeque<Token<'t>>,
    /// How many tokens have left the queue.
    taken: usize,
    started: bool,
    ended: bool,
    /// By flow level.
    simple_keys: Vec<Option<SimpleKey>>,
    scan: Scan<'t>,
}

impl<'t> Tokens<'t> {
    pub(super) fn of(text: &'t str) -> Self {
        Self {
            queue: VecDeque::new(),
            taken: 0,
            started: false,
            ended: false,
            simple_keys: vec![None],
            scan: Scan::of(text),
        }
    }

    /// Makes sure of the next token.
    pub(super) fn peek(&mut self) -> Result<(), Error> {
        while !self.ended && (self.queue.len() <= 2 || self.head_is_undecided()?) {
            self.fetch()?;
        }
        Ok(())
    }

    /// The token that was peeked last; the one after, once it is skipped.
    pub(super) fn head(&self) -> &Token<'t> {
        &self.queue[0]
    }

    /// Comments that belong at or before the next token, after [`Tokens::peek`].
    pub(super) fn next_comment(&mut self) -> Option<Comment> {
        let comment = self.scan.comments.front()?;
        let token = &self.queue[0];
        let holds_back = !comment.head.is_empty() && token.lexeme == Lexeme::BlockEnd;
        if token.start.index < comment.token || holds_back {
            return None;
        }
        self.scan.comments.pop_front()
    }

    /// Removes the token that was peeked.
    pub(super) fn skip(&mut self) -> Option<Token<'t>> {
        // go-yaml repeats the end of the stream as often as it is asked for.
        if self.ended && self.queue.len() == 1 {
            return None;
        }
        self.taken += 1;
        self.queue.pop_front()
    }

    /// Whether a `:` further on may still make the head of the queue a key.
    fn head_is_undecided(&self) -> Result<bool, Error> {
        match self.simple_keys.iter().flatten().find(|key| key.token == self.taken) {
            Some(key) => self.is_in_reach(key),
            None => Ok(false),
        }
    }

    fn is_in_reach(&self, key: &SimpleKey) -> Result<bool, Error> {
        let here = self.scan.cursor.mark;
        let in_reach = key.start.line == here.line && here.index <= key.start.index + KEY_LENGTH;
        if key.required && !in_reach {
            return Err(key.start.syntax("could not find expected ':'"));
        }
        Ok(in_reach)
    }

    fn push(&mut self, lexeme: Lexeme<'t>, start: Mark, end: Mark) {
        self.scan.note(&lexeme, start);
        self.queue.push_back(Token { lexeme, start, end });
    }

    /// Fetches one token of the text, with what it implies and the comments around it.
    fn fetch(&mut self) -> Result<(), Error> {
        let scanned_from = self.scan.cursor.mark;
        if !self.started {
            self.started = true;
            self.push(Lexeme::StreamStart, scanned_from, scanned_from);
            return Ok(());
        }
        self.scan.gap();
        let start = self.scan.cursor.mark;
        self.unroll(Some(start.column), scanned_from);
        let byte = self.scan.cursor.byte(0);
        let at_line_start = start.column == 0;
        if byte == 0 || (at_line_start && (byte == b'%' || self.scan.cursor.at_document_marker())) {
            return self.document_level(byte);
        }
        let comment_mark = self.scan.comment_mark(start);
        self.token(byte)?;
        self.scan.line_comment(comment_mark);
        Ok(())
    }

    /// The end of the text, a directive or a document marker.
    fn document_level(&mut self, byte: u8) -> Result<(), Error> {
        let start = self.scan.cursor.mark;
        self.unroll(None, start);
        self.drop_simple_key()?;
        self.scan.key_may_begin = false;
        let lexeme = match byte {
            0 => {
                self.ended = true;
                Lexeme::StreamEnd
            }
            b'%' => {
                let (directive, end) = lexemes::directive(&mut self.scan.cursor)?;
                let lexeme = match directive {
                    Directive::Version(major, minor) => Lexeme::Version(major, minor),
                    Directive::Tag(handle, prefix) => Lexeme::TagDirective(handle, prefix),
                };
                self.push(lexeme, start, end);
                return Ok(());
            }
            b'-' => Lexeme::DocumentStart,
            _ => Lexeme::DocumentEnd,
        };
        if byte != 0 {
            self.scan.cursor.skip(3);
        }
        self.push(lexeme, start, self.scan.cursor.mark);
        Ok(())
    }

    fn token(&mut self, byte: u8) -> Result<(), Error> {
        let block = self.scan.flow_level == 0;
        let stands_alone = self.scan.cursor.ends_word(1);
        match byte {
            b'[' => self.begin_flow(Lexeme::FlowListStart),
            b'{' => self.begin_flow(Lexeme::FlowMapStart),
            b']' => self.end_flow(Lexeme::FlowListEnd),
            b'}' => self.end_flow(Lexeme::FlowMapEnd),
            b',' => {
                self.drop_simple_key()?;
                self.scan.key_may_begin = true;
                self.indicator(Lexeme::FlowEntry);
                Ok(())
            }
            b'-' if stands_alone => {
                self.begin_block(Lexeme::BlockListStart, "block sequence entries are not allowed in this context")?;
                self.drop_simple_key()?;
                self.scan.key_may_begin = true;
                self.indicator(Lexeme::BlockEntry);
                Ok(())
            }
            b'?' if !block || stands_alone => {
                self.begin_block(Lexeme::BlockMapStart, "mapping keys are not allowed in this context")?;
                self.drop_simple_key()?;
                self.scan.key_may_begin = block;
                self.indicator(Lexeme::Key);
                Ok(())
            }
            b':' if !block || stands_alone => self.value(),
            b'*' | b'&' => {
                self.save_simple_key()?;
                self.scan.key_may_begin = false;
                let start = self.scan.cursor.mark;
                let name = lexemes::anchor(&mut self.scan.cursor)?;
                let lexeme = if byte == b'*' { Lexeme::Alias(name) } else { Lexeme::Anchor(name) };
                self.push(lexeme, start, self.scan.cursor.mark);
                Ok(())
            }
            b'!' => {
                self.save_simple_key()?;
                self.scan.key_may_begin = false;
                let start = self.scan.cursor.mark;
                let (handle, suffix) = lexemes::tag(&mut self.scan.cursor)?;
                self.push(Lexeme::Tag(handle, suffix), start, self.scan.cursor.mark);
                Ok(())
            }
            b'|' | b'>' if block => self.block_scalar(),
            b'\'' | b'"' => {
                self.save_simple_key()?;
                self.scan.key_may_begin = false;
                let start = self.scan.cursor.mark;
                let text = lexemes::quoted(&mut self.scan.cursor)?;
                self.push(Lexeme::Scalar(text, Quote::Quoted), start, self.scan.cursor.mark);
                Ok(())
            }
            b'?' | b':' if !block => Err(self.cannot_start()),
            b'\t' | b'#' | b'|' | b'>' | b'%' | b'@' | b'`' => Err(self.cannot_start()),
            _ => self.plain_scalar(),
        }
    }

    fn cannot_start(&self) -> Error {
        self.scan.cursor.mark.syntax("found character that cannot start any token")
    }

    fn indicator(&mut self, lexeme: Lexeme<'t>) {
        let start = self.scan.cursor.mark;
        self.scan.cursor.skip(1);
        self.push(lexeme, start, self.scan.cursor.mark);
    }

    fn begin_flow(&mut self, lexeme: Lexeme<'t>) -> Result<(), Error> {
        self.save_simple_key()?;
        self.simple_keys.push(None);
        self.scan.flow_level += 1;
        self.scan.key_may_begin = true;
        self.indicator(lexeme);
        Ok(())
    }

    fn end_flow(&mut self, lexeme: Lexeme<'t>) -> Result<(), Error> {
        self.drop_simple_key()?;
        if self.scan.flow_level > 0 {
            self.scan.flow_level -= 1;
            self.simple_keys.pop();
        }
        self.scan.key_may_begin = false;
        self.indicator(lexeme);
        Ok(())
    }

    /// Begins a block collection here, if one of this indent is not open yet.
    fn begin_block(&mut self, lexeme: Lexeme<'t>, refusal: &'static str) -> Result<(), Error> {
        let start = self.scan.cursor.mark;
        if self.scan.flow_level > 0 {
            return Ok(());
        }
        if !self.scan.key_may_begin {
            return Err(start.syntax(refusal));
        }
        if self.indents(start.column) {
            self.scan.indents.push(start.column);
            self.push(lexeme, start, start);
        }
        Ok(())
    }

    fn indents(&self, column: usize) -> bool {
        self.scan.indent().is_none_or(|indent| indent < column)
    }

    /// A `:`; a key that it ends gets its token now, and the map that the key begins.
    fn value(&mut self) -> Result<(), Error> {
        let block = self.scan.flow_level == 0;
        let key = match self.simple_keys.last().copied().flatten() {
            Some(key) if self.is_in_reach(&key)? => Some(key),
            _ => None,
        };
        if let Some(key) = key {
            let at = key.token - self.taken;
            self.queue.insert(at, Token { lexeme: Lexeme::Key, start: key.start, end: key.start });
            if block && self.indents(key.start.column) {
                self.scan.indents.push(key.start.column);
                let start = key.start;
                self.queue.insert(at, Token { lexeme: Lexeme::BlockMapStart, start, end: start });
            }
            if let Some(innermost) = self.simple_keys.last_mut() {
                *innermost = None;
            }
            self.scan.key_may_begin = false;
        } else {
            self.begin_block(Lexeme::BlockMapStart, "mapping values are not allowed in this context")?;
            self.scan.key_may_begin = block;
        }
        self.indicator(Lexeme::Value);
        Ok(())
    }

    fn plain_scalar(&mut self) -> Result<(), Error> {
        self.save_simple_key()?;
        let start = self.scan.cursor.mark;
        let indent = self.scan.indent().map_or(0, |indent| indent + 1);
        let (text, end, broke) = lexemes::plain(&mut self.scan.cursor, indent, self.scan.flow_level > 0)?;
        self.scan.key_may_begin = broke;
        self.push(Lexeme::Scalar(text, Quote::Plain), start, end);
        Ok(())
    }

    fn block_scalar(&mut self) -> Result<(), Error> {
        self.drop_simple_key()?;
        self.scan.key_may_begin = true;
        let start = self.scan.cursor.mark;
        let parent = self.scan.indent();
        let Block { text, end, comment } = lexemes::block(&mut self.scan.cursor, parent)?;
        if let Some((at, line)) = comment {
            self.scan.add_line_comment(start, at, line);
        }
        self.push(Lexeme::Scalar(text.into(), Quote::Block), start, end);
        Ok(())
    }

    fn save_simple_key(&mut self) -> Result<(), Error> {
        if !self.scan.key_may_begin {
            return Ok(());
        }
        self.drop_simple_key()?;
        let start = self.scan.cursor.mark;
        let required = self.scan.flow_level == 0 && self.scan.indent() == Some(start.column);
        let key = SimpleKey { token: self.taken + self.queue.len(), start, required };
        if let Some(innermost) = self.simple_keys.last_mut() {
            *innermost = Some(key);
        }
        Ok(())
    }

    fn drop_simple_key(&mut self) -> Result<(), Error> {
        match self.simple_keys.last_mut().and_then(Option::take) {
            Some(key) if key.required => Err(key.start.syntax("could not find expected ':'")),
            _ => Ok(()),
        }
    }

    /// Ends the blocks that are indented more than `column`; all of them without one.
    fn unroll(&mut self, column: Option<usize>, scanned_from: Mark) {
        if self.scan.flow_level > 0 {
            return;
        }
        self.scan.begin_unroll(scanned_from);
        while self.scan.indent().is_some_and(|indent| column.is_none_or(|column| indent > column)) {
            let mark = self.scan.unroll();
            self.queue.push_back(Token { lexeme: Lexeme::BlockEnd, start: mark, end: mark });
        }
    }
}
