//! Character classes of Go: brackets, the Perl ones (ASCII only), the POSIX ones, and Unicode's by name.

use std::fmt::Write as _;

use super::escape;

/// A class that no character is in.
pub(super) const NOTHING: &str = "[^\\x{0}-\\x{10FFFF}]";

const EVERYTHING: &str = "[\\x{0}-\\x{10FFFF}]";

const POSIX: [(&str, &str); 14] = [
    ("alnum", "0-9A-Za-z"),
    ("alpha", "A-Za-z"),
    ("ascii", "\\x{0}-\\x{7F}"),
    ("blank", "\\x{9}\\x{20}"),
    ("cntrl", "\\x{0}-\\x{1F}\\x{7F}"),
    ("digit", "0-9"),
    ("graph", "\\x{21}-\\x{7E}"),
    ("lower", "a-z"),
    ("print", "\\x{20}-\\x{7E}"),
    ("punct", "\\x{21}-\\x{2F}\\x{3A}-\\x{40}\\x{5B}-\\x{60}\\x{7B}-\\x{7E}"),
    ("space", "\\x{9}-\\x{D}\\x{20}"),
    ("upper", "A-Z"),
    ("word", "0-9A-Z_a-z"),
    ("xdigit", "0-9A-Fa-f"),
];

/// General categories by the names that Go 1.26 knows, case and separators left out.
const CATEGORIES: [(&str, &str); 80] = [
    ("c", "C"),
    ("cc", "Cc"),
    ("cf", "Cf"),
    ("cn", "Cn"),
    ("co", "Co"),
    ("l", "L"),
    ("lc", "LC"),
    ("ll", "Ll"),
    ("lm", "Lm"),
    ("lo", "Lo"),
    ("lt", "Lt"),
    ("lu", "Lu"),
    ("m", "M"),
    ("mc", "Mc"),
    ("me", "Me"),
    ("mn", "Mn"),
    ("n", "N"),
    ("nd", "Nd"),
    ("nl", "Nl"),
    ("no", "No"),
    ("p", "P"),
    ("pc", "Pc"),
    ("pd", "Pd"),
    ("pe", "Pe"),
    ("pf", "Pf"),
    ("pi", "Pi"),
    ("po", "Po"),
    ("ps", "Ps"),
    ("s", "S"),
    ("sc", "Sc"),
    ("sk", "Sk"),
    ("sm", "Sm"),
    ("so", "So"),
    ("z", "Z"),
    ("zl", "Zl"),
    ("zp", "Zp"),
    ("zs", "Zs"),
    ("casedletter", "LC"),
    ("closepunctuation", "Pe"),
    ("cntrl", "Cc"),
    ("combiningmark", "M"),
    ("connectorpunctuation", "Pc"),
    ("control", "Cc"),
    ("currencysymbol", "Sc"),
    ("dashpunctuation", "Pd"),
    ("decimalnumber", "Nd"),
    ("digit", "Nd"),
    ("enclosingmark", "Me"),
    ("finalpunctuation", "Pf"),
    ("format", "Cf"),
    ("initialpunctuation", "Pi"),
    ("letter", "L"),
    ("letternumber", "Nl"),
    ("lineseparator", "Zl"),
    ("lowercaseletter", "Ll"),
    ("mark", "M"),
    ("mathsymbol", "Sm"),
    ("modifierletter", "Lm"),
    ("modifiersymbol", "Sk"),
    ("nonspacingmark", "Mn"),
    ("number", "N"),
    ("openpunctuation", "Ps"),
    ("other", "C"),
    ("otherletter", "Lo"),
    ("othernumber", "No"),
    ("otherpunctuation", "Po"),
    ("othersymbol", "So"),
    ("paragraphseparator", "Zp"),
    ("privateuse", "Co"),
    ("punct", "P"),
    ("punctuation", "P"),
    ("separator", "Z"),
    ("spaceseparator", "Zs"),
    ("spacingmark", "Mc"),
    ("symbol", "S"),
    ("titlecaseletter", "Lt"),
    ("unassigned", "Cn"),
    ("uppercaseletter", "Lu"),
    // Text has no surrogates.
    ("cs", ""),
    ("surrogate", ""),
];

