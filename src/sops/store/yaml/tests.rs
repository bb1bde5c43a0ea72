//! What the store does as a whole: text in, text out. Expected texts are what sops 3.13.3 prints.

use proptest::prelude::*;

use super::*;
use crate::sops::tree::{Entry, Node, Text};

/// Reads and prints again, as `sops decrypt` does with a file in which nothing is encrypted.
fn reprint(input: &str) -> Result<String, Error> {
    let tree = parse(input.as_bytes())?;
    let mut out = Vec::new();
    emit(&tree, 4, &mut out).expect("printable");
    Ok(String::from_utf8(out).expect("UTF-8"))
}

fn fault(input: &str) -> Fault {
    match parse(input.as_bytes()) {
        Ok(_) => panic!("accepted: {input}"),
        Err(error) => error.fault,
    }
}

fn assert_reprints(cases: &[(&str, &str)]) {
    for (input, printed) in cases {
        assert_eq!(reprint(input).as_deref(), Ok(*printed), "{input}");
    }
}

#[test]
fn lists_stand_indented_under_their_key() {
    assert_reprints(&[
        ("a:\n- x\n- y: 1\n  z: [ ]\n", "a:\n    - x\n    - \"y\": 1\n      z: []\n"),
        ("a: [[b, {c: d}], {}]\n", "a:\n    - - b\n      - c: d\n    - {}\n"),
    ]);
}

#[test]
fn comments_come_back_where_sops_puts_them() {
    assert_reprints(&[
        // Empty lines go, and with them what told the document's head from its first entry's.
        ("# head\n\n# of a\na: 1 # line\n# foot\n\nb: 2\n", "# head\n# of a\na: 1 # line\n# foot\nb: 2\n"),
        // A comment beside a key that opens a block moves above it.
        ("a: # c\n    b: 1\n", "# c\na:\n    b: 1\n"),
        ("a: # c\n    - x\n", "# c\na:\n    - x\n"),
        // A comment that is indented as what it ends belongs to that.
        ("a:\n    b: 1\n    # end of a\nc: 2\n", "a:\n    b: 1\n    # end of a\nc: 2\n"),
        ("a:\n    b: 1\n# of c\nc: 2\n", "a:\n    b: 1\n# of c\nc: 2\n"),
        ("a:\n    - x # 1\n    # 2\n    - y\n    # 3\n", "a:\n    - x # 1\n    # 2\n    - \"y\"\n    # 3\n"),
        // Block scalars have theirs behind the header.
        ("a: |- # c\n    x\n    y\n", "a: |- # c\n    x\n    y\n"),
        // An empty collection loses what is inside.
        ("a: {\n  # inside\n}\n", "a: {}\n"),
        // Above a list in a list, the inner comment drives out the outer one.
        ("# of list\na:\n    # of item\n    - # of map\n      b: 1\n", "# of list\na:\n    # of map\n    - b: 1\n"),
    ]);
}

#[test]
fn an_inline_comment_is_told_from_a_head_comment() {
    let tree = parse(b"# h\na: 1 # i\n").unwrap();
    assert!(matches!(tree.branches[0][..], [Entry::Comment(_), Entry::InlineComment(_), Entry::Pair(..)]));
    let tree = parse(b"a: [\n  1, # i\n]\n").unwrap();
    let Entry::Pair(_, Node::List(items)) = &tree.branches[0][0] else { panic!("a list") };
    assert!(matches!(items[..], [Node::InlineComment(_), Node::Int(1)]));
}

#[test]
fn documents_are_kept_apart() {
    assert_reprints(&[
        ("a: 1\n---\nb: 2\n---\n", "a: 1\n---\nb: 2\n---\n{}\n"),
        ("%YAML 1.1\n---\na: 1\n...\n---\nb: 2\n", "a: 1\n---\nb: 2\n"),
    ]);
    assert_eq!(fault("%YAML 1.2\n---\na: 1\n"), Fault::Syntax("found incompatible YAML document"));
    assert_eq!(fault("a: 1\n---\n- b\n"), Fault::NotAMap);
    assert_eq!(fault("text\n"), Fault::NotAMap);
}

