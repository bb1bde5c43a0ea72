//! Reads what a single token is made of: scalars, anchors, tags, directives.
//!
//! YAML 1.1 as libyaml reads it, with go-yaml v3.0.4's deviations.

use std::borrow::Cow;

use super::Error;
use super::cursor::{Cursor, Mark};

/// How a scalar was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quote {
    Plain,
    Quoted,
    Block,
}

/// Blanks and line breaks between two pieces of a scalar that is folded.
#[derive(Default)]
struct Fold<'t> {
    /// The first break, and whether there was one (an escaped break counts, but leaves nothing).
    first: &'t str,
    broke: bool,
    more: String,
}

impl<'t> Fold<'t> {
    /// Passes over blanks and breaks. `indent`: a plain scalar's, where no tab may stand in for it.
    fn read(mut self, cursor: &mut Cursor<'t>, indent: Option<usize>) -> Result<Self, &'static str> {
        loop {
            if cursor.is_blank(0) {
                if self.broke && cursor.byte(0) == b'\t' && indent.is_some_and(|indent| cursor.mark.column < indent) {
                    return Err("found a tab character that violates indentation");
                }
                cursor.skip(1);
            } else if let Some(text) = cursor.take_break() {
                if self.broke {
                    self.more.push_str(text);
                } else {
                    (self.first, self.broke) = (text, true);
                }
            } else {
                return Ok(self);
            }
        }
    }

    /// One break becomes a space, more lose the first; Unicode's own breaks stay.
    fn join(&self, text: &mut String) {
        match self.first {
            "\n" if self.more.is_empty() => text.push(' '),
            "\n" => text.push_str(&self.more),
            first => {
                text.push_str(first);
                text.push_str(&self.more);
            }
        }
    }
}

/// A plain scalar, and the blanks and breaks behind it; its end, and whether a line ended behind it.
pub(super) fn plain<'t>(
    cursor: &mut Cursor<'t>,
    indent: usize,
    flow: bool,
) -> Result<(Cow<'t, str>, Mark, bool), Error> {
    let start = cursor.mark;
    let text = cursor.text;
    let mut folded = String::new();
    let (mut piece, mut end) = (start.index, start);
    let mut broke = false;
    loop {
        if cursor.at_document_marker() || cursor.byte(0) == b'#' {
            break;
        }
        let before = cursor.mark.index;
        loop {
            cursor.skip_graphic_but_colons(flow);
            if cursor.ends_word(0) || !continues(cursor, flow) {
                break;
            }
            cursor.skip_character();
        }
        if cursor.mark.index > before {
            (end, broke) = (cursor.mark, false);
        }
        let fold = Fold { broke, ..Fold::default() };
        let here = cursor.mark.index;
        let fold = fold.read(cursor, Some(indent)).map_err(|problem| start.syntax(problem))?;
        if cursor.mark.index == here {
            break;
        }
        if fold.broke {
            broke = true;
            if !flow && cursor.mark.column < indent || cursor.at_document_marker() || cursor.byte(0) == b'#' {
                break;
            }
            if !continues(cursor, flow) {
                break;
            }
            folded.push_str(&text[piece..end.index]);
            fold.join(&mut folded);
            piece = cursor.mark.index;
        }
    }
    let last = &text[piece..end.index];
    let value = if folded.is_empty() && piece == start.index {
        Cow::Borrowed(last)
    } else {
        folded.push_str(last);
        Cow::Owned(folded)
    };
    Ok((value, end, broke))
}

/// Whether a character stands here that a plain scalar may go on with.
fn continues(cursor: &Cursor<'_>, flow: bool) -> bool {
    match cursor.byte(0) {
        0 => false,
        b':' => !cursor.ends_word(1),
        b',' | b'?' | b'[' | b']' | b'{' | b'}' => !flow,
        _ => true,
    }
}

