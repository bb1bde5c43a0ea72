//! What a document holds, before it is written in a format: leaves of every type, as odd as they come.

use crate::oddities::{BOOLS, FLOATS, INTS, LOOKALIKES, NULLS, PIECES, TIMES, YAML_FLOATS, YAML_INTS};
use crate::random::Random;
use crate::scenario::{Format, Scenario};

/// The type of a value.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Kind {
    Str,
    Int,
    Float,
    Bool,
    Time,
    Null,
}

impl Kind {
    pub(crate) const ALL: [Self; 6] = [Self::Str, Self::Int, Self::Float, Self::Bool, Self::Time, Self::Null];

    /// The word that probe keys carry.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Str => "str",
            Self::Int => "int",
            Self::Float => "float",
            Self::Bool => "bool",
            Self::Time => "time",
            Self::Null => "null",
        }
    }
}

/// A value.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    /// The text itself for a string; for other types, how it is spelled.
    Leaf(Kind, String),
    Map(Vec<Item>),
    List(Vec<Item>),
}

/// An entry of a map, or an item of a list (which has no use for its key), with the comments around it.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) head: Vec<String>,
    pub(crate) key: String,
    pub(crate) value: Value,
    pub(crate) inline: Option<String>,
    pub(crate) foot: Vec<String>,
}

/// A content generator for one document.
pub(crate) struct Author<'a> {
    pub(crate) random: &'a mut Random,
    pub(crate) scenario: &'a Scenario,
}

