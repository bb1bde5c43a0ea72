//! What was tried: format x type x selector, with the cells that cannot exist and why.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use regex::Regex;

use crate::scenario::{Format, Scenario, Selector};

/// The rows of the table: types, where it matters both encrypted and open.
const ROWS: [&str; 17] = [
    "str encrypted",
    "str open",
    "int encrypted",
    "int open",
    "float encrypted",
    "float open",
    "bool encrypted",
    "bool open",
    "time encrypted",
    "time open",
    "comment encrypted",
    "comment open",
    "null",
    "empty string",
    "empty map",
    "empty list",
    "list",
];

/// The kinds of value that an encrypted file holds, seen by the probes in it.
pub(crate) fn rows(scenario: &Scenario, encrypted: &str) -> Vec<&'static str> {
    if scenario.format == Format::Binary {
        return vec![if encrypted.contains("\"data\": \"\"") { "empty string" } else { "str encrypted" }];
    }
    let probe = Regex::new(
        r#"probe(str|int|float|bool|time|null|empty|nomap|nolist|list)[^:=\n"']*["']?\s*[:=][ \t]*(ENC\[|"ENC\[|""|\n|)"#,
    );
    let probe = probe.expect("our own expression");
    let mut rows = Vec::new();
    for found in probe.captures_iter(encrypted) {
        let row = match (&found[1], &found[2]) {
            ("null", _) => "null",
            ("empty", _) | ("str", "\"\"" | "\n") => "empty string",
            ("nomap", _) => "empty map",
            ("nolist", _) => "empty list",
            ("list", _) => "list",
            (kind, "ENC[" | "\"ENC[") => row(kind, "encrypted"),
            (kind, _) => row(kind, "open"),
        };
        rows.push(row);
    }
    if encrypted.contains("type:comment]") {
        rows.push("comment encrypted");
    }
    if encrypted.contains("probecomment") {
        rows.push("comment open");
    }
    rows.sort_unstable();
    rows.dedup();
    rows
}

/// The rows that a file of this scenario can fill.
pub(crate) fn possible(scenario: &Scenario) -> Vec<&'static str> {
    let impossible = |row| impossible(scenario.format, scenario.selector, scenario.mac_only_encrypted, row);
    ROWS.into_iter().filter(|row| impossible(row).is_none()).collect()
}

fn row(kind: &str, state: &str) -> &'static str {
    ROWS.into_iter().find(|row| *row == format!("{kind} {state}")).expect("every probe has its row")
}

/// Why no file of sops can have this cell.
fn impossible(format: Format, selector: Selector, mac_only: bool, row: &str) -> Option<&'static str> {
    use Selector::{
        Default, EncryptedCommentRegex, EncryptedRegex, EncryptedSuffix, UnencryptedCommentRegex, UnencryptedRegex,
        UnencryptedSuffix,
    };
    let (kind, state) = row.split_once(' ').unwrap_or((row, ""));
    let structured = matches!(format, Format::Yaml | Format::Json);
    match (format, selector, kind, state) {
        (Format::Binary, selector, ..) if mac_only || selector != Default => {
            Some("a binary file stores neither selector nor MAC mode")
        }
        (Format::Binary, ..) if row != "str encrypted" && row != "empty string" => Some("a binary file is one string"),
        (Format::Binary, ..) => None,
        (Format::Json, _, "time", _) => Some("JSON has no dates"),
        (Format::Json, _, "comment", _) => Some("JSON has no comments"),
        (Format::Json, EncryptedCommentRegex, _, "encrypted") | (Format::Json, UnencryptedCommentRegex, _, "open") => {
            Some("JSON has no comments, so none chooses a value")
        }
        (Format::Ini, EncryptedCommentRegex, "comment", "encrypted") => {
            Some("a comment in INI never follows another, and none chooses itself")
        }
        (_, _, "str" | "comment", _) | (_, _, "empty", "string") if structured || format == Format::Ini => None,
        (Format::Dotenv, EncryptedSuffix | EncryptedRegex, "comment", "encrypted") => {
            Some("all comments stand at the top, where no key chooses them")
        }
        (Format::Dotenv, Default | UnencryptedSuffix | UnencryptedRegex, "comment", "open") => {
            Some("all comments stand at the top, where no key spares them")
        }
        (Format::Dotenv, _, "str" | "comment", _) | (Format::Dotenv, _, "empty", "string") => None,
        (Format::Dotenv | Format::Ini, ..) => Some("every value is a string"),
        _ => None,
    }
}

/// The count of documents per cell.
#[derive(Default)]
pub(crate) struct Table(BTreeMap<(&'static str, &'static str, &'static str, bool), usize>);

impl Table {
    /// Counts one document that both programs decrypted to the same bytes.
    pub(crate) fn count(&mut self, scenario: &Scenario, rows: &[&'static str]) {
        for row in rows {
            let cell = (scenario.format.name(), *row, scenario.selector.name(), scenario.mac_only_encrypted);
            *self.0.entry(cell).or_default() += 1;
        }
    }

    /// The table as text, and the names of the cells that are empty though sops can fill them.
    pub(crate) fn print(&self) -> (String, Vec<String>) {
        let mut text = String::new();
        let mut empty = Vec::new();
        let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
        for format in Format::ALL {
            let _ = write!(text, "\n{:18}", format.name());
            for selector in Selector::ALL {
                let _ = write!(text, " {:>13}", short(selector));
            }
            text.push('\n');
            for row in ROWS {
                let _ = write!(text, "{row:18}");
                for selector in Selector::ALL {
                    let mut counts = Vec::new();
                    for mac_only in [false, true] {
                        let cell = (format.name(), row, selector.name(), mac_only);
                        let count = self.0.get(&cell).copied().unwrap_or_default();
                        counts.push(match (count, impossible(format, selector, mac_only, row)) {
                            (0, Some(reason)) => {
                                *reasons.entry(reason).or_default() += 1;
                                "-".to_owned()
                            }
                            (0, None) => {
                                let mode = if mac_only { ", mac_only_encrypted" } else { "" };
                                empty.push(format!("{} x {row} x {}{mode}", format.name(), selector.name()));
                                "EMPTY".to_owned()
                            }
                            (count, None) => count.to_string(),
                            (count, Some(_)) => format!("{count}?"),
                        });
                    }
                    let _ = write!(text, " {:>13}", counts.join(" / "));
                }
                text.push('\n');
            }
        }
        text.push_str("\nCounts are documents: MAC over all values / mac_only_encrypted. `-` cannot exist:\n");
        for (reason, count) in reasons {
            let _ = writeln!(text, "  {count:3} cells: {reason}");
        }
        (text, empty)
    }
}

/// A selector in a column's width.
fn short(selector: Selector) -> &'static str {
    match selector {
        Selector::Default => "default",
        Selector::UnencryptedSuffix => "unenc_suffix",
        Selector::EncryptedSuffix => "enc_suffix",
        Selector::UnencryptedRegex => "unenc_regex",
        Selector::EncryptedRegex => "enc_regex",
        Selector::UnencryptedCommentRegex => "unenc_comment",
        Selector::EncryptedCommentRegex => "enc_comment",
    }
}
