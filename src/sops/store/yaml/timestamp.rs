//! Timestamps in plain scalars, as go-yaml reads them, and as Go prints them.

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
    let mut rest = Rest(&bytes[5..]);
    let month = rest.one_or_two()?;
    rest.take(b'-')?;
    let day = rest.one_or_two()?;
    if !(1..=12).contains(&month) || day < 1 || day > days_of(month, year) {
        return None;
    }
    let date = Timestamp { year, month, day, hour: 0, minute: 0, second: 0, nanosecond: 0, offset_seconds: 0 };
    if rest.0.is_empty() {
        return Some(date);
    }
    let has_zone = match rest.0[0] {
        b'T' | b't' => {
            rest.0 = &rest.0[1..];
            true
        }
        b' ' => {
            rest.spaces();
            false
        }
        _ => return None,
    };
    let hour = rest.one_or_two()?;
    rest.take(b':')?;
    let minute = rest.one_or_two()?;
    rest.take(b':')?;
    let second = rest.one_or_two()?;
    let nanosecond = rest.fraction();
    let offset_seconds = if has_zone { rest.zone()? } else { 0 };
    if hour > 23 || minute > 59 || second > 59 || !rest.0.is_empty() {
        return None;
    }
    Some(Timestamp { hour, minute, second, nanosecond, offset_seconds, ..date })
}

/// Prints as RFC 3339 with nanoseconds, without trailing zeros of the fraction.
pub(super) fn print(time: &Timestamp) -> String {
    let Timestamp { year, month, day, hour, minute, second, nanosecond, offset_seconds } = time;
    let mut text = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}");
    if *nanosecond != 0 {
        let fraction = format!("{nanosecond:09}");
        text.push('.');
        text.push_str(fraction.trim_end_matches('0'));
    }
    if *offset_seconds == 0 {
        text.push('Z');
    } else {
        let minutes = offset_seconds.unsigned_abs() / 60;
        let sign = if *offset_seconds < 0 { '-' } else { '+' };
        text.extend([sign].into_iter().chain(format!("{:02}:{:02}", minutes / 60, minutes % 60).chars()));
    }
    text
}

fn days_of(month: u8, year: u16) -> u8 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        _ => 31,
    }
}

/// What is left to read.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn one_or_two(&mut self) -> Option<u8> {
        let tens = self.digit(0)?;
        let (value, width) = self.digit(1).map_or((tens, 1), |units| (tens * 10 + units, 2));
        self.0 = &self.0[width..];
        Some(value)
    }

    fn digit(&self, at: usize) -> Option<u8> {
        self.0.get(at).filter(|byte| byte.is_ascii_digit()).map(|byte| byte - b'0')
    }

    fn take(&mut self, expected: u8) -> Option<()> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        (*first == expected).then_some(())
    }

    fn spaces(&mut self) {
        while self.0.first() == Some(&b' ') {
            self.0 = &self.0[1..];
        }
    }

    /// Digits beyond the ninth are dropped.
    fn fraction(&mut self) -> u32 {
        if !matches!(self.0.first(), Some(b'.' | b',')) || self.digit(1).is_none() {
            return 0;
        }
        let digits = self.0[1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let nanosecond =
            (1..=9).fold(0, |sum, at| sum * 10 + if at <= digits { u32::from(self.0[at] - b'0') } else { 0 });
        self.0 = &self.0[digits + 1..];
        nanosecond
    }

    fn zone(&mut self) -> Option<i32> {
        if self.0.first() == Some(&b'Z') {
            self.0 = &self.0[1..];
            return Some(0);
        }
        let sign = match self.0.first()? {
            b'+' => 1,
            b'-' => -1,
            _ => return None,
        };
        let two = |at: usize| Some(i32::from(self.digit(at)? * 10 + self.digit(at + 1)?));
        let (hours, minutes) = (two(1)?, two(4)?);
        // Go lets an offset of 24 hours or 60 minutes pass.
        if self.0[3] != b':' || hours > 24 || minutes > 60 {
            return None;
        }
        self.0 = &self.0[6..];
        Some(sign * (hours * 60 + minutes) * 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reprint(text: &str) -> Option<String> {
        parse(text).map(|time| print(&time))
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
