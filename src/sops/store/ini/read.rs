//! Reading INI: sections, keys, quotes, continued lines, and comments that belong to what follows them.

use std::borrow::Cow;
use std::collections::HashMap;

use super::DEFAULT;
use crate::sops::error::{Error, SyntaxFault};
use crate::sops::store::{Format, line_and_column};
use crate::sops::tree::{Branch, Entry, Node, Text, Tree};

/// Reads every section, the one of no header first, as maps of strings.
pub(crate) fn parse(input: &[u8]) -> Result<Tree<'_>, Error> {
    let mut reader = Reader { input, at: bom_length(input), line_start: 0, comment: Vec::new() };
    reader.sections().map(|branch| Tree { branches: vec![branch] }).map_err(|fault| {
        let (line, column) = line_and_column(input, reader.line_start);
        Error::Syntax { format: Format::Ini, line, column, fault }
    })
}

fn bom_length(input: &[u8]) -> usize {
    match input {
        [0xfe, 0xff, ..] | [0xff, 0xfe, ..] => 2,
        [0xef, 0xbb, 0xbf, ..] => 3,
        _ => 0,
    }
}

struct Reader<'a> {
    input: &'a [u8],
    at: usize,
    /// Where the line in work began, for messages.
    line_start: usize,
    /// Comment lines that wait for the section or key they belong to.
    comment: Vec<u8>,
}

/// A section in the making.
struct Section<'a> {
    name: Cow<'a, str>,
    comment: Option<Text<'a>>,
    keys: Vec<Key<'a>>,
    index: HashMap<Cow<'a, str>, usize>,
    /// The number that the next key called `-` gets.
    next_number: usize,
}

struct Key<'a> {
    name: Cow<'a, str>,
    value: Text<'a>,
    comment: Option<Text<'a>>,
}

impl<'a> Section<'a> {
    fn new(name: Cow<'a, str>, comment: Option<Text<'a>>) -> Self {
        Self { name, comment, keys: Vec::new(), index: HashMap::new(), next_number: 1 }
    }

    /// Adds a key; a name that is there already keeps its place and gets the new value.
    fn set(&mut self, key: Key<'a>) {
        if let Some(at) = self.index.get(&key.name) {
            self.keys[*at] = key;
        } else {
            self.index.insert(key.name.clone(), self.keys.len());
            self.keys.push(key);
        }
    }

    /// A section's comment is its first entry, a key's comment stands behind it: so sops keeps them.
    fn entry(self) -> Entry<'a> {
        let mut branch: Branch<'a> = self.comment.map(Entry::Comment).into_iter().collect();
        for key in self.keys {
            branch.push(Entry::Pair(key.name, Node::Str(key.value)));
            branch.extend(key.comment.map(Entry::Comment));
        }
        Entry::Pair(self.name, Node::Map(branch))
    }
}

