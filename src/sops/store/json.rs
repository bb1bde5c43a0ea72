//! JSON as Go reads it and as sops prints it: order and double keys are kept.

use std::borrow::Cow;

use super::{Format, MAX_DEPTH, line_and_column};
use crate::sops::error::{EmitFault, Error, KeyPath, Step, SyntaxFault};
use crate::sops::number;
use crate::sops::tree::{Branch, Entry, Node, Text, Tree};

/// Reads the object at the top. What stands behind it is ignored, as in sops.
///
/// sops also accepts a file that ends within its top-level object and drops the unfinished entry; that is refused here.
pub(crate) fn parse(input: &[u8]) -> Result<Tree<'_>, Error> {
    let mut parser = Parser { input, at: 0, is_utf8: std::str::from_utf8(input).is_ok() };
    parser.top().map(|branch| Tree { branches: vec![branch] }).map_err(|fault| {
        let (line, column) = line_and_column(input, parser.at);
        Error::Syntax { format: Format::Json, line, column, fault }
    })
}

struct Parser<'a> {
    input: &'a [u8],
    at: usize,
    /// All of the input is, so every string is.
    is_utf8: bool,
}

impl<'a> Parser<'a> {
    fn top(&mut self) -> Result<Branch<'a>, SyntaxFault> {
        self.blanks();
        if self.peek()? != b'{' {
            return Err(SyntaxFault::NotAMap);
        }
        self.at += 1;
        self.object(1)
    }

    /// The rest of an object whose brace is read.
    fn object(&mut self, depth: usize) -> Result<Branch<'a>, SyntaxFault> {
        let mut branch = Branch::new();
        self.blanks();
        if self.peek()? == b'}' {
            self.at += 1;
            return Ok(branch);
        }
        loop {
            self.blanks();
            if self.peek()? != b'"' {
                return Err(SyntaxFault::Unexpected);
            }
            let key = match self.string()? {
                Cow::Borrowed(key) => std::str::from_utf8(key).map(Cow::Borrowed).ok(),
                Cow::Owned(key) => String::from_utf8(key).map(Cow::Owned).ok(),
            };
            let key = key.ok_or(SyntaxFault::NameNotUtf8)?;
            self.blanks();
            self.expect(b':')?;
            let value = self.value(depth)?;
            branch.push(Entry::Pair(key, value));
            self.blanks();
            match self.peek()? {
                b',' => self.at += 1,
                b'}' => {
                    self.at += 1;
                    return Ok(branch);
                }
                _ => return Err(SyntaxFault::Unexpected),
            }
        }
    }

    /// The rest of an array whose bracket is read.
    fn array(&mut self, depth: usize) -> Result<Vec<Node<'a>>, SyntaxFault> {
        let mut items = Vec::new();
        self.blanks();
        if self.peek()? == b']' {
            self.at += 1;
            return Ok(items);
        }
        loop {
            items.push(self.value(depth)?);
            self.blanks();
            match self.peek()? {
                b',' => self.at += 1,
                b']' => {
                    self.at += 1;
                    return Ok(items);
                }
                _ => return Err(SyntaxFault::Unexpected),
            }
        }
    }

    fn value(&mut self, depth: usize) -> Result<Node<'a>, SyntaxFault> {
        self.blanks();
        let first = self.peek()?;
        if matches!(first, b'{' | b'[') && depth >= MAX_DEPTH {
            return Err(SyntaxFault::TooDeep { limit: MAX_DEPTH });
        }
        match first {
            b'{' => {
                self.at += 1;
                self.object(depth + 1).map(Node::Map)
            }
            b'[' => {
                self.at += 1;
                self.array(depth + 1).map(Node::List)
            }
            b'"' => Ok(Node::Str(match self.string()? {
                Cow::Borrowed(text) => Text::Borrowed(text),
                Cow::Owned(text) => Text::Owned(text),
            })),
            b't' => self.word(b"true", Node::Bool(true)),
            b'f' => self.word(b"false", Node::Bool(false)),
            b'n' => self.word(b"null", Node::Null),
            _ => self.number(),
        }
    }

    fn word(&mut self, word: &[u8], node: Node<'a>) -> Result<Node<'a>, SyntaxFault> {
        word.iter().try_for_each(|byte| self.expect(*byte))?;
        Ok(node)
    }

    /// An int where the text is one and fits 64 bits, else a float.
    fn number(&mut self) -> Result<Node<'a>, SyntaxFault> {
        let start = self.at;
        if self.peek()? == b'-' {
            self.at += 1;
        }
        match self.peek()? {
            b'0' => self.at += 1,
            b'1'..=b'9' => self.digits()?,
            _ => return Err(SyntaxFault::Unexpected),
        }
        if self.input.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.input.get(self.at), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek()?, b'+' | b'-') {
                self.at += 1;
            }
            self.digits()?;
        }
        let text = &self.input[start..self.at];
        if let Some(value) = number::parse_int(text) {
            return Ok(Node::Int(value));
        }
        number::parse_float(text).map(Node::Float).ok_or(SyntaxFault::NumberRange)
    }

    /// At least one digit.
    fn digits(&mut self) -> Result<(), SyntaxFault> {
        if !self.peek()?.is_ascii_digit() {
            return Err(SyntaxFault::Unexpected);
        }
        while self.input.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
        Ok(())
    }

    /// A string, from quote to quote; borrowed where nothing is escaped.
    fn string(&mut self) -> Result<Cow<'a, [u8]>, SyntaxFault> {
        self.at += 1;
        let start = self.at;
        let plain = self.plain_run();
        if self.peek()? == b'"' {
            self.at += 1;
            return Ok(self.valid(plain));
        }
        let end = self.input[start..].iter().position(|byte| *byte == b'"').unwrap_or(0);
        let mut out = Vec::with_capacity(end + 1);
        out.extend_from_slice(&self.valid(plain));
        loop {
            match self.peek()? {
                b'"' => {
                    self.at += 1;
                    return Ok(Cow::Owned(out));
                }
                b'\\' => {
                    self.at += 1;
                    let c = self.escape()?;
                    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                }
                _ => return Err(SyntaxFault::Unexpected), // a control character
            }
            let plain = self.plain_run();
            out.extend_from_slice(&self.valid(plain));
        }
    }

    /// Text up to the next quote, backslash or control character.
    fn plain_run(&mut self) -> &'a [u8] {
        let rest = &self.input[self.at..];
        let length = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f)).unwrap_or(rest.len());
        self.at += length;
        &rest[..length]
    }

    fn valid(&self, text: &'a [u8]) -> Cow<'a, [u8]> {
        if self.is_utf8 {
            return Cow::Borrowed(text);
        }
        match replace_invalid(text) {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        }
    }

    /// What follows a backslash. Half a surrogate pair becomes U+FFFD, as in Go.
    fn escape(&mut self) -> Result<char, SyntaxFault> {
        let byte = self.peek()?;
        self.at += 1;
        Ok(match byte {
            b'"' | b'\\' | b'/' => char::from(byte),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let first = self.four_hex_digits()?;
                if let Some(c) = char::from_u32(first) {
                    return Ok(c);
                }
                let before = self.at;
                if self.input[self.at..].starts_with(b"\\u") {
                    self.at += 2;
                    let second = self.four_hex_digits()?;
                    if (0xd800..0xdc00).contains(&first) && (0xdc00..0xe000).contains(&second) {
                        let joined = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                        return Ok(char::from_u32(joined).expect("a surrogate pair is a character"));
                    }
                    self.at = before;
                }
                char::REPLACEMENT_CHARACTER
            }
            _ => return Err(SyntaxFault::Unexpected),
        })
    }

    fn four_hex_digits(&mut self) -> Result<u32, SyntaxFault> {
        (0..4).try_fold(0, |value, _| {
            let digit = char::from(self.peek()?).to_digit(16).ok_or(SyntaxFault::Unexpected)?;
            self.at += 1;
            Ok(value << 4 | digit)
        })
    }

    fn blanks(&mut self) {
        while matches!(self.input.get(self.at), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Result<u8, SyntaxFault> {
        self.input.get(self.at).copied().ok_or(SyntaxFault::End)
    }

    fn expect(&mut self, byte: u8) -> Result<(), SyntaxFault> {
        if self.peek()? != byte {
            return Err(SyntaxFault::Unexpected);
        }
        self.at += 1;
        Ok(())
    }
}

/// Text with each invalid byte as one U+FFFD, as Go decodes it (not one per sequence, as Rust would).
pub(crate) fn replace_invalid(text: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(text) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    let mut rest = text;
    while let Err(error) = std::str::from_utf8(rest) {
        let (valid, invalid) = rest.split_at(error.valid_up_to());
        out.push_str(std::str::from_utf8(valid).expect("found valid by the check above"));
        out.push(char::REPLACEMENT_CHARACTER);
        rest = &invalid[1..];
    }
    out.push_str(std::str::from_utf8(rest).expect("found valid by the check above"));
    Cow::Owned(out)
}

/// Prints the first document with a newline at its end; `indent` of `None` means tabs.
pub(crate) fn emit(tree: &Tree<'_>, indent: Option<usize>, out: &mut Vec<u8>) -> Result<(), EmitFault> {
    let mut printer = Printer { indent, out, steps: Vec::new() };
    printer.map(tree.branches.first().map_or(&[], Vec::as_slice))?;
    out.push(b'\n');
    Ok(())
}

/// Prints one value, without a newline at its end.
pub(crate) fn emit_value(node: &Node<'_>, indent: Option<usize>, out: &mut Vec<u8>) -> Result<(), EmitFault> {
    Printer { indent, out, steps: Vec::new() }.node(node)
}

struct Printer<'o> {
    indent: Option<usize>,
    out: &'o mut Vec<u8>,
    /// Where the printer stands: its depth is that of the indentation.
    steps: Vec<Step>,
}

