//! Other ways to write the same file, as formatters and editors do: quotes, escapes, tags, anchors, block scalars.

use regex::Captures;

use super::replace_one;
use crate::random::Random;
use crate::scenario::Format;

/// An encrypted value, in the style of its format.
pub(super) fn restyle_value(random: &mut Random, text: &str, format: Format) -> Option<String> {
    match format {
        Format::Yaml => {
            replace_one(random, text, r"(?m)^( *)(.*[:-] )(ENC\[AES256_GCM,[^\]\n]*\])$", |random, found| {
                let written = yaml_scalar(random, &found[3], found[1].len());
                format!("{}{}{written}", &found[1], &found[2])
            })
        }
        Format::Json | Format::Binary => replace_one(random, text, r#""(E)(NC\[AES256_GCM)"#, |random, found| {
            let escape = random.pick(&["\\u0045", "\\u0065", "\\E", "\\u45"]);
            format!("\"{escape}{}", &found[2])
        }),
        Format::Dotenv => replace_one(random, text, r"(?m)^(\w+)=(ENC\[.*)$", |random, found| {
            let (name, value) = (&found[1], &found[2]);
            random
                .pick(&["export {n}={v}", "{n} ={v}", "{n}= {v}", "{n}='{v}'", "{n}={v} "])
                .replace("{n}", name)
                .replace("{v}", value)
        }),
        Format::Ini => replace_one(random, text, r"(?m)^(\w+)\s*= (ENC\[.*)$", |random, found| {
            let (name, value) = (&found[1], &found[2]);
            random
                .pick(&["{n}: {v}", "{n}={v} ; c", "  {n} = {v}", "`{n}` = {v}", "{n} = {v}\\", "{n} == {v}"])
                .replace("{n}", name)
                .replace("{v}", value)
        }),
    }
}

/// A scalar of YAML in one of the styles that hold it, sometimes in one that does not.
fn yaml_scalar(random: &mut Random, value: &str, indent: usize) -> String {
    let inner = indent + random.between(1, 5);
    let middle = random.between(1, value.len() - 1);
    let (first, second) = value.split_at(middle);
    match random.below(13) {
        0 => format!("|-\n{:inner$}{value}", ""),
        1 => format!(">-\n{:inner$}{value}", ""),
        2 => format!("|\n{:inner$}{value}", ""),
        3 => format!(">{}\n{:inner$}{value}\n", inner - indent, ""),
        4 => format!("!!str {value}"),
        5 => format!("!custom '{value}'"),
        6 => format!("&anchor {value} # comment"),
        7 => format!("\"\\x45{}\"", &value[1..]),
        8 => format!("\"{first}\\\n{:inner$}{second}\"", ""),
        9 => format!("\"{first}\n{:inner$}{second}\"", ""),
        10 => format!("\n{:inner$}{value}", ""),
        11 => format!("!!binary {value}"),
        _ => format!("   {value}   "),
    }
}

/// A key of YAML or JSON, or the place where its value begins.
pub(super) fn restyle_key(random: &mut Random, text: &str, format: Format) -> Option<String> {
    let yaml = |random: &mut Random, found: &Captures<'_>| {
        let (indent, key, rest) = (&found[1], &found[2], &found[3]);
        match random.below(7) {
            0 => format!("{indent}\"{key}\":{rest}"),
            1 => format!("{indent}'{key}':{rest}"),
            2 => format!("{indent}? {key}\n{indent}:{rest}"),
            3 => format!("{indent}!!str {key}:{rest}"),
            4 => format!("{indent}&anchor {key}:{rest}"),
            5 => format!("{indent}{key} :{rest}"),
            _ => format!("{indent}{key}:  {rest}"),
        }
    };
    match format {
        Format::Yaml => replace_one(random, text, r"(?m)^( *)(\w+):(.*)$", yaml),
        Format::Json | Format::Binary => replace_one(random, text, r#""(\w)(\w*)": "#, |random, found| {
            let escaped = format!("\\u{:04x}", u32::from(found[1].chars().next().expect("one letter")));
            let colon = random.pick(&[":", " : ", ":\n"]);
            format!("\"{escaped}{}\"{colon}", &found[2])
        }),
        Format::Dotenv | Format::Ini => None,
    }
}

/// A list of YAML at the indentation of its key, or a short map in flow style.
pub(super) fn restyle_collection(random: &mut Random, text: &str, format: Format) -> Option<String> {
    if format != Format::Yaml {
        return None;
    }
    if random.chance(50) {
        return replace_one(
            random,
            text,
            r"(?m)^( *)([^\s#-][^\n]*:)\n +([^\s#:-][^\n:]*): (\S[^\n]*)\n",
            |_, found| format!("{}{} {{{}: {}}}\n", &found[1], &found[2], &found[3], &found[4]),
        );
    }
    let lines = text.lines().map(|line| match line.strip_prefix("    - ") {
        Some(item) => format!("- {item}\n"),
        None => format!("{line}\n"),
    });
    Some(lines.collect())
}
