//! Timestamps as Go's `time` package reads and writes them in RFC 3339.

use std::io::Write as _;

use super::tree::Timestamp;

impl Timestamp {
    /// Reads `2006-01-02T15:04:05[.999](Z|+07:00)` as Go's `time.Parse` does, which also allows an hour of one digit, a comma
    /// before the fraction, and offsets up to 24:60. `Time.UnmarshalText` is no stricter in Go 1.26.
    pub(crate) fn parse_rfc3339(text: &[u8]) -> Option<Self> {
        let mut rest = text;
        let year = u16::try_from(digits(&mut rest, 4)?).ok()?;
        literal(&mut rest, b'-')?;
        let month = u8::try_from(digits(&mut rest, 2)?).ok()?;
        literal(&mut rest, b'-')?;
        let day = u8::try_from(digits(&mut rest, 2)?).ok()?;
        literal(&mut rest, b'T')?;
        let one_digit = matches!(rest, [_, b':', ..]);
        let hour = u8::try_from(digits(&mut rest, if one_digit { 1 } else { 2 })?).ok()?;
        literal(&mut rest, b':')?;
        let minute = u8::try_from(digits(&mut rest, 2)?).ok()?;
        literal(&mut rest, b':')?;
        let second = u8::try_from(digits(&mut rest, 2)?).ok()?;
        let nanosecond = fraction(&mut rest)?;
        let offset_seconds = offset(rest)?;
        let valid = (1..=12).contains(&month)
            && (1..=days_in(year, month)).contains(&day)
            && hour < 24
            && minute < 60
            && second < 60;
        valid.then_some(Self { year, month, day, hour, minute, second, nanosecond, offset_seconds })
    }

    /// Prints RFC 3339 with as many digits of the fraction as it needs (Go's `RFC3339Nano`).
    pub(crate) fn write_nano(&self, out: &mut Vec<u8>) {
        self.write(out, true);
    }

    /// Prints RFC 3339 without a fraction (Go's `RFC3339`).
    pub(crate) fn write_seconds(&self, out: &mut Vec<u8>) {
        self.write(out, false);
    }

    /// Prints as Go's `Time.String` does; a zone other than UTC has no name but its offset.
    pub(crate) fn write_go(&self, out: &mut Vec<u8>) {
        let Self { year, month, day, hour, minute, second, nanosecond, offset_seconds } = self;
        let fraction = if *nanosecond > 0 { format!(".{nanosecond:09}") } else { String::new() };
        let fraction = fraction.trim_end_matches('0');
        let sign = if *offset_seconds < 0 { '-' } else { '+' };
        let minutes = offset_seconds.unsigned_abs() / 60;
        let offset = format!("{sign}{:02}{:02}", minutes / 60, minutes % 60);
        let zone = if *offset_seconds == 0 { "UTC" } else { &offset };
        write!(out, "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}{fraction} {offset} {zone}")
            .expect("writing to a Vec does not fail");
    }

    /// Whether the offset is one that RFC 3339 has; Go refuses to marshal others.
    pub(crate) fn is_rfc3339(&self) -> bool {
        self.offset_seconds.abs() < 24 * 3600
    }