#[test]
fn aliases_are_written_out_and_merges_are_not_merged() {
    assert_reprints(&[
        (
            "a: &x {b: 1}\nc: *x\nd:\n  <<: *x\n  e: 2\n",
            "a:\n    b: 1\nc:\n    b: 1\nd:\n    !!merge <<:\n        b: 1\n    e: 2\n",
        ),
        // An anchor holds beyond the end of its document.
        ("a: &x 1\n---\nb: *x\n", "a: 1\n---\nb: 1\n"),
    ]);
    assert_eq!(fault("a: *x\n"), Fault::UnknownAnchor);
    assert_eq!(fault("a: &x [*x]\n"), Fault::Recursion);
    assert_eq!(fault("a: 1\n---\nb: &x {c: *x}\n"), Fault::Recursion);
    assert_eq!(fault("a:\n  <<: 1\n"), Fault::Merge);
    assert_reprints(&[("a: 1\n---\nb:\n  <<: 1\n", "a: 1\n---\nb:\n    !!merge <<: 1\n")]);
}

#[test]
fn aliases_cannot_blow_up_a_document() {
    let level = |n: usize| format!("a{n}: &a{n} [{}]\n", format!("*a{},", n - 1).repeat(9));
    let levels = (1..10).map(level).collect::<Vec<_>>().concat();
    let bomb = format!("a0: &a0 [x,x,x,x,x,x,x,x,x]\n{levels}");
    assert_eq!(fault(&bomb), Fault::Aliasing);
    assert_eq!(fault(&format!("a: 1\n---\n{bomb}")), Fault::Aliasing);
    let long = format!("a: 1\n---\nb: &b {}\nc: [{}]\n", "x".repeat(1 << 20), "*b,".repeat(100));
    assert_eq!(fault(&long), Fault::Aliasing);
}

#[test]
fn nesting_ends_before_the_stack_does() {
    for (opening, count) in [("[", 100_000), ("- ", 100_000), ("{a: ", 100_000), ("? ", 100_000)] {
        assert_eq!(fault(&format!("a:\n  {}", opening.repeat(count))), Fault::Depth, "{opening}");
    }
    let aliases = (1..400).map(|n| format!("a{n}: &a{n} [*a{}]\n", n - 1)).collect::<Vec<_>>().concat();
    assert_eq!(fault(&format!("a0: &a0 x\n{aliases}")), Fault::Depth);
}

#[test]
fn a_flood_of_documents_is_refused() {
    assert_eq!(fault(&"---\n".repeat(super::MAX_DOCUMENTS + 1)), Fault::Documents);
}

#[test]
fn a_double_key_is_refused_in_the_first_document_only() {
    assert_eq!(fault("a: 1\na: 2\n"), Fault::DuplicateKey);
    assert_eq!(fault("a: {b: 1, b: 2}\n"), Fault::DuplicateKey);
    assert_reprints(&[("a: 1\n---\nb: 1\nb: 2\n", "a: 1\n---\nb: 1\nb: 2\n")]);
    let many = (0..40).map(|n| format!("k{n}: v\n")).collect::<Vec<_>>().concat();
    assert!(parse(many.as_bytes()).is_ok());
    assert_eq!(fault(&format!("{many}k7: v\n")), Fault::DuplicateKey);
}

#[test]
fn a_key_must_be_a_string() {
    for input in ["1: a\n", "a: {null: b}\n", "? [a]\n: b\n", "true: a\n", "2020-01-01: a\n", "~: a\n"] {
        assert_eq!(fault(input), Fault::KeyType, "{input}");
    }
    assert_reprints(&[("yes: a\n\"1\": b\n&x k: c\n*x : d\n", "\"yes\": a\n\"1\": b\nk: c\nk: d\n")]);
}

