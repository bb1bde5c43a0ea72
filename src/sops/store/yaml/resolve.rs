//! What type a plain scalar has.
//!
//! Follows go-yaml v3.0.4 (`resolve.go`), which sops reads and prints with: YAML 1.1 numbers and dates, YAML 1.2
//! booleans.

use super::timestamp;
use crate::sops::tree::Timestamp;

/// A scalar with its type.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Scalar {
    Null,
    Bool(bool),
    Int(i64),
    /// Whole, but above `i64`: go-yaml knows it, sops refuses it.
    TooBig(u64),
    Float(f64),
    Time(Timestamp),
    /// The text itself.
    Str,
}

/// The type of a plain scalar without a tag.
pub(super) fn resolve(text: &str) -> Scalar {
    let Some(first) = text.bytes().next() else { return Scalar::Null };
    match first {
        b'y' | b'Y' | b'n' | b'N' | b't' | b'T' | b'f' | b'F' | b'o' | b'O' | b'~' => word(text),
        b'.' => match word(text) {
            Scalar::Str => dotted(text),
            found => found,
        },
        b'+' | b'-' | b'0'..=b'9' => match word(text) {
            Scalar::Str => timestamp::parse(text).map_or_else(|| number(text), Scalar::Time),
            found => found,
        },
        _ => Scalar::Str,
    }
}

/// The type of a scalar that is tagged as one of YAML's own (`!!int` and so on): its text may not fit the tag.
pub(super) fn resolve_tagged(tag: &str, text: &str) -> Option<Scalar> {
    let untagged = match resolve(text) {
        // A date is one only where nothing else is asked for.
        Scalar::Time(_) if tag != "!!timestamp" => number(text),
        other => other,
    };
    match (tag, untagged) {
        ("!!null", Scalar::Null)
        | ("!!bool", Scalar::Bool(_))
        | ("!!int", Scalar::Int(_) | Scalar::TooBig(_))
        | ("!!float", Scalar::Float(_))
        | ("!!timestamp", Scalar::Time(_))
        | ("!!str", Scalar::Str) => Some(untagged),
        #[expect(clippy::cast_precision_loss, reason = "Go converts the same way")]
        ("!!float", Scalar::Int(whole)) => Some(Scalar::Float(whole as f64)),
        _ => None,
    }
}

fn word(text: &str) -> Scalar {
    match text {
        "~" | "null" | "Null" | "NULL" => Scalar::Null,
        "true" | "True" | "TRUE" => Scalar::Bool(true),
        "false" | "False" | "FALSE" => Scalar::Bool(false),
        ".nan" | ".NaN" | ".NAN" => Scalar::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => Scalar::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => Scalar::Float(f64::NEG_INFINITY),
        _ => Scalar::Str,
    }
}

/// A float that begins with its point. Underscores may stand between digits here, and here only.
fn dotted(text: &str) -> Scalar {
    let bytes = text.as_bytes();
    let between_digits = |at: usize| {
        at.checked_sub(1).is_some_and(|before| bytes[before].is_ascii_digit())
            && bytes.get(at + 1).is_some_and(u8::is_ascii_digit)
    };
    if (0..bytes.len()).any(|at| bytes[at] == b'_' && !between_digits(at)) {
        return Scalar::Str;
    }
    decimal(&text.replace('_', ""))
}

fn number(text: &str) -> Scalar {
    let plain = if text.contains('_') { &text.replace('_', "") } else { text };
    let (sign, digits) = match plain.as_bytes().first() {
        Some(b'-') => ("-", &plain[1..]),
        Some(b'+') => ("+", &plain[1..]),
        _ => ("", plain),
    };
    let (radix, digits) = radix(digits);
    match whole(sign, digits, radix) {
        // A sign behind `0b` and `0o` is let through by go-yaml's second look at these prefixes.
        Scalar::Str if sign.is_empty() && (plain.starts_with("0b") || plain.starts_with("0o")) => {
            match digits.as_bytes().first() {
                Some(b'-') => whole("-", &digits[1..], radix),
                Some(b'+') => whole("+", &digits[1..], radix),
                _ => Scalar::Str,
            }
        }
        Scalar::Str => decimal(plain),
        found => found,
    }
}

/// Go's base 0: the prefix tells, and a leading zero alone means octal.
fn radix(digits: &str) -> (u32, &str) {
    match digits.as_bytes() {
        [b'0', b'x' | b'X', _, ..] => (16, &digits[2..]),
        [b'0', b'b' | b'B', _, ..] => (2, &digits[2..]),
        [b'0', b'o' | b'O', _, ..] => (8, &digits[2..]),
        [b'0', _, ..] => (8, &digits[1..]),
        _ => (10, digits),
    }
}

