//! Numbers and truth values as Go reads and writes them, since sops stores what Go's `strconv` printed.

use std::io::Write as _;

/// Go's `strconv.Atoi`: an optional sign and decimal digits, within 64 bits.
pub(crate) fn parse_int(text: &[u8]) -> Option<i64> {
    let (negative, digits) = sign(text);
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_i64, |value, byte| {
        let digit = i64::from(char::from(*byte).to_digit(10)?);
        let shifted = value.checked_mul(10)?;
        if negative { shifted.checked_sub(digit) } else { shifted.checked_add(digit) }
    })
}

/// Go's `strconv.ParseInt` with base 0: prefixes `0x`, `0o`, `0b`, a leading `0` for octal, `_` between digits.
pub(crate) fn parse_int_any_base(text: &[u8]) -> Option<i64> {
    let (negative, digits) = sign(text);
    let (radix, digits) = match digits {
        [b'0', b'x' | b'X', rest @ ..] if !rest.is_empty() => (16, rest),
        [b'0', b'b' | b'B', rest @ ..] if !rest.is_empty() => (2, rest),
        [b'0', b'o' | b'O', rest @ ..] | [b'0', rest @ ..] if !rest.is_empty() => (8, rest),
        _ => (10, digits),
    };
    if !underscores_separate_digits(text) || digits.is_empty() {
        return None;
    }
    let magnitude = digits.iter().filter(|byte| **byte != b'_').try_fold(0_i128, |value, byte| {
        let digit = i128::from(char::from(*byte).to_digit(radix)?);
        value.checked_mul(i128::from(radix))?.checked_add(digit)
    })?;
    i64::try_from(if negative { -magnitude } else { magnitude }).ok()
}

/// Go's `strconv.ParseBool`.
pub(crate) fn parse_bool(text: &[u8]) -> Option<bool> {
    match text {
        b"1" | b"t" | b"T" | b"TRUE" | b"true" | b"True" => Some(true),
        b"0" | b"f" | b"F" | b"FALSE" | b"false" | b"False" => Some(false),
        _ => None,
    }
}

/// Go's `strconv.ParseFloat` for 64 bits: decimal or hexadecimal, `inf`, `infinity`, `nan`; out of range is `None`.
pub(crate) fn parse_float(text: &[u8]) -> Option<f64> {
    let (negative, body) = sign(text);
    if body.eq_ignore_ascii_case(b"inf") || body.eq_ignore_ascii_case(b"infinity") {
        return Some(if negative { f64::NEG_INFINITY } else { f64::INFINITY });
    }
    if text.eq_ignore_ascii_case(b"nan") {
        return Some(f64::NAN);
    }
    if !underscores_separate_digits(text) {
        return None;
    }
    let body: Vec<u8> = body.iter().copied().filter(|byte| *byte != b'_').collect();
    let magnitude = match body.as_slice() {
        [b'0', b'x' | b'X', hex @ ..] => parse_hex_float(hex)?,
        decimal => parse_decimal_float(decimal)?,
    };
    Some(if negative { -magnitude } else { magnitude })
}

/// Go's `FormatFloat(v, 'f', -1, 64)`: the shortest digits that read back, never an exponent.
pub(crate) fn write_float_plain(out: &mut Vec<u8>, value: f64) {
    if write_special(out, value) {
        return;
    }
    let (digits, power) = scientific(value);
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits.as_str()), |digits| ("-", digits));
    let digits: Vec<u8> = digits.bytes().filter(|byte| *byte != b'.').collect();
    out.extend_from_slice(sign.as_bytes());
    match usize::try_from(power) {
        Err(_) => {
            out.extend_from_slice(b"0.");
            out.extend(std::iter::repeat_n(b'0', power.unsigned_abs() as usize - 1));
            out.extend_from_slice(&digits);
        }
        Ok(power) if power + 1 < digits.len() => {
            out.extend_from_slice(&digits[..=power]);
            out.push(b'.');
            out.extend_from_slice(&digits[power + 1..]);
        }
        Ok(power) => {
            out.extend_from_slice(&digits);
            out.extend(std::iter::repeat_n(b'0', power + 1 - digits.len()));
        }
    }
}

