//! Writes YAML in every style: blocks, flows, block scalars, quotes, anchors, merge keys, comments, documents.

use std::fmt::Write as _;

use crate::content::{Author, Item, Kind, Value};

/// A document in YAML; `rich` ones hold a probe of every type.
pub(crate) fn write(author: &mut Author<'_>, rich: bool) -> String {
    let step = author.random.between(1, 5);
    let mut writer = Writer { author, step, text: String::new(), anchors: Vec::new(), maps: Vec::new() };
    writer.file(rich);
    let mut text = writer.text;
    let random = &mut *author.random;
    if random.chance(3) {
        text = text.replace('\n', "\r\n");
    }
    if random.chance(2) {
        text.insert(0, '\u{feff}');
    }
    if random.chance(5) {
        text.truncate(text.trim_end_matches('\n').len());
    }
    text
}

struct Writer<'w, 'a> {
    author: &'w mut Author<'a>,
    /// Blanks per level.
    step: usize,
    text: String,
    /// Names of all anchors set so far in this document, and of those that are set on maps.
    anchors: Vec<String>,
    maps: Vec<String>,
}

impl Writer<'_, '_> {
    fn chance(&mut self, percent: usize) -> bool {
        self.author.random.chance(percent)
    }

    fn file(&mut self, rich: bool) {
        if self.chance(2) {
            self.text.push_str("%YAML 1.1\n---\n");
        }
        let items = self.author.document(rich);
        self.document(&items);
        if self.chance(15) {
            for _ in 0..self.author.random.between(1, 3) {
                if self.chance(10) {
                    self.text.push_str("...\n");
                }
                let begin = if self.chance(10) { "--- # comment\n" } else { "---\n" };
                self.text.push_str(begin);
                let items = if self.chance(20) { Vec::new() } else { self.author.document(false) };
                self.document(&items);
            }
        }
    }

    fn document(&mut self, items: &[Item]) {
        self.anchors.clear();
        self.maps.clear();
        if self.chance(10) {
            self.comment_line(0);
            if self.chance(50) {
                self.text.push('\n');
            }
        }
        if items.is_empty() {
            let empty = self.author.random.pick(&["{}\n", "", "null\n", "# only a comment\n"]).to_owned();
            self.text.push_str(&empty);
            return;
        }
        if self.chance(4) {
            let flow = self.flow(&Value::Map(items.to_vec()));
            let _ = writeln!(self.text, "{flow}");
        } else {
            self.map(items, 0);
        }
        if self.chance(10) {
            if self.chance(50) {
                self.text.push('\n');
            }
            self.comment_line(0);
        }
    }

    fn comment_line(&mut self, indent: usize) {
        let text = self.author.comment();
        self.comment(indent, &text);
    }

    fn comment(&mut self, indent: usize, text: &str) {
        let _ = writeln!(self.text, "{:indent$}#{text}", "");
    }

    fn map(&mut self, items: &[Item], indent: usize) {
        let mut merged = false;
        for (number, item) in items.iter().enumerate() {
            self.before(item, indent);
            // The first entry may stand behind a list's dash.
            if number > 0 || self.text.ends_with('\n') || self.text.is_empty() {
                let _ = write!(self.text, "{:indent$}", "");
            }
            if !merged && !self.maps.is_empty() && self.chance(12) {
                merged = true;
                let merge = self.merge();
                let _ = writeln!(self.text, "{merge}");
                let _ = write!(self.text, "{:indent$}", "");
            }
            let key = self.key(&item.key, indent);
            self.text.push_str(&key);
            self.value(item, indent, false);
            self.after(item, indent);
        }
    }

    fn list(&mut self, items: &[Item], indent: usize) {
        for (number, item) in items.iter().enumerate() {
            self.before(item, indent);
            if number > 0 || self.text.ends_with('\n') {
                let _ = write!(self.text, "{:indent$}", "");
            }
            self.text.push('-');
            self.value(item, indent, true);
            self.after(item, indent);
        }
    }

