//! dotenv: `NAME=value` lines without quoting, as sops reads and writes them.

use std::borrow::Cow;

use super::{Format, line_and_column, write_scalar};
use crate::sops::error::{EmitFault, Error, KeyPath, Step, SyntaxFault};
use crate::sops::tree::{Branch, Entry, Node, Text, Tree};

/// Reads every line: `#` begins a comment, the first `=` ends a name, and nothing is trimmed.
pub(crate) fn parse(input: &[u8]) -> Result<Tree<'_>, Error> {
    let mut branch = Branch::new();
    let mut offset = 0;
    for line in input.split(|byte| *byte == b'\n') {
        let start = offset;
        offset += line.len() + 1;
        let fault = |fault| {
            let (line, column) = line_and_column(input, start);
            Error::Syntax { format: Format::Dotenv, line, column, fault }
        };
        if line.is_empty() {
            continue;
        }
        if let Some(comment) = line.strip_prefix(b"#") {
            branch.push(Entry::Comment(Text::Borrowed(comment)));
            continue;
        }
        let equals = line.iter().position(|byte| *byte == b'=').ok_or_else(|| fault(SyntaxFault::NotAnAssignment))?;
        let name = std::str::from_utf8(&line[..equals]).map_err(|_| fault(SyntaxFault::NameNotUtf8))?;
        let value = match unescape(&line[equals + 1..]) {
            Cow::Borrowed(bytes) => Text::Borrowed(bytes),
            Cow::Owned(bytes) => Text::Owned(bytes),
        };
        branch.push(Entry::Pair(Cow::Borrowed(name), Node::Str(value)));
    }
    Ok(Tree { branches: vec![branch] })
}

/// Prints the first document, which must have no lists and no maps.
pub(crate) fn emit(tree: &Tree<'_>, out: &mut Vec<u8>) -> Result<(), EmitFault> {
    for entry in tree.branches.first().into_iter().flatten() {
        match entry {
            Entry::Comment(text) | Entry::InlineComment(text) => {
                out.push(b'#');
                out.extend_from_slice(text.bytes());
            }
            Entry::Pair(key, Node::Map(_) | Node::List(_)) => {
                let steps = vec![Step::Key(key.to_string())];
                return Err(EmitFault::Complex(KeyPath { document: 0, steps }));
            }
            Entry::Pair(key, node) => {
                out.extend_from_slice(key.as_bytes());
                out.push(b'=');
                if let Node::Str(text) = node {
                    escape(text.bytes(), out);
                } else {
                    write_scalar(out, node);
                }
            }
        }
        out.push(b'\n');
    }
    Ok(())
}

/// Turns each `\n` of two characters into a newline. There are no other escapes, and no way to escape this one.
pub(crate) fn unescape(value: &[u8]) -> Cow<'_, [u8]> {
    let Some(first) = find_escape(value) else { return Cow::Borrowed(value) };
    let mut out = Vec::with_capacity(value.len());
    let (mut rest, mut at) = (value, first);
    loop {
        out.extend_from_slice(&rest[..at]);
        out.push(b'\n');
        rest = &rest[at + 2..];
        let Some(next) = find_escape(rest) else { break };
        at = next;
    }
    out.extend_from_slice(rest);
    Cow::Owned(out)
}

fn find_escape(value: &[u8]) -> Option<usize> {
    value.windows(2).position(|pair| pair == b"\\n")
}

fn escape(value: &[u8], out: &mut Vec<u8>) {
    for (position, line) in value.split(|byte| *byte == b'\n').enumerate() {
        if position > 0 {
            out.extend_from_slice(b"\\n");
        }
        out.extend_from_slice(line);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn round(input: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        emit(&parse(input).unwrap(), &mut out).unwrap();
        out
    }

    #[test]
    fn nothing_is_trimmed_quoted_or_expanded() {
        let text = b"A= x \nexport B=\"q\"\nC=a=b\nD=$A\nE=\n# c \n =blank\n";
        assert_eq!(round(text), text);
    }

    #[test]
    fn empty_lines_go_and_a_last_newline_comes() {
        assert_eq!(round(b"\nA=1\n\n\nB=2"), b"A=1\nB=2\n");
    }

    #[test]
    fn a_backslash_and_n_is_a_newline_inside() {
        let tree = parse(b"A=x\\ny\\\\n\\t").unwrap();
        let Entry::Pair(_, Node::Str(text)) = &tree.branches[0][0] else { panic!("a pair") };
        assert_eq!(text.bytes(), b"x\ny\\\n\\t");
        assert_eq!(round(b"A=x\\ny\\\\n\\t\n"), b"A=x\\ny\\\\n\\t\n");
    }

    #[test]
    fn a_line_without_equals_sign_is_refused_with_its_place() {
        let error = parse(b"A=1\nsecret words\n").unwrap_err();
        assert_eq!(error.to_string(), "broken dotenv at line 2, column 1: neither a comment nor NAME=VALUE");
    }

    #[test]
    fn names_may_repeat() {
        assert_eq!(round(b"A=1\nA=2\n"), b"A=1\nA=2\n");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(input: Vec<u8>) {
            if let Ok(tree) = parse(&input) {
                emit(&tree, &mut Vec::new()).unwrap();
            }
        }
    }
}
