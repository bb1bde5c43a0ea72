//! The translation against what Go 1.26 answered.

use proptest::prelude::*;

use super::*;

/// Patterns that Go compiles, a text that they match there, and one that they do not.
const MATCHES: &[(&str, Option<&str>, Option<&str>)] = &[
    ("^data$", Some("data"), Some("mydata")),
    ("data|stringData", Some("mydata"), Some("other")),
    (r"\d", Some("7"), Some("٣")),
    (r"\D", Some("٣"), Some("7")),
    (r"\w", Some("_"), Some("é")),
    (r"^\W$", Some("é"), Some("a")),
    (r"\s", Some("\u{c}"), Some("\u{b}")),
    (r"^\S$", Some("\u{b}"), Some("\n")),
    (r"[\d\-a]", Some("-"), Some("٣")),
    (r"^[^\W]$", Some("a"), Some("é")),
    (r"é\b", Some("éa"), Some("é")),
    (r"a\Bb", Some("ab"), Some("a b")),
    (r"^\B$", Some(""), Some("a")),
    (r"\B", Some("aa"), Some("aéa")),
    (r"\Qa.b\E", Some("a.b"), Some("axb")),
    (r"^\Qab*", Some("ab*"), Some("abb")),
    (r"^\Qab\E*$", Some("abbb"), Some("abab")),
    (r"a*\Q\E*b", Some("b"), Some("a")),
    (r"^(?:a+\Q\E?b)$", Some("b"), Some("c")),
    ("[[]", Some("["), Some("]")),
    ("[a&&b]", Some("&"), Some("c")),
    ("[]a]", Some("]"), Some("b")),
    ("[^]a]", Some("b"), Some("]")),
    ("[a-]", Some("-"), Some("b")),
    ("[--/]", Some("."), Some(",")),
    ("[a~~b]", Some("~"), Some("c")),
    ("^[^a]$", Some("\n"), Some("a")),
    (r"^[\x{D800}-\x{E000}]$", Some("\u{e000}"), Some("\u{d7ff}")),
    (r"[\x{D800}]", None, Some("\u{fffd}")),
    (r"\x{D800}", None, Some("\u{fffd}")),
    ("[[:foo]", Some(":"), Some("b")),
    ("^[[:word:]]$", Some("_"), Some("é")),
    ("^[[:^alpha:]]$", Some("é"), Some("a")),
    ("a{,2}", Some("a{,2}"), Some("aa")),
    ("x{", Some("x{"), Some("x")),
    ("^a{2}$", Some("aa"), Some("a")),
    ("^a{2,}$", Some("aaa"), Some("a")),
    ("a{01}", Some("a{01}"), Some("a")),
    (r"\<a\>", Some("<a>"), Some("a")),
    (r"\_\-\/", Some("_-/"), Some("")),
    (r"^\101$", Some("A"), Some("1")),
    (r"^\08$", Some("\u{0}8"), Some("8")),
    (r"^\x41\x{42}$", Some("AB"), Some("ab")),
    (r"\a\f\v\t", Some("\u{7}\u{c}\u{b}\t"), Some("afvt")),
    (r"^\p{Greek}$", Some("α"), Some("a")),
    (r"^\p{^Greek}$", Some("a"), Some("α")),
    (r"^\P{^greek}$", Some("α"), Some("a")),
    (r"^\pL$", Some("é"), Some("1")),
    (r"^\pl$", Some("é"), Some("1")),
    (r"^\p{uppercase-letter}$", Some("É"), Some("é")),
    (r"^\p{ASCII}$", Some("a"), Some("é")),
    (r"^\p{Assigned}$", Some("a"), Some("\u{378}")),
    (r"\p{Cs}", None, Some("a")),
    (r"^\P{Cs}$", Some("a"), Some("")),
    ("(?i)s", Some("ſ"), Some("t")),
    (r"(?i)^\w$", Some("ſ"), Some("é")),
    (r"(?i)^\W$", Some("é"), Some("ſ")),
    (r"(?i)[^\W]", Some("\u{212a}"), Some("é")),
    ("(?i)^[[:lower:]]$", Some("S"), Some("1")),
    (r"(?i)^\p{Lu}$", Some("é"), Some("1")),
    ("(?i)a(?-i)b", Some("Ab"), Some("AB")),
    ("(?i:a)b", Some("Ab"), Some("AB")),
    ("((?i)a|b)c", Some("Bc"), Some("BC")),
    ("^a$", Some("a"), Some("a\n")),
    ("(?m)^a$", Some("b\na\nb"), Some("ba")),
    (r"(?m)\Aa\z", Some("a"), Some("b\na")),
    ("^.$", Some("a"), Some("\n")),
    ("(?s)^.$", Some("\n"), Some("")),
    ("(?U)a+", Some("a"), Some("b")),
    ("(?)a", Some("a"), Some("b")),
    ("(?P<n>a)(?<n>b)(?<1>c)", Some("abc"), Some("ab")),
    ("(|a)*b", Some("b"), Some("a")),
    ("^*a", Some("a"), Some("b")),
    ("a||b", Some(""), None),
    ("((a{100}){10}){1}", None, Some("a")),
    ("", Some(""), None),
];

