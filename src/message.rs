//! An error as people read it: the fact, its causes below it, the way out.

use std::error::Error;
use std::fmt::Write as _;

/// The lines of an error. `lead` stands before the fact and `hint_lead` before the hint; causes are indented.
#[must_use]
pub fn lines(lead: &str, error: &dyn Error, hint_lead: &str, hint: Option<&str>) -> String {
    let mut text = String::new();
    let mut add = |lead: &str, message: &str| {
        for (index, line) in printable(message).lines().enumerate() {
            let lead = if index == 0 { lead } else { "  " };
            let _ = writeln!(text, "{lead}{line}");
        }
    };
    add(lead, &error.to_string());
    let mut cause = error.source();
    while let Some(error) = cause {
        add("  ", without_number(&error.to_string()));
        cause = error.source();
    }
    if let Some(hint) = hint {
        add(&format!("  {hint_lead}"), hint);
    }
    text
}

/// The operating system's words without the number of the error, which says nothing more.
fn without_number(text: &str) -> &str {
    let words = text.strip_suffix(')').and_then(|text| text.rsplit_once(" (os error "));
    words.filter(|(_, number)| number.bytes().all(|byte| byte.is_ascii_digit())).map_or(text, |(words, _)| words)
}

/// Names come from repositories: a terminal gets no control characters of theirs.
fn printable(text: &str) -> String {
    text.chars().map(|char| if char.is_control() && char != '\n' { '\u{fffd}' } else { char }).collect()
}
