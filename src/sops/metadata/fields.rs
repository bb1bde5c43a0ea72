//! One map of the metadata, its fields read as loosely as sops reads them.

use super::MetadataError;
use crate::sops::number;
use crate::sops::tree::{Branch, Entry, Node};

/// A map, and where it stands. Names match without regard to case, types are converted where sops converts them, what
/// is absent or null has its type's empty value.
pub(super) struct Fields<'t, 'a> {
    map: Option<&'t Branch<'a>>,
    place: String,
}

impl<'t, 'a> Fields<'t, 'a> {
    pub(super) fn new(map: &'t Branch<'a>) -> Self {
        Self { map: Some(map), place: String::new() }
    }

    /// A fault of a field of this map.
    pub(super) fn fault(&self, name: &str, fault: &'static str) -> MetadataError {
        MetadataError::Field { field: self.place_of(name), fault }
    }

    /// The value of a field: an exact name wins over another spelling, a later entry over an earlier one.
    pub(super) fn node(&self, name: &str) -> Option<&'t Node<'a>> {
        let pairs = || {
            self.map.into_iter().flatten().rev().filter_map(|entry| match entry {
                Entry::Pair(key, node) => Some((key, node)),
                Entry::Comment(_) | Entry::InlineComment(_) => None,
            })
        };
        pairs()
            .find(|(key, _)| *key == name)
            .or_else(|| pairs().find(|(key, _)| folds_to(key, name)))
            .map(|(_, node)| node)
    }

    pub(super) fn text(&self, name: &str) -> Result<String, MetadataError> {
        self.node(name).map_or(Ok(String::new()), |node| self.as_text(name, node))
    }

    pub(super) fn integer(&self, name: &str) -> Result<i64, MetadataError> {
        match self.node(name) {
            None | Some(Node::Null) => Ok(0),
            Some(Node::Int(value)) => Ok(*value),
            Some(Node::Bool(value)) => Ok(i64::from(*value)),
            #[expect(clippy::cast_possible_truncation, reason = "sops drops the fraction, too")]
            Some(Node::Float(value)) => Ok(*value as i64),
            Some(Node::Str(text)) if text.bytes().is_empty() => Ok(0),
            Some(Node::Str(text)) => {
                number::parse_int_any_base(text.bytes()).ok_or_else(|| self.fault(name, "is not a whole number"))
            }
            Some(_) => Err(self.fault(name, "is not a whole number")),
        }
    }

    pub(super) fn boolean(&self, name: &str) -> Result<bool, MetadataError> {
        match self.node(name) {
            None | Some(Node::Null) => Ok(false),
            Some(Node::Bool(value)) => Ok(*value),
            Some(Node::Int(value)) => Ok(*value != 0),
            Some(Node::Float(value)) => Ok(*value != 0.0),
            Some(Node::Str(text)) if text.bytes().is_empty() => Ok(false),
            Some(Node::Str(text)) => {
                number::parse_bool(text.bytes()).ok_or_else(|| self.fault(name, "is not true or false"))
            }
            Some(_) => Err(self.fault(name, "is not true or false")),
        }
    }

    /// A list of maps. A single map is a list of one, an empty one an empty list; a null item is an empty map.
    pub(super) fn maps(&self, name: &str) -> Result<Vec<Fields<'t, 'a>>, MetadataError> {
        let not_a_map = || self.fault(name, "is not a list of maps");
        match self.node(name) {
            None | Some(Node::Null) => Ok(Vec::new()),
            Some(Node::Map(map))
                if map.iter().all(|entry| matches!(entry, Entry::Comment(_) | Entry::InlineComment(_))) =>
            {
                Ok(Vec::new())
            }
            Some(Node::Map(map)) => Ok(vec![Fields { map: Some(map), place: self.place_of(name) }]),
            Some(Node::List(items)) => items
                .iter()
                .filter(|item| !matches!(item, Node::Comment(_) | Node::InlineComment(_)))
                .enumerate()
                .map(|(index, item)| {
                    let place = format!("{}[{index}]", self.place_of(name));
                    match item {
                        Node::Null => Ok(Fields { map: None, place }),
                        Node::Map(map) => Ok(Fields { map: Some(map), place }),
                        _ => Err(not_a_map()),
                    }
                })
                .collect(),
            Some(_) => Err(not_a_map()),
        }
    }

    /// An encryption context: a map of texts, null ones left out. A list of maps is taken as one map.
    pub(super) fn context(&self, name: &str) -> Result<Vec<(String, String)>, MetadataError> {
        let maps: Vec<&Branch<'_>> = match self.node(name) {
            None | Some(Node::Null) => Vec::new(),
            Some(Node::Map(map)) => vec![map],
            Some(Node::List(items)) => items
                .iter()
                .filter(|item| !matches!(item, Node::Comment(_) | Node::InlineComment(_)))
                .map(|item| match item {
                    Node::Map(map) => Ok(map),
                    _ => Err(self.fault(name, "is not a map of texts")),
                })
                .collect::<Result<_, _>>()?,
            Some(_) => return Err(self.fault(name, "is not a map of texts")),
        };
        let mut context: Vec<(String, Option<String>)> = Vec::new();
        for entry in maps.into_iter().flatten() {
            let Entry::Pair(key, node) = entry else { continue };
            let value = match node {
                Node::Null => None,
                node => Some(self.as_text(name, node)?),
            };
            if let Some(earlier) = context.iter_mut().find(|(earlier, _)| earlier == key) {
                earlier.1 = value;
            } else {
                context.push((key.to_string(), value));
            }
        }
        Ok(context.into_iter().filter_map(|(key, value)| Some((key, value?))).collect())
    }

    fn as_text(&self, name: &str, node: &Node<'_>) -> Result<String, MetadataError> {
        match node {
            Node::Null => Ok(String::new()),
            Node::Str(text) => String::from_utf8(text.bytes().to_vec()).map_err(|_| self.fault(name, "is not UTF-8")),
            Node::Bool(value) => Ok(i32::from(*value).to_string()),
            Node::Int(value) => Ok(value.to_string()),
            Node::Float(value) => {
                let mut out = Vec::new();
                number::write_float_plain(&mut out, *value);
                Ok(String::from_utf8(out).expect("a printed number is ASCII"))
            }
            Node::Time(_) => Err(self.fault(name, "is a timestamp: it must be quoted")),
            Node::Comment(_) | Node::InlineComment(_) | Node::Map(_) | Node::List(_) => {
                Err(self.fault(name, "is not text"))
            }
        }
    }

    fn place_of(&self, name: &str) -> String {
        if self.place.is_empty() { name.to_owned() } else { format!("{}.{name}", self.place) }
    }
}

/// Go's `EqualFold` against a name of ASCII: two letters outside ASCII fold into it.
fn folds_to(key: &str, name: &str) -> bool {
    key.chars()
        .map(|c| match c {
            '\u{17f}' => 's',
            '\u{212a}' => 'k',
            c => c.to_ascii_lowercase(),
        })
        .eq(name.chars())
}
