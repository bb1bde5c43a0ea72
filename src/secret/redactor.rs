//! Masks decrypted values in the one foreign text that we pass on: what helm says when it fails.

use std::collections::HashSet;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use memchr::memmem;
use zeroize::{Zeroize as _, Zeroizing};

use super::Plaintext;
use super::spelling::View;

/// What stands in a text where a decrypted value stood.
pub const MASK: &str = "[redacted]";

/// Values below this many bytes are masked only between quotes: masking each `80` would take the line numbers with it,
/// and three bytes are no secret.
const SHORTEST: usize = 4;

/// The most bytes that are looked at to mask one text. Whoever writes the values and the template could otherwise keep us
/// busy for hours: thousands of values that occur everywhere.
const MAX_EFFORT: u64 = 4 * 1024 * 1024 * 1024;

/// What one occurrence costs, in bytes looked at.
const OCCURRENCE: u64 = 64;

/// Replaces every decrypted value in `text` by [`MASK`]: as it is, line by line, escaped as JSON, Go, URLs, YAML or HTML
/// do (also twice), in base64 at each alignment, as go-yaml shortens it (`` `abcdefg...` ``), and numbers as Go prints
/// them. Where that would take too long, all of the text is replaced.
///
/// Other transformations that a template may apply (hashes, upper case, substrings) are not recognised: a stated limit.
#[must_use]
pub fn redact<'a>(text: &str, secrets: impl IntoIterator<Item = &'a Plaintext>) -> String {
    let views: Vec<Search> = View::all(text.as_bytes()).into_iter().map(Search::new).collect();
    let mut found = Found { covered: vec![false; text.len()], effort: MAX_EFFORT };
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
        for number in number_forms(whole) {
            value(&views[..1], number.as_bytes(), &mut found);
        }
        if found.effort == 0 {
            return MASK.to_owned();
        }
    }
    mask(text, &found.covered)
}

/// What of a text is to be masked.
struct Found {
    /// For each byte, whether it is.
    covered: Vec<bool>,
    /// Bytes that may still be looked at.
    effort: u64,
}