    /// Blank lines and head comments. Behind a dash there is no room for them.
    fn before(&mut self, item: &Item, indent: usize) {
        if !self.text.ends_with('\n') && !self.text.is_empty() {
            return;
        }
        if self.chance(6) {
            self.text.push('\n');
        }
        for text in &item.head {
            self.comment(indent, text);
            if self.chance(5) {
                self.text.push('\n');
            }
        }
    }

    fn after(&mut self, item: &Item, indent: usize) {
        for text in &item.foot {
            self.comment(indent, text);
        }
        if !item.foot.is_empty() && self.chance(70) {
            self.text.push('\n');
        }
    }

    fn merge(&mut self) -> String {
        let first = self.maps[self.author.random.below(self.maps.len())].clone();
        if self.chance(70) {
            return format!("<<: *{first}");
        }
        let second = &self.maps[self.author.random.below(self.maps.len())];
        format!("<<: [*{first}, *{second}]")
    }

    /// What follows `key:` or `-`, up to the end of its last line.
    fn value(&mut self, item: &Item, indent: usize, in_list: bool) {
        let inline = item.inline.as_ref().map(|text| format!(" #{text}")).unwrap_or_default();
        if !self.anchors.is_empty() && self.chance(8) {
            let name = &self.anchors[self.author.random.below(self.anchors.len())];
            let _ = writeln!(self.text, " *{name}{inline}");
            return;
        }
        let anchor = self.chance(8).then(|| format!("n{}", self.anchors.len()));
        if let Some(name) = &anchor {
            let _ = write!(self.text, " &{name}");
        }
        match &item.value {
            Value::Leaf(kind, text) => self.leaf(*kind, text, indent, &inline),
            Value::Map(items) | Value::List(items) if items.is_empty() || self.chance(12) => {
                let flow = self.flow(&item.value);
                let _ = writeln!(self.text, " {flow}{inline}");
                let _ = items;
            }
            Value::Map(items) => {
                // `- a: b` starts on the line of its dash, unless something stands there already.
                if in_list && anchor.is_none() && inline.is_empty() && items[0].head.is_empty() && self.chance(85) {
                    self.text.push(' ');
                    self.map(items, indent + 2);
                } else {
                    let _ = writeln!(self.text, "{inline}");
                    self.map(items, indent + self.step);
                }
            }
            Value::List(items) => {
                if in_list && anchor.is_none() && inline.is_empty() && items[0].head.is_empty() && self.chance(60) {
                    self.text.push(' ');
                    self.list(items, indent + 2);
                } else {
                    let _ = writeln!(self.text, "{inline}");
                    let flat = !in_list && self.chance(40);
                    self.list(items, if flat { indent } else { indent + self.step });
                }
            }
        }
        if let Some(name) = anchor {
            if matches!(item.value, Value::Map(_)) {
                self.maps.push(name.clone());
            }
            self.anchors.push(name);
        }
    }

    fn leaf(&mut self, kind: Kind, text: &str, indent: usize, inline: &str) {
        if kind == Kind::Str && text.contains('\n') && self.chance(70) && self.block(text, indent, inline) {
            return;
        }
        let written = self.scalar(kind, text, false);
        let _ = writeln!(self.text, " {written}{inline}");
    }

    /// A block scalar, where one can hold the text.
    fn block(&mut self, text: &str, indent: usize, inline: &str) -> bool {
        let content = text.trim_end_matches('\n');
        if content.is_empty() || content.chars().any(|c| c != '\n' && c != '\t' && (c.is_control() || odd(c))) {
            return false;
        }
        let chomping = match text.len() - content.len() {
            0 => "-",
            1 => "",
            _ => "+",
        };
        let style = if self.chance(25) { '>' } else { '|' };
        let starts_blank = content.starts_with([' ', '\n', '\t']);
        let hint = if starts_blank || self.chance(10) { self.step.to_string() } else { String::new() };
        let _ = writeln!(self.text, " {style}{hint}{chomping}{inline}");
        let indent = indent + self.step;
        let lines = text.strip_suffix('\n').unwrap_or(text);
        for line in lines.split('\n') {
            if line.is_empty() {
                self.text.push('\n');
            } else {
                let _ = writeln!(self.text, "{:indent$}{line}", "");
            }
        }
        true
    }

