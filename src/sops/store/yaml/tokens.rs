//! Tokens with the comments between them, in the rhythm of go-yaml's scanner.
//!
//! libyaml-safer finds the tokens; what lies between two of them is blank or a comment. Which node a comment falls to
//! depends in go-yaml on how far its scanner has read ahead when the parser asks for the next token (at least two tokens
//! further, see `yaml_parser_fetch_more_tokens`), so that distance is kept here.

use std::collections::VecDeque;

use libyaml_safer::{ScalarStyle, Scanner, TokenData};

use super::comments::{Comment, Scan};
use super::{Error, Fault};

/// A place in the text: byte index, line and column (in characters), all from 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) index: usize,
    pub(super) line: usize,
    pub(super) column: usize,
}

impl Mark {
    pub(super) fn error(self, fault: Fault) -> Error {
        Error { line: self.line + 1, column: self.column + 1, fault }
    }

    /// The mark of `index`, which is further on in the same text.
    pub(super) fn advance(self, text: &str, index: usize) -> Self {
        let (mut line, mut column) = (self.line, self.column);
        let mut characters = text[self.index..index].chars().peekable();
        while let Some(c) = characters.next() {
            match c {
                '\r' if characters.peek() == Some(&'\n') => {}
                c if super::scalar::is_break(c) => (line, column) = (line + 1, 0),
                _ => column += 1,
            }
        }
        Self { index, line, column }
    }
}

pub(super) struct Token {
    pub(super) data: TokenData,
    pub(super) start: Mark,
    pub(super) end: Mark,
    /// The number of the fetch that brings it into go-yaml's queue.
    fetch: usize,
}

/// A token of the text (and not one that indention or a `:` behind it implies), with the implied ones before it.
struct Written {
    position: usize,
    implied_from: usize,
}

pub(super) struct Tokens<'t> {
    text: &'t str,
    scanner: Scanner<&'t [u8]>,
    queue: VecDeque<Token>,
    /// How many tokens have left the queue; positions of tokens count from the first one ever.
    taken: usize,
    /// Written tokens that are in the queue but not fetched yet.
    written: VecDeque<Written>,
    pulled: usize,
    fetched: usize,
    /// How many tokens of the queue are fetched.
    available: usize,
    ended: bool,
    /// Keys whose `:` is still to come: flow depth, and positions of the implied tokens.
    open_keys: Vec<(usize, std::ops::Range<usize>)>,
    pulled_flow_depth: usize,
    /// What could be a key, by flow depth: position of its first token.
    simple_keys: Vec<Option<usize>>,
    simple_key_allowed: bool,
    scan: Scan<'t>,
}

impl<'t> Tokens<'t> {
    pub(super) fn of(text: &'t str) -> Self {
        let mut scanner = Scanner::new();
        scanner.set_input(text.as_bytes());
        Self {
            text,
            scanner,
            queue: VecDeque::new(),
            taken: 0,
            written: VecDeque::new(),
            pulled: 0,
            fetched: 0,
            available: 0,
            ended: false,
            open_keys: Vec::new(),
            pulled_flow_depth: 0,
            simple_keys: vec![None],
            simple_key_allowed: true,
            scan: Scan::of(text),
        }
    }

    /// Makes sure of the next token.
    pub(super) fn peek(&mut self) -> Result<(), Error> {
        while !self.ended && (self.available <= 2 || self.head_is_undecided()) {
            self.fetch()?;
        }
        Ok(())
    }

    /// The token that was peeked last; the one after, once it is skipped.
    pub(super) fn head(&self) -> &Token {
        &self.queue[0]
    }

    /// Comments that belong at or before the next token, after [`Tokens::peek`].
    pub(super) fn next_comment(&mut self) -> Option<Comment> {
        let token = &self.queue[0];
        let comment = self.scan.comments.front()?;
        let holds_back = !comment.head.is_empty() && token.data == TokenData::BlockEnd;
        if token.start.index < comment.token || holds_back {
            return None;
        }
        self.scan.comments.pop_front()
    }

    /// Removes the token that was peeked.
    pub(super) fn skip(&mut self) -> Option<Token> {
        // go-yaml repeats the end of the stream as often as it is asked for.
        if self.ended && self.queue.len() == 1 {
            return None;
        }
        self.taken += 1;
        self.available -= 1;
        self.queue.pop_front()
    }

