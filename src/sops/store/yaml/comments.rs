//! Finds comments between tokens and decides what each belongs to.
//!
//! Follows go-yaml v3.0.4 (`scannerc.go`): a comment behind a token on its line is a line comment; of the lines between
//! two tokens, those that touch the token above or are indented less are its foot, the others the head of what follows.

use std::collections::VecDeque;

use libyaml_safer::TokenData;

use super::tokens::Mark;

/// How far go-yaml looks ahead for a comment, in bytes.
const LOOKAHEAD: usize = 512;

/// A comment (lines joined, markers kept) that waits for the token it belongs to.
#[derive(Debug, Default)]
pub(super) struct Comment {
    pub(super) head: String,
    pub(super) line: String,
    pub(super) foot: String,
    /// Index of the token that it belongs to: the parser takes it with the first token from there on.
    pub(super) token: usize,
    /// Where it begins; the column counts from 1.
    start: Mark,
    /// Where the search that found it began.
    scanned_from: usize,
    end: usize,
}

/// What the scanner knew of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Last {
    BlockEntry,
    FlowEntry,
    Value,
    ListStart,
    Other,
}

/// Where the scanner stands, and the comments it has found.
pub(super) struct Scan<'t> {
    text: &'t str,
    /// Behind the last token, its line comment, and the blanks that it ate.
    pub(super) position: Mark,
    /// Columns of the open block collections.
    pub(super) indents: Vec<usize>,
    pub(super) comments: VecDeque<Comment>,
    flow_level: usize,
    /// The last token but one, and the last.
    last: [(Last, Mark); 2],
    tokens: usize,
    /// Where the end of a block is put next.
    block_end: Mark,
}

impl<'t> Scan<'t> {
    pub(super) fn of(text: &'t str) -> Self {
        Self {
            text,
            position: Mark::default(),
            indents: Vec::new(),
            comments: VecDeque::new(),
            flow_level: 0,
            last: [(Last::Other, Mark::default()); 2],
            tokens: 0,
            block_end: Mark::default(),
        }
    }

    pub(super) fn indent(&self) -> Option<usize> {
        self.indents.last().copied()
    }

    pub(super) fn push_last(&mut self, data: &TokenData, start: Mark) {
        let kind = match data {
            TokenData::BlockEntry => Last::BlockEntry,
            TokenData::FlowEntry => Last::FlowEntry,
            TokenData::Value => Last::Value,
            TokenData::BlockSequenceStart => Last::ListStart,
            _ => Last::Other,
        };
        self.last = [self.last[1], (kind, start)];
        self.tokens += 1;
    }

    /// Walks from the last token to the next one, which begins at `to`; whether a line ended on the way.
    pub(super) fn gap(&mut self, to: usize) -> bool {
        let scanned_from = self.position;
        let mut at = self.position;
        let mut broke_line = false;
        loop {
            if at.column == 0 && self.text[at.index..].starts_with('\u{feff}') {
                at.index += '\u{feff}'.len_utf8();
            }
            let blanks = self.bytes()[at.index..].iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
            at = Mark { index: at.index + blanks, column: at.column + blanks, ..at };
            if break_width(self.bytes(), at.index) == 0 {
                self.turn_line_comment_into_head(at);
            }
            if self.bytes().get(at.index) == Some(&b'#') {
                at = self.block(scanned_from, at);
            }
            match break_width(self.bytes(), at.index) {
                0 => break,
                width => at = Mark { index: at.index + width, line: at.line + 1, column: 0 },
            }
            broke_line = true;
        }
        debug_assert_eq!(at.index, to, "only blanks and comments lie between tokens");
        self.position = at;
        broke_line
    }

    /// Takes in a fetched token, and the comment behind it on the same line.
    pub(super) fn token(&mut self, data: &TokenData, start: Mark, end: Mark, comment_mark: Mark, document_level: bool) {
        match data {
            TokenData::FlowSequenceStart | TokenData::FlowMappingStart => self.flow_level += 1,
            TokenData::FlowSequenceEnd | TokenData::FlowMappingEnd => {
                self.flow_level = self.flow_level.saturating_sub(1);
            }
            _ => {}
        }
        self.push_last(data, start);
        self.position = end;
        if let TokenData::Scalar { style, .. } = data {
            match style {
                libyaml_safer::ScalarStyle::Plain => {
                    let index = self.skip(end.index, |c| matches!(c, ' ' | '\t') || super::scalar::is_break(c));
                    self.position = end.advance(self.text, index);
                }
                libyaml_safer::ScalarStyle::Literal | libyaml_safer::ScalarStyle::Folded => {
                    self.block_header_comment(start);
                    let index = self.skip(end.index, |c| c == ' ');
                    self.position = end.advance(self.text, index);
                }
                _ => {}
            }
        }
        // The indicator of a list item has no line comment: it becomes the head of what follows.
        if !document_level && self.last[1].0 != Last::BlockEntry {
            self.line_comment(comment_mark);
        }
    }

