//! The functions that templates call, as far as they matter here: `{{ now }}`.

use memchr::memmem;

/// Functions whose outcome depends on time, chance or the network.
///
/// Read from the function table of sprig 3.3.0 (`functions.go`), which helm 3.22.0 and 4.2.4 both hold, without `env` and
/// `expandenv` and with functions of their own (`pkg/engine/funcs.go`), of which only `lookup` asks for anything: without
/// a cluster it finds nothing. The functions that print dates take the present where they are given no time. The order of
/// `keys` and `values` is left to chance as well, but each is as good as another.
const VOLATILE: &[&str] = &[
    "ago",
    "bcrypt",
    "date",
    "dateInZone",
    "date_in_zone",
    "durationRound",
    "encryptAES",
    "getHostByName",
    "htmlDate",
    "htmlDateInZone",
    "htpasswd",
    "now",
    "shuffle",
];

/// Functions that make a text of one in which no braces can be seen.
const DECODERS: &[&str] = &["b32dec", "b64dec", "decryptAES"];

/// Families of functions of time or chance, for those to come: `randAlpha`, `genCA`, `uuidv4`.
const VOLATILE_FAMILIES: &[&str] = &["gen", "rand", "uuid"];

/// Strings in actions may hold actions, as `tpl` renders them.
const MAX_DEPTH: usize = 4;

/// What was seen in actions.
#[derive(Debug, Default)]
pub(super) struct Actions {
    /// A function of time or chance.
    volatile: bool,
    /// `tpl`, which renders texts.
    renders_texts: bool,
    /// A text that is a part of a template, and becomes one with others.
    parts: bool,
}

impl Actions {
    /// Whether something may change.
    pub(super) fn are_volatile(&self) -> bool {
        self.volatile || (self.renders_texts && self.parts)
    }

    /// Looks at a template.
    pub(super) fn template(&mut self, text: &[u8]) {
        self.text(text, 0);
    }

    /// Looks at a text that may be rendered by `tpl`, once YAML or something else has taken its quotes off: all names
    /// between braces count, wherever strings begin and end.
    pub(super) fn data(&mut self, text: &[u8]) {
        // YAML decodes as well.
        self.parts |= hides_braces(text) || memmem::find(text, b"!!binary").is_some();
        let mut rest = text;
        while let Some(begin) = memmem::find(rest, b"{{") {
            rest = &rest[begin + 2..];
            let end = memmem::find(rest, b"}}");
            self.parts |= end.is_none();
            let action = &rest[..end.unwrap_or(rest.len())];
            self.parts |= is_part(action) || escapes(action);
            self.names(action);
            rest = &rest[action.len()..];
        }
        self.text(text, 1);
    }

    /// Looks at a text with actions: a template, or at a greater depth one of its strings.
    fn text(&mut self, text: &[u8], depth: usize) {
        let mut comments = Comments { text, end: Some(0) };
        let mut rest = text;
        while let Some(begin) = memmem::find(rest, b"{{") {
            rest = &rest[begin + 2..];
            rest = match comments.after(rest) {
                Some(after) => after,
                None => self.action(rest, depth),
            };
        }
    }

