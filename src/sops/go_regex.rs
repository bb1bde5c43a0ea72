//! Regular expressions of Go, translated for the `regex` crate.

use regex::Regex;

/// A pattern, as Go would take it.
pub(crate) enum Compiled {
    /// Go would compile it.
    Regex(Regex),
    /// Go would refuse it.
    Invalid,
    /// Go would compile it, but it is too large to be held here.
    TooLarge,
}

/// Compiles a pattern of Go.
pub(crate) fn compile(pattern: &str) -> Compiled {
    Regex::new(pattern).map_or(Compiled::Invalid, Compiled::Regex)
}
