//! Writes the formats other than YAML: JSON, dotenv, INI, binary.

use std::fmt::Write as _;

use crate::content::{Author, Kind, Value};

/// A JSON object, with the blanks and escapes that JSON leaves free.
pub(crate) fn json(author: &mut Author<'_>, rich: bool) -> String {
    let mut items = author.document(rich);
    if author.random.chance(4) && !items.is_empty() {
        let double = items[author.random.below(items.len())].clone();
        items.push(double);
    }
    let mut text = json_value(author, &Value::Map(items));
    if author.random.chance(3) {
        text.push_str(" trailing");
    }
    text
}

fn json_value(author: &mut Author<'_>, value: &Value) -> String {
    let blank = author.random.pick(&["", "", " ", "\n", "\t", "\r\n"]).to_owned();
    match value {
        Value::Leaf(Kind::Str, text) => json_string(author, text),
        Value::Leaf(_, text) => text.clone(),
        Value::Map(items) => {
            let entries: Vec<String> = items
                .iter()
                .map(|item| {
                    format!("{blank}{}:{blank}{}", json_string(author, &item.key), json_value(author, &item.value))
                })
                .collect();
            format!("{{{}{blank}}}", entries.join(","))
        }
        Value::List(items) => {
            let entries: Vec<String> = items.iter().map(|item| json_value(author, &item.value)).collect();
            format!("[{blank}{}]", entries.join(&format!("{blank},")))
        }
    }
}

fn json_string(author: &mut Author<'_>, text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '/' if author.random.chance(30) => quoted.push_str("\\/"),
            '\n' => quoted.push_str("\\n"),
            c if c < ' ' || author.random.chance(3) => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    let _ = write!(quoted, "\\u{unit:04x}");
                }
            }
            c => quoted.push(c),
        }
    }
    if author.random.chance(1) {
        quoted.push_str(author.random.pick(&["\\ud800", "\\udc00x", "\\ud800\\ud800"]));
    }
    quoted.push('"');
    quoted
}

/// Lines of `NAME=value`.
pub(crate) fn dotenv(author: &mut Author<'_>, rich: bool) -> String {
    let mut lines = Vec::new();
    if rich {
        let matched = author.scenario.marked("probestr");
        if author.scenario.selector.reads_comments() {
            lines.push(format!("#{}", author.scenario.marked("")));
        }
        lines.push("# probecomment".to_owned());
        lines.push(format!("{matched}=v{}", dotenv_value(author)));
        lines.push("# probecomment".to_owned());
        lines.push(format!("probestr=v{}", dotenv_value(author)));
        lines.push("probeempty=".to_owned());
    }
    for _ in 0..author.random.below(8) {
        let line = match author.random.below(12) {
            0 => String::new(),
            1 | 2 => format!("#{}", author.comment().replace('\n', " ")),
            3 => author
                .random
                .pick(&[
                    "export A=1",
                    " B = c ",
                    "EMPTY=",
                    "=no name",
                    "Q=\"quoted # x\"",
                    "S='a'",
                    "E=a=b=",
                    "sopsy=1",
                ])
                .to_owned(),
            _ => format!("{}={}", author.key().replace(['\n', '='], "_"), dotenv_value(author)),
        };
        lines.push(line);
    }
    if author.random.chance(3) {
        lines.push("no equals sign".to_owned());
    }
    let end = if author.random.chance(4) { "\r\n" } else { "\n" };
    lines.join(end) + if author.random.chance(90) { end } else { "" }
}

fn dotenv_value(author: &mut Author<'_>) -> String {
    author.string().replace('\n', "\\n")
}

/// Sections of `key = value`.
pub(crate) fn ini(author: &mut Author<'_>, rich: bool) -> String {
    let mut text = String::new();
    if rich {
        // A comment before a section is the first entry in it; that of a key stands, for sops, after its key.
        let matched = author.scenario.marked("matched");
        if author.scenario.selector.reads_comments() {
            let _ = writeln!(text, ";{}", author.scenario.marked("probecomment"));
        }
        for section in [matched.as_str(), "other"] {
            let _ = writeln!(text, "[{section}]\nprobestr = value {}\nprobeempty =", author.random.below(100));
            let _ = writeln!(text, "; probecomment\nanother = {}", ini_value(author));
        }
    } else if author.random.chance(40) {
        ini_keys(author, &mut text);
    }
    for _ in 0..author.random.below(4) {
        if author.random.chance(15) {
            let comment = author.comment();
            let _ = writeln!(text, ";{comment}");
        }
        let name = author.key().replace(['\n', '\r', ']'], "_");
        let _ = writeln!(text, "[{name}]");
        ini_keys(author, &mut text);
    }
    if author.random.chance(4) { text.replace('\n', "\r\n") } else { text }
}

fn ini_keys(author: &mut Author<'_>, text: &mut String) {
    for _ in 0..author.random.below(5) {
        if author.random.chance(15) {
            let mark = author.random.pick(&["#", ";"]).to_owned();
            let comment = author.comment();
            let _ = writeln!(text, "{mark}{comment}");
        }
        let key = author.key().replace(['\n', '\r', '='], "_");
        let key = match author.random.below(14) {
            0 => format!("`{key}`"),
            1 => format!("\"{key}\""),
            2 => "-".to_owned(),
            _ => key,
        };
        let sign = author.random.pick(&["=", " = ", ":", " : ", "   =\t"]).to_owned();
        let value = ini_value(author);
        let _ = writeln!(text, "{key}{sign}{value}");
        if author.random.chance(6) {
            text.push('\n');
        }
    }
}

fn ini_value(author: &mut Author<'_>) -> String {
    let value = author.string();
    let one_line = value.replace(['\n', '\r'], " ");
    match author.random.below(8) {
        0 => format!("`{value}`"),
        1 => format!("\"\"\"{value}\"\"\""),
        2 => format!("\"{one_line}\""),
        3 => format!("'{one_line}'"),
        4 => format!("{one_line} ; comment"),
        5 if one_line.len() > 4 => format!("{}\\\n  more", one_line.replace('\\', "/")),
        _ => one_line,
    }
}

/// Any bytes.
pub(crate) fn binary(author: &mut Author<'_>) -> Vec<u8> {
    match author.random.below(6) {
        0 => Vec::new(),
        1 => author.string().into_bytes(),
        2 => json(author, false).into_bytes(),
        3 => crate::yaml::write(author, false).into_bytes(),
        _ => (0..author.random.between(1, 400)).map(|_| author.random.number().to_be_bytes()[0]).collect(),
    }
}
