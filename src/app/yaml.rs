//! YAML that people wrote, as JSON values, within limits.
//!
//! Argo CD reads Applications and overrides with a YAML 1.1 reader (`sigs.k8s.io/yaml`), for which `yes` is true and
//! `0755` is 493. `valuesObject` reaches charts that way, so this reader answers alike.

use std::{
    collections::BTreeMap,
    io::{Chain, Read},
    panic::{self, AssertUnwindSafe},
};

use libyaml_safer::{Encoding, Event, EventData, Mark, Parser, ScalarStyle};
use serde_json::{Map, Number, Value};

/// Why a text is not the YAML that was wanted. It holds positions, and nothing of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum YamlError {
    /// Broken syntax.
    #[error("is not valid YAML at line {line} column {column}")]
    Syntax {
        /// From 1.
        line: u64,
        /// From 1.
        column: u64,
    },
    /// A byte or character that YAML cannot hold.
    #[error("is not valid YAML: it holds a character that YAML forbids")]
    Character,
    /// Something that JSON, and so Argo CD, cannot express: a key that is a list, a number that is not finite, a tag.
    #[error("holds YAML at line {line} column {column} that has no form in JSON")]
    NoJson {
        /// From 1.
        line: u64,
        /// From 1.
        column: u64,
    },
    /// A list or a single value where names are needed.
    #[error("must be a YAML mapping, not a list or a single value")]
    NotAMapping,
    /// More nesting than anybody writes.
    #[error("is nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// More text or, with aliases resolved, more values than anybody writes.
    #[error("is larger than {} MiB", MAX_BYTES >> 20)]
    TooLarge,
}

/// Mappings and lists within each other.
const MAX_DEPTH: usize = 100;
/// Text that is read, and again what aliases may make of it. More than etcd can keep of one object.
const MAX_BYTES: usize = 8 << 20;
/// What a value costs beside its text.
const NODE_BYTES: usize = 16;

/// Checks that the first document is a mapping or empty, which is what helm makes of a values text.
pub(super) fn check_values(text: &str) -> Result<(), YamlError> {
    let mut events = Events::new(text)?;
    let mut depth = 0_usize;
    loop {
        let event = events.next()?;
        match event.data {
            EventData::MappingStart { .. } => depth += 1,
            EventData::SequenceStart { .. } if depth > 0 => depth += 1,
            EventData::MappingEnd | EventData::SequenceEnd => depth -= 1,
            EventData::Scalar { tag, value, style, .. } if depth == 0 => {
                let mark = event.start_mark;
                if scalar(tag.as_deref(), value, style, mark)? != Value::Null {
                    return Err(YamlError::NotAMapping);
                }
            }
            EventData::SequenceStart { .. } => return Err(YamlError::NotAMapping),
            EventData::DocumentEnd { .. } | EventData::StreamEnd => return Ok(()),
            _ => {}
        }
        if depth > MAX_DEPTH {
            return Err(YamlError::TooDeep);
        }
    }
}

/// Reads the first document and nothing behind it; `null` if it has no content.
pub(super) fn first_document(text: &str) -> Result<Value, YamlError> {
    let mut loader = Loader::new(text)?;
    loop {
        let event = loader.events.next()?;
        match event.data {
            EventData::StreamStart { .. } | EventData::DocumentStart { .. } => {}
            EventData::DocumentEnd { .. } | EventData::StreamEnd => return Ok(Value::Null),
            _ => return loader.node(event),
        }
    }
}

/// Reads all documents. Documents without content are left out.
pub(super) fn documents(text: &str) -> Result<Vec<Value>, YamlError> {
    let mut loader = Loader::new(text)?;
    let mut documents = Vec::new();
    loop {
        let event = loader.events.next()?;
        match event.data {
            EventData::StreamEnd => return Ok(documents),
            EventData::StreamStart { .. } | EventData::DocumentStart { .. } => loader.anchors.clear(),
            EventData::DocumentEnd { .. } => {}
            _ => documents.push(loader.node(event)?),
        }
        documents.retain(|document| *document != Value::Null);
    }
}

/// The events of libyaml-safer 0.3, without three ways in which it panics: a block scalar and a backslash at the very
/// end (both gone where a line break ends the text), and a tag that touches a comma, as in `[!t,]`.
struct Events<'a> {
    parser: Parser<Chain<&'a [u8], &'static [u8]>>,
    /// Where the line break stands that the text did not have.
    added: Option<u64>,
    /// Where the last event ended.
    last: Mark,
}