/// A scalar in single or double quotes.
pub(super) fn quoted<'t>(cursor: &mut Cursor<'t>) -> Result<Cow<'t, str>, Error> {
    let start = cursor.mark;
    let text = cursor.text;
    let quote = cursor.byte(0);
    cursor.skip(1);
    let first = cursor.mark.index;
    // What is read but not borrowable: everything up to `piece`.
    let mut unescaped = String::new();
    let mut piece = first;
    loop {
        if cursor.at_document_marker() {
            return Err(start.syntax("found unexpected document indicator"));
        }
        let mut fold = Fold::default();
        while !cursor.ends_word(0) {
            match cursor.byte(0) {
                b'\'' if quote == b'\'' && cursor.byte(1) == b'\'' => {
                    unescaped.push_str(&text[piece..=cursor.mark.index]);
                    cursor.skip(2);
                    piece = cursor.mark.index;
                }
                byte if byte == quote => break,
                b'\\' if quote == b'"' => {
                    unescaped.push_str(&text[piece..cursor.mark.index]);
                    cursor.skip(1);
                    if cursor.take_break().is_some() {
                        fold.broke = true;
                        piece = cursor.mark.index;
                        break;
                    }
                    unescaped.push(escape(cursor).map_err(|problem| start.syntax(problem))?);
                    piece = cursor.mark.index;
                }
                _ => cursor.skip_character(),
            }
        }
        if cursor.byte(0) == 0 {
            return Err(start.syntax("found unexpected end of stream"));
        }
        if cursor.byte(0) == quote {
            break;
        }
        let blanks = cursor.mark.index;
        let escaped_break = fold.broke;
        let fold = fold.read(cursor, None).map_err(|problem| start.syntax(problem))?;
        if fold.broke {
            if !escaped_break {
                unescaped.push_str(&text[piece..blanks]);
            }
            fold.join(&mut unescaped);
            piece = cursor.mark.index;
        }
        if cursor.byte(0) == 0 {
            return Err(start.syntax("found unexpected end of stream"));
        }
    }
    let last = &text[piece..cursor.mark.index];
    cursor.skip(1);
    if piece == first {
        return Ok(Cow::Borrowed(last));
    }
    unescaped.push_str(last);
    Ok(Cow::Owned(unescaped))
}

/// The character that an escape stands for, from behind its backslash on.
fn escape(cursor: &mut Cursor<'_>) -> Result<char, &'static str> {
    let kind = cursor.byte(0);
    let digits = match kind {
        b'x' => 2,
        b'u' => 4,
        b'U' => 8,
        _ => 0,
    };
    let short = match kind {
        b'0' => '\0',
        b'a' => '\x07',
        b'b' => '\x08',
        b't' | b'\t' => '\t',
        b'n' => '\n',
        b'v' => '\x0b',
        b'f' => '\x0c',
        b'r' => '\r',
        b'e' => '\x1b',
        b' ' | b'"' | b'\'' | b'\\' => char::from(kind),
        b'N' => '\u{85}',
        b'_' => '\u{a0}',
        b'L' => '\u{2028}',
        b'P' => '\u{2029}',
        _ if digits > 0 => '\0',
        _ => return Err("found unknown escape character"),
    };
    cursor.skip(1);
    if digits == 0 {
        return Ok(short);
    }
    let mut code = 0;
    for _ in 0..digits {
        let digit = char::from(cursor.byte(0)).to_digit(16).ok_or("did not find expected hexadecimal number")?;
        code = code << 4 | digit;
        cursor.skip(1);
    }
    char::from_u32(code).ok_or("found invalid Unicode character escape code")
}

/// A block scalar.
pub(super) struct Block<'t> {
    pub(super) text: String,
    pub(super) end: Mark,
    /// The comment behind its header, and where it begins.
    pub(super) comment: Option<(Mark, &'t str)>,
}

/// Reads a block scalar within a collection of the indent `parent`.
pub(super) fn block<'t>(cursor: &mut Cursor<'t>, parent: Option<usize>) -> Result<Block<'t>, Error> {
    let start = cursor.mark;
    let literal = cursor.byte(0) == b'|';
    cursor.skip(1);
    let (mut chomping, mut increment) = (0, 0);
    for _ in 0..2 {
        match cursor.byte(0) {
            byte @ (b'+' | b'-') if chomping == 0 => chomping = byte,
            b'0' if increment == 0 => return Err(start.syntax("found an indentation indicator equal to 0")),
            digit @ b'1'..=b'9' if increment == 0 => increment = usize::from(digit - b'0'),
            _ => break,
        }
        cursor.skip(1);
    }
    cursor.skip_blanks();
    let comment = (cursor.byte(0) == b'#').then(|| (cursor.mark, cursor.rest_of_line()));
    if let Some((mark, line)) = comment {
        cursor.mark = mark.advance(cursor.text, mark.index + line.len());
    }
    if !cursor.ends_line() {
        return Err(start.syntax("did not find expected comment or line break"));
    }
    cursor.take_break();
    let mut value = String::new();
    // Breaks are held back until it is known whether content follows.
    let (mut last_break, mut more_breaks) = ("", String::new());
    let mut indent = (increment > 0).then(|| parent.unwrap_or(0) + increment);
    let mut end = block_indent(cursor, &mut indent, parent, &mut more_breaks).map_err(|text| start.syntax(text))?;
    let mut after_blank = false;
    while indent == Some(cursor.mark.column) && cursor.byte(0) != 0 {
        let begins_blank = cursor.is_blank(0);
        if !literal && last_break == "\n" && !after_blank && !begins_blank {
            if more_breaks.is_empty() {
                value.push(' ');
            }
        } else {
            value.push_str(last_break);
        }
        value.push_str(&more_breaks);
        more_breaks.clear();
        after_blank = begins_blank;
        let line = cursor.rest_of_line();
        value.push_str(line);
        cursor.mark = cursor.mark.advance(cursor.text, cursor.mark.index + line.len());
        last_break = cursor.take_break().unwrap_or("");
        end = block_indent(cursor, &mut indent, parent, &mut more_breaks).map_err(|text| start.syntax(text))?;
    }
    if chomping != b'-' {
        value.push_str(last_break);
    }
    if chomping == b'+' {
        value.push_str(&more_breaks);
    }
    Ok(Block { text: value, end, comment })
}