/// Patterns that Go refuses.
const INVALID: &[&str] = &[
    "a**",
    "a+*",
    "a*??",
    "x{2}{3}",
    "x{2}*",
    "*",
    "(*)",
    "|*",
    "a|*",
    "{2}",
    r"\Q\E*",
    "(?i)*",
    "(",
    ")",
    "a)",
    "(?",
    "(?i",
    "(?-)a",
    "(?i-)a",
    "(?-:a)",
    "(?x)",
    "(?R)",
    "(?u)",
    "(?=a)",
    "(?#a)",
    "(?P=a)",
    "(?P>a)",
    "(?<a-b>x)",
    "(?<>x)",
    "(?<é>x)",
    "a{1001}",
    "a{2,1}",
    "a{1,1001}",
    "(a{2}){501}",
    "(a{10}){101}",
    "((a{100}){10}){2}",
    "a{99999999999999999999}",
    "[",
    "[]",
    "[^]",
    "[a",
    "[z-a]",
    "[a--]",
    r"[a-\d]",
    r"[\b]",
    r"[\Qa\E]",
    r"[a\]",
    "[[:foo:]]",
    "[[:Alpha:]]",
    "[[:foo]]:]",
    r"\",
    r"\1",
    r"\8",
    r"\E",
    r"\C",
    r"\Z",
    r"\G",
    r"\u0041",
    r"\é",
    r"\x",
    r"\x4",
    r"\xgg",
    r"\x{}",
    r"\x{110000}",
    r"\x{41",
    r"\p",
    r"\p{",
    r"\p{}",
    r"\p{^}",
    r"\pé",
    r"\p{IsGreek}",
    r"\p{Alphabetic}",
    r"\p{sc=Greek}",
    r"\p{Old_Italic}",
];

#[test]
fn go_s_meaning_is_kept() {
    for (pattern, matching, other) in MATCHES {
        let Compiled::Regex(regex) = compile(pattern) else { panic!("{pattern}: {:?}", translate(pattern)) };
        for (text, expected) in [(matching, true), (other, false)] {
            if let Some(text) = text {
                assert_eq!(regex.is_match(text), expected, "{pattern} on {text:?}, as {:?}", translate(pattern));
            }
        }
    }
}

#[test]
fn what_go_refuses_is_invalid() {
    for pattern in INVALID {
        assert!(matches!(compile(pattern), Compiled::Invalid), "{pattern}: {:?}", translate(pattern));
    }
}

#[test]
fn every_script_and_category_has_a_translation() {
    for name in class::names() {
        for pattern in [format!("\\p{{{name}}}"), format!("(?i)[^\\P{{{name}}}]")] {
            assert!(matches!(compile(&pattern), Compiled::Regex(_)), "{pattern}");
        }
    }
}

#[test]
fn oversized_patterns_are_refused_and_not_taken_for_invalid() {
    for pattern in [
        "a".repeat(MAX_LENGTH + 1),
        "(".repeat(400) + &")".repeat(400),
        r"((\pL{30}){30})".to_owned(),
        "a(?i)".to_owned() + &"*(?i)".repeat(200),
    ] {
        assert!(matches!(compile(&pattern), Compiled::TooLarge | Compiled::Regex(_)), "{} bytes", pattern.len());
    }
    assert!(matches!(compile(&("(".repeat(400) + &")".repeat(400))), Compiled::TooLarge));
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(pattern: String) {
        let _ = translate(&pattern);
    }

    #[test]
    fn what_is_translated_compiles(pattern in r"([a-cés0-9]|[\\\[\]^$.|?*+(){},:<>P=-]|\\[dDsSwWbBAzQEpPx0-7]|\(\?[imsU-]{0,2}[:)]|\{[0-9],?[0-9]?\}|\[:[a-z]{0,5}:\]){0,12}") {
        if let Some(translated) = translate(&pattern) {
            let built = RegexBuilder::new(&translated).size_limit(MAX_BYTES).build();
            prop_assert!(!matches!(built, Err(regex::Error::Syntax(_))), "{} as {}", pattern, translated);
        }
    }
}
