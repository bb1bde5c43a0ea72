//! Prints a tree byte for byte as `sops decrypt` does.
//!
//! Follows sops 3.13.3 (`stores/yaml/store.go`) in how comments come back, and go-yaml v3.0.4 in how nodes are written:
//! a comment waits in one of four places until the emitter comes by, and where it comes by late or not at all, the
//! comment moves.

use super::entries::{List, Map, joined, lines};
use super::scalar::{self, Style, Written, is_break, is_printable};
use super::{EmitError, float};
use crate::sops::tree::{Branch, Node, Timestamp, Tree};

/// Prints all documents. `indent` outside 2 to 9 means 2, as in go-yaml.
///
/// # Errors
///
/// Where sops itself fails: a comment that is not UTF-8, or one beside a value that go-yaml cannot write.
pub(crate) fn emit(tree: &Tree<'_>, indent: usize, out: &mut Vec<u8>) -> Result<(), EmitError> {
    let step = if (2..=9).contains(&indent) { indent } else { 2 };
    let mut emitter = Emitter {
        out,
        step,
        indent: None,
        column: 0,
        after_space: true,
        in_indention: true,
        foot_indent: None,
        waiting: Comments::default(),
        of_key: Vec::new(),
    };
    for (number, branch) in tree.branches.iter().enumerate() {
        emitter.document(branch, number == 0)?;
    }
    Ok(())
}

/// Comments by the place where they stand; each with its markers, lines joined by `\n`.
#[derive(Default)]
struct Comments {
    head: Vec<u8>,
    line: Vec<u8>,
    foot: Vec<u8>,
    /// The foot of the entry before, which comes when its value is over.
    tail: Vec<u8>,
}

struct Emitter<'o> {
    out: &'o mut Vec<u8>,
    /// Columns of one level.
    step: usize,
    /// Column of the current collection; `None` outside of any.
    indent: Option<usize>,
    /// Characters written of the current line.
    column: usize,
    /// Whether a space or a line break was written last.
    after_space: bool,
    /// Whether nothing but indention is on the current line.
    in_indention: bool,
    /// Where a foot comment was just written: an empty line keeps the next entry of this indent apart.
    foot_indent: Option<usize>,
    /// Comments that wait for their place.
    waiting: Comments,
    /// A line comment that was still waiting when a key came: it goes to the key's value.
    of_key: Vec<u8>,
}

/// What surrounds a node.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Within {
    Document,
    List,
    Map,
}