/// Passes over empty lines and the indention of the next one, which tells the indent where the header did not.
fn block_indent(
    cursor: &mut Cursor<'_>,
    indent: &mut Option<usize>,
    parent: Option<usize>,
    breaks: &mut String,
) -> Result<Mark, &'static str> {
    let mut end = cursor.mark;
    let mut deepest = 0;
    loop {
        let within = |cursor: &Cursor<'_>| indent.is_none_or(|indent| cursor.mark.column < indent);
        while cursor.byte(0) == b' ' && within(cursor) {
            cursor.skip(1);
        }
        deepest = deepest.max(cursor.mark.column);
        if cursor.byte(0) == b'\t' && within(cursor) {
            return Err("found a tab character where an indentation space is expected");
        }
        let Some(text) = cursor.take_break() else { break };
        breaks.push_str(text);
        end = cursor.mark;
    }
    if indent.is_none() {
        *indent = Some(deepest.max(parent.map_or(0, |parent| parent + 1)).max(1));
    }
    Ok(end)
}

/// The name behind `&` or `*`.
pub(super) fn anchor<'t>(cursor: &mut Cursor<'t>) -> Result<&'t str, Error> {
    let start = cursor.mark;
    cursor.skip(1);
    let name = cursor.take_while(is_name);
    let ends = cursor.ends_word(0) || b"?:,]}%@`".contains(&cursor.byte(0));
    if name.is_empty() || !ends {
        return Err(start.syntax("did not find expected alphabetic or numeric character"));
    }
    Ok(name)
}

/// A tag as handle and suffix; a verbatim tag, and `!` alone, have no handle.
pub(super) fn tag(cursor: &mut Cursor<'_>) -> Result<(String, String), Error> {
    let start = cursor.mark;
    let (handle, suffix);
    if cursor.byte(1) == b'<' {
        cursor.skip(2);
        (handle, suffix) = (String::new(), tag_uri(cursor, start, "", false)?);
        if cursor.byte(0) != b'>' {
            return Err(start.syntax("did not find the expected '>'"));
        }
        cursor.skip(1);
    } else {
        let read = tag_handle(cursor);
        if read.len() > 1 && read.ends_with('!') {
            (handle, suffix) = (read.to_owned(), tag_uri(cursor, start, "", false)?);
        } else {
            let uri = tag_uri(cursor, start, &read[1..], true)?;
            (handle, suffix) = if uri.is_empty() { (String::new(), "!".to_owned()) } else { ("!".to_owned(), uri) };
        }
    }
    if !cursor.ends_word(0) {
        return Err(start.syntax("did not find expected whitespace or line break"));
    }
    Ok((handle, suffix))
}

