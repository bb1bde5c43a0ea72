//! Metadata with flattened names, as dotenv and INI keep it: `age__list_0__map_enc`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::MetadataError;
use crate::sops::store::MAX_DEPTH;
use crate::sops::tree::{Branch, Entry, Node, Text};

const MAP: &str = "__map_";
const LIST: &str = "__list_";

/// Builds the map that the names describe; `prefix` bytes of each name are not part of it.
///
/// `escaped` says that newlines are written as `\n` (INI; the dotenv store undoes that for all its values).
pub(super) fn unflatten(branch: Branch<'_>, prefix: usize, escaped: bool) -> Result<Branch<'_>, MetadataError> {
    let mut root = Place::default();
    for entry in branch {
        let Entry::Pair(name, mut node) = entry else { continue };
        let fault = |fault| MetadataError::Flat { name: name.to_string(), fault };
        if escaped && let Node::Str(text) = &node {
            node = Node::Str(with_newlines(text));
        }
        let steps = steps(&name[prefix..]).map_err(fault)?;
        let place = steps.into_iter().fold(&mut root, |place, step| match step {
            Step::Key(key) => place.keys.entry(key).or_default(),
            Step::Index(index) => place.items.entry(index).or_default(),
        });
        if place.value.replace(node).is_some() {
            return Err(fault("stands there twice"));
        }
        place.name = name.into_owned();
    }
    match root.node(&mut String::new())? {
        Node::Map(map) => Ok(map),
        _ => Err(MetadataError::NotAMap),
    }
}

enum Step {
    Key(String),
    Index(i64),
}

fn steps(name: &str) -> Result<Vec<Step>, &'static str> {
    let mut steps = Vec::new();
    let mut rest = name;
    let mut is_list = false;
    loop {
        let end = [MAP, LIST].iter().filter_map(|mark| rest.find(mark)).min();
        let step = &rest[..end.unwrap_or(rest.len())];
        steps.push(if is_list {
            // sops takes an index that is no number for 0.
            Step::Index(crate::sops::number::parse_int(step.as_bytes()).unwrap_or(0))
        } else {
            Step::Key(step.to_owned())
        });
        if steps.len() > MAX_DEPTH {
            return Err("is nested too deeply");
        }
        let Some(end) = end else { return Ok(steps) };
        is_list = rest[end..].starts_with(LIST);
        rest = &rest[end + if is_list { LIST.len() } else { MAP.len() }..];
    }
}

#[derive(Default)]
struct Place<'a> {
    name: String,
    value: Option<Node<'a>>,
    keys: BTreeMap<String, Place<'a>>,
    items: BTreeMap<i64, Place<'a>>,
}

impl<'a> Place<'a> {
    fn node(self, path: &mut String) -> Result<Node<'a>, MetadataError> {
        let fault = |path: &str, fault| Err(MetadataError::Flat { name: path.to_owned(), fault });
        let kinds = usize::from(self.value.is_some())
            + usize::from(!self.keys.is_empty())
            + usize::from(!self.items.is_empty());
        if kinds > 1 {
            return fault(path, "is both a value and a list or map");
        }
        if let Some(value) = self.value {
            return Ok(value);
        }
        let length = path.len();
        if !self.items.is_empty() {
            if !complete(&self.items) {
                return fault(path, "is a list with gaps");
            }
            let mut items = Vec::with_capacity(self.items.len());
            for (index, item) in self.items {
                write!(path, "{LIST}{index}").expect("writing to a String does not fail");
                items.push(item.node(path)?);
                path.truncate(length);
            }
            return Ok(Node::List(items));
        }
        let mut map = Vec::with_capacity(self.keys.len());
        for (key, value) in self.keys {
            if !path.is_empty() {
                path.push_str(MAP);
            }
            path.push_str(&key);
            map.push(Entry::Pair(Cow::Owned(key), value.node(path)?));
            path.truncate(length);
        }
        Ok(Node::Map(map))
    }
}

/// Whether the indexes run from 0 without a gap.
fn complete(items: &BTreeMap<i64, Place<'_>>) -> bool {
    items.keys().zip(0..).all(|(index, expected)| *index == expected)
}

fn with_newlines<'a>(text: &Text<'_>) -> Text<'a> {
    Text::Owned(crate::sops::store::dotenv::unescape(text.bytes()).into_owned())
}
