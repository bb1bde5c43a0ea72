//! How a string is written: plain, quoted or as a block.
//!
//! Follows what go-yaml v3.0.4 decides for a string that sops hands it (`encode.go`, `emitterc.go`).

use super::resolve::{Scalar, resolve};

/// A way to write a scalar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Plain,
    Single,
    Double,
    Literal,
}

/// A string with the decision how to write it.
#[derive(Debug)]
pub(super) struct Written<'a> {
    pub(super) text: std::borrow::Cow<'a, str>,
    /// `!!binary`, `!!merge`, or empty.
    pub(super) tag: &'static str,
    pub(super) style: Style,
    /// Whether the text holds a line break of any kind; such a key is not a simple one.
    pub(super) multiline: bool,
}

/// Decides for any bytes; `None` where go-yaml fails and sops prints `null` in its place.
pub(super) fn of_string(bytes: &[u8]) -> Option<Written<'_>> {
    let Ok(text) = std::str::from_utf8(bytes) else {
        let text = base64_lines(bytes);
        let style = if text.contains('\n') { Style::Literal } else { Style::Plain };
        return Some(Written { multiline: style == Style::Literal, text: text.into(), tag: "!!binary", style });
    };
    let shape = Shape::of(text);
    let style = if text.contains('\n') {
        if shape.block_fits { Style::Literal } else { Style::Double }
    } else if !keeps_its_type(text) {
        Style::Double
    } else if shape.plain_fits {
        Style::Plain
    } else if shape.single_fits {
        Style::Single
    } else {
        Style::Double
    };
    // sops has go-yaml write and read each string once more before printing. A block whose first line begins with a tab
    // cannot be read, the error goes unnoticed, and the value is lost.
    if style == Style::Literal && text.starts_with('\t') {
        return None;
    }
    let tag = if style == Style::Plain && text == "<<" { "!!merge" } else { "" };
    Some(Written { text: text.into(), tag, style, multiline: shape.multiline })
}

/// Whether the text, written plain, is read back as a string, also by readers of YAML 1.1.
fn keeps_its_type(text: &str) -> bool {
    resolve(text) == Scalar::Str && !is_old_bool(text) && !is_base_60(text)
}

fn is_old_bool(text: &str) -> bool {
    matches!(
        text,
        "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" | "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF"
    )
}

/// `^[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?$`
fn is_base_60(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let digits_or_underscores = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_');
    let (places, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let mut places = places.split(':');
    let first = places.next().unwrap_or_default();
    let mut count = 0;
    let rest_fits = places.all(|place| {
        count += 1;
        match place.as_bytes() {
            [units] | [b'0'..=b'5', units] => units.is_ascii_digit(),
            _ => false,
        }
    });
    count > 0
        && rest_fits
        && first.starts_with(|c: char| c.is_ascii_digit())
        && digits_or_underscores(first)
        && digits_or_underscores(fraction)
}

/// Base64 in lines of 70, where it is longer than one.
fn base64_lines(bytes: &[u8]) -> String {
    use base64::Engine as _;
    let encoded = base64::engine::general_purpose::STANDARD.encode(bytes);
    if encoded.len() < 70 {
        return encoded;
    }
    let mut lines = String::with_capacity(encoded.len() + encoded.len() / 70 + 1);
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(70));
        lines.push_str(line);
        lines.push('\n');
        rest = after;
    }
    lines
}

/// Which styles can hold a text in block context.
#[expect(clippy::struct_excessive_bools, reason = "each is asked for by itself")]
struct Shape {
    plain_fits: bool,
    single_fits: bool,
    block_fits: bool,
    multiline: bool,
}

