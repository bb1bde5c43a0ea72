//! A place in a text, and what stands there.

use super::scalar::is_break;
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

    pub(super) fn syntax(self, problem: &'static str) -> Error {
        self.error(Fault::Syntax(problem))
    }

    /// The mark of `index`, which is further on in the same text.
    pub(super) fn advance(self, text: &str, index: usize) -> Self {
        let (mut line, mut column) = (self.line, self.column);
        let mut characters = text[self.index..index].chars().peekable();
        while let Some(c) = characters.next() {
            match c {
                '\r' if characters.peek() == Some(&'\n') => {}
                c if is_break(c) => (line, column) = (line + 1, 0),
                _ => column += 1,
            }
        }
        Self { index, line, column }
    }
}

/// Reads a text from front to back. Beyond its end stands NUL, which no text holds.
#[derive(Clone, Copy)]
pub(super) struct Cursor<'t> {
    pub(super) text: &'t str,
    pub(super) mark: Mark,
}

impl<'t> Cursor<'t> {
    /// The byte `ahead` of the place.
    pub(super) fn byte(&self, ahead: usize) -> u8 {
        self.text.as_bytes().get(self.mark.index + ahead).copied().unwrap_or(0)
    }

    /// Bytes of the line break that stands `ahead`; 0 where there is none.
    pub(super) fn break_width(&self, ahead: usize) -> usize {
        break_width(self.text.as_bytes(), self.mark.index + ahead)
    }

    pub(super) fn is_blank(&self, ahead: usize) -> bool {
        matches!(self.byte(ahead), b' ' | b'\t')
    }

    /// A blank, a line break, or the end.
    pub(super) fn ends_word(&self, ahead: usize) -> bool {
        matches!(self.byte(ahead), b' ' | b'\t' | 0) || self.break_width(ahead) > 0
    }

    /// A line break or the end.
    pub(super) fn ends_line(&self) -> bool {
        self.byte(0) == 0 || self.break_width(0) > 0
    }

    /// `---` or `...` at the start of a line.
    pub(super) fn at_document_marker(&self) -> bool {
        self.mark.column == 0
            && matches!((self.byte(0), self.byte(1), self.byte(2)), (b'-', b'-', b'-') | (b'.', b'.', b'.'))
            && self.ends_word(3)
    }

    /// Passes over bytes of ASCII within a line.
    pub(super) fn skip(&mut self, bytes: usize) {
        self.mark.index += bytes;
        self.mark.column += bytes;
    }

    /// Passes over one character that is no line break.
    pub(super) fn skip_character(&mut self) {
        let lead = self.byte(0);
        self.mark.index += match lead {
            0..0x80 => 1,
            0x80..0xe0 => 2,
            0xe0..0xf0 => 3,
            _ => 4,
        };
        self.mark.column += 1;
    }

    /// Passes over visible ASCII other than `:`, in bulk; of flow collections' indicators only outside of them.
    pub(super) fn skip_graphic_but_colons(&mut self, flow: bool) {
        let rest = self.text.as_bytes().get(self.mark.index..).unwrap_or_default();
        let plain = |byte: &u8| matches!(byte, b'!'..=b'9' | b';'..=b'~');
        let run = if flow {
            rest.iter().position(|byte| !plain(byte) || b",?[]{}".contains(byte))
        } else {
            rest.iter().position(|byte| !plain(byte))
        };
        self.skip(run.unwrap_or(rest.len()));
    }

    pub(super) fn skip_blanks(&mut self) {
        while self.is_blank(0) {
            self.skip(1);
        }
    }

    /// Passes over the bytes that fit, which are ASCII, and gives them.
    pub(super) fn take_while(&mut self, fits: impl Fn(u8) -> bool) -> &'t str {
        let start = self.mark.index;
        while fits(self.byte(0)) {
            self.skip(1);
        }
        &self.text[start..self.mark.index]
    }

    /// Passes over a line break, if one stands here; how YAML reads it: all but two of them mean `\n`.
    pub(super) fn take_break(&mut self) -> Option<&'t str> {
        let width = self.break_width(0);
        if width == 0 {
            return None;
        }
        let index = self.mark.index;
        self.mark = Mark { index: index + width, line: self.mark.line + 1, column: 0 };
        Some(if width == 3 { &self.text[index..index + 3] } else { "\n" })
    }

    /// The rest of the line, without its break; the place stays.
    pub(super) fn rest_of_line(&self) -> &'t str {
        let rest = &self.text[self.mark.index..];
        &rest[..rest.find(is_break).unwrap_or(rest.len())]
    }
}

/// Bytes of the line break at `index`; 0 where there is none.
pub(super) fn break_width(bytes: &[u8], index: usize) -> usize {
    match bytes.get(index) {
        Some(b'\n') => 1,
        Some(b'\r') => 1 + usize::from(bytes.get(index + 1) == Some(&b'\n')),
        Some(0xc2) if bytes.get(index + 1) == Some(&0x85) => 2,
        Some(0xe2) if matches!(bytes.get(index + 1..index + 3), Some([0x80, 0xa8 | 0xa9])) => 3,
        _ => 0,
    }
}
