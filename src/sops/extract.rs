//! `--extract '["a"]["b"][0]'`: a path into a decrypted file, as sops reads it.

use std::str::FromStr;

use super::error::{ExtractFault, KeyPath, Step};
use super::number;
use super::tree::{Entry, Node};

/// A path of keys and list indexes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtractPath(Vec<Step>);

impl FromStr for ExtractPath {
    type Err = ExtractFault;

    /// Reads `["key"]`, `['key']` and `[0]`, one after the other. A key cannot hold `[`, as in sops.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.split('[')
            .filter(|part| !part.is_empty())
            .map(step)
            .collect::<Option<_>>()
            .map(Self)
            .ok_or(ExtractFault::Path)
    }
}

fn step(part: &str) -> Option<Step> {
    let part = part.strip_suffix(']')?;
    if part.starts_with(['"', '\'']) {
        let end = part.char_indices().next_back().map(|(at, _)| at).filter(|at| *at > 0)?;
        return Some(Step::Key(part[1..end].to_owned()));
    }
    number::parse_int(part.as_bytes()).and_then(|index| usize::try_from(index).ok()).map(Step::Index)
}

impl ExtractPath {
    /// Follows the path from the top of a document. Comments among list items count as items, as in sops.
    pub(super) fn find<'a>(&self, top: Node<'a>) -> Result<Node<'a>, ExtractFault> {
        self.0.iter().enumerate().try_fold(top, |node, (position, step)| {
            let here = || KeyPath { document: 0, steps: self.0[..=position].to_vec() };
            match (node, step) {
                (Node::Map(map), Step::Key(key)) => map
                    .into_iter()
                    .find_map(|entry| match entry {
                        Entry::Pair(name, node) if name == key.as_str() => Some(node),
                        _ => None,
                    })
                    .ok_or_else(|| ExtractFault::NoKey(here())),
                (Node::List(mut items), Step::Index(index)) if *index < items.len() => Ok(items.swap_remove(*index)),
                (_, Step::Key(_)) => Err(ExtractFault::NoKey(here())),
                (_, Step::Index(_)) => Err(ExtractFault::NoItem(here())),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_quoted_and_indexes_are_not() {
        let path: ExtractPath = "[\"a\"]['b'][0]".parse().unwrap();
        assert_eq!(path.0, [Step::Key("a".into()), Step::Key("b".into()), Step::Index(0)]);
        assert_eq!("".parse(), Ok(ExtractPath(Vec::new())));
    }

    #[test]
    fn other_forms_are_refused() {
        for text in ["a", "[a]", "[\"a\"", "[-1]", "[]", "[\"]", "[1.5]"] {
            assert_eq!(text.parse::<ExtractPath>(), Err(ExtractFault::Path), "{text}");
        }
    }
}