impl Emitter<'_> {
    fn document(&mut self, branch: &Branch<'_>, first: bool) -> Result<(), EmitError> {
        if !first {
            self.new_line();
            self.indicator("---", true);
            self.new_line();
        }
        let map = Map::of(branch)?;
        self.wait(Comments { head: map.head.clone(), ..Comments::default() });
        self.head_comment();
        self.map(&map, Within::Document, Comments::default())?;
        self.foot_indent = Some(0);
        self.foot_comment();
        self.foot_indent = None;
        self.new_line();
        Ok(())
    }

    /// What comes with a node takes the place of what still waits there.
    fn wait(&mut self, comments: Comments) {
        let Comments { head, line, foot, tail } = comments;
        let places = [
            (&mut self.waiting.head, head),
            (&mut self.waiting.line, line),
            (&mut self.waiting.foot, foot),
            (&mut self.waiting.tail, tail),
        ];
        for (place, comment) in places {
            if !comment.is_empty() {
                *place = comment;
            }
        }
    }

    /// A map whose head comment already waits. `end` comes with its end.
    fn map(&mut self, map: &Map<'_, '_>, within: Within, end: Comments) -> Result<(), EmitError> {
        self.line_and_foot_comment();
        if map.pairs.is_empty() {
            self.indicator("{", true);
            self.after_space = true;
            let outer = self.indent;
            self.indent = Some(self.next_indent(true, within));
            self.wait(end);
            self.head_comment();
            self.indent = outer;
            self.indicator("}", false);
            self.line_and_foot_comment();
            return Ok(());
        }
        let outer = self.indent;
        self.indent = Some(self.next_indent(false, within));
        for pair in &map.pairs {
            let head = if pair.first { Vec::new() } else { joined(&pair.head)? };
            self.wait(Comments { head, ..Comments::default() });
            self.head_comment();
            self.new_line();
            if !self.waiting.line.is_empty() {
                self.of_key = std::mem::take(&mut self.waiting.line);
            }
            let simple = self.key(pair.key, !pair.first && !pair.head.is_empty())?;
            let line = joined(&pair.inline)?;
            self.map_value(pair.value, simple, line)?;
        }
        self.wait(Comments { tail: map.foot.clone(), ..end });
        self.head_comment();
        self.indent = outer;
        Ok(())
    }

    /// Writes a key; whether it is a simple one.
    fn key(&mut self, key: &str, has_comment: bool) -> Result<bool, EmitError> {
        let Some(written) = scalar::of_string(key.as_bytes()) else {
            // sops prints the key that it lost as `null`, and fails where it had a comment.
            self.plain("null");
            return if has_comment { Err(EmitError::LostValue) } else { Ok(true) };
        };
        if !written.multiline && written.tag.len() + written.text.len() <= 128 {
            self.written(&written, Within::Map);
            return Ok(true);
        }
        self.indention_indicator("?");
        self.written(&written, Within::Map);
        Ok(false)
    }

    fn map_value(&mut self, value: &Node<'_>, simple_key: bool, line: Vec<u8>) -> Result<(), EmitError> {
        if simple_key {
            self.indicator(":", false);
        } else {
            self.new_line();
            self.indention_indicator(":");
        }
        self.node(value, Within::Map, Comments { line, ..Comments::default() })
    }

    /// Writes a value. `comments` are its own: the head is to be joined with that of a collection.
    fn node(&mut self, node: &Node<'_>, within: Within, comments: Comments) -> Result<(), EmitError> {
        match node {
            Node::Map(branch) => {
                let map = Map::of(branch)?;
                let head = lines(&comments.head, &map.head);
                self.open_collection(head, within);
                return self.map(&map, within, Comments { head: Vec::new(), ..comments });
            }
            Node::List(items) => {
                let list = List::of(items)?;
                let head = lines(&comments.head, &list.head);
                self.open_collection(head, within);
                return self.list(&list, within, comments);
            }
            Node::Null => self.scalar(within, comments, |emitter| emitter.plain("null")),
            Node::Bool(value) => {
                let text = if *value { "true" } else { "false" };
                self.scalar(within, comments, |emitter| emitter.plain(text));
            }
            Node::Int(value) => self.scalar(within, comments, |emitter| emitter.plain(&value.to_string())),
            Node::Float(value) => self.scalar(within, comments, |emitter| emitter.plain(&float::print(*value))),
            Node::Time(value) => self.scalar(within, comments, |emitter| emitter.timestamp(value)),
            Node::Str(text) => match scalar::of_string(text.bytes()) {
                Some(written) => self.scalar(within, comments, |emitter| emitter.written(&written, within)),
                None if comments.is_empty() => self.scalar(within, comments, |emitter| emitter.plain("null")),
                None => return Err(EmitError::LostValue),
            },
            // Taken out before, with their neighbours.
            Node::Comment(_) | Node::InlineComment(_) => {}
        }
        Ok(())
    }

    fn open_collection(&mut self, head: Vec<u8>, within: Within) {
        self.wait(Comments { head, ..Comments::default() });
        match within {
            Within::List => self.open_item(),
            // The comment that the key brought is written at once, since an indented block follows.
            Within::Map if !self.of_key.is_empty() => {
                std::mem::swap(&mut self.waiting.line, &mut self.of_key);
                self.line_comment();
                std::mem::swap(&mut self.waiting.line, &mut self.of_key);
            }
            _ => {}
        }
    }

    fn scalar(&mut self, within: Within, comments: Comments, write: impl FnOnce(&mut Self)) {
        self.wait(comments);
        match within {
            Within::List => self.open_item(),
            Within::Map if !self.of_key.is_empty() && self.waiting.line.is_empty() => {
                self.waiting.line = std::mem::take(&mut self.of_key);
            }
            _ => {}
        }
        write(self);
        self.line_and_foot_comment();
    }

    fn open_item(&mut self) {
        self.head_comment();
        self.new_line();
        self.indention_indicator("-");
    }

    /// A list whose head comment already waits.
    fn list(&mut self, list: &List<'_, '_>, within: Within, end: Comments) -> Result<(), EmitError> {
        self.line_and_foot_comment();
        let end = Comments { head: Vec::new(), ..end };
        if list.items.is_empty() {
            self.indicator("[", true);
            self.after_space = true;
            self.wait(end);
            if self.column == 0 {
                self.new_line();
            }
            self.indicator("]", false);
            self.line_and_foot_comment();
            return Ok(());
        }
        let outer = self.indent;
        self.indent = Some(self.next_indent(false, within));
        let final_item = list.items.len() - 1;
        for (at, item) in list.items.iter().enumerate() {
            let head = if at == 0 { Vec::new() } else { joined(&item.head)? };
            let foot = if at == final_item { list.foot.clone() } else { Vec::new() };
            let line = joined(&item.inline)?;
            self.node(item.value, Within::List, Comments { head, line, foot, tail: Vec::new() })?;
        }
        self.wait(end);
        self.indent = outer;
        Ok(())
    }

    /// Inside a list only the `- ` counts; all else aligns to whole steps.
    fn next_indent(&self, flow: bool, within: Within) -> usize {
        match self.indent {
            None if flow => self.step,
            None => 0,
            Some(indent) if within == Within::List => indent + 2,
            Some(indent) => self.step * ((indent + self.step) / self.step),
        }
    }

    fn put(&mut self, c: char) {
        let mut bytes = [0; 4];
        self.out.extend_from_slice(c.encode_utf8(&mut bytes).as_bytes());
        self.column += 1;
    }

    fn put_break(&mut self) {
        self.out.push(b'\n');
        self.column = 0;
        self.in_indention = true;
    }

    /// A break that stands in a text: kept as it is.
    fn put_own_break(&mut self, c: char) {
        if c == '\n' {
            self.put_break();
        } else {
            self.put(c);
            self.column = 0;
            self.in_indention = true;
        }
    }

    /// Goes to the current indent, on a new line unless it is already there.
    fn new_line(&mut self) {
        let indent = self.indent.unwrap_or(0);
        if !self.in_indention || self.column > indent || (self.column == indent && !self.after_space) {
            self.put_break();
        }
        if self.foot_indent == Some(indent) {
            self.put_break();
        }
        let missing = indent.saturating_sub(self.column);
        self.out.resize(self.out.len() + missing, b' ');
        self.column += missing;
        self.after_space = true;
        self.foot_indent = None;
    }

    fn indicator(&mut self, text: &str, needs_space: bool) {
        if needs_space && !self.after_space {
            self.put(' ');
        }
        self.out.extend_from_slice(text.as_bytes());
        self.column += text.len();
        self.after_space = false;
        self.in_indention = false;
    }

    /// Counts as indention: a collection may begin on the same line.
    fn indention_indicator(&mut self, text: &str) {
        let in_indention = self.in_indention;
        self.indicator(text, true);
        self.in_indention = in_indention;
    }

    fn plain(&mut self, text: &str) {
        self.indicator(text, true);
    }

    fn timestamp(&mut self, time: &Timestamp) {
        let mut printed = Vec::new();
        time.write_nano(&mut printed);
        self.plain(&String::from_utf8_lossy(&printed));
    }

    fn written(&mut self, written: &Written<'_>, within: Within) {
        if !written.tag.is_empty() {
            self.plain(written.tag);
        }
        let outer = self.indent;
        self.indent = Some(self.next_indent(true, within));
        match written.style {
            Style::Plain => self.plain(&written.text),
            Style::Single => self.single(&written.text),
            Style::Double => self.double(&written.text),
            Style::Literal => self.literal(&written.text),
        }
        self.indent = outer;
    }

    fn single(&mut self, text: &str) {
        self.indicator("'", true);
        let mut breaks = false;
        for c in text.chars() {
            if is_break(c) {
                self.put_own_break(c);
                breaks = true;
                continue;
            }
            // Spaces do not begin a line here: such texts are double-quoted.
            if breaks {
                self.new_line();
                breaks = false;
            }
            if c == '\'' {
                self.put('\'');
            }
            self.put(c);
            if c != ' ' {
                self.in_indention = false;
            }
        }
        self.indicator("'", false);
    }

    fn double(&mut self, text: &str) {
        self.indicator("\"", true);
        // go-yaml asks for a byte order mark at the start of the text when it looks at each character.
        let all_escaped = text.starts_with('\u{feff}');
        for c in text.chars() {
            if !all_escaped && is_printable(c) && !is_break(c) && c != '"' && c != '\\' {
                self.put(c);
            } else {
                self.escape(c);
            }
        }
        self.indicator("\"", false);
    }

    fn escape(&mut self, c: char) {
        let short = match c {
            '\0' => "\\0",
            '\x07' => "\\a",
            '\x08' => "\\b",
            '\t' => "\\t",
            '\n' => "\\n",
            '\x0b' => "\\v",
            '\x0c' => "\\f",
            '\r' => "\\r",
            '\x1b' => "\\e",
            '"' => "\\\"",
            '\\' => "\\\\",
            '\u{85}' => "\\N",
            '\u{a0}' => "\\_",
            '\u{2028}' => "\\L",
            '\u{2029}' => "\\P",
            _ => "",
        };
        let code = u32::from(c);
        let long = match code {
            _ if !short.is_empty() => String::new(),
            0..=0xff => format!("\\x{code:02X}"),
            0x100..=0xffff => format!("\\u{code:04X}"),
            _ => format!("\\U{code:08X}"),
        };
        self.out.extend_from_slice(short.as_bytes());
        self.out.extend_from_slice(long.as_bytes());
        self.column += short.len() + long.len();
    }

    fn literal(&mut self, text: &str) {
        self.indicator("|", true);
        if text.starts_with(|c| c == ' ' || is_break(c)) {
            self.indicator(&self.step.to_string(), false);
        }
        let mut from_end = text.chars().rev();
        match (from_end.next().is_some_and(is_break), from_end.next()) {
            (false, _) => self.indicator("-", false),
            (true, None) => self.indicator("+", false),
            (true, Some(before)) if is_break(before) => self.indicator("+", false),
            (true, Some(_)) => {}
        }
        // A line comment stands behind the header and ends its line.
        if self.waiting.line.is_empty() {
            self.put_break();
        } else {
            self.line_comment();
        }
        self.after_space = true;
        let mut breaks = true;
        for c in text.chars() {
            if is_break(c) {
                self.put_own_break(c);
                breaks = true;
                continue;
            }
            if breaks {
                self.new_line();
                breaks = false;
            }
            self.put(c);
            self.in_indention = false;
        }
    }

    fn head_comment(&mut self) {
        let tail = std::mem::take(&mut self.waiting.tail);
        if !tail.is_empty() {
            self.new_line();
            self.comment(&tail);
            self.foot_indent = Some(self.indent.unwrap_or(0));
        }
        let head = std::mem::take(&mut self.waiting.head);
        if !head.is_empty() {
            self.new_line();
            self.comment(&head);
        }
    }

    fn line_comment(&mut self) {
        let line = std::mem::take(&mut self.waiting.line);
        if line.is_empty() {
            return;
        }
        if !self.after_space {
            self.put(' ');
        }
        self.comment(&line);
    }

    fn foot_comment(&mut self) {
        let foot = std::mem::take(&mut self.waiting.foot);
        if !foot.is_empty() {
            self.new_line();
            self.comment(&foot);
            self.foot_indent = Some(self.indent.unwrap_or(0));
        }
    }

    fn line_and_foot_comment(&mut self) {
        self.line_comment();
        self.foot_comment();
    }

    /// Each line of the comment at the current indent; a line that lost its marker gets one.
    fn comment(&mut self, comment: &[u8]) {
        // Checked where the comment was taken from the tree.
        let Ok(comment) = std::str::from_utf8(comment) else { return };
        let (mut breaks, mut marked) = (false, false);
        for c in comment.chars() {
            if is_break(c) {
                self.put_own_break(c);
                (breaks, marked) = (true, false);
                continue;
            }
            if breaks {
                self.new_line();
                breaks = false;
            }
            if !marked {
                if c != '#' {
                    self.put('#');
                    self.put(' ');
                }
                marked = true;
            }
            self.put(c);
            self.in_indention = false;
        }
        if !breaks {
            self.put_break();
        }
        self.after_space = true;
    }
}

impl Comments {
    fn is_empty(&self) -> bool {
        [&self.head, &self.line, &self.foot, &self.tail].into_iter().all(Vec::is_empty)
    }
}