    /// What a comment behind the token at `start` belongs to: a `:` or `,` hands it on to the token before.
    pub(super) fn comment_mark(&self, start: Mark) -> Mark {
        match self.bytes().get(start.index) {
            Some(b':') if self.flow_level == 0 => self.last[1].1,
            Some(b',') if self.flow_level > 0 => self.last[1].1,
            _ => start,
        }
    }

    /// Begins to end blocks: their end lies right before `mark`, or before a comment that closes them.
    pub(super) fn begin_unroll(&mut self, mark: Mark) {
        self.block_end = Mark { index: mark.index.saturating_sub(1), ..mark };
    }

    /// Ends the innermost block; where its end is put.
    pub(super) fn unroll(&mut self) -> Mark {
        let column = self.indents.pop().map_or(0, |indent| indent + 1);
        let mut stop = self.block_end.index;
        for comment in self.comments.iter().rev() {
            if comment.end < stop {
                break;
            }
            if comment.start.column == column {
                self.block_end = comment.start;
            }
            stop = comment.scanned_from;
        }
        self.push_last(&TokenData::BlockEnd, self.block_end);
        self.block_end
    }

    fn bytes(&self) -> &'t [u8] {
        self.text.as_bytes()
    }

    fn skip(&self, from: usize, eaten: impl Fn(char) -> bool) -> usize {
        self.text[from..].find(|c| !eaten(c)).map_or(self.text.len(), |length| from + length)
    }

    /// Line breaks since the last character that is not blank.
    fn newlines_before(&self, index: usize) -> usize {
        let before = &self.text[..index];
        let content = before.trim_end_matches(|c| matches!(c, ' ' | '\t') || super::scalar::is_break(c)).len();
        Mark::default().advance(&before[content..], before.len() - content).line
    }

    /// The rest of the line, without its break.
    fn rest_of_line(&self, from: usize) -> &'t str {
        let rest = &self.text[from..];
        &rest[..rest.find(super::scalar::is_break).unwrap_or(rest.len())]
    }

    fn line_comment(&mut self, token: Mark) {
        let here = self.position.index;
        if self.newlines_before(here) > 0 {
            return;
        }
        let blanks = self.bytes()[here..].iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        if blanks >= LOOKAHEAD || self.bytes().get(here + blanks) != Some(&b'#') {
            return;
        }
        let start = self.position.advance(self.text, here + blanks);
        let line = self.rest_of_line(start.index);
        self.position = start.advance(self.text, start.index + line.len());
        self.comments.push_back(Comment { line: line.into(), token: token.index, start, ..Comment::default() });
    }

    /// A comment behind the `|` or `>` of a block scalar.
    fn block_header_comment(&mut self, start: Mark) {
        let header = self.rest_of_line(start.index);
        let Some(at) = header.find('#') else { return };
        let comment = start.advance(self.text, start.index + at);
        self.comments.push_back(Comment {
            line: header[at..].into(),
            token: start.index,
            start: comment,
            ..Comment::default()
        });
    }

    /// After `- ` that begins a list, the line comment of the token before becomes a head; of what follows, if that is on
    /// the next line.
    fn turn_line_comment_into_head(&mut self, at: Mark) {
        if self.tokens < 2 || self.last[0].0 != Last::ListStart || self.last[1].0 != Last::BlockEntry {
            return;
        }
        if let Some(comment) = self.comments.back_mut().filter(|comment| !comment.line.is_empty()) {
            comment.head = std::mem::take(&mut comment.line);
            if comment.start.line + 1 == at.line {
                comment.token = at.index;
            }
        }
    }

    /// Splits the comment lines from `at` on into feet and heads; where the last one ends.
    fn block(&mut self, scanned_from: Mark, at: Mark) -> Mark {
        let mut group = Group::begin(self, scanned_from, at);
        let mut here = at;
        // Position within the line, from the end of the last comment on; its break itself is passed over.
        let mut peek = 0;
        while peek < LOOKAHEAD {
            let index = here.index + peek;
            group.column += 1;
            let byte = self.bytes().get(index).copied();
            if matches!(byte, Some(b' ' | b'\t')) {
                peek += 1;
                continue;
            }
            let breaks = break_width(self.bytes(), index) > 0;
            let closes_flow = self.flow_level > 0 && matches!(byte, Some(b']' | b'}'));
            if closes_flow || breaks || byte.is_none() {
                if closes_flow || !group.recent_empty {
                    group.empty_line(self, index, closes_flow, byte.is_none());
                }
                if !breaks {
                    break;
                }
                group.first_empty = false;
                group.recent_empty = true;
                group.column = 0;
                group.line += 1;
                peek += 1;
                continue;
            }
            group.other_indent(self, index);
            if byte != Some(b'#') {
                break;
            }
            let line = self.rest_of_line(index);
            group.add(index, line);
            here = here.advance(self.text, index + line.len());
            group.line = here.line;
            group.column = 0;
            peek = 1;
        }
        group.end(self, here.index + peek);
        here
    }
}