impl<'a> Events<'a> {
    fn new(text: &'a str) -> Result<Self, YamlError> {
        if text.len() > MAX_BYTES {
            return Err(YamlError::TooLarge);
        }
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        // A last line of spaces has no content, and a line break behind it would give it some.
        let trimmed = text.trim_end_matches(' ');
        let text = if trimmed.is_empty() || trimmed.ends_with('\n') { trimmed } else { text };
        let added = (!text.is_empty() && !text.ends_with(['\n', '\r'])).then_some(text.len() as u64);
        let end: &'static [u8] = if added.is_some() { b"\n" } else { b"" };
        let mut parser = Parser::new();
        parser.set_encoding(Encoding::Utf8);
        parser.set_input(text.as_bytes().chain(end));
        Ok(Self { parser, added, last: Mark::default() })
    }

    fn next(&mut self) -> Result<Event, YamlError> {
        // A parser that panicked is not asked again: every error ends the reading.
        let parsed = panic::catch_unwind(AssertUnwindSafe(|| self.parser.parse())).map_err(|_| syntax(self.last))?;
        let mut event = parsed.map_err(|error| error.problem_mark().map_or(YamlError::Character, syntax))?;
        self.last = event.end_mark;
        if let EventData::Scalar { value, style: ScalarStyle::Literal | ScalarStyle::Folded, .. } = &mut event.data
            && self.added.is_some_and(|at| at < event.end_mark.index)
            && value.ends_with('\n')
        {
            value.pop();
        }
        Ok(event)
    }
}

struct Loader<'a> {
    events: Events<'a>,
    anchors: BTreeMap<String, Value>,
    budget: usize,
    depth: usize,
}

impl<'a> Loader<'a> {
    fn new(text: &'a str) -> Result<Self, YamlError> {
        Ok(Self { events: Events::new(text)?, anchors: BTreeMap::new(), budget: MAX_BYTES, depth: 0 })
    }

    fn node(&mut self, event: Event) -> Result<Value, YamlError> {
        let mark = event.start_mark;
        let (anchor, value) = match event.data {
            EventData::Alias { anchor } => {
                let value = self.anchors.get(&anchor).ok_or_else(|| syntax(mark))?.clone();
                self.spend(size(&value))?;
                return Ok(value);
            }
            EventData::Scalar { anchor, tag, value, style, .. } => {
                self.spend(value.len() + NODE_BYTES)?;
                (anchor, scalar(tag.as_deref(), value, style, mark)?)
            }
            EventData::SequenceStart { anchor, .. } => (anchor, self.nested(Self::sequence)?),
            EventData::MappingStart { anchor, .. } => (anchor, self.nested(Self::mapping)?),
            _ => return Err(syntax(mark)),
        };
        if let Some(anchor) = anchor {
            self.spend(size(&value))?;
            self.anchors.insert(anchor, value.clone());
        }
        Ok(value)
    }

    fn nested(&mut self, read: impl Fn(&mut Self) -> Result<Value, YamlError>) -> Result<Value, YamlError> {
        self.spend(NODE_BYTES)?;
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(YamlError::TooDeep);
        }
        let value = read(self)?;
        self.depth -= 1;
        Ok(value)
    }

    fn sequence(&mut self) -> Result<Value, YamlError> {
        let mut items = Vec::new();
        loop {
            let event = self.events.next()?;
            if event.data == EventData::SequenceEnd {
                return Ok(Value::Array(items));
            }
            items.push(self.node(event)?);
        }
    }

    fn mapping(&mut self) -> Result<Value, YamlError> {
        let mut entries = Map::new();
        loop {
            let event = self.events.next()?;
            if event.data == EventData::MappingEnd {
                return Ok(Value::Object(entries));
            }
            let mark = event.start_mark;
            let merge = matches!(&event.data,
                EventData::Scalar { value, style: ScalarStyle::Plain, tag: None, .. } if value == "<<");
            let key = self.node(event)?;
            let value_event = self.events.next()?;
            let value = self.node(value_event)?;
            if merge {
                merge_into(&mut entries, value).ok_or_else(|| no_json(mark))?;
                continue;
            }
            let key = match key {
                Value::String(text) => text,
                Value::Bool(flag) => flag.to_string(),
                Value::Number(number) if !number.is_f64() => number.to_string(),
                _ => return Err(no_json(mark)),
            };
            entries.insert(key, value);
        }
    }

    fn spend(&mut self, bytes: usize) -> Result<(), YamlError> {
        self.budget = self.budget.checked_sub(bytes).ok_or(YamlError::TooLarge)?;
        Ok(())
    }
}

/// Applies the value of `<<`: one mapping, or several of which earlier ones win. Like everything in a mapping, it
/// overrides what stands before it, as in the reader that Argo CD uses.
fn merge_into(entries: &mut Map<String, Value>, value: Value) -> Option<()> {
    match value {
        Value::Object(more) => entries.extend(more),
        Value::Array(items) => {
            for item in items.into_iter().rev() {
                let Value::Object(more) = item else { return None };
                entries.extend(more);
            }
        }
        _ => return None,
    }
    Some(())
}

