//! Finds comments between tokens and decides what each belongs to.
//!
//! Follows go-yaml v3.0.4 (`scannerc.go`): a comment behind a token on its line is a line comment; of the lines between
//! two tokens, those that touch the token above or are indented less are its foot, the others the head of what follows.

use std::collections::VecDeque;

use super::cursor::{Cursor, Mark};
use super::scalar::is_break;
use super::tokens::Lexeme;

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
    /// Behind the last token, its line comment, and the blanks that it ate.
    pub(super) cursor: Cursor<'t>,
    /// Columns of the open block collections.
    pub(super) indents: Vec<usize>,
    pub(super) comments: VecDeque<Comment>,
    pub(super) flow_level: usize,
    /// Whether a key may begin here that no `?` announces.
    pub(super) key_may_begin: bool,
    /// The last token but one, and the last.
    last: [(Last, Mark); 2],
    tokens: usize,
    /// Where the end of a block is put next.
    block_end: Mark,
}

impl<'t> Scan<'t> {
    pub(super) fn of(text: &'t str) -> Self {
        Self {
            cursor: Cursor { text, mark: Mark::default() },
            indents: Vec::new(),
            comments: VecDeque::new(),
            flow_level: 0,
            key_may_begin: true,
            last: [(Last::Other, Mark::default()); 2],
            tokens: 0,
            block_end: Mark::default(),
        }
    }

    pub(super) fn indent(&self) -> Option<usize> {
        self.indents.last().copied()
    }

    pub(super) fn note(&mut self, lexeme: &Lexeme<'_>, start: Mark) {
        let kind = match lexeme {
            Lexeme::BlockEntry => Last::BlockEntry,
            Lexeme::FlowEntry => Last::FlowEntry,
            Lexeme::Value => Last::Value,
            Lexeme::BlockListStart => Last::ListStart,
            _ => Last::Other,
        };
        self.last = [self.last[1], (kind, start)];
        self.tokens += 1;
    }

    /// Walks from the last token to the next one.
    pub(super) fn gap(&mut self) {
        let scanned_from = self.cursor.mark;
        loop {
            // A tab does not indent.
            while self.cursor.byte(0) == b' '
                || (self.cursor.byte(0) == b'\t' && (self.flow_level > 0 || !self.key_may_begin))
            {
                self.cursor.skip(1);
            }
            if !self.comments.is_empty() && self.cursor.break_width(0) == 0 {
                self.turn_line_comment_into_head();
            }
            if self.cursor.byte(0) == b'#' {
                self.block(scanned_from);
            }
            if self.cursor.take_break().is_none() {
                return;
            }
            self.key_may_begin |= self.flow_level == 0;
        }
    }

    /// The comment behind a token on the same line. The indicator of a list item has none: it becomes the head of what
    /// follows.
    pub(super) fn line_comment(&mut self, token: Mark) {
        if self.last[1].0 == Last::BlockEntry {
            return;
        }
        let mut blanks = 0;
        while self.cursor.is_blank(blanks) {
            blanks += 1;
        }
        if blanks >= LOOKAHEAD || self.cursor.byte(blanks) != b'#' || self.newlines_before() > 0 {
            return;
        }
        self.cursor.skip(blanks);
        let (start, line) = (self.cursor.mark, self.cursor.rest_of_line());
        self.add_line_comment(token, start, line);
        self.cursor.mark = start.advance(self.cursor.text, start.index + line.len());
    }

    pub(super) fn add_line_comment(&mut self, token: Mark, start: Mark, line: &str) {
        self.comments.push_back(Comment { line: line.into(), token: token.index, start, ..Comment::default() });
    }

    /// What a comment behind the token at `start` belongs to: a `:` or `,` hands it on to the token before.
    pub(super) fn comment_mark(&self, start: Mark) -> Mark {
        match self.cursor.byte(0) {
            b':' if self.flow_level == 0 => self.last[1].1,
            b',' if self.flow_level > 0 => self.last[1].1,
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
        self.note(&Lexeme::BlockEnd, self.block_end);
        self.block_end
    }

    /// Line breaks since the last character that is not blank.
    fn newlines_before(&self) -> usize {
        let before = &self.cursor.text[..self.cursor.mark.index];
        let content = before.trim_end_matches(|c| matches!(c, ' ' | '\t') || is_break(c)).len();
        Mark::default().advance(&before[content..], before.len() - content).line
    }

    /// After `- ` that begins a list, the line comment of the token before becomes a head; of what follows, if that is on
    /// the next line.
    fn turn_line_comment_into_head(&mut self) {
        if self.tokens < 2 || self.last[0].0 != Last::ListStart || self.last[1].0 != Last::BlockEntry {
            return;
        }
        let here = self.cursor.mark;
        if let Some(comment) = self.comments.back_mut().filter(|comment| !comment.line.is_empty()) {
            comment.head = std::mem::take(&mut comment.line);
            if comment.start.line + 1 == here.line {
                comment.token = here.index;
            }
        }
    }

    /// Splits the comment lines from here on into feet and heads, up to where the last one ends.
    fn block(&mut self, scanned_from: Mark) {
        let mut group = Group::begin(self, scanned_from);
        // Position within the line, from the end of the last comment on; its break itself is passed over.
        let mut peek = 0;
        while peek < LOOKAHEAD {
            let index = self.cursor.mark.index + peek;
            group.column += 1;
            if self.cursor.is_blank(peek) {
                peek += 1;
                continue;
            }
            let byte = self.cursor.byte(peek);
            let breaks = self.cursor.break_width(peek) > 0;
            let closes_flow = self.flow_level > 0 && matches!(byte, b']' | b'}');
            if closes_flow || breaks || byte == 0 {
                if closes_flow || !group.recent_empty {
                    group.empty_line(self, index, closes_flow, byte == 0);
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
            if byte != b'#' {
                break;
            }
            self.cursor.mark = self.cursor.mark.advance(self.cursor.text, index);
            let line = self.cursor.rest_of_line();
            group.add(index, line);
            self.cursor.mark = self.cursor.mark.advance(self.cursor.text, index + line.len());
            group.line = self.cursor.mark.line;
            group.column = 0;
            peek = 1;
        }
        group.end(self, self.cursor.mark.index + peek);
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
    fn begin(scan: &Scan<'_>, scanned_from: Mark) -> Self {
        let at = scan.cursor.mark;
        let newlines = scan.newlines_before();
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
