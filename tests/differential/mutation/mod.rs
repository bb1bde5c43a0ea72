//! Changes to encrypted files, as accident, malice and editors make them.

mod metadata;
mod style;
mod text;
mod values;

use regex::{Captures, Regex};

use crate::random::Random;
use crate::scenario::Format;

/// A change by name; `None` where the file has nothing to change in that way.
pub(crate) type Mutation = (&'static str, fn(&mut Random, &str, Format) -> Option<String>);

/// All changes.
pub(crate) const ALL: &[Mutation] = &[
    ("value bit flipped", values::flip_value),
    ("values swapped", values::swap_values),
    ("key renamed", text::rename_key),
    ("line deleted", text::delete_line),
    ("line doubled", text::double_line),
    ("lines swapped", text::swap_lines),
    ("entries reordered", text::reorder_entries),
    ("truncated", text::truncate),
    ("metadata changed", metadata::change_metadata),
    ("metadata deleted", metadata::delete_metadata),
    ("metadata added", metadata::add_metadata),
    ("metadata name respelled", metadata::respell_metadata_name),
    ("open value respelled", values::respell_open_value),
    ("re-indented", text::reindent),
    ("line ends changed", text::change_line_ends),
    ("comment edited", text::edit_comment),
    ("plain value added", values::add_plain_value),
    ("type changed", values::change_type),
    ("value replaced", values::replace_value),
    ("value surrounded", values::surround_value),
    ("value quoted", values::quote_value),
    ("value restyled", style::restyle_value),
    ("key restyled", style::restyle_key),
    ("collection restyled", style::restyle_collection),
    ("base64 loosened", values::loosen_base64),
    ("age file changed", metadata::change_age_file),
    ("character changed", text::change_character),
    ("something appended", text::append),
    ("something prepended", text::prepend),
];

/// Replaces one match of the expression, chosen at random.
fn replace_one(
    random: &mut Random,
    text: &str,
    expression: &str,
    replacement: impl FnOnce(&mut Random, &Captures<'_>) -> String,
) -> Option<String> {
    let expression = Regex::new(expression).expect("our own expression");
    let matches: Vec<Captures<'_>> = expression.captures_iter(text).collect();
    if matches.is_empty() {
        return None;
    }
    let found = &matches[random.below(matches.len())];
    let whole = found.get(0).expect("group 0 is the match");
    Some(format!("{}{}{}", &text[..whole.start()], replacement(random, found), &text[whole.end()..]))
}

fn base64_character(random: &mut Random) -> char {
    char::from(b"ABCDEFabcdefwxyz0189+/"[random.below(22)])
}