fn size(value: &Value) -> usize {
    NODE_BYTES
        + match value {
            Value::String(text) => text.len(),
            Value::Array(items) => items.iter().map(size).sum(),
            Value::Object(entries) => entries.iter().map(|(key, value)| key.len() + NODE_BYTES + size(value)).sum(),
            _ => 0,
        }
}

fn syntax(mark: Mark) -> YamlError {
    YamlError::Syntax { line: mark.line + 1, column: mark.column + 1 }
}

fn no_json(mark: Mark) -> YamlError {
    YamlError::NoJson { line: mark.line + 1, column: mark.column + 1 }
}

/// The value of a scalar. Quoted text and text with a tag of somebody's own are strings.
fn scalar(tag: Option<&str>, text: String, style: ScalarStyle, mark: Mark) -> Result<Value, YamlError> {
    let tag = tag.map(|tag| tag.strip_prefix("tag:yaml.org,2002:").unwrap_or(tag));
    let plain = match tag {
        None if style != ScalarStyle::Plain => return Ok(Value::String(text)),
        None | Some("int" | "float" | "bool" | "null") => plain(&text).map_err(|()| no_json(mark))?,
        Some("binary") => return Err(no_json(mark)),
        Some(_) => return Ok(Value::String(text)),
    };
    let fits = match (tag, &plain) {
        (Some("int"), Some(Value::Number(number))) => !number.is_f64(),
        (Some("float"), Some(Value::Number(_)))
        | (Some("bool"), Some(Value::Bool(_)))
        | (Some("null"), Some(Value::Null)) => true,
        (found, _) => found.is_none(),
    };
    if fits { Ok(plain.unwrap_or(Value::String(text))) } else { Err(no_json(mark)) }
}

/// What an unquoted text means by the table of go-yaml 2; `None` is a string, `Err` a number without a form in JSON.
fn plain(text: &str) -> Result<Option<Value>, ()> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Ok(Some(Value::Null)),
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            return Ok(Some(Value::Bool(true)));
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            return Ok(Some(Value::Bool(false)));
        }
        _ => {}
    }
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return Err(());
    }
    let number = match text.bytes().next() {
        Some(b'0'..=b'9' | b'+' | b'-') => {
            let bare = text.replace('_', "");
            integer(&bare).or_else(|| float(&bare))
        }
        Some(b'.') => float(text),
        _ => None,
    };
    Ok(number.map(Value::Number))
}

/// An integer as Go's `strconv.ParseInt` reads it with base 0: decimal, or by a prefix `0x`, `0o`, `0b`, `0`.
fn integer(text: &str) -> Option<Number> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let prefixed = |prefix: [&str; 2]| prefix.iter().find_map(|prefix| digits.strip_prefix(prefix));
    let (digits, radix) = if let Some(digits) = prefixed(["0x", "0X"]) {
        (digits, 16)
    } else if let Some(digits) = prefixed(["0o", "0O"]) {
        (digits, 8)
    } else if let Some(digits) = prefixed(["0b", "0B"]) {
        (digits, 2)
    } else if digits.len() > 1 && digits.starts_with('0') {
        (&digits[1..], 8)
    } else {
        (digits, 10)
    };
    if digits.starts_with(['+', '-']) {
        return None;
    }
    let magnitude = u64::from_str_radix(digits, radix).ok()?;
    if negative {
        return 0_i64.checked_sub_unsigned(magnitude).map(Number::from);
    }
    if text.starts_with('+') && i64::try_from(magnitude).is_err() {
        return None;
    }
    Some(Number::from(magnitude))
}

