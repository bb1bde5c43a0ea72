//! Floats as Go's `FormatFloat(v, 'g', -1, 64)` prints them, with YAML's words for what is no number.

use crate::sops::number;

/// Shortest digits that read back; an exponent below 1e-4 and from 1e6, with its sign and at least two digits.
pub(super) fn print(value: f64) -> String {
    if value.is_nan() {
        return ".nan".into();
    }
    if value.is_infinite() {
        return if value < 0.0 { "-.inf".into() } else { ".inf".into() };
    }
    let mut printed = Vec::new();
    number::write_float_general(&mut printed, value, b'e');
    String::from_utf8(printed).expect("a number is printed in ASCII")
}

#[cfg(test)]
mod tests {
    use super::print;

    #[test]
    fn the_exponent_form_begins_where_gos_begins() {
        for (value, printed) in [
            (100_000.0, "100000"),
            (1_000_000.0, "1e+06"),
            (1_234_567.5, "1.2345675e+06"),
            (123_456.5, "123456.5"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (1e100, "1e+100"),
            (-0.0, "-0"),
            (f64::NEG_INFINITY, "-.inf"),
            (f64::NAN, ".nan"),
        ] {
            assert_eq!(print(value), printed);
        }
    }
}
