//! What the store does as a whole: text in, text out.

use super::*;

/// Reads and prints again, as `sops decrypt` does with a file in which nothing is encrypted.
fn reprint(input: &str) -> Result<String, Error> {
    let tree = parse(input.as_bytes())?;
    let mut out = Vec::new();
    emit(&tree, 4, &mut out).expect("printable");
    Ok(String::from_utf8(out).expect("UTF-8"))
}

#[test]
fn lists_stand_indented_under_their_key() {
    assert_eq!(reprint("a:\n- x\n- y: 1\n  z: [ ]\n").unwrap(), "a:\n    - x\n    - \"y\": 1\n      z: []\n");
}
