//! Writing INI as go-ini does: keys in one column, quotes where a value needs them.

use super::DEFAULT;
use super::read::trim;
use crate::sops::error::{EmitFault, KeyPath, Step};
use crate::sops::number::write_float_general;
use crate::sops::store::write_scalar;
use crate::sops::tree::{Branch, Entry, Node, Text, Tree};

/// Prints the top-level maps of all documents as sections; comments beside them are dropped, as in sops.
pub(crate) fn emit(tree: &Tree<'_>, out: &mut Vec<u8>) -> Result<(), EmitFault> {
    let sections = tree.branches.iter().enumerate().flat_map(|(document, branch)| {
        branch.iter().filter_map(move |entry| match entry {
            Entry::Pair(name, node) => Some((document, name.as_ref(), node)),
            Entry::Comment(_) | Entry::InlineComment(_) => None,
        })
    });
    let mut sections = sections.enumerate().peekable();
    while let Some((position, (document, name, node))) = sections.next() {
        let path = KeyPath { document, steps: vec![Step::Key(name.to_owned())] };
        let Node::Map(keys) = node else { return Err(EmitFault::NotASection(path)) };
        let section = Section::of(name, keys, path)?;
        let is_default = position == 0 && name.to_uppercase() == DEFAULT;
        section.write(is_default, out)?;
        let is_empty = is_default && section.keys.is_empty();
        if sections.peek().is_some() && !is_empty {
            out.push(b'\n');
        }
    }
    Ok(())
}

struct Section<'t, 'a> {
    name: &'t str,
    path: KeyPath,
    comment: Option<&'t [u8]>,
    keys: Vec<Key<'t, 'a>>,
}

struct Key<'t, 'a> {
    name: &'t str,
    value: &'t Node<'a>,
    comment: Option<&'t [u8]>,
}

impl<'t, 'a> Section<'t, 'a> {
    /// The first entry may be the section's comment; the last comment behind a key is the key's, others are dropped.
    fn of(name: &'t str, branch: &'t Branch<'a>, path: KeyPath) -> Result<Self, EmitFault> {
        if name.is_empty() {
            return Err(EmitFault::EmptyName(path));
        }
        let (comment, rest) = match branch.as_slice() {
            [Entry::Comment(text) | Entry::InlineComment(text), rest @ ..] => (Some(text.bytes()), rest),
            rest => (None, rest),
        };
        let mut section = Self { name, path, comment, keys: Vec::new() };
        let mut last = None;
        for entry in rest {
            match entry {
                Entry::Comment(text) | Entry::InlineComment(text) => {
                    if let Some(at) = last {
                        let key: &mut Key<'_, '_> = &mut section.keys[at];
                        key.comment = Some(text.bytes());
                    }
                }
                Entry::Pair(name, value) => {
                    if name.is_empty() {
                        return Err(EmitFault::EmptyName(section.path));
                    }
                    let at = section.keys.iter().position(|key| key.name == name);
                    if let Some(at) = at {
                        section.keys[at].value = value;
                    } else {
                        section.keys.push(Key { name, value, comment: None });
                    }
                    last = Some(at.unwrap_or(section.keys.len() - 1));
                }
            }
        }
        Ok(section)
    }

    fn write(&self, without_header: bool, out: &mut Vec<u8>) -> Result<(), EmitFault> {
        self.write_comment(self.comment, false, out)?;
        if !without_header {
            out.push(b'[');
            out.extend_from_slice(self.name.as_bytes());
            out.extend_from_slice(b"]\n");
        }
        let column = self.keys.iter().map(|key| key.name.len() + 2 * quote_of_name(key.name).len()).max().unwrap_or(0);
        for key in &self.keys {
            self.write_comment(key.comment, true, out)?;
            let quote = quote_of_name(key.name);
            out.extend_from_slice(quote.as_bytes());
            out.extend_from_slice(key.name.as_bytes());
            out.extend_from_slice(quote.as_bytes());
            out.extend(std::iter::repeat_n(b' ', column - key.name.len() - 2 * quote.len()));
            out.extend_from_slice(b" = ");
            write_value(key.value, out);
            out.push(b'\n');
        }
        Ok(())
    }

    fn write_comment(&self, comment: Option<&[u8]>, of_key: bool, out: &mut Vec<u8>) -> Result<(), EmitFault> {
        let Some(comment) = comment.filter(|comment| !comment.is_empty()) else { return Ok(()) };
        for line in comment.split(|byte| *byte == b'\n') {
            match line {
                // go-ini, and sops with it, crashes here.
                [] => return Err(EmitFault::EmptyCommentLine(self.path.clone())),
                [marker @ (b'#' | b';'), rest @ ..] => {
                    out.extend_from_slice(&[*marker, b' ']);
                    out.extend_from_slice(trim(rest));
                }
                line => {
                    out.extend_from_slice(b"; ");
                    out.extend_from_slice(if of_key { trim(line) } else { line });
                }
            }
            out.push(b'\n');
        }
        Ok(())
    }
}

fn quote_of_name(name: &str) -> &'static str {
    if name.contains(['"', '=', ':']) {
        "`"
    } else if name.contains('`') {
        "\"\"\""
    } else {
        ""
    }
}

