//! What Argo CD does to a text of an Application before helm sees it: variables, and commas.

/// Replaces `$NAME` and `${NAME}` by what `lookup` gives, and `$$` by `$`. An unknown name becomes nothing.
///
/// These are the rules of Go's `os.Expand`, which Argo CD uses (`Env.Envsubst`, 3.6), odd ends included: `${}` and an
/// unclosed `${` vanish without their text, a lone `$` stays, anything may stand between braces, and `$1` or `$@` are
/// names of one character.
pub(super) fn expand<'a>(text: &str, lookup: impl Fn(&str) -> Option<&'a str>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        let (name, taken) = variable(after);
        match name {
            Some("$") => out.push('$'),
            Some(name) => out.push_str(lookup(name).unwrap_or_default()),
            None if taken == 0 => out.push('$'),
            None => {}
        }
        rest = &after[taken..];
    }
    out + rest
}

/// The name that follows a `$`, and how many bytes it takes; no name and some bytes is broken syntax.
fn variable(after: &str) -> (Option<&str>, usize) {
    let single = |c: char| matches!(c, '*' | '#' | '$' | '@' | '!' | '?' | '-' | '0'..='9');
    let Some(first) = after.chars().next() else { return (None, 0) };
    if first == '{' {
        return match after[1..].split_once('}') {
            None => (None, 1),
            Some(("", _)) => (None, 2),
            Some((name, _)) => (Some(name), name.len() + 2),
        };
    }
    if single(first) {
        return (Some(&after[..1]), 1);
    }
    let end = after.find(|c: char| c != '_' && !c.is_ascii_alphanumeric()).unwrap_or(after.len());
    if end == 0 { (None, 0) } else { (Some(&after[..end]), end) }
}

/// Makes a value one value for helm's `--set`: a comma gets a backslash, unless it has one, or unless the whole value
/// is a list in braces. Follows `cleanSetParameters` of Argo CD 3.6.
pub(super) fn escape_commas(value: &str) -> String {
    if value.starts_with('{') && value.ends_with('}') {
        return value.to_owned();
    }
    let mut out = String::with_capacity(value.len());
    for (index, part) in value.split(',').enumerate() {
        if index > 0 {
            out.push_str(if out.ends_with('\\') { "," } else { "\\," });
        }
        out.push_str(part);
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sample(text: &str) -> String {
        expand(text, |name| match name {
            "NAME" => Some("web"),
            "a b" => Some("spaced"),
            "1" => Some("one"),
            _ => None,
        })
    }

    #[test]
    fn variables_expand_as_in_argo_cd() {
        // Answers of `Env.Envsubst`, Argo CD 3.6.1.
        for (text, expected) in [
            ("plain", "plain"),
            ("$NAME/x.yaml", "web/x.yaml"),
            ("${NAME}.yaml", "web.yaml"),
            ("$NAMEx", ""),
            ("$NAME-x", "web-x"),
            ("a$", "a$"),
            ("$$NAME", "$NAME"),
            ("$$$NAME", "$web"),
            ("${$}NAME", "$NAME"),
            ("${}x", "x"),
            ("${", ""),
            ("${NAME", "NAME"),
            ("${a b}", "spaced"),
            ("$1x", "onex"),
            ("$@x", "x"),
            ("$ x", "$ x"),
            ("$.x", "$.x"),
            ("$ä", "$ä"),
            ("$values/x.yaml", "/x.yaml"),
            ("$2a$10$abc", "aone0"),
        ] {
            assert_eq!(sample(text), expected, "for {text:?}");
        }
    }

    #[test]
    fn what_a_variable_holds_is_not_expanded_again() {
        assert_eq!(expand("$A", |_| Some("$B")), "$B");
    }

    #[test]
    fn commas_are_escaped_as_in_argo_cd() {
        // Answers of `cleanSetParameters`, Argo CD 3.6.1.
        for (value, expected) in [
            ("a,b", "a\\,b"),
            ("a\\,b", "a\\,b"),
            ("a\\\\,b", "a\\\\,b"),
            ("{a,b}", "{a,b}"),
            ("{a,b", "{a\\,b"),
            ("a,b}", "a\\,b}"),
            (",", "\\,"),
            (",,", "\\,\\,"),
            ("", ""),
            ("{", "{"),
            ("ä,ö", "ä\\,ö"),
        ] {
            assert_eq!(escape_commas(value), expected, "for {value:?}");
        }
    }

    proptest! {
        #[test]
        fn text_without_a_dollar_is_left_alone(text in "[^$]*") {
            prop_assert_eq!(sample(&text), text);
        }

        #[test]
        fn a_doubled_dollar_keeps_any_text(text in any::<String>()) {
            prop_assert_eq!(sample(&text.replace('$', "$$")), text);
        }

        #[test]
        fn escaping_twice_is_escaping_once(value in "[a,\\\\{}é]{0,12}") {
            let once = escape_commas(&value);
            prop_assert_eq!(escape_commas(&once), once.clone());
        }

        #[test]
        fn no_comma_is_left_bare_outside_a_list(value in "[a,\\\\{}]{0,12}") {
            let escaped = escape_commas(&value);
            if !(value.starts_with('{') && value.ends_with('}')) {
                prop_assert!(!escaped.starts_with(','));
                for (at, _) in escaped.match_indices(',') {
                    prop_assert_eq!(&escaped[at - 1..at], "\\");
                }
            }
        }
    }
}