/// Go's `FormatFloat(v, 'g', -1, 64)`, or `'G'` where `exponent` is `E`: exponents below -4 and from 6 on.
pub(crate) fn write_float_general(out: &mut Vec<u8>, value: f64, exponent: u8) {
    if write_special(out, value) {
        return;
    }
    let (digits, power) = scientific(value);
    if (-4..6).contains(&power) {
        write_float_plain(out, value);
    } else {
        out.extend_from_slice(digits.as_bytes());
        out.push(exponent);
        write!(out, "{power:+03}").expect("writing to a Vec does not fail");
    }
}

/// A float as Go's `encoding/json` prints it; `None` for what JSON cannot hold.
pub(crate) fn write_float_json(out: &mut Vec<u8>, value: f64) -> Option<()> {
    if !value.is_finite() {
        return None;
    }
    let magnitude = value.abs();
    if value == 0.0 || (1e-6..1e21).contains(&magnitude) {
        write_float_plain(out, value);
    } else {
        let (digits, power) = scientific(value);
        out.extend_from_slice(digits.as_bytes());
        write!(out, "e{power:+}").expect("writing to a Vec does not fail");
    }
    Some(())
}

/// Mantissa text (`-1.25`) and decimal exponent of a finite number, with the shortest digits that read back.
///
/// Where two such texts are equally near, Go takes the even one and Rust the greater.
fn scientific(value: f64) -> (String, i32) {
    let text = format!("{value:e}");
    let (digits, power) = text.split_once('e').expect("`{:e}` prints an exponent");
    let power = power.parse().expect("`{:e}` prints a decimal exponent");
    (even_of_two(value, digits, power).unwrap_or_else(|| digits.to_owned()), power)
}

/// The digits with the last one less by one, where the value lies exactly between.
fn even_of_two(value: f64, digits: &str, power: i32) -> Option<String> {
    /// Below this many digits the neighbour is another number.
    const SIGNIFICANT: usize = 16;
    let last = digits.bytes().next_back().filter(|last| last % 2 == 1)?;
    if digits.bytes().filter(u8::is_ascii_digit).count() < SIGNIFICANT {
        return None;
    }
    let lower = format!("{}{}", &digits[..digits.len() - 1], char::from(last - 1));
    let exact = format!("{value:.40e}");
    let between = exact.strip_prefix(lower.as_str())?.split_once('e')?.0;
    let is_half = between.strip_prefix('5').is_some_and(|rest| rest.bytes().all(|byte| byte == b'0'));
    (is_half && format!("{lower}e{power}").parse() == Ok(value)).then_some(lower)
}

fn write_special(out: &mut Vec<u8>, value: f64) -> bool {
    let word: &[u8] = if value.is_nan() {
        b"NaN"
    } else if value == f64::INFINITY {
        b"+Inf"
    } else if value == f64::NEG_INFINITY {
        b"-Inf"
    } else {
        return false;
    };
    out.extend_from_slice(word);
    true
}

fn sign(text: &[u8]) -> (bool, &[u8]) {
    match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    }
}

/// Go's rule: `_` only between digits, or between a base prefix and a digit.
fn underscores_separate_digits(text: &[u8]) -> bool {
    if !text.contains(&b'_') {
        return true;
    }
    let (_, mut rest) = sign(text);
    let mut after_digit = false;
    let mut hex = false;
    if let [b'0', prefix, tail @ ..] = rest
        && matches!(prefix.to_ascii_lowercase(), b'x' | b'o' | b'b')
    {
        hex = prefix.eq_ignore_ascii_case(&b'x');
        after_digit = true;
        rest = tail;
    }
    let mut after_underscore = false;
    for byte in rest {
        if *byte == b'_' {
            if !after_digit {
                return false;
            }
            (after_digit, after_underscore) = (false, true);
        } else {
            let digit = byte.is_ascii_digit() || (hex && byte.is_ascii_hexdigit());
            if after_underscore && !digit {
                return false;
            }
            (after_digit, after_underscore) = (digit, false);
        }
    }
    !after_underscore
}

fn parse_decimal_float(text: &[u8]) -> Option<f64> {
    let exponent_at = text.iter().position(|byte| matches!(byte, b'e' | b'E'));
    let (mantissa, exponent) = exponent_at.map_or((text, None), |at| (&text[..at], Some(&text[at + 1..])));
    let (whole, fraction) = mantissa
        .iter()
        .position(|byte| *byte == b'.')
        .map_or((mantissa, &[][..]), |at| (&mantissa[..at], &mantissa[at + 1..]));
    let all_digits = whole.iter().chain(fraction).all(u8::is_ascii_digit);
    if !all_digits || whole.is_empty() && fraction.is_empty() {
        return None;
    }
    if let Some(exponent) = exponent {
        let (_, digits) = sign(exponent);
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
    }
    std::str::from_utf8(text).ok()?.parse::<f64>().ok().filter(|value| value.is_finite())
}