    /// Whether a `:` further on may still put tokens before the head of the queue.
    fn head_is_undecided(&self) -> bool {
        let head = &self.queue[0];
        let here = self.scan.position;
        head.fetch > self.fetched
            || (self.simple_keys.contains(&Some(self.taken))
                && here.line == head.start.line
                && here.index <= head.start.index + 1024)
    }

    /// Fetches one written token, with what it implies and the comments around it.
    fn fetch(&mut self) -> Result<(), Error> {
        if self.written.is_empty() {
            self.pull()?;
        }
        let Some(Written { position, implied_from }) = self.written.pop_front() else { return Ok(()) };
        self.fetched += 1;
        let (from, at) = (implied_from - self.taken, position - self.taken);
        let start = self.queue[at].start;
        let ends_blocks = matches!(
            self.queue[at].data,
            TokenData::StreamEnd
                | TokenData::DocumentStart
                | TokenData::DocumentEnd
                | TokenData::VersionDirective { .. }
                | TokenData::TagDirective { .. }
        );
        let scanned_from = self.scan.position;
        let broke_line = self.scan.gap(start.index);
        if broke_line && self.simple_keys.len() == 1 {
            self.simple_key_allowed = true;
        }
        self.scan.begin_unroll(scanned_from);
        let column = self.scan.position.column;
        let mut unrolling_all = false;
        for token in self.queue.range_mut(from..at).filter(|token| token.fetch == self.fetched) {
            if token.data == TokenData::BlockEnd {
                if ends_blocks && !unrolling_all && self.scan.indent().is_none_or(|indent| indent <= column) {
                    unrolling_all = true;
                    self.scan.begin_unroll(self.scan.position);
                }
                let mark = self.scan.unroll();
                (token.start, token.end) = (mark, mark);
            }
        }
        let comment_mark = self.scan.comment_mark(start);
        for token in self.queue.range(from..at).filter(|token| token.fetch == self.fetched) {
            self.available += 1;
            if token.data != TokenData::BlockEnd {
                self.scan.indents.push(token.start.column);
                self.scan.push_last(&token.data, token.start);
            }
        }
        if let Some(key) = self.implied_key(position) {
            for token in self.queue.range(key.start - self.taken..key.end - self.taken) {
                self.available += 1;
                if token.data == TokenData::BlockMappingStart {
                    self.scan.indents.push(token.start.column);
                }
            }
            self.key_state(position, true);
        } else {
            self.key_state(position, false);
        }
        self.available += 1;
        let token = &self.queue[at];
        self.ended = token.data == TokenData::StreamEnd;
        let document_level = ends_blocks || matches!(token.data, TokenData::StreamStart { .. });
        self.scan.token(&token.data, token.start, token.end, comment_mark, document_level);
        if matches!(token.data, TokenData::Scalar { style: ScalarStyle::Plain, .. })
            && self.scan.position.line > token.end.line
        {
            self.simple_key_allowed = true;
        }
        Ok(())
    }

    /// The implied tokens of a simple key, where the token at `position` is its `:`.
    fn implied_key(&mut self, position: usize) -> Option<std::ops::Range<usize>> {
        if self.queue[position - self.taken].data != TokenData::Value {
            return None;
        }
        let fetch = self.fetched;
        let found = self
            .open_keys
            .iter()
            .position(|(_, range)| range.start >= self.taken && self.queue[range.start - self.taken].fetch == fetch)?;
        Some(self.open_keys.remove(found).1)
    }