impl<'a> Reader<'a> {
    fn sections(&mut self) -> Result<Branch<'a>, SyntaxFault> {
        let mut done = Branch::new();
        let mut section = Section::new(Cow::Borrowed(DEFAULT), None);
        while self.at < self.input.len() {
            self.line_start = self.at;
            let line = trim_start(self.line());
            match line.first() {
                None => {}
                Some(b'#' | b';') => self.comment.extend_from_slice(line),
                Some(b'[') => {
                    let next = self.header(line)?;
                    done.push(std::mem::replace(&mut section, next).entry());
                }
                Some(_) => {
                    let key = self.key(line, &mut section.next_number)?;
                    section.set(key);
                }
            }
        }
        done.push(section.entry());
        Ok(done)
    }

    fn header(&mut self, line: &'a [u8]) -> Result<Section<'a>, SyntaxFault> {
        let close = line.iter().rposition(|byte| *byte == b']').ok_or(SyntaxFault::UnclosedSection)?;
        let name = std::str::from_utf8(&line[1..close]).map_err(|_| SyntaxFault::NameNotUtf8)?;
        if name.is_empty() {
            return Err(SyntaxFault::EmptyName);
        }
        self.comment.extend_from_slice(from_marker(&line[close + 1..]));
        Ok(Section::new(Cow::Borrowed(name), self.take_comment()))
    }

    fn key(&mut self, line: &'a [u8], next_number: &mut usize) -> Result<Key<'a>, SyntaxFault> {
        let (name, rest) = name(line)?;
        let name = std::str::from_utf8(name).map_err(|_| SyntaxFault::NameNotUtf8)?;
        let name = if name == "-" {
            let numbered = format!("#{next_number}");
            *next_number += 1;
            Cow::Owned(numbered)
        } else {
            Cow::Borrowed(name)
        };
        let value = self.value(rest)?;
        if name.is_empty() {
            return Err(SyntaxFault::EmptyName);
        }
        Ok(Key { name, value, comment: self.take_comment() })
    }

    fn value(&mut self, rest: &'a [u8]) -> Result<Text<'a>, SyntaxFault> {
        let line = trim_start(rest);
        let quote: &[u8] = match line {
            [b'"', b'"', b'"', _, ..] => b"\"\"\"",
            [b'`', ..] => b"`",
            _ => return Ok(self.unquoted(line)),
        };
        let body = &line[quote.len()..];
        match rfind(body, quote) {
            Some(end) => Ok(Text::Borrowed(&body[..end])),
            None => self.quoted_lines(body, quote),
        }
    }

    /// A quoted value that goes on in the next lines, up to the last quote of the first line that has one.
    fn quoted_lines(&mut self, first: &[u8], quote: &[u8]) -> Result<Text<'a>, SyntaxFault> {
        let mut value = Text::Owned(first.to_vec());
        let Text::Owned(bytes) = &mut value else { unreachable!("made owned in the line above") };
        loop {
            if self.at >= self.input.len() {
                return Err(SyntaxFault::UnclosedQuote);
            }
            let line = self.line();
            match rfind(line, quote) {
                Some(end) if !trim_end(&line[end + quote.len()..]).ends_with(b"\\") => {
                    bytes.extend_from_slice(&line[..end]);
                    self.comment.extend_from_slice(trim(from_marker(&line[end..])));
                    return Ok(value);
                }
                _ => bytes.extend_from_slice(line),
            }
        }
    }

    fn unquoted(&mut self, line: &'a [u8]) -> Text<'a> {
        let mut value = trim(line);
        if let Some(first) = value.strip_suffix(b"\\") {
            return self.continued(first);
        }
        if let Some(marker) = value.iter().position(|byte| matches!(byte, b'#' | b';')) {
            self.comment.extend_from_slice(&value[marker..]);
            value = trim(&value[..marker]);
        }
        Text::Borrowed(match value {
            [quote @ (b'"' | b'\''), inner @ .., last] if quote == last && !inner.contains(quote) => inner,
            _ => value,
        })
    }

    /// A value whose line ends in a backslash: the next lines follow, trimmed, as long as they end in one, too.
    fn continued(&mut self, first: &[u8]) -> Text<'a> {
        let mut value = first.to_vec();
        loop {
            let next = trim(self.line());
            if let Some(more) = next.strip_suffix(b"\\") {
                value.extend_from_slice(more);
            } else {
                value.extend_from_slice(next);
                return Text::Owned(value);
            }
        }
    }

    /// The next line with its newline; empty at the end of the file.
    fn line(&mut self) -> &'a [u8] {
        let rest = &self.input[self.at..];
        let length = rest.iter().position(|byte| *byte == b'\n').map_or(rest.len(), |newline| newline + 1);
        self.at += length;
        &rest[..length]
    }

    /// The comment that waits, without the marker of its first line.
    fn take_comment(&mut self) -> Option<Text<'a>> {
        let comment = std::mem::take(&mut self.comment);
        let text = trim(&comment);
        let marker = *text.first()?;
        let mut rest = text;
        if matches!(marker, b'#' | b';') {
            while let [first, tail @ ..] = rest
                && (*first == marker || *first == b' ')
            {
                rest = tail;
            }
        }
        Some(Text::Owned(rest.to_vec()))
    }
}