#[test]
fn a_tag_that_does_not_fit_is_refused_in_the_first_document_and_null_later() {
    assert_eq!(fault("a: !!int x\n"), Fault::Tag);
    assert_eq!(fault("a: !!binary '*'\n"), Fault::Tag);
    assert_reprints(&[
        ("a: 1\n---\nb: !!int x\n", "a: 1\n---\nb: null\n"),
        ("a: !!str 5\nb: !env X\nc: !!float 3\nd: !!binary aGk=\n", "a: \"5\"\nb: X\nc: 3\nd: hi\n"),
        ("a: !!binary /w==\n", "a: !!binary /w==\n"),
    ]);
    assert_eq!(fault("a: 9223372036854775808\n"), Fault::BigNumber);
}

#[test]
fn long_keys_and_keys_of_several_lines_take_a_question_mark() {
    let long = "k".repeat(129);
    assert_reprints(&[
        (&format!("? {long}\n: v\n"), &format!("? {long}\n: v\n")),
        ("? |\n  a\n  b\n: [v]\n", "? |\n    a\n    b\n:   - v\n"),
    ]);
}

#[test]
fn windows_line_ends_and_byte_order_marks_are_read() {
    assert_reprints(&[("\u{feff}a: 1\r\nb: |\r\n  x\r\n  y\r\n", "a: 1\nb: |\n    x\n    y\n")]);
    assert_eq!(parse(b"\xff\xfea\0:\0 \x001\0").unwrap().branches.len(), 1);
}

#[test]
fn errors_tell_the_place() {
    let error = parse("a: 1\né: [x\n".as_bytes()).unwrap_err();
    assert_eq!((error.line, error.column), (3, 1));
    let error = parse("é: *x\n".as_bytes()).unwrap_err();
    assert_eq!((error.line, error.column), (1, 4));
    let error = parse(b"a:\n\tb: 1\n").unwrap_err();
    assert_eq!((error.line, error.column), (2, 1));
}

#[test]
fn texts_are_borrowed_where_they_stand_as_they_are() {
    let tree = parse(b"a: plain text\nb: 'single'\nc: \"double\"\n").unwrap();
    for entry in &tree.branches[0] {
        assert!(matches!(entry, Entry::Pair(Cow::Borrowed(_), Node::Str(Text::Borrowed(_)))), "{entry:?}");
    }
}

#[test]
fn a_comment_that_is_not_utf_8_cannot_be_printed() {
    let mut tree = parse(b"a: 1\n").unwrap();
    tree.branches[0].insert(0, Entry::Comment(Text::Secret(vec![0xff])));
    assert_eq!(emit(&tree, 4, &mut Vec::new()), Err(EmitError::CommentEncoding));
}

#[test]
fn the_indent_is_adjustable_from_two_to_nine() {
    let tree = parse(b"a: {b: [c]}\n").unwrap();
    for (indent, printed) in [
        (2, "a:\n  b:\n    - c\n"),
        (9, "a:\n         b:\n                  - c\n"),
        (0, "a:\n  b:\n    - c\n"),
        (10, "a:\n  b:\n    - c\n"),
    ] {
        let mut out = Vec::new();
        emit(&tree, indent, &mut out).unwrap();
        assert_eq!(String::from_utf8_lossy(&out), printed, "{indent}");
    }
}

/// Pieces that YAML minds, in any order.
fn soup() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "\n",
        " ",
        "  ",
        "\t",
        "#",
        " # c\n",
        ":",
        ": ",
        "- ",
        "? ",
        "a",
        "b: ",
        "|",
        "|2+\n",
        ">",
        "'",
        "\"",
        "\\",
        "\\u",
        "[",
        "]",
        "{",
        "}",
        ",",
        "&a ",
        "*a",
        "!",
        "!!int ",
        "---\n",
        "...\n",
        "%YAML 1.1\n",
        "<<: ",
        "~",
        "\r\n",
        "\u{2028}",
        "\u{85}",
        "\u{feff}",
        "é",
        "\u{1F680}",
        "@",
        "`",
        "%",
        "\0",
        "key: value\n",
        "    - item\n",
    ]);
    prop::collection::vec(pieces, 0..40).prop_map(|pieces| pieces.concat())
}

