//! The formats that sops reads and writes; sops calls each a store.

pub(crate) mod binary;
pub(crate) mod dotenv;
pub(crate) mod ini;
pub(crate) mod json;
pub(crate) mod yaml;

use std::fmt;
use std::str::FromStr;

use zeroize::Zeroizing;

use super::error::{EmitFault, Error};
use super::number;
use super::tree::{Entry, Node, Tree};

/// The deepest nesting that is read. sops stops at 10,000; people's files end before 20, and every level costs stack.
pub(crate) const MAX_DEPTH: usize = 256;

/// A file format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// YAML, of one or more documents.
    Yaml,
    /// JSON with an object at the top.
    Json,
    /// `NAME=value` lines.
    Dotenv,
    /// INI as go-ini reads it.
    Ini,
    /// Any bytes, in a JSON envelope.
    Binary,
}

impl Format {
    /// The format by the end of a file name, as sops chooses: what it does not know is [`Format::Binary`].
    #[must_use]
    pub fn of_file_name(name: &str) -> Self {
        Self::of_known_extension(name).unwrap_or(Self::Binary)
    }

    /// The format by the end of a file name, where sops has a format of that name. Case matters.
    #[must_use]
    pub fn of_known_extension(name: &str) -> Option<Self> {
        const ENDINGS: [(&str, Format); 5] = [
            (".yaml", Format::Yaml),
            (".yml", Format::Yaml),
            (".json", Format::Json),
            (".env", Format::Dotenv),
            (".ini", Format::Ini),
        ];
        ENDINGS.iter().find(|(ending, _)| name.ends_with(ending)).map(|(_, format)| *format)
    }

    /// The word of sops' `--input-type` and `--output-type`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Yaml => "yaml",
            Self::Json => "json",
            Self::Dotenv => "dotenv",
            Self::Ini => "ini",
            Self::Binary => "binary",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Yaml => "YAML",
            Self::Json => "JSON",
            Self::Dotenv => "dotenv",
            Self::Ini => "INI",
            Self::Binary => "binary",
        })
    }
}

/// A word that names no format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown format; known are yaml, json, dotenv, ini, binary")]
pub struct UnknownFormat;

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        [Self::Yaml, Self::Json, Self::Dotenv, Self::Ini, Self::Binary]
            .into_iter()
            .find(|format| format.word() == word)
            .ok_or(UnknownFormat)
    }
}

/// Parses bytes in a format; metadata is still in the tree.
pub(crate) fn parse(format: Format, input: &[u8]) -> Result<Tree<'_>, Error> {
    match format {
        Format::Yaml => yaml::parse(input).map_err(Error::Yaml),
        Format::Json | Format::Binary => json::parse(input),
        Format::Dotenv => dotenv::parse(input),
        Format::Ini => ini::parse(input),
    }
}

/// Prints a tree as `sops decrypt` does.
pub(crate) fn emit(tree: &Tree<'_>, format: Format, indent: Option<usize>, out: &mut Vec<u8>) -> Result<(), Error> {
    match format {
        Format::Yaml => return yaml::emit(tree, indent.unwrap_or(YAML_INDENT), out).map_err(Error::EmitYaml),
        Format::Json => json::emit(tree, indent, out),
        Format::Dotenv => dotenv::emit(tree, out),
        Format::Ini => ini::emit(tree, out),
        Format::Binary => binary::emit(tree, out),
    }
    .map_err(|fault| Error::Emit { format, fault })
}

/// Prints a value other than a string or a map as `sops decrypt --extract` does.
pub(crate) fn emit_value(
    node: Node<'_>,
    format: Format,
    indent: Option<usize>,
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    match format {
        Format::Yaml => yaml_value(node, out),
        // sops hands INI values other than strings to Go's JSON printer, without its indentation.
        Format::Json => json::emit_value(&node, indent, out).map_err(|fault| Error::Emit { format, fault }),
        Format::Ini if !matches!(node, Node::List(_)) => {
            json::emit_value(&node, indent, out).map_err(|fault| Error::Emit { format, fault })
        }
        Format::Ini | Format::Dotenv | Format::Binary => Err(Error::Emit { format, fault: EmitFault::Scalar }),
    }
}

const YAML_INDENT: usize = 4;

/// One value is printed as that of a key, which is then taken away, and with it the indentation of what follows.
fn yaml_value(node: Node<'_>, out: &mut Vec<u8>) -> Result<(), Error> {
    const KEY: &str = "v";
    let tree = Tree { branches: vec![vec![Entry::Pair(KEY.into(), node)]] };
    let mut text = Zeroizing::new(Vec::with_capacity(out.capacity()));
    yaml::emit(&tree, YAML_INDENT, &mut text).map_err(Error::EmitYaml)?;
    let text = text.strip_prefix(b"v:").unwrap_or(&text);
    let text = text.strip_prefix(b" ").or_else(|| text.strip_prefix(b"\n")).unwrap_or(text);
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        out.extend_from_slice(line.strip_prefix(&[b' '; YAML_INDENT]).unwrap_or(line));
    }
    Ok(())
}

/// A scalar as dotenv and INI print it; both have only strings.
pub(crate) fn write_scalar(out: &mut Vec<u8>, node: &Node<'_>) {
    match node {
        Node::Null => out.extend_from_slice(b"<nil>"),
        Node::Bool(value) => out.extend_from_slice(value.to_string().as_bytes()),
        Node::Int(value) => out.extend_from_slice(value.to_string().as_bytes()),
        Node::Float(value) => {
            let start = out.len();
            number::write_float_general(out, *value, b'E');
            let is_integral = out[start..].iter().all(|byte| byte.is_ascii_digit() || *byte == b'-');
            if is_integral {
                out.extend_from_slice(b".0");
            }
        }
        Node::Time(time) => time.write_seconds(out),
        Node::Str(text) | Node::Comment(text) | Node::InlineComment(text) => out.extend_from_slice(text.bytes()),
        Node::Map(_) | Node::List(_) => {}
    }
}

/// Line and column of a byte, both from 1.
pub(crate) fn line_and_column(input: &[u8], offset: usize) -> (usize, usize) {
    let before = &input[..offset.min(input.len())];
    let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
    (memchr::memchr_iter(b'\n', before).count() + 1, before.len() - line_start + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_the_name_decides_and_case_matters() {
        for (name, format) in [
            ("values.yaml", Format::Yaml),
            ("a.yml", Format::Yaml),
            (".env", Format::Dotenv),
            ("x.env", Format::Dotenv),
            ("x.ini", Format::Ini),
            ("x.json", Format::Json),
            ("values.yaml.enc", Format::Binary),
            ("values.YAML", Format::Binary),
            ("yaml", Format::Binary),
        ] {
            assert_eq!(Format::of_file_name(name), format, "{name}");
        }
    }

    #[test]
    fn option_words_are_those_of_sops() {
        assert_eq!("dotenv".parse(), Ok(Format::Dotenv));
        assert_eq!("env".parse::<Format>(), Err(UnknownFormat));
    }

    #[test]
    fn places_count_from_one() {
        assert_eq!(line_and_column(b"ab\ncd", 0), (1, 1));
        assert_eq!(line_and_column(b"ab\ncd", 4), (2, 2));
        assert_eq!(line_and_column(b"ab\n", 99), (2, 1));
    }
}