/// Hexadecimal mantissa with a binary exponent after `p`, rounded half to even.
fn parse_hex_float(text: &[u8]) -> Option<f64> {
    let exponent_at = text.iter().position(|byte| matches!(byte, b'p' | b'P'))?;
    let (exponent_negative, exponent) = sign(&text[exponent_at + 1..]);
    if exponent.is_empty() || !exponent.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let exponent = exponent.iter().fold(0_i64, |value, byte| (value * 10 + i64::from(byte - b'0')).min(1_000_000_000));
    let mut power = if exponent_negative { -exponent } else { exponent };

    // At most 16 digits are kept; of the rest only whether any of them is not zero matters.
    let (mut mantissa, mut dropped, mut after_point, mut digits) = (0_u64, false, false, 0_usize);
    for byte in &text[..exponent_at] {
        if *byte == b'.' {
            if after_point {
                return None;
            }
            after_point = true;
            continue;
        }
        let digit = u64::from(char::from(*byte).to_digit(16)?);
        digits += 1;
        if mantissa >> 60 == 0 {
            mantissa = mantissa << 4 | digit;
            power -= if after_point { 4 } else { 0 };
        } else {
            dropped |= digit != 0;
            power += if after_point { 0 } else { 4 };
        }
    }
    if digits == 0 {
        return None;
    }
    if mantissa == 0 {
        return Some(0.0);
    }
    scale(mantissa, dropped, power)
}