    /// Looks at an action, from behind its opening braces; what follows its closing ones.
    fn action<'t>(&mut self, text: &'t [u8], depth: usize) -> &'t [u8] {
        let mut at = 0;
        while let Some(byte) = text.get(at) {
            match byte {
                b'}' if text[at..].starts_with(b"}}") => {
                    self.parts |= depth > 0 && is_part(&text[..at]);
                    return &text[at + 2..];
                }
                b'"' | b'`' | b'\'' => {
                    let length = string(&text[at..]);
                    self.string(&text[at + 1..at + length], *byte, depth);
                    at += length;
                }
                byte if is_of_name(*byte) => {
                    let length = name(&text[at..]);
                    let before = at.checked_sub(1).map(|before| text[before]);
                    self.name(before, &text[at..at + length]);
                    at += length;
                }
                _ => at += 1,
            }
        }
        self.parts |= depth > 0;
        &[]
    }

    /// A string of an action, without the quote in front of it.
    fn string(&mut self, text: &[u8], quote: u8, depth: usize) {
        self.parts |= quote == b'"' && escapes(text);
        if memmem::find(text, b"{{").is_some() {
            if depth < MAX_DEPTH {
                self.text(text, depth + 1);
            } else {
                self.parts = true;
            }
        }
    }

    /// All names of a text, those in strings as well.
    fn names(&mut self, text: &[u8]) {
        let mut at = 0;
        while let Some(byte) = text.get(at) {
            let length = if is_of_name(*byte) { name(&text[at..]) } else { 1 };
            let before = at.checked_sub(1).map(|before| text[before]);
            self.name(before, &text[at..at + length]);
            at += length;
        }
    }

    /// A name, and the byte before it: `.now` is a field and `$now` a variable.
    fn name(&mut self, before: Option<u8>, name: &[u8]) {
        if matches!(before, Some(b'.' | b'$')) {
            return;
        }
        let is = |known: &&str| known.as_bytes() == name;
        self.volatile |= VOLATILE.iter().any(is)
            || VOLATILE_FAMILIES.iter().any(|family| name.starts_with(family.as_bytes()) && name.len() > family.len());
        self.renders_texts |= name == b"tpl";
        self.parts |= DECODERS.iter().any(is);
    }
}

/// Finds the ends of comments; a text full of beginnings is not searched for each of them.
struct Comments<'t> {
    text: &'t [u8],
    /// Where the last end was found, which is the next one for all that begins before it.
    end: Option<usize>,
}

impl<'t> Comments<'t> {
    /// What follows a comment, if the rest of the text begins with one. Follows `lexLeftDelim` of Go's text/template: the
    /// marks of a comment stand right beside the braces, or beside their trim marks.
    fn after(&mut self, rest: &'t [u8]) -> Option<&'t [u8]> {
        let trimmed = matches!(rest, [b'-', b' ' | b'\t' | b'\r' | b'\n', ..]);
        let comment = rest[if trimmed { 2 } else { 0 }..].strip_prefix(b"/*")?;
        let from = self.text.len() - comment.len();
        if self.end.is_some_and(|end| end < from) {
            self.end = memmem::find(comment, b"*/").map(|length| from + length);
        }
        match &self.text[self.end? + 2..] {
            [b'}', b'}', rest @ ..] | [b' ' | b'\t' | b'\r' | b'\n', b'-', b'}', b'}', rest @ ..] => Some(rest),
            _ => None,
        }
    }
}

/// The length of a string with its quotes. One that does not end on its line, as all but raw ones must, ends there.
fn string(text: &[u8]) -> usize {
    let quote = text[0];
    let mut at = 1;
    while let Some(byte) = text.get(at) {
        match byte {
            b'\\' if quote != b'`' => at += 2,
            b'\n' if quote != b'`' => return at,
            byte if *byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    text.len()
}

fn name(text: &[u8]) -> usize {
    text.iter().position(|byte| !is_of_name(*byte)).unwrap_or(text.len())
}

fn is_of_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

/// Whether an action has a place for something else, as `printf` fills it.
fn is_part(action: &[u8]) -> bool {
    action.contains(&b'%')
}

/// Whether a text spells characters by number, or goes on in the next line.
fn escapes(text: &[u8]) -> bool {
    let mut at = 0;
    while let Some(found) = memchr::memchr(b'\\', &text[at..]) {
        at += found + 1;
        match text.get(at) {
            Some(b'x' | b'u' | b'U' | b'0'..=b'7' | b'\n' | b'\r') => return true,
            _ => at += 1,
        }
        at = at.min(text.len());
    }
    false
}

/// Whether a brace is spelt by its number, as YAML and JSON can.
fn hides_braces(text: &[u8]) -> bool {
    let mut finder = memchr::memchr_iter(b'\\', text);
    finder.any(|at| {
        let digits = match text.get(at + 1) {
            Some(b'x') => 2,
            Some(b'u') => 4,
            Some(b'U') => 8,
            Some(b'\n' | b'\r') => return at > 0 && text[at - 1] == b'{',
            _ => return false,
        };
        let code = text.get(at + 2..at + 2 + digits).and_then(|code| std::str::from_utf8(code).ok());
        code.is_some_and(|code| u32::from_str_radix(code, 16) == Ok(u32::from('{')))
    })
}