/// The name of a key, and what follows its `=` or `:`.
fn name(line: &[u8]) -> Result<(&[u8], &[u8]), SyntaxFault> {
    let is_delimiter = |byte: &u8| matches!(byte, b'=' | b':');
    let quote: &[u8] = match line {
        [b'"', b'"', b'"', _, _, _, _, ..] => b"\"\"\"",
        [b'"', ..] => b"\"",
        [b'`', ..] => b"`",
        _ => {
            let end = line.iter().position(is_delimiter).ok_or(SyntaxFault::NotAnAssignment)?;
            if end == 0 {
                return Err(SyntaxFault::EmptyName);
            }
            return Ok((trim(&line[..end]), &line[end + 1..]));
        }
    };
    let body = &line[quote.len()..];
    let close = find(body, quote).ok_or(SyntaxFault::UnclosedQuote)?;
    let after = &body[close + quote.len()..];
    // go-ini begins to look for the delimiter behind the quote.
    let delimiter = after.iter().position(is_delimiter).ok_or(SyntaxFault::NotAnAssignment)?;
    Ok((trim(&body[..close]), &after[delimiter + 1..]))
}

/// The text from its first comment marker on.
fn from_marker(text: &[u8]) -> &[u8] {
    text.iter().position(|byte| matches!(byte, b'#' | b';')).map_or(&[], |at| &text[at..])
}

fn find(text: &[u8], word: &[u8]) -> Option<usize> {
    text.windows(word.len()).position(|window| window == word)
}

fn rfind(text: &[u8], word: &[u8]) -> Option<usize> {
    text.windows(word.len()).rposition(|window| window == word)
}

pub(super) fn trim(text: &[u8]) -> &[u8] {
    trim_end(trim_start(text))
}

/// Go trims all of Unicode's white space.
fn trim_start(mut text: &[u8]) -> &[u8] {
    loop {
        let length = match text {
            [first, ..] if first.is_ascii() => usize::from(is_ascii_space(*first)),
            _ => (2..=3).find(|length| text.get(..*length).is_some_and(is_one_space)).unwrap_or(0),
        };
        if length == 0 {
            return text;
        }
        text = &text[length..];
    }
}

fn trim_end(mut text: &[u8]) -> &[u8] {
    loop {
        let length = match text {
            [.., last] if last.is_ascii() => usize::from(is_ascii_space(*last)),
            _ => (2..=3)
                .find(|length| text.len().checked_sub(*length).is_some_and(|at| is_one_space(&text[at..])))
                .unwrap_or(0),
        };
        if length == 0 {
            return text;
        }
        text = &text[..text.len() - length];
    }
}

fn is_ascii_space(byte: u8) -> bool {
    matches!(byte, b' ' | 0x09..=0x0d)
}