impl Printer<'_> {
    fn map(&mut self, branch: &[Entry<'_>]) -> Result<(), EmitFault> {
        let mut first = true;
        self.out.push(b'{');
        for entry in branch {
            let Entry::Pair(key, node) = entry else { continue };
            self.steps.push(Step::Key(key.to_string()));
            self.start_line(std::mem::take(&mut first));
            self.string(key.as_bytes());
            self.out.extend_from_slice(b": ");
            self.node(node)?;
            self.steps.pop();
        }
        self.close(first, b'}');
        Ok(())
    }

    fn list(&mut self, items: &[Node<'_>]) -> Result<(), EmitFault> {
        let mut first = true;
        self.out.push(b'[');
        for (index, item) in items.iter().enumerate() {
            if matches!(item, Node::Comment(_) | Node::InlineComment(_)) {
                continue;
            }
            self.steps.push(Step::Index(index));
            self.start_line(std::mem::take(&mut first));
            self.node(item)?;
            self.steps.pop();
        }
        self.close(first, b']');
        Ok(())
    }

    fn node(&mut self, node: &Node<'_>) -> Result<(), EmitFault> {
        match node {
            Node::Null => self.out.extend_from_slice(b"null"),
            Node::Bool(value) => self.out.extend_from_slice(value.to_string().as_bytes()),
            Node::Int(value) => self.out.extend_from_slice(value.to_string().as_bytes()),
            Node::Float(value) => {
                if number::write_float_json(self.out, *value).is_none() {
                    let steps = std::mem::take(&mut self.steps);
                    return Err(EmitFault::NotFinite(KeyPath { document: 0, steps }));
                }
            }
            Node::Time(time) => {
                self.out.push(b'"');
                time.write_nano(self.out);
                self.out.push(b'"');
            }
            Node::Str(text) | Node::Comment(text) | Node::InlineComment(text) => self.string(text.bytes()),
            Node::Map(branch) => return self.map(branch),
            Node::List(items) => return self.list(items),
        }
        Ok(())
    }

    fn start_line(&mut self, first: bool) {
        if !first {
            self.out.push(b',');
        }
        self.new_line();
    }

    fn close(&mut self, empty: bool, bracket: u8) {
        if !empty {
            self.new_line();
        }
        self.out.push(bracket);
    }

    fn new_line(&mut self) {
        self.out.push(b'\n');
        let depth = self.steps.len();
        let (blank, count) = self.indent.map_or((b'\t', depth), |columns| (b' ', columns * depth));
        self.out.extend(std::iter::repeat_n(blank, count));
    }

    /// A string with everything escaped that Go escapes: also `<`, `>`, `&`, U+2028 and U+2029.
    fn string(&mut self, text: &[u8]) {
        self.out.push(b'"');
        let mut rest = text;
        while let Some(at) = rest.iter().position(|byte| needs_care(*byte)) {
            self.out.extend_from_slice(&rest[..at]);
            let skipped = self.special(&rest[at..]);
            rest = &rest[at + skipped..];
        }
        self.out.extend_from_slice(rest);
        self.out.push(b'"');
    }

    /// Prints the character that `rest` begins with; gives its length.
    fn special(&mut self, rest: &[u8]) -> usize {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let byte = rest[0];
        let short: &[u8] = match byte {
            b'"' => b"\\\"",
            b'\\' => b"\\\\",
            8 => b"\\b",
            0xc => b"\\f",
            b'\n' => b"\\n",
            b'\r' => b"\\r",
            b'\t' => b"\\t",
            0..=0x7f => {
                let escaped = [b'\\', b'u', b'0', b'0', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]];
                self.out.extend_from_slice(&escaped);
                return 1;
            }
            _ => {
                let valid = (2..=4).find(|length| rest.get(..*length).is_some_and(|c| std::str::from_utf8(c).is_ok()));
                match (valid, rest) {
                    (Some(_), [0xe2, 0x80, 0xa8, ..]) => self.out.extend_from_slice(b"\\u2028"),
                    (Some(_), [0xe2, 0x80, 0xa9, ..]) => self.out.extend_from_slice(b"\\u2029"),
                    (Some(length), _) => self.out.extend_from_slice(&rest[..length]),
                    (None, _) => self.out.extend_from_slice(b"\\ufffd"),
                }
                return valid.unwrap_or(1);
            }
        };
        self.out.extend_from_slice(short);
        1
    }
}

