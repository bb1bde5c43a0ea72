//! Masks decrypted values in the one foreign text that we pass on: what helm says when it fails.

use std::collections::HashSet;
use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use zeroize::Zeroize as _;

use super::Plaintext;
use super::spelling::View;

/// What stands in a text where a decrypted value stood.
pub const MASK: &str = "[redacted]";

/// Values below this many bytes are masked only between quotes: masking each `80` would take the line numbers with it,
/// and three bytes are no secret.
const SHORTEST: usize = 4;

/// Replaces every decrypted value in `text` by [`MASK`]: as it is, line by line, escaped as JSON, Go, URLs, YAML or HTML
/// do (also twice), in base64 at each alignment, and as go-yaml shortens it (`` `abcdefg...` ``).
///
/// Other transformations that a template may apply (hashes, upper case, substrings) are not recognised: a stated limit.
#[must_use]
pub fn redact<'a>(text: &str, secrets: impl IntoIterator<Item = &'a Plaintext>) -> String {
    let views: Vec<Search> = View::all(text.as_bytes()).into_iter().map(Search::new).collect();
    let mut found = Vec::new();
    for secret in secrets {
        let whole = secret.expose();
        value(&views, whole, &mut found);
        if whole.contains(&b'\n') {
            for line in whole.split(|byte| *byte == b'\n') {
                value(&views, line.trim_ascii(), &mut found);
            }
        } else if whole.trim_ascii().len() < whole.len() {
            value(&views, whole.trim_ascii(), &mut found);
        }
    }
    mask(text, found)
}

/// Finds one value in all the forms that are masked.
fn value(views: &[Search], value: &[u8], found: &mut Vec<Range<usize>>) {
    if value.is_empty() {
        return;
    }
    for view in views {
        if value.len() >= SHORTEST {
            view.literal(value, found);
        } else {
            for quote in [b'"', b'\'', b'`'] {
                view.literal(&[&[quote], value, &[quote]].concat(), found);
            }
        }
    }
    let Some(as_written) = views.first().filter(|_| value.len() >= SHORTEST) else { return };
    if value.len() > 10 {
        as_written.literal(&[b"`", &value[..7], b"...`"].concat(), found);
    }
    base64(as_written, value, found);
}

/// A text, and which byte quadruples occur in it: most values can be dismissed with one look.
struct Search {
    view: View,
    quadruples: HashSet<[u8; SHORTEST]>,
}

impl Search {
    fn new(view: View) -> Self {
        let quadruples = view.bytes().windows(SHORTEST).filter_map(|window| window.try_into().ok()).collect();
        Self { view, quadruples }
    }

    /// Finds the needle, and notes where it stands in the text as written.
    fn literal(&self, needle: &[u8], found: &mut Vec<Range<usize>>) {
        if needle.first_chunk::<SHORTEST>().is_none_or(|first| self.quadruples.contains(first)) {
            let windows = self.view.bytes().windows(needle.len()).enumerate();
            let starts = windows.filter(|(_, window)| *window == needle).map(|(start, _)| start);
            found.extend(starts.map(|start| self.view.written(start..start + needle.len())));
        }
    }
}

/// Finds what the base64 of any text that holds the value must contain, for each of the three alignments. The characters
/// at its ends, which carry bits of the neighbours as well, are masked with it.
fn base64(search: &Search, value: &[u8], found: &mut Vec<Range<usize>>) {
    for shift in 0..3 {
        let mut shifted = vec![0; shift];
        shifted.extend_from_slice(value);
        let (first_bit, end_bit) = (shift * 8, shifted.len() * 8);
        let (first, end) = (first_bit.div_ceil(6), end_bit / 6);
        // Too short a core would match by chance.
        if end >= first + SHORTEST {
            for engine in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
                let mut encoded = engine.encode(&shifted);
                let known = found.len();
                search.literal(&encoded.as_bytes()[first..end], found);
                for range in &mut found[known..] {
                    range.start = range.start.saturating_sub(usize::from(first_bit % 6 != 0));
                    range.end = (range.end + usize::from(end_bit % 6 != 0)).min(search.view.bytes().len());
                }
                encoded.zeroize();
            }
        }
        shifted.zeroize();
    }
}

/// The text with the ranges replaced; ranges that touch become one mask.
fn mask(text: &str, mut found: Vec<Range<usize>>) -> String {
    found.sort_unstable_by_key(|range| (range.start, range.end));
    let mut masked = String::with_capacity(text.len());
    let mut done = 0;
    for range in found {
        // A range may begin or end inside a character (values need not be UTF-8): widen it to whole ones.
        let start = (0..=range.start).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        let end = (range.end..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
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
        for text in [
            r#"JSON "a\"b\nc d'""#,
            r#"single quotes 'a"b\nc d\''"#,
            r#"twice \"a\\\"b\\nc d'\""#,
            r"Unicode a\u0022b\u000ac d\u0027",
            r"hexadecimal a\x22b\x0ac d\x27",
            "URL a%22b%0Ac%20d%27",
            "query a%22b%0ac+d%27",
            "YAML 'a\"b\nc d'''",
            "HTML a&#34;b\nc d&#39;",
            "HTML a&quot;b&#xA;c d&apos;",
        ] {
            let shown = redacted(text, "a\"b\nc d'");
            assert!(shown.contains(MASK) && !shown.contains("c d") && !shown.contains("c+d"), "{text}: {shown}");
        }
        assert_eq!(redacted(r"x \u003cb\u003e! y", "<b>!"), "x [redacted] y");
    }

    #[test]
    fn another_value_stays() {
        assert_eq!(redacted(r"x \u003cb\u003e? y", "<b>!"), r"x \u003cb\u003e? y");
    }

    #[test]
    fn base64_is_masked_at_each_alignment() {
        for (before, expected) in
            [("", "data: [redacted]6dGFpbA=="), ("x", "data: e[redacted]p0YWls"), ("xy", "data: eHl[redacted]nRhaWw=")]
        {
            let encoded = base64::engine::general_purpose::STANDARD.encode(format!("{before}hunter2-long:tail"));
            let shown = redacted(&format!("data: {encoded}"), "hunter2-long");
            assert!(shown.contains(MASK), "{before}: {shown} {expected}");
            assert!(shown.len() <= "data: [redacted]".len() + 14, "{before}: {shown}");
        }
    }

    #[test]
    fn base64_of_the_value_alone_leaves_nothing_behind() {
        for secret in ["hunter2-long", "hunter2-long!", "hunter2-long!!"] {
            let encoded = base64::engine::general_purpose::STANDARD_NO_PAD.encode(secret);
            assert_eq!(redacted(&encoded, secret), MASK);
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

        #[test]
        fn no_text_makes_it_panic(text in ".{0,60}", escapes in "[\\\\%&#;xu0-9a-f'\"+n]{0,60}", secret in ".{0,12}") {
            let _ = redacted(&format!("{text}{escapes}"), &secret);
            let _ = redacted(&format!("{escapes}{text}"), &escapes);
        }
    }
}