/// Finds one value in all the forms that are masked.
fn value(views: &[Search], value: &[u8], found: &mut Found) {
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

/// A number as Go prints it where helm has made a float of it (`1.5e+06`), and as helm's schema check does (`1.5×10⁶`,
/// `1,500,000`).
fn number_forms(value: &[u8]) -> Vec<Zeroizing<String>> {
    let plain = str::from_utf8(value).ok().filter(|text| (SHORTEST..=40).contains(&text.len()));
    let Some(number) = plain.and_then(|text| text.parse::<f64>().ok()).filter(|number| number.is_finite()) else {
        return Vec::new();
    };
    let scientific = Zeroizing::new(format!("{number:e}"));
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let (sign, digits) = exponent.strip_prefix('-').map_or(("+", exponent), |digits| ("-", digits));
    let decimal = Zeroizing::new(format!("{number}"));
    let (whole, _) = decimal.split_once('.').unwrap_or((&decimal, ""));
    let digits_of_whole = whole.trim_start_matches('-');
    let mut grouped = Zeroizing::new(String::with_capacity(whole.len() * 2));
    for (index, digit) in digits_of_whole.chars().enumerate() {
        if index > 0 && (digits_of_whole.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    let mut forms = vec![
        Zeroizing::new(format!("{mantissa}e{sign}{digits:0>2}")),
        Zeroizing::new(format!("{mantissa}\u{d7}10{}", exponent.chars().map(superscript).collect::<String>())),
        decimal.clone(),
    ];
    if digits_of_whole.len() > 3 {
        forms.push(grouped);
    }
    forms
}

/// A character of an exponent as it is printed above the line.
fn superscript(character: char) -> char {
    match character {
        '-' => '\u{207b}',
        '1' => '\u{b9}',
        '2' => '\u{b2}',
        '3' => '\u{b3}',
        digit => digit.to_digit(10).and_then(|digit| char::from_u32(0x2070 + digit)).unwrap_or(digit),
    }
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
    fn literal(&self, needle: &[u8], found: &mut Found) {
        self.literal_and(needle, 0, 0, found);
    }

    /// As [`Search::literal`], with so many characters before and behind it.
    fn literal_and(&self, needle: &[u8], before: usize, behind: usize, found: &mut Found) {
        if needle.first_chunk::<SHORTEST>().is_some_and(|first| !self.quadruples.contains(first)) {
            return;
        }
        let finder = memmem::Finder::new(needle);
        let text = self.view.bytes();
        let mut from = 0;
        while let Some(at) = text.get(from..).and_then(|rest| finder.find(rest)) {
            let start = from + at;
            let written = self.view.written(start..start + needle.len());
            let end = (written.end + behind).min(found.covered.len());
            found.covered[written.start.saturating_sub(before)..end].fill(true);
            let cost = (at + needle.len()) as u64 + OCCURRENCE;
            found.effort = found.effort.saturating_sub(cost);
            if found.effort == 0 {
                return;
            }
            from = start + 1;
        }
        found.effort = found.effort.saturating_sub((text.len() - from.min(text.len())) as u64 + OCCURRENCE);
    }
}

/// Finds what the base64 of any text that holds the value must contain, for each of the three alignments. The characters
/// at its ends, which carry bits of the neighbours as well, are masked with it.
fn base64(search: &Search, value: &[u8], found: &mut Found) {
    // What is longer than the text is not in it.
    if value.len() > search.view.bytes().len() {
        return;
    }
    for shift in 0..3 {
        let mut shifted = vec![0; shift];
        shifted.extend_from_slice(value);
        let (first_bit, end_bit) = (shift * 8, shifted.len() * 8);
        let (first, end) = (first_bit.div_ceil(6), end_bit / 6);
        // Too short a core would match by chance.
        if end >= first + SHORTEST {
            for engine in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
                let mut encoded = engine.encode(&shifted);
                let (before, behind) = (usize::from(first_bit % 6 != 0), usize::from(end_bit % 6 != 0));
                search.literal_and(&encoded.as_bytes()[first..end], before, behind, found);
                encoded.zeroize();
            }
        }
        shifted.zeroize();
    }
}

/// The text with the covered bytes replaced, a run of them by one mask. A character of which a part is covered (values need
/// not be UTF-8) is covered.
fn mask(text: &str, covered: &[bool]) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut within = false;
    for (at, character) in text.char_indices() {
        let hidden = covered[at..at + character.len_utf8()].contains(&true);
        if !hidden {
            masked.push(character);
        } else if !within {
            masked.push_str(MASK);
        }
        within = hidden;
    }
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
    fn numbers_are_masked_as_helm_prints_them() {
        for (secret, text, expected) in [
            ("1234567890123", "pin:1.234567890123e+12]", "pin:[redacted]]"),
            ("1234567890123", "got 1.234567890123\u{d7}10\u{b9}\u{b2}, want 5", "got [redacted], want 5"),
            ("1234567", "got 1,234,567, want 5", "got [redacted], want 5"),
            ("0.0000123", "got 1.23e-05", "got [redacted]"),
            ("1e+06", "got 1000000", "got [redacted]"),
        ] {
            assert_eq!(redacted(text, secret), expected);
        }
    }

    #[test]
    fn values_that_occur_everywhere_end_in_time_and_cost_no_memory() {
        let text = format!("{}\n", "a".repeat(100)).repeat(600);
        let secrets: Vec<_> = (4..4_004).map(|length| Plaintext::from("a".repeat(length % 97 + 4))).collect();
        assert_eq!(redact(&text, &secrets), MASK, "too much to be done");
        let shown = redact(&text, &secrets[..3]);
        assert!(!shown.contains('a') || shown.replace(MASK, "").trim().is_empty(), "{shown}");
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
