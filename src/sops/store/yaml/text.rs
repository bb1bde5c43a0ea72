//! The characters of a file.

use std::borrow::Cow;

use super::cursor::Mark;
use super::{Error, Fault};

/// The text of a file: UTF-8 with or without byte order mark, or UTF-16 with one.
///
/// # Errors
///
/// Other encodings, and characters that YAML does not let stand in a file unescaped.
pub(super) fn decode(input: &[u8]) -> Result<Cow<'_, str>, Error> {
    let text = match input {
        [0xff, 0xfe, units @ ..] => Cow::Owned(from_utf_16(units, u16::from_le_bytes)?),
        [0xfe, 0xff, units @ ..] => Cow::Owned(from_utf_16(units, u16::from_be_bytes)?),
        _ => Cow::Borrowed(from_utf_8(input.strip_prefix(b"\xef\xbb\xbf").unwrap_or(input))?),
    };
    match first_unlawful(&text) {
        None => Ok(text),
        Some(at) => Err(Mark::default().advance(&text, at).syntax("control characters are not allowed")),
    }
}

fn from_utf_8(input: &[u8]) -> Result<&str, Error> {
    std::str::from_utf8(input).map_err(|error| {
        let valid = std::str::from_utf8(&input[..error.valid_up_to()]).unwrap_or_default();
        Mark::default().advance(valid, valid.len()).error(Fault::Encoding)
    })
}

fn from_utf_16(units: &[u8], join: fn([u8; 2]) -> u16) -> Result<String, Error> {
    let pairs = units.chunks_exact(2);
    let broken = || Mark::default().error(Fault::Encoding);
    if !pairs.remainder().is_empty() {
        return Err(broken());
    }
    char::decode_utf16(pairs.map(|pair| join([pair[0], pair[1]]))).collect::<Result<_, _>>().map_err(|_| broken())
}

/// The first character that may not stand in a file, by byte index.
fn first_unlawful(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let suspect = match bytes[at] {
            b' '..=b'~' | b'\t' | b'\n' | b'\r' => false,
            0xc2 => bytes[at + 1] < 0xa0 && bytes[at + 1] != 0x85,
            0xef => bytes[at + 1] == 0xbf && bytes[at + 2] >= 0xbe,
            byte => byte < 0x80,
        };
        if suspect {
            return Some(at);
        }
        at += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn utf_16_with_a_byte_order_mark_is_text() {
        assert_eq!(decode(b"\xff\xfea\0").unwrap(), "a");
        assert_eq!(decode(b"\xfe\xff\0a").unwrap(), "a");
        assert!(decode(b"\xff\xfea").is_err());
        assert!(decode(b"\xff\xfe\0\xd8").is_err());
    }

    #[test]
    fn one_byte_order_mark_is_passed_over() {
        assert_eq!(decode(b"\xef\xbb\xbfa").unwrap(), "a");
    }

    #[test]
    fn unescaped_control_characters_are_refused_with_their_place() {
        for text in ["ab\n\0", "ab\n\x7f", "ab\n\u{84}", "ab\n\u{ffff}"] {
            let error = decode(text.as_bytes()).unwrap_err();
            assert_eq!((error.line, error.column), (2, 1), "{text:?}");
        }
        for text in ["\t\r\n", "\u{85}", "\u{a0}", "\u{feff}x", "\u{fffd}", "\u{1F680}", "ÂÃ"] {
            assert!(decode(text.as_bytes()).is_ok(), "{text:?}");
        }
        assert_eq!(decode(b"a\xff").unwrap_err().fault, Fault::Encoding);
    }
}