/// Comment lines on their way to become a foot or a head.
struct Group {
    text: String,
    start: Mark,
    /// What a foot would belong to.
    token: usize,
    after_value: bool,
    scanned_from: usize,
    next_indent: usize,
    /// The line on which a comment touches the token above.
    foot_line: Option<usize>,
    /// No empty line so far.
    first_empty: bool,
    recent_empty: bool,
    line: usize,
    column: usize,
}

impl Group {
    fn begin(scan: &Scan<'_>, scanned_from: Mark, at: Mark) -> Self {
        let newlines = scan.newlines_before(at.index);
        let before = match scan.last {
            [before, (Last::FlowEntry, _)] if scan.tokens > 1 => before,
            [_, last] => last,
        };
        let beside_content = usize::from(newlines == 0 && at.column > 1);
        Self {
            text: String::new(),
            start: Mark::default(),
            token: before.1.index,
            after_value: before.0 == Last::Value,
            scanned_from: scanned_from.index,
            next_indent: scan.indent().unwrap_or(0),
            foot_line: (scanned_from.line > 0).then(|| at.line + 1 + beside_content - newlines),
            first_empty: newlines <= 1,
            recent_empty: false,
            line: at.line,
            column: at.column,
        }
    }

    fn dedented(&self) -> bool {
        self.start.column < self.next_indent + 1
    }

    fn add(&mut self, index: usize, line: &str) {
        if self.text.is_empty() {
            self.start = Mark { index, line: self.line, column: self.column };
        } else {
            self.text.push('\n');
        }
        self.text.push_str(line);
        self.recent_empty = false;
    }

    /// The first of several empty lines, or the end of a flow collection or of the text.
    fn empty_line(&mut self, scan: &mut Scan<'_>, index: usize, closes_flow: bool, ends_text: bool) {
        let touches = self.foot_line == Some(self.start.line) && !self.after_value;
        if closes_flow || (self.first_empty && (touches || self.dedented())) {
            if !self.text.is_empty() {
                if self.dedented() {
                    // Unrelated to the token above.
                    self.token = self.start.index;
                }
                self.foot(scan, index);
            }
        } else if !self.text.is_empty() && !ends_text {
            self.text.push('\n');
        }
    }

    /// A comment or token that is indented less than the comments so far makes these a foot.
    fn other_indent(&mut self, scan: &mut Scan<'_>, index: usize) {
        if !self.text.is_empty() && self.column < self.next_indent + 1 && self.column != self.start.column {
            self.foot(scan, index);
        }
    }

    fn foot(&mut self, scan: &mut Scan<'_>, index: usize) {
        scan.comments.push_back(Comment {
            foot: std::mem::take(&mut self.text),
            token: self.token,
            start: self.start,
            scanned_from: self.scanned_from,
            end: index,
            ..Comment::default()
        });
        (self.scanned_from, self.token) = (index, index);
    }

    fn end(self, scan: &mut Scan<'_>, index: usize) {
        if !self.text.is_empty() {
            scan.comments.push_back(Comment {
                head: self.text,
                token: self.start.index,
                start: self.start,
                scanned_from: self.scanned_from,
                end: index.saturating_sub(1),
                ..Comment::default()
            });
        }
    }
}

/// Bytes of the line break at `index`; 0 where there is none.
fn break_width(bytes: &[u8], index: usize) -> usize {
    match bytes.get(index..) {
        Some([b'\r', b'\n', ..] | [0xc2, 0x85, ..]) => 2,
        Some([b'\r' | b'\n', ..]) => 1,
        Some([0xe2, 0x80, 0xa8 | 0xa9, ..]) => 3,
        _ => 0,
    }
}
