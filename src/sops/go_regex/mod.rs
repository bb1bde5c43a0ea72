//! Regular expressions of Go, translated for the `regex` crate.
//!
//! Both engines run in linear time and agree on most of the syntax. Where they do not, Go's meaning is spelled out: each
//! character, class and assertion is written so that it means one thing. Which match is found first does not matter
//! here, only whether there is one; so greediness and captures are dropped.

mod class;

use std::fmt::Write as _;

use regex::{Regex, RegexBuilder};

/// A pattern, as Go would take it.
#[derive(Debug)]
pub(crate) enum Compiled {
    /// Go would compile it.
    Regex(Regex),
    /// Go would refuse it.
    Invalid,
    /// Go would compile it, but it is too large or too deeply nested to be held here.
    TooLarge,
}

/// Patterns of people are short; a file can hold anything.
const MAX_LENGTH: usize = 64 * 1024;

/// The automaton's memory.
const MAX_BYTES: usize = 32 * 1024 * 1024;

/// Repeat counts within each other multiply up to this, in Go.
const MAX_REPEAT: u64 = 1000;

/// Repeats of one and the same thing (`a*` and, after an empty `\Q\E`, `*` again).
const MAX_STACKED_REPEATS: usize = 100;

/// Compiles a pattern of Go.
pub(crate) fn compile(pattern: &str) -> Compiled {
    if pattern.len() > MAX_LENGTH {
        return Compiled::TooLarge;
    }
    let Some(translated) = translate(pattern) else { return Compiled::Invalid };
    RegexBuilder::new(&translated).size_limit(MAX_BYTES).build().map_or(Compiled::TooLarge, Compiled::Regex)
}

/// The pattern in the syntax of the `regex` crate; `None` where Go would refuse it.
fn translate(pattern: &str) -> Option<String> {
    let mut translation = Translation {
        rest: pattern,
        out: String::with_capacity(pattern.len() * 2),
        flags: Flags::default(),
        atom: None,
        need: 0,
        groups: Vec::new(),
        after_repeat: false,
        stacked: 0,
    };
    translation.run()?;
    translation.groups.is_empty().then_some(translation.out)
}

struct Translation<'p> {
    rest: &'p str,
    out: String,
    flags: Flags,
    /// What a repetition would repeat: the last thing of this group or alternative.
    atom: Option<Atom>,
    /// The largest product of nested repeat counts among the things before the atom, in this group.
    need: u64,
    groups: Vec<Group>,
    /// The last thing read was a repetition.
    after_repeat: bool,
    stacked: usize,
}

/// The flags that change what matches; `U` does not.
#[derive(Debug, Clone, Copy, Default)]
struct Flags {
    fold_case: bool,
    multi_line: bool,
    dot_matches_newline: bool,
}

#[derive(Debug, Clone, Copy)]
struct Atom {
    /// Where it begins in the output.
    start: usize,
    /// The product of nested repeat counts in it.
    need: u64,
    repeated: bool,
}

struct Group {
    start: usize,
    flags: Flags,
    need: u64,
}