fn write_value(node: &Node<'_>, out: &mut Vec<u8>) {
    let start = out.len();
    match node {
        Node::Map(_) | Node::List(_) => write_inner_form(node, out),
        scalar => write_scalar(out, scalar),
    }
    let value = &out[start..];
    let quote: &[u8] = if value.iter().any(|byte| matches!(byte, b'\n' | b'`')) {
        b"\"\"\""
    } else if value.iter().any(|byte| matches!(byte, b'#' | b';')) {
        b"`"
    } else if trim(value).len() != value.len() {
        b"\""
    } else {
        return;
    };
    out.extend_from_slice(quote);
    let end = out.len();
    out.extend_from_slice(quote);
    out[start..end].rotate_right(quote.len());
}

/// A value below a section's key, which INI cannot hold: sops prints its own inner form (Go's `%v`), and so do we.
fn write_inner_form(node: &Node<'_>, out: &mut Vec<u8>) {
    match node {
        Node::Map(entries) => bracketed(entries, out, |entry, out| {
            out.push(b'{');
            match entry {
                Entry::Comment(text) => write_inner_comment(text, false, out),
                Entry::InlineComment(text) => write_inner_comment(text, true, out),
                Entry::Pair(key, value) => {
                    out.extend_from_slice(key.as_bytes());
                    out.push(b' ');
                    write_inner_form(value, out);
                }
            }
            if !matches!(entry, Entry::Pair(..)) {
                out.extend_from_slice(b" <nil>");
            }
            out.push(b'}');
        }),
        Node::List(items) => bracketed(items, out, write_inner_form),
        Node::Comment(text) => write_inner_comment(text, false, out),
        Node::InlineComment(text) => write_inner_comment(text, true, out),
        Node::Float(value) => write_float_general(out, *value, b'e'),
        Node::Time(time) => time.write_go(out),
        Node::Null | Node::Bool(_) | Node::Int(_) | Node::Str(_) => write_scalar(out, node),
    }
}

fn write_inner_comment(text: &Text<'_>, inline: bool, out: &mut Vec<u8>) {
    out.push(b'{');
    out.extend_from_slice(text.bytes());
    out.extend_from_slice(if inline { b" true}" } else { b" false}" });
}

fn bracketed<T>(items: &[T], out: &mut Vec<u8>, write: impl Fn(&T, &mut Vec<u8>)) {
    out.push(b'[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(b' ');
        }
        write(item, out);
    }
    out.push(b']');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sops::store::ini::parse;

    fn round(input: &str) -> String {
        let mut out = Vec::new();
        emit(&parse(input.as_bytes()).unwrap(), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn keys_stand_in_a_column_and_sections_apart() {
        assert_eq!(round("top=1\n[s]\na=1\nlong=2\n[t]\n"), "top = 1\n\n[s]\na    = 1\nlong = 2\n\n[t]\n");
        assert_eq!(round("[s]\na="), "[s]\na = \n");
    }

    #[test]
    fn values_are_quoted_where_they_must_be() {
        assert_eq!(
            round("a=\"\"\"x\ny\"\"\"\nb=`#`\nc=\" z \"\nd=\"\"\"`\"\"\""),
            "a = \"\"\"x\ny\"\"\"\nb = `#`\nc = \" z \"\nd = \"\"\"`\"\"\"\n"
        );
    }

    #[test]
    fn names_are_quoted_where_they_must_be() {
        assert_eq!(
            round("`a=b`=1\n\"\"\"c`d\"\"\"=2\nlonger_name=3"),
            "`a=b`       = 1\n\"\"\"c`d\"\"\"   = 2\nlonger_name = 3\n"
        );
    }

    #[test]
    fn comments_come_before_what_they_belong_to() {
        assert_eq!(round("#  of s\n[s]\n; one\n# two\na=1 ;three"), "; of s\n[s]\n; one\n# two\n; three\na = 1\n");
    }

    #[test]
    fn a_default_section_that_is_not_first_has_a_header() {
        assert_eq!(round("[default]\na=1"), "[default]\na = 1\n");
        assert_eq!(round("[s]\na=1\n[DEFAULT]\nb=2"), "[s]\na = 1\n\n[DEFAULT]\nb = 2\n");
    }

    #[test]
    fn lists_and_maps_of_a_section_print_as_sops_sees_them() {
        let inner = vec![
            Entry::Comment(Text::Borrowed(b" c")),
            Entry::Pair("k".into(), Node::Str(Text::Borrowed(b"v"))),
            Entry::Pair("f".into(), Node::Float(1e9)),
        ];
        let list = vec![Node::Str(Text::Borrowed(b"x")), Node::Null, Node::Map(inner), Node::List(Vec::new())];
        let section = vec![Entry::Pair("k".into(), Node::List(list))];
        let tree = Tree { branches: vec![vec![Entry::Pair("s".into(), Node::Map(section))]] };
        let mut out = Vec::new();
        emit(&tree, &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "[s]\nk = [x <nil> [{{ c false} <nil>} {k v} {f 1e+09}] []]\n");
    }

    #[test]
    fn what_stands_beside_sections_has_no_place() {
        let tree = Tree { branches: vec![vec![Entry::Pair("s".into(), Node::Int(1))]] };
        assert_eq!(emit(&tree, &mut Vec::new()).unwrap_err().to_string(), "`s` is not a section");
    }
}