/// Trees without comments, and without texts that sops itself does not print readably: blocks in lists whose first line
/// is indented, and the key `<<` over anything but a map.
fn readable() -> impl Strategy<Value = Shared> {
    let text =
        "[!-~\u{a1}-\u{ff}\u{1F680}][ -~\u{a0}-\u{ff}\u{2027}-\u{202a}\u{fffd}\u{1F680}\t\r\n]{0,12}|[a-z0-9.:~-]{0,5}";
    let leaf = prop_oneof![
        Just(Shared::Null),
        any::<bool>().prop_map(Shared::Bool),
        any::<i64>().prop_map(Shared::Int),
        text.prop_map(|text| Shared::Text(text.into_bytes())),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let key = "[a-z]{1,3}|[ -;=-~]{1,6}";
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Shared::List),
            prop::collection::btree_map(key, inner, 0..4).prop_map(|map| Shared::Map(map.into_iter().collect())),
        ]
    })
}

/// A tree that can be cloned, as strategies need it.
#[derive(Debug, Clone)]
enum Shared {
    Null,
    Bool(bool),
    Int(i64),
    Text(Vec<u8>),
    List(Vec<Shared>),
    Map(Vec<(String, Shared)>),
}

impl Shared {
    fn node(self) -> Node<'static> {
        match self {
            Self::Null => Node::Null,
            Self::Bool(value) => Node::Bool(value),
            Self::Int(value) => Node::Int(value),
            Self::Text(text) => Node::Str(Text::Owned(text)),
            Self::List(items) => Node::List(items.into_iter().map(Self::node).collect()),
            Self::Map(pairs) => {
                Node::Map(pairs.into_iter().map(|(key, value)| Entry::Pair(key.into(), value.node())).collect())
            }
        }
    }
}

fn same(one: &Node<'_>, other: &Node<'_>) -> bool {
    match (one, other) {
        (Node::Null, Node::Null) => true,
        (Node::Bool(one), Node::Bool(other)) => one == other,
        (Node::Int(one), Node::Int(other)) => one == other,
        (Node::Str(one), Node::Str(other)) => one.bytes() == other.bytes(),
        (Node::List(one), Node::List(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Node::Map(one), Node::Map(other)) => {
            one.len() == other.len()
                && one.iter().zip(other).all(|pair| match pair {
                    (Entry::Pair(key, one), Entry::Pair(other_key, other)) => key == other_key && same(one, other),
                    _ => false,
                })
        }
        _ => false,
    }
}

proptest! {
    #[test]
    fn no_bytes_make_the_parser_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&bytes);
    }

    #[test]
    fn no_yaml_like_text_makes_parser_or_printer_panic(text in soup()) {
        if let Ok(tree) = parse(text.as_bytes()) {
            let _ = emit(&tree, 4, &mut Vec::new());
        }
    }

    #[test]
    fn what_is_printed_reads_back(node in readable()) {
        let tree = Tree { branches: vec![vec![Entry::Pair("top".into(), node.node())]] };
        let mut out = Vec::new();
        emit(&tree, 4, &mut out).unwrap();
        let again = parse(&out).map_err(|error| TestCaseError::fail(format!("{error}: {out:?}")))?;
        let [Entry::Pair(_, read)] = &again.branches[0][..] else { panic!("one pair") };
        let Entry::Pair(_, written) = &tree.branches[0][0] else { panic!("one pair") };
        prop_assert!(same(written, read), "{}", String::from_utf8_lossy(&out));
        let mut twice = Vec::new();
        emit(&again, 4, &mut twice).unwrap();
        prop_assert_eq!(&out, &twice);
    }
}