impl Author<'_> {
    /// The top map of a document. A rich one holds a probe of every type where the selector matches and where it does
    /// not.
    pub(crate) fn document(&mut self, rich: bool) -> Vec<Item> {
        let mut items = Vec::new();
        if rich {
            items.extend(self.probes());
        }
        for _ in 0..self.random.below(if rich { 4 } else { 7 }) {
            let item = self.item(0);
            let place = self.random.below(items.len() + 1);
            items.insert(place, item);
        }
        items
    }

    /// One map that the selector matches and one that it does not, with the same kinds of content.
    fn probes(&mut self) -> Vec<Item> {
        let matched = self.scenario.marked("matched");
        let (mut matched, open) = (self.probe_map(&matched), self.probe_map("other"));
        if self.scenario.selector.reads_comments() {
            matched.head = vec![self.scenario.marked(""), " probecomment".to_owned()];
        }
        if self.random.chance(50) { vec![matched, open] } else { vec![open, matched] }
    }

    fn probe_map(&mut self, key: &str) -> Item {
        let mut items: Vec<Item> = Vec::new();
        for kind in Kind::ALL {
            if self.can_hold(kind) {
                let value = if kind == Kind::Str { self.probe_string() } else { self.leaf_of(kind) };
                items.push(Item::new(format!("probe{}", kind.name()), value));
            }
        }
        let empty = Value::Leaf(Kind::Str, String::new());
        items.push(Item::new("probeempty".to_owned(), empty));
        items.push(Item::new("probenomap".to_owned(), Value::Map(Vec::new())));
        items.push(Item::new("probenolist".to_owned(), Value::List(Vec::new())));
        let first = self.leaf();
        let second = self.leaf();
        items.push(Item::new(
            "probelist".to_owned(),
            Value::List(vec![Item::new(String::new(), first), Item::new(String::new(), second)]),
        ));
        for _ in 0..items.len() {
            let place = self.random.below(items.len());
            let item = items.swap_remove(place);
            items.push(item);
        }
        let commented = self.random.below(items.len());
        items[commented].head.push(" probecomment".to_owned());
        Item::new(key.to_owned(), Value::Map(items))
    }

    fn item(&mut self, depth: usize) -> Item {
        let mut item = Item::new(self.key(), self.value(depth));
        if self.random.chance(18) {
            for _ in 0..self.random.between(1, 3) {
                item.head.push(self.comment());
            }
        }
        if self.random.chance(10) {
            item.inline = Some(self.comment());
        }
        if self.random.chance(6) {
            item.foot.push(self.comment());
        }
        item
    }

    fn value(&mut self, depth: usize) -> Value {
        match self.random.below(10) {
            0 | 1 if depth < 4 => Value::Map(self.items(depth)),
            2 | 3 if depth < 4 => Value::List(self.items(depth)),
            _ => self.leaf(),
        }
    }

    fn items(&mut self, depth: usize) -> Vec<Item> {
        (0..self.random.below(5)).map(|_| self.item(depth + 1)).collect()
    }

    pub(crate) fn leaf(&mut self) -> Value {
        let kind = if self.random.chance(50) { Kind::Str } else { Kind::ALL[self.random.below(Kind::ALL.len())] };
        let kind = if self.can_hold(kind) { kind } else { Kind::Str };
        self.leaf_of(kind)
    }

    fn leaf_of(&mut self, kind: Kind) -> Value {
        let yaml = self.scenario.format == Format::Yaml;
        let text = match kind {
            Kind::Str => self.string(),
            Kind::Int if yaml && self.random.chance(40) => self.random.pick(YAML_INTS).to_owned(),
            Kind::Int if self.random.chance(50) => self.random.pick(INTS).to_owned(),
            Kind::Int => {
                let shift = self.random.below(64);
                (self.random.number().cast_signed() >> shift).to_string()
            }
            Kind::Float if yaml && self.random.chance(30) => self.random.pick(YAML_FLOATS).to_owned(),
            Kind::Float if self.random.chance(50) => self.random.pick(FLOATS).to_owned(),
            Kind::Float => self.float(),
            Kind::Bool if yaml => self.random.pick(BOOLS).to_owned(),
            Kind::Bool => self.random.pick(&["true", "false"]).to_owned(),
            Kind::Time => self.random.pick(TIMES).to_owned(),
            Kind::Null if yaml => self.random.pick(NULLS).to_owned(),
            Kind::Null => "null".to_owned(),
        };
        Value::Leaf(kind, text)
    }

    /// A float of any magnitude, in one of the ways to write it.
    fn float(&mut self) -> String {
        let bits = f64::from_bits(self.random.number());
        if self.random.chance(30) && bits.is_finite() {
            return format!("{bits:e}");
        }
        let digits =
            self.random.number() % 10_u64.pow(u32::try_from(self.random.between(1, 17)).expect("a few digits"));
        let exponent = self.random.below(50);
        match self.random.below(3) {
            0 => format!("{digits}.{}", self.random.below(1000)),
            1 => format!("{digits}.0e-{exponent}"),
            _ => format!("-{digits}e+{exponent}"),
        }
    }

    /// Any string but the empty one, which is a type of its own.
    fn probe_string(&mut self) -> Value {
        let text = self.string();
        Value::Leaf(Kind::Str, if text.is_empty() { "probe".to_owned() } else { text })
    }

    /// Any string.
    pub(crate) fn string(&mut self) -> String {
        match self.random.below(12) {
            0 => String::new(),
            1..=4 => self.random.pick(LOOKALIKES).to_owned(),
            5 => self.random.pick(&["word ", "x", "äöü ", "line\n"]).repeat(self.random.between(10, 60)),
            6..=8 => (0..self.random.between(1, 12))
                .map(|_| char::from(b' ' + u8::try_from(self.random.below(95)).expect("ASCII")))
                .collect(),
            _ => (0..self.random.between(1, 6)).map(|_| self.random.pick(PIECES)).collect(),
        }
    }

    /// A key that the selector may or may not match.
    pub(crate) fn key(&mut self) -> String {
        let number = self.random.below(100);
        let name = match self.random.below(20) {
            0 => self.string(),
            1 | 2 => self.random.pick(LOOKALIKES).to_owned(),
            3 => format!("{} {number}", "long key ".repeat(self.random.between(10, 20))),
            4 => format!("k:{number}"),
            5 => format!("schlüssel {number}"),
            _ => format!("{}{number}", self.random.pick(&["a", "name", "Key", "some-key", "SOME_VAR", "x.y"])),
        };
        if self.random.chance(35) { self.scenario.marked(&name) } else { name }
    }

    /// The text of a comment: one line, after the marker.
    pub(crate) fn comment(&mut self) -> String {
        if self.scenario.selector.reads_comments() && self.random.chance(45) {
            let blank = self.random.pick(&["", " "]);
            return self.scenario.marked(blank);
        }
        match self.random.below(8) {
            0 => String::new(),
            1 => " ".to_owned(),
            2 => self
                .random
                .pick(&["# two", "!shebang", " trailing ", "\ttab", " é 😀", " a: b", " - x", " ENC[AES256_GCM,data:"])
                .to_owned(),
            3 => self.string().replace(['\n', '\r', '\0', '\u{85}', '\u{2028}', '\u{2029}', '\u{feff}'], "."),
            _ => format!(" comment {}", self.random.below(100)),
        }
    }

    /// Whether the format can hold a value of this type.
    fn can_hold(&self, kind: Kind) -> bool {
        match self.scenario.format {
            Format::Yaml => true,
            Format::Json => kind != Kind::Time,
            _ => kind == Kind::Str,
        }
    }
}

impl Item {
    fn new(key: String, value: Value) -> Self {
        Self { head: Vec::new(), key, value, inline: None, foot: Vec::new() }
    }
}