impl Translation<'_> {
    fn run(&mut self) -> Option<()> {
        while let Some(c) = self.rest.chars().next() {
            let after_repeat = std::mem::take(&mut self.after_repeat);
            match c {
                '(' => self.open()?,
                ')' => self.close()?,
                '|' => {
                    self.skip(1);
                    self.end_atom();
                    self.out.push('|');
                }
                '*' | '+' | '?' => {
                    self.skip(1);
                    let mark = self.out.len();
                    self.out.push(c);
                    self.repeat(mark, None, after_repeat)?;
                }
                '{' => self.brace(after_repeat)?,
                '^' => self.assertion(1, if self.flags.multi_line { "(?m:^)" } else { "\\A" }),
                '$' => self.assertion(1, if self.flags.multi_line { "(?m:$)" } else { "\\z" }),
                '.' => self.assertion(1, if self.flags.dot_matches_newline { "(?s:.)" } else { "." }),
                '[' => self.class()?,
                '\\' => self.backslash()?,
                c => {
                    self.skip(c.len_utf8());
                    self.literal(u32::from(c));
                }
            }
        }
        Some(())
    }

    fn skip(&mut self, bytes: usize) {
        self.rest = &self.rest[bytes..];
    }

    /// A new thing begins here; what came before it can no longer be repeated.
    fn begin_atom(&mut self) {
        self.end_atom();
        self.atom = Some(Atom { start: self.out.len(), need: 0, repeated: false });
    }

    fn end_atom(&mut self) {
        if let Some(atom) = self.atom.take() {
            self.need = self.need.max(atom.need);
        }
    }

    fn assertion(&mut self, bytes: usize, text: &str) {
        self.skip(bytes);
        self.begin_atom();
        self.out.push_str(text);
    }

    fn literal(&mut self, c: u32) {
        self.begin_atom();
        let fold = self.flags.fold_case;
        if fold {
            self.out.push_str("(?i:");
        }
        match char::from_u32(c) {
            Some(c) => class::push_char(&mut self.out, c),
            None => self.out.push_str(class::NOTHING), // half a surrogate pair: no text holds it
        }
        if fold {
            self.out.push(')');
        }
    }

    fn open(&mut self) -> Option<()> {
        if !self.rest.starts_with("(?") {
            self.skip(1);
            self.open_group(self.flags);
            return Some(());
        }
        let named = if self.rest.starts_with("(?P<") {
            Some(4)
        } else if self.rest.starts_with("(?<") {
            Some(3)
        } else {
            None
        };
        if let Some(start) = named {
            let end = self.rest.find('>')?;
            let name = self.rest.get(start..end)?;
            if name.is_empty() || !name.bytes().all(|byte| byte == b'_' || byte.is_ascii_alphanumeric()) {
                return None;
            }
            self.skip(end + 1);
            self.open_group(self.flags);
            return Some(());
        }
        self.flags()
    }

    /// `(?flags)` and `(?flags:`, from the parenthesis on.
    fn flags(&mut self) -> Option<()> {
        let mut flags = self.flags;
        let (mut on, mut any_off) = (true, false);
        for (at, c) in self.rest.char_indices().skip(2) {
            match c {
                'i' => flags.fold_case = on,
                'm' => flags.multi_line = on,
                's' => flags.dot_matches_newline = on,
                'U' => {}
                '-' if on => {
                    on = false;
                    continue;
                }
                ':' | ')' if on || any_off => {
                    self.skip(at + 1);
                    if c == ':' {
                        self.open_group(self.flags);
                    }
                    self.flags = flags;
                    return Some(());
                }
                _ => return None,
            }
            any_off |= !on;
        }
        None
    }

    fn open_group(&mut self, flags: Flags) {
        self.end_atom();
        self.groups.push(Group { start: self.out.len(), flags, need: std::mem::take(&mut self.need) });
        self.out.push_str("(?:");
    }

    fn close(&mut self) -> Option<()> {
        self.skip(1);
        self.end_atom();
        let group = self.groups.pop()?;
        self.out.push(')');
        self.flags = group.flags;
        self.atom = Some(Atom { start: group.start, need: self.need, repeated: false });
        self.need = group.need;
        Some(())
    }

    /// `{n}`, `{n,}` and `{n,m}`; any other brace is a character.
    fn brace(&mut self, after_repeat: bool) -> Option<()> {
        let Some((min, max, length)) = counts(self.rest) else {
            self.skip(1);
            self.literal(u32::from('{'));
            return Some(());
        };
        let max_is_valid = max.is_none_or(|max| max <= MAX_REPEAT && min <= max);
        if min > MAX_REPEAT || !max_is_valid {
            return None;
        }
        self.skip(length);
        let mark = self.out.len();
        match max {
            Some(max) => write!(self.out, "{{{min},{max}}}"),
            None => write!(self.out, "{{{min},}}"),
        }
        .expect("writing to a String does not fail");
        self.repeat(mark, Some((min, max)), after_repeat)
    }

    /// Repeats the last thing; the operator stands in the output from `mark` on.
    fn repeat(&mut self, mark: usize, counts: Option<(u64, Option<u64>)>, after_repeat: bool) -> Option<()> {
        if self.rest.starts_with('?') {
            self.skip(1); // lazy
        }
        let mut atom = self.atom.filter(|_| !after_repeat)?;
        if let Some((min, max)) = counts {
            let factor = max.unwrap_or(min);
            atom.need = match (factor, max) {
                (0, Some(_)) => 0,
                (0, None) => atom.need,
                (factor, _) => factor * atom.need.max(1),
            };
            if (min >= 2 || max.is_some_and(|max| max >= 2)) && atom.need > MAX_REPEAT {
                return None;
            }
        }
        if atom.repeated {
            self.stacked += 1;
            if self.stacked <= MAX_STACKED_REPEATS {
                // Together with the operator before, this one would mean something else.
                self.out.insert(mark, ')');
                self.out.insert_str(atom.start, "(?:");
            }
        }
        atom.repeated = true;
        self.atom = Some(atom);
        self.after_repeat = true;
        Some(())
    }

    fn class(&mut self) -> Option<()> {
        self.begin_atom();
        let (text, rest) = class::bracketed(self.rest)?;
        self.rest = rest;
        self.push_class(&text);
        Some(())
    }

    fn push_class(&mut self, class: &str) {
        if self.flags.fold_case {
            write!(self.out, "(?i:{class})").expect("writing to a String does not fail");
        } else {
            self.out.push_str(class);
        }
    }

    fn backslash(&mut self) -> Option<()> {
        let c = self.rest[1..].chars().next()?;
        match c {
            'A' => self.assertion(2, "\\A"),
            'z' => self.assertion(2, "\\z"),
            'b' => self.assertion(2, "(?-u:\\b)"),
            'B' => self.assertion(2, "(?-u:\\B)"),
            'Q' => {
                self.skip(2);
                let (text, rest) = self.rest.split_once("\\E").unwrap_or((self.rest, ""));
                text.chars().for_each(|c| self.literal(u32::from(c)));
                self.rest = rest;
            }
            _ => {
                let mut group = String::new();
                if let class::Read::Upto(rest) = class::group(&mut group, self.rest)? {
                    self.begin_atom();
                    self.rest = rest;
                    self.push_class(&format!("[{group}]"));
                } else {
                    let (c, rest) = escape(&self.rest[1..])?;
                    self.rest = rest;
                    self.literal(c);
                }
            }
        }
        Some(())
    }
}

