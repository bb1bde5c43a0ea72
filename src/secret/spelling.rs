//! One text as several readers would spell it out: without the escapes of JSON, Go, URLs, YAML and HTML.

use std::ops::Range;

use zeroize::Zeroizing;

/// A text with its escapes resolved; each byte knows where it stands in the text as written.
pub(super) struct View {
    bytes: Zeroizing<Vec<u8>>,
    /// For each byte, where its spelling begins; one more for the end of the text.
    starts: Vec<usize>,
}

/// An escape at the beginning of a text: what it stands for, and its length.
type Escape = fn(&[u8]) -> Option<(Vec<u8>, usize)>;

impl View {
    /// The text as written, first; then with the escapes of each kind resolved, backslashes also twice.
    pub(super) fn all(text: &[u8]) -> Vec<Self> {
        let written = Self { bytes: Zeroizing::new(text.to_vec()), starts: (0..=text.len()).collect() };
        let slashes = written.without(backslash);
        let others = [slashes.without(backslash), written.without(percent), written.without(query)];
        let marks = [written.without(doubled_quote), written.without(entity)];
        let length = text.len();
        // A view in which nothing was resolved shows what the text shows.
        let more = [slashes].into_iter().chain(others).chain(marks).filter(|view| view.bytes.len() < length);
        std::iter::once(written).chain(more).collect()
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Where a part of this view stands in the text as written.
    pub(super) fn written(&self, part: Range<usize>) -> Range<usize> {
        self.starts[part.start]..self.starts[part.end]
    }

    fn without(&self, escape: Escape) -> Self {
        let mut bytes = Zeroizing::new(Vec::with_capacity(self.bytes.len()));
        let mut starts = Vec::with_capacity(self.starts.len());
        let mut at = 0;
        while at < self.bytes.len() {
            let (meant, length) = escape(&self.bytes[at..]).unwrap_or_else(|| (vec![self.bytes[at]], 1));
            starts.extend(meant.iter().map(|_| self.starts[at]));
            bytes.extend_from_slice(&meant);
            at += length;
        }
        starts.push(self.starts[at]);
        Self { bytes, starts }
    }
}

/// As in JSON and Go: `\"`, `\n`, `\u003c`, `\x7f`, and in front of anything else.
fn backslash(text: &[u8]) -> Option<(Vec<u8>, usize)> {
    let [b'\\', kind, rest @ ..] = text else { return None };
    let code = |digits: usize| hexadecimal(rest.get(..digits)?).map(|code| (code, digits + 2));
    match kind {
        b'n' => Some((vec![b'\n'], 2)),
        b'r' => Some((vec![b'\r'], 2)),
        b't' => Some((vec![b'\t'], 2)),
        b'x' => code(2).and_then(|(code, length)| Some((vec![u8::try_from(code).ok()?], length))),
        b'u' => code(4).and_then(character),
        b'U' => code(8).and_then(character),
        other => Some((vec![*other], 2)),
    }
}

/// As in the path of a URL.
fn percent(text: &[u8]) -> Option<(Vec<u8>, usize)> {
    let [b'%', rest @ ..] = text else { return None };
    let code = hexadecimal(rest.get(..2)?)?;
    Some((vec![u8::try_from(code).ok()?], 3))
}

/// As in the query of a URL.
fn query(text: &[u8]) -> Option<(Vec<u8>, usize)> {
    if text[0] == b'+' { Some((vec![b' '], 1)) } else { percent(text) }
}

/// As between single quotes in YAML.
fn doubled_quote(text: &[u8]) -> Option<(Vec<u8>, usize)> {
    text.starts_with(b"''").then(|| (vec![b'\''], 2))
}

/// As in HTML: what Go's templates write, numbers in general.
fn entity(text: &[u8]) -> Option<(Vec<u8>, usize)> {
    let [b'&', rest @ ..] = text else { return None };
    let end = rest.iter().take(9).position(|byte| *byte == b';')?;
    let length = end + 2;
    let meant = match &rest[..end] {
        b"lt" => b'<',
        b"gt" => b'>',
        b"amp" => b'&',
        b"quot" => b'"',
        b"apos" => b'\'',
        [b'#', b'x' | b'X', digits @ ..] => return character((hexadecimal(digits)?, length)),
        [b'#', digits @ ..] => return character((str::from_utf8(digits).ok()?.parse().ok()?, length)),
        _ => return None,
    };
    Some((vec![meant], length))
}

fn hexadecimal(digits: &[u8]) -> Option<u32> {
    let digits = str::from_utf8(digits).ok().filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))?;
    u32::from_str_radix(digits, 16).ok()
}

fn character((code, length): (u32, usize)) -> Option<(Vec<u8>, usize)> {
    Some((char::from_u32(code)?.to_string().into_bytes(), length))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn without(text: &str, escape: Escape) -> String {
        String::from_utf8_lossy(View::all(text.as_bytes()).remove(0).without(escape).bytes()).into_owned()
    }

    #[test]
    fn escapes_are_resolved_and_all_else_stays() {
        assert_eq!(without(r#"\"a\\\n\u00e4\x41\q\"#, backslash), "\"a\\\n\u{e4}Aq\\");
        assert_eq!(without("a%20b+%zz%4", percent), "a b+%zz%4");
        assert_eq!(without("a%20b+", query), "a b ");
        assert_eq!(without("it''s", doubled_quote), "it's");
        assert_eq!(without("&lt;&#65;&#x42;&amp;&nothing;&", entity), "<AB&&nothing;&");
    }

    #[test]
    fn a_part_knows_where_it_is_written() {
        let view = View::all(br"x\u003cy").remove(1);
        assert_eq!(view.bytes(), b"x<y");
        assert_eq!(view.written(1..2), 1..7);
        assert_eq!(view.written(2..3), 7..8);
    }
}