    fn key(&mut self, name: &str, indent: usize) -> String {
        let key = self.scalar(Kind::Str, name, false);
        if key.len() > 100 && self.chance(90) || self.chance(1) {
            return format!("? {key}\n{:indent$}:", "");
        }
        format!("{key}:")
    }

    fn flow(&mut self, value: &Value) -> String {
        let blank = if self.chance(30) { "" } else { " " };
        match value {
            Value::Leaf(kind, text) => self.scalar(*kind, text, true),
            Value::Map(items) => {
                let entries: Vec<String> = items
                    .iter()
                    .map(|item| format!("{}: {}", self.scalar(Kind::Str, &item.key, true), self.flow(&item.value)))
                    .collect();
                format!("{{{}}}", entries.join(&format!(",{blank}")))
            }
            Value::List(items) => {
                let entries: Vec<String> = items.iter().map(|item| self.flow(&item.value)).collect();
                format!("[{}]", entries.join(&format!(",{blank}")))
            }
        }
    }

    /// A scalar on one line.
    fn scalar(&mut self, kind: Kind, text: &str, in_flow: bool) -> String {
        if kind != Kind::Str {
            return self.other(kind, text, in_flow);
        }
        let one_line = !text.chars().any(|c| c.is_control() || odd(c));
        match self.author.random.below(10) {
            0..=4 if plain(text, in_flow) => text.to_owned(),
            5 | 6 if one_line => format!("'{}'", text.replace('\'', "''")),
            7 if one_line && plain(text, true) => format!("!!str {text}"),
            8 if plain(text, true) && self.chance(15) => format!("!custom {text}"),
            _ => self.double_quoted(text),
        }
    }

    fn other(&mut self, kind: Kind, text: &str, in_flow: bool) -> String {
        let text = if in_flow && text.is_empty() { "null" } else { text };
        match kind {
            Kind::Int if self.chance(4) => format!("!!int \"{text}\""),
            Kind::Float if self.chance(4) => format!("!!float {text}"),
            Kind::Bool if self.chance(3) => format!("!!bool {text}"),
            _ => text.to_owned(),
        }
    }

    fn double_quoted(&mut self, text: &str) -> String {
        let mut quoted = String::from("\"");
        for c in text.chars() {
            match c {
                '"' => quoted.push_str("\\\""),
                '\\' => quoted.push_str("\\\\"),
                '\n' => quoted.push_str("\\n"),
                '\t' if self.author.random.chance(50) => quoted.push_str("\\t"),
                '\0' => quoted.push_str("\\0"),
                '\u{7}' => quoted.push_str("\\a"),
                '\u{1b}' => quoted.push_str("\\e"),
                '\u{85}' => quoted.push_str("\\N"),
                c if c.is_control() && u32::from(c) < 256 => {
                    let _ = write!(quoted, "\\x{:02x}", u32::from(c));
                }
                c if odd(c) || !c.is_ascii() && self.author.random.chance(20) => {
                    let _ = match u32::from(c) {
                        code @ 0..=0xffff => write!(quoted, "\\u{code:04X}"),
                        code => write!(quoted, "\\U{code:08X}"),
                    };
                }
                c => quoted.push(c),
            }
        }
        quoted.push('"');
        quoted
    }
}

/// Characters that YAML breaks lines at, or that a reader may refuse.
fn odd(c: char) -> bool {
    matches!(c, '\u{85}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

/// Whether a string is certainly one when it is written without quotes.
fn plain(text: &str, in_flow: bool) -> bool {
    let words = ["true", "false", "null", "infinity", "nan"];
    text.starts_with(|c: char| c.is_alphabetic() || c == '/')
        && !words.contains(&text.to_lowercase().as_str())
        && !text.ends_with([' ', ':'])
        && !text.contains(": ")
        && !text.contains(" #")
        && !text.chars().any(|c| c.is_control() || odd(c))
        && !(in_flow && text.contains([',', '[', ']', '{', '}', ':', '?']))
}