    /// Keeps in step with which token go-yaml would still take for the start of a key.
    fn key_state(&mut self, position: usize, ends_simple_key: bool) {
        let block = self.simple_keys.len() == 1;
        let allowed = self.simple_key_allowed;
        let Some(innermost) = self.simple_keys.last_mut() else { return };
        match &self.queue[position - self.taken].data {
            TokenData::FlowSequenceStart | TokenData::FlowMappingStart => {
                if allowed {
                    *innermost = Some(position);
                }
                self.simple_keys.push(None);
                self.simple_key_allowed = true;
            }
            TokenData::FlowSequenceEnd | TokenData::FlowMappingEnd => {
                *innermost = None;
                if !block {
                    self.simple_keys.pop();
                }
                self.simple_key_allowed = false;
            }
            TokenData::FlowEntry | TokenData::BlockEntry => {
                *innermost = None;
                self.simple_key_allowed = true;
            }
            TokenData::Key => {
                *innermost = None;
                self.simple_key_allowed = block;
            }
            TokenData::Value => {
                if ends_simple_key {
                    *innermost = None;
                }
                self.simple_key_allowed = block && !ends_simple_key;
            }
            TokenData::Scalar { style: ScalarStyle::Literal | ScalarStyle::Folded, .. } => {
                *innermost = None;
                self.simple_key_allowed = true;
            }
            TokenData::Scalar { .. } | TokenData::Alias { .. } | TokenData::Anchor { .. } | TokenData::Tag { .. } => {
                if allowed {
                    *innermost = Some(position);
                }
                self.simple_key_allowed = false;
            }
            TokenData::StreamStart { .. } => {}
            _ => {
                *innermost = None;
                self.simple_key_allowed = false;
            }
        }
    }

    /// Takes tokens from the scanner up to the next written one.
    fn pull(&mut self) -> Result<(), Error> {
        let implied_from = self.taken + self.queue.len();
        loop {
            let position = self.taken + self.queue.len();
            let token = Scanner::scan(&mut self.scanner).map_err(|error| self.scan_error(&error))?;
            let implied = token.start_mark == token.end_mark
                && !matches!(token.data, TokenData::StreamStart { .. } | TokenData::StreamEnd);
            let (start, end) = (mark(token.start_mark), mark(token.end_mark));
            let next = self.pulled + 1;
            if !implied {
                self.note_written(&token.data, next);
                self.queue.push_back(Token { data: token.data, start, end, fetch: next });
                self.pulled = next;
                self.written.push_back(Written { position, implied_from });
                return Ok(());
            }
            // An implied key comes with the `:` behind it; till then nobody knows of it, nor of a map that it begins.
            let fetch = if token.data == TokenData::Key { usize::MAX } else { next };
            if token.data == TokenData::Key {
                let begins_map = position > implied_from
                    && self.queue.back().is_some_and(|token| token.data == TokenData::BlockMappingStart);
                let first = if begins_map { position - 1 } else { position };
                if begins_map && let Some(map) = self.queue.back_mut() {
                    map.fetch = usize::MAX;
                }
                self.open_keys.push((self.pulled_flow_depth, first..position + 1));
            }
            self.queue.push_back(Token { data: token.data, start, end, fetch });
        }
    }

    /// Notes flow depth, and with a `:` the fetch of its key's implied tokens.
    fn note_written(&mut self, data: &TokenData, fetch: usize) {
        match data {
            TokenData::FlowSequenceStart | TokenData::FlowMappingStart => self.pulled_flow_depth += 1,
            TokenData::FlowSequenceEnd | TokenData::FlowMappingEnd => {
                self.pulled_flow_depth = self.pulled_flow_depth.saturating_sub(1);
            }
            TokenData::Value => {
                let depth = self.pulled_flow_depth;
                let open = self.open_keys.iter().rev().find(|(at, range)| {
                    *at == depth
                        && range.start >= self.taken
                        && self.queue[range.start - self.taken].fetch == usize::MAX
                });
                if let Some((_, range)) = open {
                    let range = range.start - self.taken..range.end - self.taken;
                    for token in self.queue.range_mut(range) {
                        token.fetch = fetch;
                    }
                }
            }
            _ => {}
        }
    }

    fn scan_error(&self, error: &libyaml_safer::Error) -> Error {
        match error.problem_mark() {
            Some(at) => mark(at).error(Fault::Syntax(error.problem())),
            None => {
                Mark::default().error(match self.text.find(|c: char| c.is_control() && !"\t\n\r\u{85}".contains(c)) {
                    Some(at) => return Mark::default().advance(self.text, at).error(Fault::Syntax(error.problem())),
                    None => Fault::Syntax(error.problem()),
                })
            }
        }
    }
}

fn mark(mark: libyaml_safer::Mark) -> Mark {
    let number = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
    Mark { index: number(mark.index), line: number(mark.line), column: number(mark.column) }
}