impl Shape {
    fn of(text: &str) -> Self {
        // One word of visible ASCII, which is what most texts are; only its ends can be in the way.
        if let [b'/' | b'_' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z', .., last] = text.as_bytes()
            && (last.is_ascii_alphanumeric() || matches!(last, b']' | b'=' | b'/'))
            && text.bytes().all(|byte| byte.is_ascii_graphic())
        {
            return Self { plain_fits: true, single_fits: true, block_fits: true, multiline: false };
        }
        let mut indicators = text.starts_with("---") || text.starts_with("...");
        let (mut special, mut tabs, mut multiline) = (false, false, false);
        // A space right after a break, and right before one.
        let (mut break_space, mut space_break) = (false, false);
        let mut before = None;
        let mut characters = text.chars().peekable();
        while let Some(c) = characters.next() {
            let ends_word = characters.peek().is_none_or(|next| matches!(next, ' ' | '\t'));
            indicators |= match c {
                ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@' | '`' => {
                    before.is_none()
                }
                '#' => before.is_none_or(|before| matches!(before, ' ' | '\t') || is_break(before)),
                ':' => ends_word,
                '?' | '-' => before.is_none() && ends_word,
                _ => false,
            };
            match c {
                '\t' => tabs = true,
                ' ' => break_space |= before.is_some_and(is_break),
                _ => special |= !is_printable(c),
            }
            if is_break(c) {
                multiline = true;
                space_break |= before == Some(' ');
            }
            before = Some(c);
        }
        let leads = text.starts_with(|c| c == ' ' || is_break(c));
        let trails = text.ends_with(|c| c == ' ' || is_break(c));
        Self {
            plain_fits: !(indicators || leads || trails || multiline || break_space || space_break || tabs || special),
            single_fits: !(break_space || space_break || tabs || special),
            block_fits: !(text.is_empty() || text.ends_with(' ') || space_break || special),
            multiline,
        }
    }
}

/// What YAML 1.1 calls a line break.
pub(super) fn is_break(c: char) -> bool {
    matches!(c, '\r' | '\n' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// What go-yaml prints as it is: nothing beyond the basic plane.
pub(super) fn is_printable(c: char) -> bool {
    matches!(c, '\n' | ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fefe}' | '\u{ff00}'..='\u{fffd}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn style(text: &str) -> Option<Style> {
        of_string(text.as_bytes()).map(|written| written.style)
    }

    #[test]
    fn what_reads_back_as_itself_stays_plain() {
        for text in ["a", "a b", "a:b", "http://x#y", "a,b", "?x", "-x", "1.2.3", "ENC[AES256_GCM,data:x]", "tRUE"] {
            assert_eq!(style(text), Some(Style::Plain), "{text}");
        }
    }

    #[test]
    fn what_would_change_its_type_is_double_quoted() {
        for text in ["", "~", "12", "0x1F", "1e3", "true", "yes", "N", "12:30", "190:20:30.5", "-1:5", "2020-01-01"] {
            assert_eq!(style(text), Some(Style::Double), "{text}");
        }
    }

    #[test]
    fn what_looks_like_syntax_is_single_quoted() {
        for text in
            ["- a", "a: b", "a:", "a #b", "#a", " a", "a ", "{a}", "'a'", "---", "...x", "@a", "%a", "a\u{2028}b"]
        {
            assert_eq!(style(text), Some(Style::Single), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_seen_is_double_quoted() {
        for text in ["a\tb", "a\rb", "\u{1F680}", "\u{7f}", "\u{85}", "\u{feff}x", "\u{fffe}", "a \nb", "a\nb "] {
            assert_eq!(style(text), Some(Style::Double), "{text}");
        }
    }

    #[test]
    fn lines_are_a_block() {
        for text in ["a\n", "a\nb", "\n", " a\n b", "a\n\tb", "a: b\n# c"] {
            assert_eq!(style(text), Some(Style::Literal), "{text}");
        }
    }

    #[test]
    fn a_block_that_begins_with_a_tab_is_lost_as_sops_loses_it() {
        assert_eq!(style("\ta\nb"), None);
        assert_eq!(style("\ta"), Some(Style::Double));
    }

    #[test]
    fn bytes_that_are_not_utf_8_become_base64() {
        let written = of_string(b"\xff\xfe").unwrap();
        assert_eq!((&*written.text, written.tag, written.style), ("//4=", "!!binary", Style::Plain));
        let long = of_string(&[0xff; 100]).unwrap();
        assert_eq!(long.style, Style::Literal);
        assert!(long.text.lines().all(|line| line.len() <= 70) && long.text.ends_with('\n'));
    }
}
