//! Strings, numbers and dates that programs read differently.

/// Pieces that odd strings are put together from.
#[rustfmt::skip]
pub(crate) const PIECES: &[&str] = &[
    "", "a", "word", "two words", " ", "  ", "\t", "\n", "\n\n", "\r\n", "\r", "#", " #", "# ", ": ", ":", "- ",
    "-", "é", "ß", "日本語", "😀", "\u{1F680}", "\u{85}", "\u{2028}", "\u{2029}", "\u{feff}", "\u{a0}", "\u{200b}",
    "\u{e000}", "\u{fffd}", "\u{10ffff}", "\0", "\u{1}", "\u{7}", "\u{8}", "\u{b}", "\u{c}", "\u{1b}", "\u{7f}",
    "\u{9f}", "'", "\"", "''", "\\", "\\n", "\\u0041", "|", ">", "%", "@", "`", "```", "\"\"\"", "{", "}", "[", "]",
    ",", "&a", "*a", "!t", "!!str", "?", "? ", "=", "~", "<<", "<b>&amp;", "ENC[", "---", "...", "\n---\n", "0",
    "1e3", "true", "yes", ";", "$HOME", "${x}", "{{ .a }}", "e\u{301}", "\u{202e}", "line one\nline two\n",
    "  indented\n", "trailing \nblank", "tab\tinside", "end\n",
];

/// Strings that look like something else.
#[rustfmt::skip]
pub(crate) const LOOKALIKES: &[&str] = &[
    "true", "True", "TRUE", "false", "yes", "Yes", "NO", "on", "off", "y", "N", "null", "Null", "~", "123", "-1",
    "+1", "0x1F", "0o17", "0b1", "0755", "089", "1_000", "1e3", "1.5", ".5", "5.", "-.5", ".inf", "-.Inf", ".nan",
    "NaN", "inf", "12:30", "190:20:30", "1:2:3.4", "2020-01-01", "2020-1-1", "2001-12-14t21:59:43.10-05:00",
    "2021-02-29", "2020-01-01 10:00:00", "=", "<<", "-", "--", "---", "...", "?", ":", "a:", "a: b", "a #b", "#a",
    "!a", "&a", "*a", "|", ">", "%a", "@a", "`a`", "'a'", "\"a\"", "[a]", "{a: b}", "a,b", "- a", " a", "a ", "\ta",
    "a\t", "a\\b", "0", "00", "-0", "0.0", "1e400", "0x", "1__0", "_1", "_", ".", "..", "+", "1.2.3", "1e", "0b12",
    "0xfg", "18446744073709551615", "9223372036854775808", "ENC[AES256_GCM,data:",
    "ENC[AES256_GCM,data:a,iv:b,tag:c,type:str]", "sops", "password", "hunter2", "C:\\dir",
    "https://u:p@h/?a=b&c=d#e", "a\nb", "a\nb\n", "a\n\n", "\na", "\n", "\n\n", " \n", "a \nb", " a\nb", "\ta\nb",
    "a\n b", "a\n\tb", "a\r\nb\r\n", "\n a", "#a\nb", "a: b\nc: d\n", "- a\n- b\n", "a\n---\nb", "a\n...\n",
    "%a\nb", "a\n\nb\n\n\n", "0o8", "1e+3", "1E3", "0x_1", "-0x1", "1.e3", "Infinity", "0001-01-01",
    "2020-01-01T00:00:00", "2020-01-01T00:00:00Z", "2020-13-01", "20200101", "1,000", "$1", "\"", "'", "\\",
    "\\\\n",
];

/// Whole numbers of every size.
#[rustfmt::skip]
pub(crate) const INTS: &[&str] = &[
    "0", "1", "-1", "42", "-12", "1000", "65535", "9007199254740993", "9223372036854775807", "-9223372036854775808",
];
/// Whole numbers that only YAML spells so.
#[rustfmt::skip]
pub(crate) const YAML_INTS: &[&str] = &[
    "+5", "0755", "0o17", "0O17", "0x1F", "0XaB", "0b101", "-0x10", "1_000", "0_7", "-0o7", "+0b1", "00", "-0",
    "1__2",
];
/// Floats of every magnitude.
#[rustfmt::skip]
pub(crate) const FLOATS: &[&str] = &[
    "1.0", "1.50", "-2.5", "0.1", "1e3", "1E+10", "1e-7", "1.5e300", "5e-324", "2.2250738585072014e-308",
    "1.7976931348623157e308", "123456789.125", "100000.0", "1000000.0", "1234567.5", "0.0001", "0.00001",
    "0.000001", "1e20", "1e21", "1e22", "-0.0", "0.30000000000000004", "9007199254740993.0", "12345678901234567890",
    "3.141592653589793238", "1e-5", "999999.5", "1e5", "1e6",
];
/// Floats that only YAML spells so.
#[rustfmt::skip]
pub(crate) const YAML_FLOATS: &[&str] = &[
    ".5", "5.", "-.5", "+1.5", "089", "1_000.5", ".inf", "-.inf", "+.Inf", ".NaN", ".nan", "18446744073709551616",
    "1.e3", "08.5", "0e0", "-.INF",
];
/// Every way to write a bool in YAML.
#[rustfmt::skip]
pub(crate) const BOOLS: &[&str] = &[
    "true", "True", "TRUE", "false", "False", "FALSE",
];
/// Every way to write nothing in YAML.
#[rustfmt::skip]
pub(crate) const NULLS: &[&str] = &[
    "null", "~", "Null", "NULL", "",
];
/// Dates and times, some of which are strings after all.
#[rustfmt::skip]
pub(crate) const TIMES: &[&str] = &[
    "2020-01-01", "2001-12-14t21:59:43.10-05:00", "2001-12-14 21:59:43.10", "2020-1-2", "1999-12-31T23:59:59Z",
    "9999-12-31", "0001-01-01", "2020-02-29", "2024-05-06T07:08:09.123456789Z",
    "2024-05-06T07:08:09.000000001+14:00", "2024-5-6 7:8:9", "2024-05-06T07:08:09+00:00",
    "2024-05-06T07:08:09-00:30", "2020-12-31T24:00:00Z", "2024-05-06T7:08:09Z", "0000-01-01",
    "2024-05-06t07:08:09.5z", "2024-05-06 07:08:09 +02:00", "2024-05-06T07:08:60Z",
    "2024-05-06T07:08:09.1234567890123Z",
];