fn is_one_space(text: &[u8]) -> bool {
    std::str::from_utf8(text).is_ok_and(|text| {
        let mut chars = text.chars();
        chars.next().is_some_and(char::is_whitespace) && chars.next().is_none()
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Sections and keys as `section/key=value`, comments as `;text`.
    fn shown(input: &[u8]) -> Vec<String> {
        let text = |text: &Text<'_>| String::from_utf8_lossy(text.bytes()).into_owned();
        let mut lines = Vec::new();
        for entry in &parse(input).unwrap().branches[0] {
            let Entry::Pair(section, Node::Map(keys)) = entry else { panic!("a section") };
            for key in keys {
                lines.push(match key {
                    Entry::Comment(comment) | Entry::InlineComment(comment) => format!("{section}/;{}", text(comment)),
                    Entry::Pair(key, Node::Str(value)) => format!("{section}/{key}={}", text(value)),
                    Entry::Pair(..) => panic!("a string"),
                });
            }
        }
        lines
    }

    fn fault(input: &[u8]) -> SyntaxFault {
        match parse(input).unwrap_err() {
            Error::Syntax { fault, .. } => fault,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn keys_before_a_header_belong_to_default() {
        assert_eq!(shown(b"a=1\n[s]\nb : 2\n[s]\nb=3"), ["DEFAULT/a=1", "s/b=2", "s/b=3"]);
    }

    #[test]
    fn quotes_go_unless_one_of_them_is_inside() {
        let input = b"a=\"x y\"\nb='z'\nc=\"a\"b\"\nd=`#;`\ne=\"\"\"q;q\"\"\"\nf='\ng=\"\"\"\"\"\"";
        assert_eq!(
            shown(input),
            [
                "DEFAULT/a=x y",
                "DEFAULT/b=z",
                "DEFAULT/c=\"a\"b\"",
                "DEFAULT/d=#;",
                "DEFAULT/e=q;q",
                "DEFAULT/f='",
                "DEFAULT/g="
            ]
        );
    }

    #[test]
    fn quoted_values_span_lines_and_backslashes_join_them() {
        assert_eq!(
            shown(b"a=\"\"\"x\n y\n\"\"\" ; c\nb=1\\\n  2 \\\n3\nc=4"),
            ["DEFAULT/a=x\n y\n", "DEFAULT/;c", "DEFAULT/b=12 3", "DEFAULT/c=4"]
        );
        assert_eq!(fault(b"a=`x\ny"), SyntaxFault::UnclosedQuote);
    }

    #[test]
    fn comments_belong_to_what_follows_or_stands_before_them() {
        let input = b"; of s\n[s] # more\n# of a\n;; two\na=1 ; inline\nb=2\n; lost\n";
        assert_eq!(shown(input), ["s/;of s\n# more", "s/a=1", "s/;of a\n;; two\n; inline", "s/b=2"]);
    }

    #[test]
    fn a_repeated_key_keeps_its_place_and_a_dash_numbers_itself() {
        assert_eq!(
            shown(b"a=1\nb=2\na=3\n-=x\n- = y\n[s]\n-=z"),
            ["DEFAULT/a=3", "DEFAULT/b=2", "DEFAULT/#1=x", "DEFAULT/#2=y", "s/#1=z"]
        );
    }

    #[test]
    fn names_may_be_quoted() {
        assert_eq!(
            shown(b"\"a=b\" = 1\n`c:d`=2\n\"\"\"e`f\"\"\"=3"),
            ["DEFAULT/a=b=1", "DEFAULT/c:d=2", "DEFAULT/e`f=3"]
        );
    }

    #[test]
    fn broken_lines_are_refused() {
        for (input, expected) in [
            (&b"a"[..], SyntaxFault::NotAnAssignment),
            (b"=1", SyntaxFault::EmptyName),
            (b"\"\"=1", SyntaxFault::EmptyName),
            (b"[s\na=1", SyntaxFault::UnclosedSection),
            (b"[]", SyntaxFault::EmptyName),
            (b"\"a=1", SyntaxFault::UnclosedQuote),
            (b"`a`", SyntaxFault::NotAnAssignment),
        ] {
            assert_eq!(fault(input), expected, "{}", String::from_utf8_lossy(input));
        }
    }

    #[test]
    fn white_space_is_that_of_unicode() {
        assert_eq!(shown("\u{a0}a\u{2003}=\u{3000}x\u{85}\n".as_bytes()), ["DEFAULT/a=x"]);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(input: Vec<u8>) {
            let _ = parse(&input);
        }

        #[test]
        fn no_text_of_its_own_signs_makes_it_panic(input in "[\\[\\]=:;#\"'`\\\\\n a-]{0,60}") {
            let _ = parse(input.as_bytes());
        }
    }
}
