//! Masks decrypted values in the one foreign text that we pass on: what helm says when it fails.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use zeroize::Zeroize as _;

use super::Plaintext;

/// What stands in a text where a decrypted value stood.
pub const MASK: &str = "[redacted]";

/// Values below this many bytes are masked only between quotes: masking each `80` would take the line numbers with it,
/// and three bytes are no secret.
const SHORTEST: usize = 4;

/// Replaces every decrypted value in `text` by [`MASK`]: as it is, line by line, quoted, JSON- and URL-escaped, in base64
/// at each alignment, and as go-yaml shortens it (`` `abcdefg...` ``).
///
/// Other transformations that a template may apply (hashes, upper case, substrings) are not recognised: a stated limit.
#[must_use]
pub fn redact<'a>(text: &str, secrets: impl IntoIterator<Item = &'a Plaintext>) -> String {
    let search = Search::new(text.as_bytes());
    let mut found = Vec::new();
    for secret in secrets {
        let whole = secret.expose();
        search.value(whole, &mut found);
        if whole.contains(&b'\n') {
            for line in whole.split(|byte| *byte == b'\n') {
                search.value(line.trim_ascii(), &mut found);
            }
        } else if whole.trim_ascii().len() < whole.len() {
            search.value(whole.trim_ascii(), &mut found);
        }
    }
    mask(text, found)
}

/// A text, and which byte quadruples occur in it: most values can be dismissed with one look.
struct Search<'t> {
    text: &'t [u8],
    quadruples: HashSet<[u8; SHORTEST]>,
}

impl<'t> Search<'t> {
    fn new(text: &'t [u8]) -> Self {
        let quadruples = text.windows(SHORTEST).filter_map(|window| window.try_into().ok()).collect();
        Self { text, quadruples }
    }

    /// Finds one value in all the forms that are masked.
    fn value(&self, value: &[u8], found: &mut Vec<Range<usize>>) {
        if value.is_empty() {
            return;
        }
        if value.len() < SHORTEST {
            for quote in [b'"', b'\'', b'`'] {
                self.literal(&[&[quote], value, &[quote]].concat(), found);
            }
            return;
        }
        self.literal(value, found);
        if value.len() > 10 {
            self.literal(&[b"`", &value[..7], b"...`"].concat(), found);
        }
        for escape in [json_escaped, go_quoted, form_escaped, percent_escaped] {
            let mut escaped = escape(value);
            if escaped.as_bytes() != value {
                self.literal(escaped.as_bytes(), found);
            }
            escaped.zeroize();
        }
        for mut encoded in base64_cores(value) {
            self.literal(encoded.as_bytes(), found);
            encoded.zeroize();
        }
    }

    fn literal(&self, needle: &[u8], found: &mut Vec<Range<usize>>) {
        let Some(first) = needle.first_chunk::<SHORTEST>() else {
            // Two quotes around one byte.
            found.extend(positions(self.text, needle));
            return;
        };
        if self.quadruples.contains(first) {
            found.extend(positions(self.text, needle));
        }
    }
}

fn positions(text: &[u8], needle: &[u8]) -> Vec<Range<usize>> {
    text.windows(needle.len())
        .enumerate()
        .filter(|(_, window)| *window == needle)
        .map(|(start, _)| start..start + needle.len())
        .collect()
}

/// The text with the ranges replaced; ranges that touch become one mask.
fn mask(text: &str, mut found: Vec<Range<usize>>) -> String {
    found.sort_unstable_by_key(|range| (range.start, range.end));
    let mut masked = String::with_capacity(text.len());
    let mut done = 0;
    for range in found {
        // A range may begin or end inside a character (values need not be UTF-8): widen it to whole ones.
        let start = floor_boundary(text, range.start);
        let end = ceil_boundary(text, range.end);
        if end <= done && !masked.is_empty() {
            continue;
        }
        let touches = start <= done && masked.ends_with(MASK);
        if !touches {
            masked.push_str(&text[done..start]);
            masked.push_str(MASK);
        }
        done = end;
    }
    masked.push_str(&text[done..]);
    masked
}

fn floor_boundary(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

fn ceil_boundary(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at += 1;
    }
    at
}

/// As inside a JSON string by Go's encoder, which also escapes `<`, `>` and `&`.
fn json_escaped(value: &[u8]) -> String {
    let mut escaped = String::new();
    for character in String::from_utf8_lossy(value).chars() {
        match character {
            '"' => escaped.push_str("\\\""),
            '\\' => escaped.push_str("\\\\"),
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            '\t' => escaped.push_str("\\t"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}' => push_unicode_escape(&mut escaped, character),
            other => escaped.push(other),
        }
    }
    escaped
}