/// The numbers of a counted repetition, and its length; numbers have no leading zeros. Huge ones are cut.
fn counts(text: &str) -> Option<(u64, Option<u64>, usize)> {
    let end = text.find('}')?;
    let inner = text.get(1..end)?;
    let number = |digits: &str| {
        let plain = !digits.is_empty()
            && digits.bytes().all(|byte| byte.is_ascii_digit())
            && (digits.len() == 1 || !digits.starts_with('0'));
        plain.then(|| digits.parse().unwrap_or(u64::MAX))
    };
    let (min, max) = match inner.split_once(',') {
        None => {
            let count = number(inner)?;
            (count, Some(count))
        }
        Some((min, "")) => (number(min)?, None),
        Some((min, max)) => (number(min)?, Some(number(max)?)),
    };
    Some((min, max, end + 1))
}

/// The character that an escape means, read from behind its backslash; it can be half a surrogate pair.
fn escape(text: &str) -> Option<(u32, &str)> {
    let mut chars = text.chars();
    let c = chars.next()?;
    let rest = chars.as_str();
    Some(match c {
        'a' => (7, rest),
        'f' => (12, rest),
        'n' => (10, rest),
        'r' => (13, rest),
        't' => (9, rest),
        'v' => (11, rest),
        '0'..='7' => {
            let count = text.bytes().take(3).take_while(|byte| matches!(byte, b'0'..=b'7')).count();
            // One digit other than 0 would be a back-reference.
            if count == 1 && c != '0' {
                return None;
            }
            (u32::from_str_radix(&text[..count], 8).ok()?, &text[count..])
        }
        'x' => {
            let (digits, rest) = match rest.strip_prefix('{') {
                Some(braced) => braced.split_once('}')?,
                None => rest.split_at_checked(2)?,
            };
            if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return None;
            }
            let significant = digits.trim_start_matches('0');
            if significant.is_empty() && !digits.is_empty() {
                return Some((0, rest));
            }
            (u32::from_str_radix(significant, 16).ok().filter(|c| *c <= u32::from(char::MAX))?, rest)
        }
        c if c.is_ascii() && !c.is_ascii_alphanumeric() => (u32::from(c), rest),
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