    fn write(&self, out: &mut Vec<u8>, with_fraction: bool) {
        let Self { year, month, day, hour, minute, second, nanosecond, offset_seconds } = self;
        write!(out, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")
            .expect("writing to a Vec does not fail");
        if with_fraction && *nanosecond > 0 {
            let digits = format!(".{nanosecond:09}");
            out.extend_from_slice(digits.trim_end_matches('0').as_bytes());
        }
        if *offset_seconds == 0 {
            out.push(b'Z');
        } else {
            let sign = if *offset_seconds < 0 { '-' } else { '+' };
            let minutes = offset_seconds.abs() / 60;
            write!(out, "{sign}{:02}:{:02}", minutes / 60, minutes % 60).expect("writing to a Vec does not fail");
        }
    }
}

/// Days of a month of the proleptic Gregorian calendar.
pub(super) fn days_in(year: u16, month: u8) -> u8 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

fn digits(rest: &mut &[u8], count: usize) -> Option<u32> {
    let (head, tail) = rest.split_at_checked(count)?;
    *rest = tail;
    head.iter().try_fold(0, |value, byte| Some(value * 10 + char::from(*byte).to_digit(10)?))
}

pub(super) fn literal(rest: &mut &[u8], byte: u8) -> Option<()> {
    let (first, tail) = rest.split_first()?;
    *rest = tail;
    (*first == byte).then_some(())
}

/// Nanoseconds; digits beyond the ninth are dropped.
pub(super) fn fraction(rest: &mut &[u8]) -> Option<u32> {
    if !matches!(rest.first(), Some(b'.' | b',')) {
        return Some(0);
    }
    let count = rest[1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    if count == 0 {
        return None;
    }
    let shown = &rest[1..=count.min(9)];
    let value = shown.iter().fold(0, |value, byte| value * 10 + u32::from(byte - b'0'));
    *rest = &rest[1 + count..];
    Some((shown.len()..9).fold(value, |value, _| value * 10))
}

pub(super) fn offset(rest: &[u8]) -> Option<i32> {
    let (sign, mut rest) = match rest {
        b"Z" => return Some(0),
        [b'+', rest @ ..] => (1, rest),
        [b'-', rest @ ..] => (-1, rest),
        _ => return None,
    };
    let hours = i32::try_from(digits(&mut rest, 2)?).ok()?;
    literal(&mut rest, b':')?;
    let minutes = i32::try_from(digits(&mut rest, 2)?).ok()?;
    let valid = rest.is_empty() && hours <= 24 && minutes <= 60;
    valid.then_some(sign * (hours * 3600 + minutes * 60))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nano(text: &str) -> Option<String> {
        let time = Timestamp::parse_rfc3339(text.as_bytes())?;
        let mut out = Vec::new();
        time.write_nano(&mut out);
        Some(String::from_utf8(out).unwrap())
    }

    fn seconds(text: &str) -> Option<String> {
        let time = Timestamp::parse_rfc3339(text.as_bytes())?;
        let mut out = Vec::new();
        time.write_seconds(&mut out);
        Some(String::from_utf8(out).unwrap())
    }

    #[test]
    fn fractions_lose_trailing_zeros_and_offsets_stay() {
        assert_eq!(nano("2001-12-14T21:59:43.10-05:00").as_deref(), Some("2001-12-14T21:59:43.1-05:00"));
        assert_eq!(nano("2020-01-01T00:00:00.000Z").as_deref(), Some("2020-01-01T00:00:00Z"));
        assert_eq!(nano("2020-01-01T00:00:00.1234567899Z").as_deref(), Some("2020-01-01T00:00:00.123456789Z"));
    }

    #[test]
    fn a_zero_offset_becomes_z_and_the_fraction_goes() {
        assert_eq!(seconds("2026-11-23T19:40:24.5+00:00").as_deref(), Some("2026-11-23T19:40:24Z"));
        assert_eq!(seconds("2026-11-23T19:40:24-00:00").as_deref(), Some("2026-11-23T19:40:24Z"));
        assert_eq!(seconds("2026-11-23T19:40:24+01:30").as_deref(), Some("2026-11-23T19:40:24+01:30"));
    }

    #[test]
    fn dates_must_exist() {
        assert_eq!(nano("2021-02-29T00:00:00Z"), None);
        assert!(nano("2024-02-29T00:00:00Z").is_some());
        assert_eq!(nano("2100-02-29T00:00:00Z"), None);
        assert_eq!(nano("2021-00-01T00:00:00Z"), None);
        assert_eq!(nano("2021-01-01T24:00:00Z"), None);
        assert_eq!(nano("2021-01-01T23:59:60Z"), None);
    }

    #[test]
    fn what_go_lets_pass_is_read() {
        assert_eq!(nano("2021-01-01T1:02:03,5-01:60").as_deref(), Some("2021-01-01T01:02:03.5-02:00"));
        assert!(!Timestamp::parse_rfc3339(b"2021-01-01T01:02:03+24:00").unwrap().is_rfc3339());
        for text in ["2021-01-01", "2021-01-01T01:02:03", "2021-01-01 01:02:03Z", "2021-01-01T01:02:03Z\r", ""] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }
}