/// `mantissa * 2^power`, with `dropped` saying whether non-zero bits were cut off; `None` beyond the range.
fn scale(mantissa: u64, dropped: bool, power: i64) -> Option<f64> {
    let zeros = mantissa.leading_zeros();
    let mantissa = mantissa << zeros;
    let exponent = power - i64::from(zeros) + 63; // the value is 1.xxx * 2^exponent
    if exponent > 1023 {
        return None;
    }
    let normal = exponent >= -1022;
    let shift = if normal { 11 } else { u32::try_from(11 + (-1022 - exponent)).unwrap_or(u32::MAX) };
    if shift > 64 {
        return Some(0.0);
    }
    let wide = u128::from(mantissa) << 64;
    let kept = u64::try_from(wide.checked_shr(64 + shift).unwrap_or(0)).expect("at most 53 bits remain");
    let rest = wide << (64 - shift); // the cut bits, left-aligned
    let half = 1_u128 << 127;
    let up = rest > half || (rest == half && (dropped || kept & 1 == 1));
    let kept = kept + u64::from(up);
    let biased = if normal { u64::try_from(exponent + 1022).expect("not negative for normal numbers") } else { 0 };
    // For normal numbers the leading bit of `kept` adds one to the exponent, and so does a carry.
    Some(f64::from_bits((biased << 52) + kept)).filter(|value| value.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(value: f64) -> String {
        let mut out = Vec::new();
        write_float_plain(&mut out, value);
        String::from_utf8(out).unwrap()
    }

    fn general(value: f64) -> String {
        let mut out = Vec::new();
        write_float_general(&mut out, value, b'e');
        String::from_utf8(out).unwrap()
    }

    fn json(value: f64) -> Option<String> {
        let mut out = Vec::new();
        write_float_json(&mut out, value)?;
        Some(String::from_utf8(out).unwrap())
    }

    #[test]
    fn ints_are_decimal_with_an_optional_sign() {
        for (text, value) in [
            ("+5", Some(5)),
            ("007", Some(7)),
            ("-0", Some(0)),
            ("9223372036854775807", Some(i64::MAX)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("9223372036854775808", None),
            ("", None),
            ("-", None),
            ("1_0", None),
            ("0x1", None),
            (" 1", None),
        ] {
            assert_eq!(parse_int(text.as_bytes()), value, "{text}");
        }
    }

    #[test]
    fn base_zero_ints_follow_their_prefix() {
        for (text, value) in [
            ("2", Some(2)),
            ("0x1F", Some(31)),
            ("017", Some(15)),
            ("0o17", Some(15)),
            ("0b11", Some(3)),
            ("1_000", Some(1000)),
            ("0_7", Some(7)),
            ("-3", Some(-3)),
            ("09", None),
            ("1__0", None),
            ("_1", None),
            ("0x", None),
            ("", None),
            ("3.9", None),
        ] {
            assert_eq!(parse_int_any_base(text.as_bytes()), value, "{text}");
        }
    }

    #[test]
    fn bools_have_twelve_spellings() {
        assert_eq!(parse_bool(b"T"), Some(true));
        assert_eq!(parse_bool(b"False"), Some(false));
        assert_eq!(parse_bool(b"yes"), None);
        assert_eq!(parse_bool(b"tRUE"), None);
    }

    #[test]
    fn floats_read_as_go_reads_them() {
        for (text, value) in [
            ("1e3", Some(1000.0)),
            ("0x1p-2", Some(0.25)),
            ("0X1.8P1", Some(3.0)),
            ("1_0.5", Some(10.5)),
            ("5.", Some(5.0)),
            (".5", Some(0.5)),
            ("-Inf", Some(f64::NEG_INFINITY)),
            ("+infinity", Some(f64::INFINITY)),
            ("1e-400", Some(0.0)),
            ("1e400", None),
            ("0x1p1024", None),
            ("0x1p", None),
            ("0x.p1", None),
            ("1__0", None),
            ("Infinit", None),
            ("-nan", None),
            ("1e+", None),
            (".", None),
            ("", None),
            ("0b1", None),
        ] {
            assert_eq!(parse_float(text.as_bytes()), value, "{text}");
        }
        assert!(parse_float(b"nAn").is_some_and(f64::is_nan));
    }

    #[test]
    fn hex_floats_round_half_to_even_down_to_the_smallest() {
        for (text, value) in [
            ("0x1.00000000000008p0", 1.0),
            ("0x1.000000000000081p0", 1.0 + f64::EPSILON),
            ("0x1.00000000000018p0", 1.0 + 2.0 * f64::EPSILON),
            ("0x1p-1074", f64::from_bits(1)),
            ("0x1p-1075", 0.0),
            ("0x1.8p-1075", f64::from_bits(1)),
            ("0x1.fffffffffffff8p-1023", f64::MIN_POSITIVE),
            ("0x1.fffffffffffffp1023", f64::MAX),
        ] {
            assert_eq!(parse_float(text.as_bytes()), Some(value), "{text}");
        }
        assert_eq!(parse_float(b"0x1.fffffffffffff8p1023"), None);
    }

    #[test]
    fn plain_floats_have_no_exponent() {
        assert_eq!(plain(1e10), "10000000000");
        assert_eq!(plain(-0.0), "-0");
        assert_eq!(plain(1.0), "1");
        assert_eq!(plain(1e-7), "0.0000001");
        assert_eq!(plain(f64::INFINITY), "+Inf");
        assert_eq!(plain(f64::NAN), "NaN");
        assert_eq!(plain(0.0), "0");
        assert_eq!(plain(123.25), "123.25");
    }

    #[test]
    fn of_two_nearest_texts_go_takes_the_even_one() {
        assert_eq!(plain(1_444_322_490_476_937.0 + 0.25), "1444322490476937.2");
        assert_eq!(plain(-1_444_322_490_476_937.0 - 0.75), "-1444322490476937.8");
    }

    #[test]
    fn general_floats_turn_to_exponents_at_a_million_and_below_a_ten_thousandth() {
        assert_eq!(general(100_000.0), "100000");
        assert_eq!(general(123_456.5), "123456.5");
        assert_eq!(general(1_000_000.0), "1e+06");
        assert_eq!(general(1_234_567.5), "1.2345675e+06");
        assert_eq!(general(0.0001), "0.0001");
        assert_eq!(general(0.00001), "1e-05");
        assert_eq!(general(-1e100), "-1e+100");
        assert_eq!(general(f64::NEG_INFINITY), "-Inf");
    }

    #[test]
    fn json_floats_turn_to_exponents_at_1e21() {
        assert_eq!(json(1e20).as_deref(), Some("100000000000000000000"));
        assert_eq!(json(1e21).as_deref(), Some("1e+21"));
        assert_eq!(json(1e-7).as_deref(), Some("1e-7"));
        assert_eq!(json(-0.0).as_deref(), Some("-0"));
        assert_eq!(json(f64::NAN), None);
    }
}