fn float(text: &str) -> Option<Number> {
    let shaped = text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b'e' | b'E'));
    let number = text.parse::<f64>().ok().filter(|_| shaped)?;
    Number::from_f64(number)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn one(text: &str) -> Value {
        let mut documents = documents(text).expect("good YAML");
        assert_eq!(documents.len(), 1, "for {text:?}");
        documents.remove(0)
    }

    #[track_caller]
    fn refuses(text: &str, expected: &str) {
        assert_eq!(documents(text).expect_err("must be refused").to_string(), expected);
    }

    #[test]
    fn scalars_mean_what_they_mean_to_argo_cd() {
        // Answers of `sigs.k8s.io/yaml` 1.6.0, `YAMLToJSON`.
        for (text, expected) in [
            ("a: yes", json!({"a": true})),
            ("a: 'yes'", json!({"a": "yes"})),
            ("a: y", json!({"a": true})),
            ("a: off", json!({"a": false})),
            ("a: 0755", json!({"a": 493})),
            ("a: 0o17", json!({"a": 15})),
            ("a: 0x1F", json!({"a": 31})),
            ("a: 1_000", json!({"a": 1000})),
            ("a: 08", json!({"a": 8.0})),
            ("a: 1.5", json!({"a": 1.5})),
            ("a: .5", json!({"a": 0.5})),
            ("a: 1e3", json!({"a": 1000.0})),
            ("a: -3", json!({"a": -3})),
            ("a: 18446744073709551615", json!({"a": 18_446_744_073_709_551_615_u64})),
            ("a: 1e999", json!({"a": "1e999"})),
            ("a: 2001-01-01", json!({"a": "2001-01-01"})),
            ("a: 1.2.3", json!({"a": "1.2.3"})),
            ("a: +", json!({"a": "+"})),
            ("a: ~", json!({"a": null})),
            ("a:", json!({"a": null})),
            ("a: !!str 1", json!({"a": "1"})),
            ("a: !own 1", json!({"a": "1"})),
            ("a: |\n  x\n", json!({"a": "x\n"})),
            ("\u{feff}---\na: b", json!({"a": "b"})),
            ("a: |\n  x", json!({"a": "x"})),
            ("a: >\n  x", json!({"a": "x"})),
            ("a: |+\n  x\n\n", json!({"a": "x\n\n"})),
            ("a: |\n  x\n  ", json!({"a": "x\n"})),
            ("1: a\ntrue: b", json!({"1": "a", "true": "b"})),
            ("a: 1\na: 2", json!({"a": 2})),
        ] {
            assert_eq!(one(text), expected, "for {text:?}");
        }
    }

    #[test]
    fn anchors_and_merge_keys_are_resolved() {
        assert_eq!(one("x: &x {a: 1, b: 2}\nz:\n  <<: *x\n  b: 3")["z"], json!({"a": 1, "b": 3}));
        assert_eq!(one("x: [&a {k: 1}, &b {k: 2, l: 3}]\nz: {<<: [*a, *b]}")["z"], json!({"k": 1, "l": 3}));
        assert_eq!(one("x: &x [1]\nz: *x"), json!({"x": [1], "z": [1]}));
    }

    #[test]
    fn documents_without_content_do_not_count() {
        assert_eq!(documents("---\n# nothing\n---\na: 1\n---\n"), Ok(vec![json!({"a": 1})]));
        assert_eq!(documents(""), Ok(vec![]));
        assert_eq!(first_document("---\n---\na: 1"), Ok(Value::Null));
        assert_eq!(first_document("a: 1\n---\n["), Ok(json!({"a": 1})), "nothing behind it is read");
    }

    #[test]
    fn what_argo_cd_could_not_read_is_refused_with_its_place_only() {
        refuses("a: hunter2\nb: [hunter2", "is not valid YAML at line 3 column 1");
        refuses("a: *hunter2", "is not valid YAML at line 1 column 4");
        refuses("a: .inf", "holds YAML at line 1 column 4 that has no form in JSON");
        refuses("[a]: b", "holds YAML at line 1 column 1 that has no form in JSON");
        refuses("a: !!int x", "holds YAML at line 1 column 4 that has no form in JSON");
        refuses("a: [!t,]", "is not valid YAML at line 1 column 5");
        refuses("a: \"b\\", "is not valid YAML at line 2 column 1");
        refuses("a: \u{1}", "is not valid YAML: it holds a character that YAML forbids");
    }

    #[test]
    fn hostile_yaml_costs_an_error() {
        refuses(&"[".repeat(100_000), "is nested deeper than 100 levels");
        refuses(&" ".repeat(9 << 20), "is larger than 8 MiB");
        let mut laughs = "a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]\n".to_owned();
        for level in 1..20 {
            let line = format!("a{level}: &a{level} [{}]\n", vec![format!("*a{}", level - 1); 10].join(", "));
            laughs.push_str(&line);
        }
        refuses(&laughs, "is larger than 8 MiB");
        assert_eq!(check_values(&laughs), Ok(()), "nothing is resolved to check values");
        assert_eq!(check_values(&"{a: ".repeat(100_000)), Err(YamlError::TooDeep));
    }

    #[test]
    fn values_are_a_mapping_or_nothing() {
        for text in ["a: 1", "{}", "", "# only a comment", "---\na: 1\n---\n- other", "~", "a: &x 1\nb: *x"] {
            assert_eq!(check_values(text), Ok(()), "for {text:?}");
        }
        for text in ["- a", "text", "1", "'quoted'"] {
            assert_eq!(check_values(text), Err(YamlError::NotAMapping), "for {text:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in "[ a0:\\-\\[\\]{}&*!|>'\"#%\n\r\\\\,?.~<x]{0,60}") {
            let _ = documents(&text);
            let _ = check_values(&text);
        }
    }
}