fn whole(sign: &str, digits: &str, radix: u32) -> Scalar {
    if digits.is_empty() || !digits.bytes().all(|digit| char::from(digit).is_digit(radix)) {
        return Scalar::Str;
    }
    let Ok(size) = u64::from_str_radix(digits, radix) else { return Scalar::Str };
    match sign {
        "-" => 0_i64.checked_sub_unsigned(size).map_or(Scalar::Str, Scalar::Int),
        "+" => i64::try_from(size).map_or(Scalar::Str, Scalar::Int),
        _ => i64::try_from(size).map_or(Scalar::TooBig(size), Scalar::Int),
    }
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`, within the range of `f64`.
fn decimal(text: &str) -> Scalar {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
        Some(at) => (&unsigned[..at], Some(&unsigned[at + 1..])),
        None => (unsigned, None),
    };
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let mantissa_fits = match mantissa.split_once('.') {
        Some(("", fraction)) => !fraction.is_empty() && all_digits(fraction),
        Some((whole, fraction)) => all_digits(whole) && all_digits(fraction),
        None => !mantissa.is_empty() && all_digits(mantissa),
    };
    let exponent_fits = exponent.is_none_or(|exponent| {
        let digits = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        !digits.is_empty() && all_digits(digits)
    });
    if !mantissa_fits || !exponent_fits {
        return Scalar::Str;
    }
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() => Scalar::Float(value),
        _ => Scalar::Str,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_booleans_are_strings() {
        for text in ["yes", "no", "on", "off", "y", "n", "tRUE", "nULL", "<<"] {
            assert_eq!(resolve(text), Scalar::Str, "{text}");
        }
    }

    #[test]
    fn a_leading_zero_means_octal_and_where_it_cannot_a_float() {
        assert_eq!(resolve("0755"), Scalar::Int(0o755));
        assert_eq!(resolve("089"), Scalar::Float(89.0));
        assert_eq!(resolve("0"), Scalar::Int(0));
        assert_eq!(resolve("-0"), Scalar::Int(0));
        assert_eq!(resolve("00"), Scalar::Int(0));
    }

    #[test]
    fn prefixes_and_underscores_are_taken_as_go_takes_them() {
        assert_eq!(resolve("0x_1F"), Scalar::Int(31));
        assert_eq!(resolve("0O17"), Scalar::Int(15));
        assert_eq!(resolve("-0b101"), Scalar::Int(-5));
        assert_eq!(resolve("0b-101"), Scalar::Int(-5));
        assert_eq!(resolve("1_000"), Scalar::Int(1000));
        assert_eq!(resolve("0x"), Scalar::Str);
        assert_eq!(resolve("0b12"), Scalar::Str);
        assert_eq!(resolve("+-1"), Scalar::Str);
    }

    #[test]
    fn the_range_of_whole_numbers_ends_in_floats() {
        assert_eq!(resolve("9223372036854775807"), Scalar::Int(i64::MAX));
        assert_eq!(resolve("-9223372036854775808"), Scalar::Int(i64::MIN));
        assert_eq!(resolve("9223372036854775808"), Scalar::TooBig(1 << 63));
        assert_eq!(resolve("+9223372036854775808"), Scalar::Float(9_223_372_036_854_775_808.0));
        assert_eq!(resolve("18446744073709551616"), Scalar::Float(18_446_744_073_709_551_616.0));
    }

    #[test]
    fn floats_need_digits_and_a_finite_value() {
        assert_eq!(resolve("1."), Scalar::Float(1.0));
        assert_eq!(resolve(".5"), Scalar::Float(0.5));
        assert_eq!(resolve(".5_0"), Scalar::Float(0.5));
        assert_eq!(resolve("1e3"), Scalar::Float(1000.0));
        for text in [".", "._5", ".e5", "1e", "1e400", "1.2.3", "12:30", "-", "+", "-.5x"] {
            assert_eq!(resolve(text), Scalar::Str, "{text}");
        }
        assert_eq!(resolve("-.5"), Scalar::Float(-0.5));
    }

    #[test]
    fn a_tag_takes_only_what_fits_it() {
        assert_eq!(resolve_tagged("!!float", "3"), Some(Scalar::Float(3.0)));
        assert_eq!(resolve_tagged("!!int", "3.0"), None);
        assert_eq!(resolve_tagged("!!int", "2020-01-01"), None);
        assert_eq!(resolve_tagged("!!bool", "yes"), None);
        assert_eq!(resolve_tagged("!!float", "9223372036854775808"), None);
        assert!(resolve_tagged("!!timestamp", "2020-01-01").is_some());
    }
}