/// `!`, `!name` or `!name!`, from its `!` on.
fn tag_handle<'t>(cursor: &mut Cursor<'t>) -> &'t str {
    let from = cursor.mark.index;
    cursor.skip(1);
    cursor.take_while(is_name);
    if cursor.byte(0) == b'!' {
        cursor.skip(1);
    }
    &cursor.text[from..cursor.mark.index]
}

fn tag_uri(cursor: &mut Cursor<'_>, start: Mark, head: &str, may_be_empty: bool) -> Result<String, Error> {
    let mut uri = head.as_bytes().to_vec();
    let from = cursor.mark.index;
    loop {
        match cursor.byte(0) {
            b'%' => {
                let digit = |at: usize| char::from(cursor.byte(at)).to_digit(16);
                let (Some(high), Some(low)) = (digit(1), digit(2)) else {
                    return Err(start.syntax("did not find URI escaped octet"));
                };
                uri.extend(u8::try_from(high << 4 | low));
                cursor.skip(3);
            }
            byte if is_name(byte) || b";/?:@&=+$,.!~*'()[]".contains(&byte) => {
                uri.push(byte);
                cursor.skip(1);
            }
            _ => break,
        }
    }
    if cursor.mark.index == from && !may_be_empty {
        return Err(start.syntax("did not find expected tag URI"));
    }
    String::from_utf8(uri).map_err(|_| start.syntax("found an incorrect UTF-8 octet"))
}

/// A line that begins with `%`.
pub(super) enum Directive {
    Version(u8, u8),
    Tag(String, String),
}

/// A directive, with the rest of its line.
pub(super) fn directive(cursor: &mut Cursor<'_>) -> Result<(Directive, Mark), Error> {
    let start = cursor.mark;
    let fail = |problem| Err(start.syntax(problem));
    cursor.skip(1);
    let name = cursor.take_while(is_name);
    if name.is_empty() {
        return fail("could not find expected directive name");
    }
    if !cursor.ends_word(0) {
        return fail("found unexpected non-alphabetical character");
    }
    let directive = match name {
        "YAML" => {
            cursor.skip_blanks();
            let major = version_number(cursor, start)?;
            if cursor.byte(0) != b'.' {
                return fail("did not find expected digit or '.' character");
            }
            cursor.skip(1);
            Directive::Version(major, version_number(cursor, start)?)
        }
        "TAG" => {
            cursor.skip_blanks();
            if cursor.byte(0) != b'!' {
                return fail("did not find expected '!'");
            }
            let handle = tag_handle(cursor);
            if handle != "!" && !handle.ends_with('!') {
                return fail("did not find expected '!'");
            }
            if !cursor.is_blank(0) {
                return fail("did not find expected whitespace");
            }
            cursor.skip_blanks();
            let prefix = tag_uri(cursor, start, "", false)?;
            if !cursor.ends_word(0) {
                return fail("did not find expected whitespace or line break");
            }
            Directive::Tag(handle.to_owned(), prefix)
        }
        _ => return fail("found unknown directive name"),
    };
    let end = cursor.mark;
    cursor.skip_blanks();
    if cursor.byte(0) == b'#' {
        cursor.mark = cursor.mark.advance(cursor.text, cursor.mark.index + cursor.rest_of_line().len());
    }
    if !cursor.ends_line() {
        return fail("did not find expected comment or line break");
    }
    cursor.take_break();
    Ok((directive, end))
}

fn version_number(cursor: &mut Cursor<'_>, start: Mark) -> Result<u8, Error> {
    let digits = cursor.take_while(|byte| byte.is_ascii_digit());
    if digits.len() > 2 {
        return Err(start.syntax("found extremely long version number"));
    }
    digits.parse().map_err(|_| start.syntax("did not find expected version number"))
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}
