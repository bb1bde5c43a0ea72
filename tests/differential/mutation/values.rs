//! Changes to values, encrypted and open.

use regex::Regex;

use super::text::lines;
use super::{base64_character, replace_one};
use crate::random::Random;
use crate::scenario::Format;

const ENCRYPTED: &str = r"ENC\[AES256_GCM,[^\]\n]*\]";

pub(super) fn flip_value(random: &mut Random, text: &str, _: Format) -> Option<String> {
    replace_one(random, text, "((?:data|iv|tag):)([A-Za-z0-9+/]+)", |random, found| {
        let mut value: Vec<char> = found[2].chars().collect();
        let place = random.below(value.len());
        value[place] = base64_character(random);
        format!("{}{}", &found[1], value.into_iter().collect::<String>())
    })
}

pub(super) fn swap_values(random: &mut Random, text: &str, _: Format) -> Option<String> {
    let expression = Regex::new(ENCRYPTED).expect("our own expression");
    let values: Vec<_> = expression.find_iter(text).collect();
    if values.len() < 2 {
        return None;
    }
    let first = random.below(values.len() - 1);
    let second = random.between(first + 1, values.len() - 1);
    let (first, second) = (values[first], values[second]);
    let between = &text[first.end()..second.start()];
    Some(format!("{}{}{between}{}{}", &text[..first.start()], second.as_str(), first.as_str(), &text[second.end()..]))
}

pub(super) fn change_type(random: &mut Random, text: &str, _: Format) -> Option<String> {
    replace_one(random, text, r"type:(?:str|int|float|bool|time|comment)\]", |random, _| {
        let word = random.pick(&["str", "str", "int", "float", "bool", "time", "comment", "null", "", "Str"]);
        format!("type:{word}]")
    })
}

pub(super) fn replace_value(random: &mut Random, text: &str, format: Format) -> Option<String> {
    let quote = if matches!(format, Format::Json | Format::Binary) { "\"" } else { "" };
    replace_one(random, text, &format!("{quote}{ENCRYPTED}{quote}"), |random, _| {
        random
            .pick(&[
                "null",
                "\"\"",
                "\"plain\"",
                "1",
                "\"ENC[]\"",
                "[]",
                "{}",
                "true",
                "\"ENC[AES256_GCM,data:,iv:,tag:,type:str]\"",
                "[null]",
                "2020-01-01",
                "\"ENC[AES256_GCM,data:YQ==,iv:YQ==,tag:YQ==,type:str]\"",
                "",
            ])
            .to_owned()
    })
}

pub(super) fn surround_value(random: &mut Random, text: &str, _: Format) -> Option<String> {
    replace_one(random, text, ENCRYPTED, |random, found| match random.below(7) {
        0 => format!("{}x", &found[0]),
        1 => format!("{} trailing text", &found[0]),
        2 => format!(" {}", &found[0]),
        3 => format!("x{}", &found[0]),
        4 => format!("{0}{0}", &found[0]),
        5 => found[0].replace(',', ", "),
        _ => found[0].trim_end_matches(']').to_owned(),
    })
}

pub(super) fn quote_value(random: &mut Random, text: &str, format: Format) -> Option<String> {
    let (quotes, expression) = match format {
        Format::Json | Format::Binary => (vec!["'", ""], format!("\"({ENCRYPTED})\"")),
        Format::Ini => (vec!["\"", "'", "`", "\"\"\""], format!("({ENCRYPTED})")),
        _ => (vec!["\"", "'"], format!("({ENCRYPTED})")),
    };
    replace_one(random, text, &expression, |random, found| {
        let quote = random.pick(&quotes);
        format!("{quote}{}{quote}", &found[1])
    })
}

pub(super) fn loosen_base64(random: &mut Random, text: &str, _: Format) -> Option<String> {
    replace_one(random, text, r"((?:data|iv|tag):)([A-Za-z0-9+/]*)(=*),", |random, found| {
        let (begin, body, padding) = (&found[1], &found[2], &found[3]);
        match random.below(6) {
            0 => format!("{begin}{body},"),
            1 => format!("{begin}{},", found[2].replace('+', "-").replace('/', "_") + padding),
            2 => format!("{begin}{body}{padding}=,"),
            3 => format!("{begin} {body}{padding},"),
            // The next letter of the alphabet differs, where there is padding, in bits that nobody uses.
            4 if !body.is_empty() => {
                let (rest, last) = body.split_at(body.len() - 1);
                let next = match last.as_bytes()[0] {
                    b'Z' => 'a',
                    b'z' => '0',
                    b'9' => '+',
                    b'+' => '/',
                    b'/' => 'A',
                    letter => char::from(letter + 1),
                };
                format!("{begin}{rest}{next}{padding},")
            }
            _ => format!("{begin}{body}{padding}{body}{padding},"),
        }
    })
}

pub(super) fn respell_open_value(random: &mut Random, text: &str, format: Format) -> Option<String> {
    let choices: &[&str] = match format {
        Format::Yaml => &[
            "\"{}\"",
            "+{}",
            "0{}",
            "{}.0",
            "{}_",
            "'{}'",
            "!!str {}",
            "{} # c",
            "{}e0",
            "0x{}",
            "{}0",
            "!!int {}",
            "!!float {}",
        ],
        _ => &["\"{}\"", "{}.0", "{}e0", "-{}", "{}0", " {}", "{} ", "0{}"],
    };
    let expression = r#"(?m)([:=-]\s+)(-?[0-9][0-9.e+]*|true|false|null|"[^"\n]{1,12}"|[a-z]\w*)(,?)$"#;
    replace_one(random, text, expression, |random, found| {
        let spelled = match (&found[2], format) {
            ("true" | "false", Format::Yaml) if random.chance(60) => {
                if random.chance(50) {
                    found[2].to_uppercase()
                } else {
                    random.pick(&["True", "False", "yes"]).to_owned()
                }
            }
            ("null", Format::Yaml) if random.chance(60) => {
                random.pick(&["~", "Null", "", "\"\"", "{}", "[]", "nul"]).to_owned()
            }
            (quoted, _) if quoted.starts_with('"') => quoted.trim_matches('"').to_owned(),
            (other, _) => random.pick(choices).replace("{}", other),
        };
        format!("{}{spelled}{}", &found[1], &found[3])
    })
}

pub(super) fn add_plain_value(random: &mut Random, text: &str, format: Format) -> Option<String> {
    let name = random.pick(&["added", "added_unencrypted", "added_enc", "sops_added", "probestr", "secret_added"]);
    let value = random.pick(&[
        "1",
        "null",
        "\"\"",
        "{}",
        "[]",
        "true",
        "\"text\"",
        "1.5",
        "[null, \"\"]",
        "{\"a\": null}",
        "[{}]",
    ]);
    match format {
        Format::Json | Format::Binary => {
            replace_one(random, text, r"\{\n", |_, found| format!("{}\"{name}\": {value},\n", &found[0]))
        }
        Format::Yaml => replace_one(random, text, r"(?m)^( *)[^\s#-]", |_, found| {
            format!("{}{name}: {value}\n{}", &found[1], &found[0])
        }),
        Format::Dotenv | Format::Ini => {
            let mut lines = lines(text);
            let line = format!("{name} = {}\n", value.trim_matches('"'))
                .replace(" = ", if format == Format::Ini { " = " } else { "=" });
            lines.insert(random.below(lines.len()), &line);
            Some(lines.concat())
        }
    }
}