/// Scripts that Go 1.26 knows by name; those of several words it has, but cannot be asked for.
const SCRIPTS: &str = "Adlam Ahom Arabic Armenian Avestan Balinese Bamum Batak Bengali Bhaiksuki Bopomofo Brahmi Braille Buginese \
    Buhid Carian Chakma Cham Cherokee Chorasmian Common Coptic Cuneiform Cypriot Cyrillic Deseret Devanagari \
    Dogra Duployan Elbasan Elymaic Ethiopic Georgian Glagolitic Gothic Grantha Greek Gujarati Gurmukhi Han \
    Hangul Hanunoo Hatran Hebrew Hiragana Inherited Javanese Kaithi Kannada Katakana Kawi Kharoshthi Khmer \
    Khojki Khudawadi Lao Latin Lepcha Limbu Lisu Lycian Lydian Mahajani Makasar Malayalam Mandaic Manichaean \
    Marchen Medefaidrin Miao Modi Mongolian Mro Multani Myanmar Nabataean Nandinagari Newa Nko Nushu Ogham \
    Oriya Osage Osmanya Palmyrene Phoenician Rejang Runic Samaritan Saurashtra Sharada Shavian Siddham Sinhala \
    Sogdian Soyombo Sundanese Syriac Tagalog Tagbanwa Takri Tamil Tangsa Tangut Telugu Thaana Thai Tibetan \
    Tifinagh Tirhuta Toto Ugaritic Vai Vithkuqi Wancho Yezidi Yi";

/// What came of an attempt to read a named class.
pub(super) enum Read<'p> {
    /// It is read; this follows.
    Upto(&'p str),
    /// Something else stands here.
    SomethingElse,
}

/// Reads `[...]`; gives its translation and what follows it.
pub(super) fn bracketed(text: &str) -> Option<(String, &str)> {
    let mut rest = text.strip_prefix('[')?;
    let negated = rest.strip_prefix('^');
    rest = negated.unwrap_or(rest);
    let mut items = String::new();
    let mut first = true;
    loop {
        match rest.strip_prefix(']') {
            Some(after) if !first => {
                let class = match (items.is_empty(), negated.is_some()) {
                    (true, false) => NOTHING.to_owned(),
                    (true, true) => EVERYTHING.to_owned(),
                    (false, false) => format!("[{items}]"),
                    (false, true) => format!("[^{items}]"),
                };
                return Some((class, after));
            }
            _ => {}
        }
        first = false;
        if let Read::Upto(after) = posix(&mut items, rest)? {
            rest = after;
        } else if let Read::Upto(after) = group(&mut items, rest)? {
            rest = after;
        } else {
            let (low, after) = member(rest)?;
            let (high, after) = match after.strip_prefix('-') {
                Some(range) if !range.starts_with(']') && !range.is_empty() => member(range)?,
                _ => (low, after),
            };
            if high < low {
                return None;
            }
            push_range(&mut items, low, high);
            rest = after;
        }
    }
}

/// One character of a class.
fn member(text: &str) -> Option<(u32, &str)> {
    if let Some(escaped) = text.strip_prefix('\\') {
        return escape(escaped);
    }
    let mut chars = text.chars();
    Some((u32::from(chars.next()?), chars.as_str()))
}

/// `[:name:]`. Without `:]` anywhere behind it, `[:` are two characters.
fn posix<'p>(items: &mut String, text: &'p str) -> Option<Read<'p>> {
    let Some((name, rest)) = text.strip_prefix("[:").and_then(|text| text.split_once(":]")) else {
        return Some(Read::SomethingElse);
    };
    let (negated, name) = name.strip_prefix('^').map_or((false, name), |name| (true, name));
    let (_, ranges) = POSIX.iter().find(|(known, _)| *known == name)?;
    push_item(items, ranges, negated);
    Some(Read::Upto(rest))
}

