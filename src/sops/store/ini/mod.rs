//! INI as go-ini reads and writes it, sections of one name kept apart.

mod read;
mod write;

pub(crate) use read::parse;
pub(crate) use write::emit;

/// The section of keys that stand before any header.
const DEFAULT: &str = "DEFAULT";
