//! Timestamps in plain scalars, as go-yaml reads them.

use crate::sops::timestamp::{days_in, fraction, literal, offset};
use crate::sops::tree::Timestamp;

/// Reads `Y-M-D`, `Y-M-D[Tt]h:m:s[.frac](Z or +hh:mm)` or `Y-M-D h:m:s[.frac]`.
///
/// Month, day, hour, minute and second may have one digit, the fraction may follow a comma (Go's `time.Parse`); the
/// date must exist.
pub(super) fn parse(text: &str) -> Option<Timestamp> {
    let bytes = text.as_bytes();
    if bytes.len() < 8 || bytes[4] != b'-' || !bytes[..4].iter().all(u8::is_ascii_digit) {
        return None;
    }
    let year = text[..4].parse().ok()?;
    let mut rest = &bytes[5..];
    let month = one_or_two(&mut rest)?;
    literal(&mut rest, b'-')?;
    let day = one_or_two(&mut rest)?;
    if !(1..=12).contains(&month) || day < 1 || day > days_in(year, month) {
        return None;
    }
    let date = Timestamp { year, month, day, hour: 0, minute: 0, second: 0, nanosecond: 0, offset_seconds: 0 };
    let has_zone = match rest {
        [] => return Some(date),
        [b'T' | b't', time @ ..] => {
            rest = time;
            true
        }
        [b' ', ..] => {
            rest = &rest[rest.iter().take_while(|byte| **byte == b' ').count()..];
            false
        }
        _ => return None,
    };
    let hour = one_or_two(&mut rest)?;
    literal(&mut rest, b':')?;
    let minute = one_or_two(&mut rest)?;
    literal(&mut rest, b':')?;
    let second = one_or_two(&mut rest)?;
    let nanosecond = fraction(&mut rest)?;
    let offset_seconds = match rest {
        [] if !has_zone => 0,
        zone if has_zone => offset(zone)?,
        _ => return None,
    };
    let valid = hour < 24 && minute < 60 && second < 60;
    valid.then_some(Timestamp { hour, minute, second, nanosecond, offset_seconds, ..date })
}

/// A number of one or two digits.
fn one_or_two(rest: &mut &[u8]) -> Option<u8> {
    let digit = |at: usize| rest.get(at).filter(|byte| byte.is_ascii_digit()).map(|byte| byte - b'0');
    let tens = digit(0)?;
    let (value, width) = digit(1).map_or((tens, 1), |units| (tens * 10 + units, 2));
    *rest = &rest[width..];
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reprint(text: &str) -> Option<String> {
        let mut printed = Vec::new();
        parse(text)?.write_nano(&mut printed);
        String::from_utf8(printed).ok()
    }

    #[test]
    fn every_spelling_prints_as_rfc_3339() {
        for (text, printed) in [
            ("2020-01-01", "2020-01-01T00:00:00Z"),
            ("2020-1-2", "2020-01-02T00:00:00Z"),
            ("2001-12-14t21:59:43.10-05:00", "2001-12-14T21:59:43.1-05:00"),
            ("2001-12-14 21:59:43,1234567891", "2001-12-14T21:59:43.123456789Z"),
            ("2001-12-14   1:2:3", "2001-12-14T01:02:03Z"),
            ("2024-02-29T00:00:00+00:00", "2024-02-29T00:00:00Z"),
            ("0001-01-01", "0001-01-01T00:00:00Z"),
        ] {
            assert_eq!(reprint(text).as_deref(), Some(printed), "{text}");
        }
    }

    #[test]
    fn what_does_not_exist_or_is_spelt_otherwise_is_no_date() {
        for text in [
            "2021-02-29",
            "2020-13-01",
            "2020-00-01",
            "2020-01-00",
            "2020-01-01T00:00:00",
            "2020-01-01T24:00:00Z",
            "2001-12-14 21:59:43 -05:00",
            "2020-01-01 10:00:00Z",
            "2020-01-01T",
            "2020-01",
            "20200-1-1",
            "2020-01-01 ",
            "2020-01-01T00:00:00+0500",
        ] {
            assert_eq!(reprint(text), None, "{text}");
        }
    }
}