/// As by Go's `%q`.
fn go_quoted(value: &[u8]) -> String {
    let mut escaped = String::new();
    for character in String::from_utf8_lossy(value).chars() {
        match character {
            '"' => escaped.push_str("\\\""),
            '\\' => escaped.push_str("\\\\"),
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            '\t' => escaped.push_str("\\t"),
            '\0'..='\u{1f}' | '\u{7f}' => {
                let _ = write!(escaped, "\\x{:02x}", u32::from(character));
            }
            other => escaped.push(other),
        }
    }
    escaped
}

fn push_unicode_escape(escaped: &mut String, character: char) {
    let _ = write!(escaped, "\\u{:04x}", u32::from(character));
}

/// As in a query string (`+` for a blank).
fn form_escaped(value: &[u8]) -> String {
    percent_escaped(value).replace("%20", "+")
}

/// As in the path of a URL.
fn percent_escaped(value: &[u8]) -> String {
    let mut escaped = String::new();
    for byte in value {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => escaped.push(char::from(*byte)),
            other => {
                let _ = write!(escaped, "%{other:02X}");
            }
        }
    }
    escaped
}

/// What the base64 of any text that holds the value must contain, for each of the three alignments: the characters
/// that do not depend on the neighbours. Too short a rest is left out, for it would match by chance.
fn base64_cores(value: &[u8]) -> Vec<String> {
    let mut cores = Vec::new();
    for shift in 0..3 {
        let mut shifted = vec![0; shift];
        shifted.extend_from_slice(value);
        for engine in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
            let mut encoded = engine.encode(&shifted);
            let first = (shift * 8).div_ceil(6);
            let last = shifted.len() * 8 / 6;
            if last >= first + SHORTEST {
                cores.push(encoded[first..last].to_owned());
            }
            encoded.zeroize();
        }
        shifted.zeroize();
    }
    cores.dedup();
    cores
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn redacted(text: &str, secret: &str) -> String {
        redact(text, [&Plaintext::from(secret.to_owned())])
    }

    #[test]
    fn a_value_is_masked_as_it_is() {
        assert_eq!(redacted("password hunter2-long is bad", "hunter2-long"), "password [redacted] is bad");
    }

    #[test]
    fn neighbouring_values_become_one_mask() {
        assert_eq!(redacted("abcdabcd", "abcd"), "[redacted]");
        assert_eq!(redacted("abcd abcd", "abcd"), "[redacted] [redacted]");
    }

    #[test]
    fn escaped_forms_are_masked() {
        for text in [r#"got "a\"b\nc d""#, "url a%22b%0Ac%20d", "query a%22b%0Ac+d"] {
            assert!(redacted(text, "a\"b\nc d").contains(MASK), "{text}");
        }
        assert_eq!(redacted(r"x \u003cb\u003e y", "<b>!"), r"x \u003cb\u003e y", "another value");
        assert_eq!(redacted(r"x \u003cb\u003e! y", "<b>!"), "x [redacted] y");
    }

    #[test]
    fn base64_is_masked_at_each_alignment() {
        for before in ["", "x", "xy", "xyz"] {
            let encoded = base64::engine::general_purpose::STANDARD.encode(format!("{before}hunter2-long:tail"));
            let shown = redacted(&format!("data: {encoded}"), "hunter2-long");
            assert!(shown.contains(MASK), "{before}: {shown}");
        }
    }

    #[test]
    fn each_line_of_a_long_value_is_masked() {
        assert_eq!(redacted("line two: c2Vjb25k", "first\n  c2Vjb25k\nthird"), "line two: [redacted]");
    }

    #[test]
    fn the_shortened_form_of_go_yaml_is_masked() {
        let shown = redacted("cannot unmarshal !!str `correct...` into int", "correct horse battery");
        assert_eq!(shown, "cannot unmarshal !!str [redacted] into int");
    }

    #[test]
    fn a_short_value_does_not_take_line_numbers_away() {
        assert_eq!(redacted("deploy.yaml:80:12: got \"80\"", "80"), "deploy.yaml:80:12: got [redacted]");
    }

    proptest! {
        #[test]
        fn redacted_text_never_holds_the_secret(before in ".{0,20}", secret in "[^\\p{Cc}]{4,30}", after in ".{0,20}") {
            prop_assume!(!MASK.contains(secret.trim()) && !secret.contains(MASK));
            let shown = redacted(&format!("{before}{secret}{after}"), &secret);
            let held = shown.replace(MASK, "\u{0}").contains(&secret);
            prop_assert!(!held, "shown: {}", shown);
        }
    }
}