/// `\d`, `\s`, `\w`, `\pN`, `\p{Name}` and their opposites.
pub(super) fn group<'p>(items: &mut String, text: &'p str) -> Option<Read<'p>> {
    let Some(escaped) = text.strip_prefix('\\') else { return Some(Read::SomethingElse) };
    let mut chars = escaped.chars();
    let Some(kind) = chars.next() else { return Some(Read::SomethingElse) };
    let rest = chars.as_str();
    let ranges = match kind.to_ascii_lowercase() {
        'd' => "0-9",
        's' => "\\x{9}\\x{A}\\x{C}\\x{D}\\x{20}",
        'w' => "0-9A-Za-z_",
        'p' => return unicode(items, rest, kind == 'P').map(Read::Upto),
        _ => return Some(Read::SomethingElse),
    };
    push_item(items, ranges, kind.is_ascii_uppercase());
    Some(Read::Upto(rest))
}

/// What follows `\p`.
fn unicode<'p>(items: &mut String, text: &'p str, negated: bool) -> Option<&'p str> {
    let (name, rest) = match text.strip_prefix('{') {
        Some(braced) => braced.split_once('}')?,
        None => text.split_at(text.chars().next()?.len_utf8()),
    };
    let (negated, name) = name.strip_prefix('^').map_or((negated, name), |name| (!negated, name));
    let name: String = name.chars().filter(|c| !matches!(c, '_' | '-' | ' ')).map(|c| c.to_ascii_lowercase()).collect();
    match name.as_str() {
        "any" => push_item(items, "\\x{0}-\\x{10FFFF}", negated),
        "ascii" => push_item(items, "\\x{0}-\\x{7F}", negated),
        "assigned" => push_item(items, "\\p{gc=Cn}", !negated),
        name => {
            if let Some((_, category)) = CATEGORIES.iter().find(|(known, _)| *known == name) {
                if category.is_empty() {
                    push_item(items, "\\x{0}-\\x{10FFFF}", !negated);
                } else {
                    push_item(items, &format!("\\p{{gc={category}}}"), negated);
                }
            } else {
                let script = SCRIPTS.split(' ').find(|script| script.eq_ignore_ascii_case(name))?;
                push_item(items, &format!("\\p{{sc={script}}}"), negated);
            }
        }
    }
    Some(rest)
}

fn push_item(items: &mut String, ranges: &str, negated: bool) {
    if negated {
        write!(items, "[^{ranges}]").expect("writing to a String does not fail");
    } else {
        items.push_str(ranges);
    }
}

/// A range, without the surrogates that Go has in it and text has not.
fn push_range(items: &mut String, low: u32, high: u32) {
    const SURROGATES: std::ops::RangeInclusive<u32> = 0xd800..=0xdfff;
    let low = if SURROGATES.contains(&low) { SURROGATES.end() + 1 } else { low };
    let high = if SURROGATES.contains(&high) { SURROGATES.start() - 1 } else { high };
    if let (Some(low), Some(high)) = (char::from_u32(low), char::from_u32(high))
        && low <= high
    {
        push_char(items, low);
        items.push('-');
        push_char(items, high);
    }
}

/// A character that means itself, within a class and without.
pub(super) fn push_char(out: &mut String, c: char) {
    if c.is_ascii_alphanumeric() {
        out.push(c);
    } else {
        write!(out, "\\x{{{:X}}}", u32::from(c)).expect("writing to a String does not fail");
    }
}

/// All names that `\p` takes.
#[cfg(test)]
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    CATEGORIES.iter().map(|(name, _)| *name).chain(SCRIPTS.split(' ')).chain(["any", "ascii", "assigned"])
}