fn needs_care(byte: u8) -> bool {
    matches!(byte, 0..=0x1f | b'"' | b'\\' | b'<' | b'>' | b'&' | 0x80..)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn round(input: &str) -> String {
        let mut out = Vec::new();
        emit(&parse(input.as_bytes()).unwrap(), None, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn fault(input: &[u8]) -> SyntaxFault {
        match parse(input).unwrap_err() {
            Error::Syntax { fault, .. } => fault,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn order_and_double_keys_stay() {
        assert_eq!(
            round(r#"{"b":1,"a":[],"b":{},"c":[{"x":null},true]}"#),
            "{\n\t\"b\": 1,\n\t\"a\": [],\n\t\"b\": {},\n\t\"c\": [\n\t\t{\n\t\t\t\"x\": null\n\t\t},\n\t\ttrue\n\t]\n}\n"
        );
    }

    #[test]
    fn whole_numbers_of_64_bits_are_ints_and_the_rest_floats() {
        let input = r#"{"a":[9223372036854775807,9223372036854775808,-0,1.0,1e3,-0.0,1e-7]}"#;
        let tree = parse(input.as_bytes()).unwrap();
        let Entry::Pair(_, Node::List(items)) = &tree.branches[0][0] else { panic!("a list") };
        let [Node::Int(i64::MAX), Node::Float(big), Node::Int(0), floats @ ..] = items.as_slice() else {
            panic!("{items:?}")
        };
        assert_eq!(big.to_bits(), 9_223_372_036_854_775_808.0_f64.to_bits());
        for (item, expected) in floats.iter().zip([1.0_f64, 1000.0, -0.0, 1e-7]) {
            assert!(matches!(item, Node::Float(value) if value.to_bits() == expected.to_bits()), "{expected}");
        }
        assert_eq!(floats.len(), 4);
        assert_eq!(fault(b"{\"a\":1e400}"), SyntaxFault::NumberRange);
    }

    #[test]
    fn escapes_are_those_of_go() {
        let input = r#"{"a":"<>&\u2028\u2029\b\f\n\r\t\u0001\u007f\/é\ud83d\ude00\ud83dx\ude00\ud83d\u0041"}"#;
        let expected = "{\n\t\"a\": \"\\u003c\\u003e\\u0026\\u2028\\u2029\\b\\f\\n\\r\\t\\u0001\u{7f}/é😀\u{fffd}x\u{fffd}\u{fffd}A\"\n}\n";
        assert_eq!(round(input), expected);
    }

    #[test]
    fn each_invalid_byte_becomes_one_replacement_character() {
        let mut out = Vec::new();
        emit(&parse(b"{\"a\":\"x\xe2\x80y\"}").unwrap(), Some(0), &mut out).unwrap();
        assert_eq!(out, "{\n\"a\": \"x\u{fffd}\u{fffd}y\"\n}\n".as_bytes());
    }

    #[test]
    fn what_follows_the_object_is_ignored() {
        assert_eq!(round("{\"a\":1}}] rest"), "{\n\t\"a\": 1\n}\n");
    }

    #[test]
    fn broken_json_is_refused() {
        for (input, expected) in [
            (&b"[1]"[..], SyntaxFault::NotAMap),
            (b"1", SyntaxFault::NotAMap),
            (b"", SyntaxFault::End),
            (b"\xef\xbb\xbf{}", SyntaxFault::NotAMap),
            (b"{\"a\":1", SyntaxFault::End),
            (b"{\"a\":", SyntaxFault::End),
            (b"{\"a\":1,}", SyntaxFault::Unexpected),
            (b"{\"a\":[1,]}", SyntaxFault::Unexpected),
            (b"{\"a\" 1}", SyntaxFault::Unexpected),
            (b"{a:1}", SyntaxFault::Unexpected),
            (b"{\"a\":01}", SyntaxFault::Unexpected),
            (b"{\"a\":+1}", SyntaxFault::Unexpected),
            (b"{\"a\":.5}", SyntaxFault::Unexpected),
            (b"{\"a\":tru}", SyntaxFault::Unexpected),
            (b"{\"a\":\"\n\"}", SyntaxFault::Unexpected),
            (b"{\"a\":\"\\x\"}", SyntaxFault::Unexpected),
            (b"{\"a\":\"\\u12\"}", SyntaxFault::Unexpected),
        ] {
            assert_eq!(fault(input), expected, "{}", String::from_utf8_lossy(input));
        }
    }

    #[test]
    fn nesting_ends_at_the_limit() {
        let nested = |levels: usize| format!("{{\"a\":{}1{}}}", "[".repeat(levels), "]".repeat(levels)).into_bytes();
        assert!(parse(&nested(MAX_DEPTH - 1)).is_ok());
        assert_eq!(fault(&nested(MAX_DEPTH)), SyntaxFault::TooDeep { limit: MAX_DEPTH });
        assert_eq!(fault(&b"{\"a\":".repeat(1_000_000)), SyntaxFault::TooDeep { limit: MAX_DEPTH });
    }

    #[test]
    fn infinities_cannot_be_printed() {
        let branch = vec![Entry::Pair("a".into(), Node::List(vec![Node::Float(f64::NAN)]))];
        let fault = emit(&Tree { branches: vec![branch] }, None, &mut Vec::new()).unwrap_err();
        assert_eq!(fault.to_string(), "`a[0]` is not a finite number");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(input: Vec<u8>) {
            let _ = parse(&input);
        }

        #[test]
        fn no_text_that_looks_like_json_makes_it_panic(input in "[{}\\[\\]\",:0-9eE.+\\\\utrfalsn \u{e9}-]{0,40}") {
            let _ = parse(format!("{{\"a\":{input}").as_bytes());
        }

        #[test]
        fn what_is_printed_reads_back(text: Vec<u8>) {
            let branch = vec![Entry::Pair("a".into(), Node::Str(Text::Owned(text.clone())))];
            let mut out = Vec::new();
            emit(&Tree { branches: vec![branch] }, None, &mut out).unwrap();
            let tree = parse(&out).unwrap();
            let Entry::Pair(_, Node::Str(read)) = &tree.branches[0][0] else { panic!("a string") };
            let expected = replace_invalid(&text);
            prop_assert_eq!(read.bytes(), expected.as_bytes());
        }
    }
}
