//! Any bytes, as one string under `data` in a JSON envelope.

use crate::sops::error::EmitFault;
use crate::sops::tree::{Entry, Node, Tree};

/// Prints the bytes as they are.
pub(crate) fn emit(tree: &Tree<'_>, out: &mut Vec<u8>) -> Result<(), EmitFault> {
    let [branch] = tree.branches.as_slice() else { return Err(EmitFault::Documents) };
    let data = branch.iter().find_map(|entry| match entry {
        Entry::Pair(key, node) if key == "data" => Some(node),
        _ => None,
    });
    let Some(Node::Str(text)) = data else { return Err(EmitFault::NoData) };
    out.extend_from_slice(text.bytes());
    Ok(())
}
