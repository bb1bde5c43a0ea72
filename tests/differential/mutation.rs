//! Changes to encrypted files, as accident, malice and editors make them.
#![expect(clippy::unnecessary_wraps, reason = "all changes have one shape, also those that are always possible")]

use regex::{Captures, Regex};

use crate::random::Random;
use crate::scenario::Format;

/// A change by name; `None` where the file has nothing to change in that way.
pub(crate) type Mutation = (&'static str, fn(&mut Random, &str, Format) -> Option<String>);

/// All changes.
pub(crate) const ALL: &[Mutation] = &[
    ("value bit flipped", flip_value),
    ("values swapped", swap_values),
    ("key renamed", rename_key),
    ("line deleted", delete_line),
    ("line doubled", double_line),
    ("lines swapped", swap_lines),
    ("entries reordered", reorder_entries),
    ("truncated", truncate),
    ("metadata changed", change_metadata),
    ("metadata deleted", delete_metadata),
    ("metadata added", add_metadata),
    ("metadata name respelled", respell_metadata_name),
    ("open value respelled", respell_open_value),
    ("re-indented", reindent),
    ("line ends changed", change_line_ends),
    ("comment edited", edit_comment),
    ("plain value added", add_plain_value),
    ("type changed", change_type),
    ("value replaced", replace_value),
    ("value surrounded", surround_value),
    ("value quoted", quote_value),
    ("base64 loosened", loosen_base64),
    ("age file changed", change_age_file),
    ("character changed", change_character),
    ("something appended", append),
    ("something prepended", prepend),
];

const METADATA_NAMES: &str = "lastmodified|mac_only_encrypted|mac|version|unencrypted_suffix|encrypted_suffix|unencrypted_regex|\
    encrypted_regex|unencrypted_comment_regex|encrypted_comment_regex|shamir_threshold|recipient|enc|age|key_groups|sops";

/// Replaces one match of the expression, chosen at random.
fn replace_one(
    random: &mut Random,
    text: &str,
    expression: &str,
    replacement: impl FnOnce(&mut Random, &Captures<'_>) -> String,
) -> Option<String> {
    let expression = Regex::new(expression).expect("our own expression");
    let matches: Vec<Captures<'_>> = expression.captures_iter(text).collect();
    if matches.is_empty() {
        return None;
    }
    let found = &matches[random.below(matches.len())];
    let whole = found.get(0).expect("group 0 is the match");
    Some(format!("{}{}{}", &text[..whole.start()], replacement(random, found), &text[whole.end()..]))
}

fn base64_character(random: &mut Random) -> char {
    char::from(b"ABCDEFabcdefwxyz0189+/"[random.below(22)])
}

fn flip_value(random: &mut Random, text: &str, _: Format) -> Option<String> {
    replace_one(random, text, "((?:data|iv|tag):)([A-Za-z0-9+/]+)", |random, found| {
        let mut value: Vec<char> = found[2].chars().collect();
        let place = random.below(value.len());
        value[place] = base64_character(random);
        format!("{}{}", &found[1], value.into_iter().collect::<String>())
    })
}

const ENCRYPTED: &str = r"ENC\[AES256_GCM,[^\]\n]*\]";

fn swap_values(random: &mut Random, text: &str, _: Format) -> Option<String> {
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

fn rename_key(random: &mut Random, text: &str, _: Format) -> Option<String> {
    replace_one(random, text, r#"(?m)^([\s"-]*)(\w)(.*[:=].*)$"#, |random, found| {
        format!("{}{}{}", &found[1], random.pick(&["z", "Z", "", "é", "__"]), &found[3])
    })
}

/// The lines with their ends.
fn lines(text: &str) -> Vec<&str> {
    text.split_inclusive('\n').collect()
}

fn delete_line(random: &mut Random, text: &str, _: Format) -> Option<String> {
    let mut lines = lines(text);
    lines.remove(random.below(lines.len()));
    Some(lines.concat())
}

fn double_line(random: &mut Random, text: &str, _: Format) -> Option<String> {
    let mut lines = lines(text);
    let place = random.below(lines.len());
    lines.insert(place, lines[place]);
    Some(lines.concat())
}

fn swap_lines(random: &mut Random, text: &str, _: Format) -> Option<String> {
    let mut lines = lines(text);
    if lines.len() < 2 {
        return None;
    }
    let place = random.below(lines.len() - 1);
    let other = if random.chance(60) { place + 1 } else { random.below(lines.len()) };
    lines.swap(place, other);
    Some(lines.concat())
}

/// Swaps two top-level entries; the metadata may be one of them.
fn reorder_entries(random: &mut Random, text: &str, format: Format) -> Option<String> {
    let begins = match format {
        Format::Yaml | Format::Dotenv => r"(?m)^[^\s#-]",
        Format::Ini => r"(?m)^\[",
        Format::Json | Format::Binary => "(?m)^\t\"",
    };
    let expression = Regex::new(begins).expect("our own expression");
    let starts: Vec<usize> = expression.find_iter(text).map(|found| found.start()).collect();
    if starts.len() < 2 {
        return None;
    }
    let mut entries: Vec<&str> = starts.windows(2).map(|pair| &text[pair[0]..pair[1]]).collect();
    entries.push(&text[starts[starts.len() - 1]..]);
    let (first, second) = (random.below(entries.len()), random.below(entries.len()));
    entries.swap(first, second);
    Some(format!("{}{}", &text[..starts[0]], entries.concat()))
}

fn truncate(random: &mut Random, text: &str, _: Format) -> Option<String> {
    let end =
        if random.chance(30) { text.len() - random.between(1, 3).min(text.len()) } else { random.below(text.len()) };
    Some(text[..text.floor_char_boundary(end)].to_owned())
}

fn change_metadata(random: &mut Random, text: &str, _: Format) -> Option<String> {
    let expression =
        format!(r#"(?m)^(\s*-?\s*"?(?:sops_)?(?:\w+__)?({METADATA_NAMES})"?\s*[:=]\s*)("?)([^"\n]*?)("?,?)$"#);
    replace_one(random, text, &expression, |random, found| {
        let value = match &found[2] {
            "lastmodified" => random
                .pick(&[
                    "2020-01-01T00:00:00Z",
                    "2026-01-01",
                    "",
                    "yesterday",
                    "2024-05-06T07:08:09.5Z",
                    "2024-05-06T07:08:09+00:00",
                    "2024-05-06t07:08:09z",
                    "2024-5-6T07:08:09Z",
                    "2024-02-30T00:00:00Z",
                    "2024-05-06T07:08:09+25:00",
                    "2024-05-06T24:00:00Z",
                ])
                .to_owned(),
            "version" => random
                .pick(&[
                    "3.9.0",
                    "3.9",
                    "1.5",
                    "99.0.0",
                    "v3.9.0",
                    "",
                    "3.9.0-beta.1",
                    "3.9.0+x",
                    "03.9.0",
                    "3.2.1",
                    "three",
                    "1.",
                    "4.0",
                ])
                .to_owned(),
            "mac_only_encrypted" => {
                random.pick(&["false", "true", "0", "1", "T", "yes", "", "TRUE", "null"]).to_owned()
            }
            "mac" => random.pick(&["", "null", "ENC[AES256_GCM,data:AA==,iv:AA==,tag:AA==,type:str]", "x"]).to_owned(),
            "shamir_threshold" => {
                random.pick(&["0", "1", "2", "3", "4", "-1", "x", "2.0", "", "0x2", "1e0"]).to_owned()
            }
            "recipient" => "age1nobody".to_owned(),
            _ => random.pick(&["", "null", "x", "[]", "{}", "_enc", "^$", "(", ".*", "1", "true"]).to_owned(),
        };
        // A fraction or another offset of the same instant is a change as well.
        let value = match (&found[2], random.below(4)) {
            ("lastmodified", 0) => found[4].replace('Z', ".25Z"),
            ("lastmodified", 1) => found[4].replace('Z', "+00:00"),
            _ => value,
        };
        format!("{}{}{value}{}", &found[1], &found[3], &found[5])
    })
}

fn delete_metadata(random: &mut Random, text: &str, _: Format) -> Option<String> {
    let expression = format!(r#"(?m)^\s*-?\s*"?(?:sops_)?(?:\w+__)?(?:{METADATA_NAMES})"?\s*[:=].*\n"#);
    replace_one(random, text, &expression, |_, _| String::new())
}

fn add_metadata(random: &mut Random, text: &str, format: Format) -> Option<String> {
    let (name, value) = *random.choose(&[
        ("mac_only_encrypted", "true"),
        ("mac_only_encrypted", "\"true\""),
        ("mac_only_encrypted", "1"),
        ("encrypted_regex", "\".*\""),
        ("encrypted_regex", "\"\""),
        ("unencrypted_suffix", "\"_unencrypted\""),
        ("unencrypted_suffix", "\"\""),
        ("unencrypted_suffix", "\"x\""),
        ("unknown", "1"),
        ("unknown", "{\"a\": [1, null]}"),
        ("kms", "[]"),
        ("pgp", "null"),
        ("age", "{}"),
        ("shamir_threshold", "1"),
        ("shamir_threshold", "\"2\""),
        ("key_groups", "[]"),
        ("version", "\"3.9.0\""),
        ("hc_vault", "{}"),
        ("gcp_kms", "[{}]"),
        ("pgp", "[{\"fp\": \"A\", \"created_at\": \"2020-01-01T00:00:00Z\", \"enc\": \"x\"}]"),
        ("pgp", "[{\"fp\": \"A\", \"created_at\": \"\", \"enc\": \"x\"}]"),
        ("kms", "\"\""),
        ("kms", "1"),
        ("MAC_only_encrypted", "true"),
        ("unencrypted_comment_regex", "\"a\""),
        ("version", "1.5"),
        ("azure_kv", "[{\"created_at\": \"2020-01-01T00:00:00Z\"}]"),
        ("age", "[]"),
        ("age", "[null]"),
        ("age", "[1]"),
        ("lastmodified", "2020-01-01T00:00:00Z"),
    ]);
    let bare = value.trim_matches('"');
    let (expression, added) = match format {
        Format::Yaml => (r"(?m)^sops:.*\n", format!("    {name}: {value}\n")),
        Format::Json | Format::Binary => (r#""sops": \{\n"#, format!("\"{name}\": {value},\n")),
        Format::Dotenv => (r"(?m)^sops_mac=.*\n", format!("sops_{name}={bare}\n")),
        Format::Ini => (r"(?m)^\[sops\]\n", format!("{name} = {bare}\n")),
    };
    replace_one(random, text, expression, |_, found| format!("{}{added}", &found[0]))
}

fn respell_metadata_name(random: &mut Random, text: &str, _: Format) -> Option<String> {
    let expression = format!(r#"(?m)^(\s*-?\s*"?(?:sops_)?(?:\w+__)?)({METADATA_NAMES})("?\s*[:=])"#);
    replace_one(random, text, &expression, |random, found| {
        let name = match random.below(4) {
            0 => found[2].to_uppercase(),
            1 => format!("{}{}", found[2][..1].to_uppercase(), &found[2][1..]),
            2 => found[2].replace('s', "ſ").replace('k', "\u{212a}"),
            _ => format!("{}x", &found[2]),
        };
        format!("{}{name}{}", &found[1], &found[3])
    })
}

fn respell_open_value(random: &mut Random, text: &str, format: Format) -> Option<String> {
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

fn reindent(random: &mut Random, text: &str, format: Format) -> Option<String> {
    let indented = match format {
        Format::Yaml => {
            let (numerator, denominator) = *random.choose(&[(1, 2), (2, 1), (1, 4), (3, 4), (3, 2)]);
            let indent = |line: &str| {
                let body = line.trim_start_matches(' ');
                format!("{:1$}{body}", "", (line.len() - body.len()) * numerator / denominator)
            };
            lines(text).into_iter().map(indent).collect()
        }
        Format::Json | Format::Binary => match random.below(3) {
            0 => text.replace('\t', ""),
            1 => text.replace('\t', "  ").replace(": ", ":\n\t"),
            _ => text.replace(['\t', '\n'], ""),
        },
        Format::Dotenv => text.replacen('\n', "\n ", random.between(1, 3)),
        Format::Ini => {
            let expression = Regex::new(" *= ").expect("our own expression");
            expression.replace_all(text, random.pick(&["=", " : ", "\t=  "])).into_owned()
        }
    };
    Some(indented)
}

fn change_line_ends(random: &mut Random, text: &str, _: Format) -> Option<String> {
    Some(match random.below(4) {
        0 | 1 => text.replace('\n', "\r\n"),
        2 => text.replacen('\n', "\r\n", random.between(1, 8)),
        _ => text.replacen('\n', "\r", random.between(1, 3)),
    })
}

fn edit_comment(random: &mut Random, text: &str, format: Format) -> Option<String> {
    let expression = if format == Format::Ini { r"(?m)^(\s*[#;])(.*)\n" } else { r"(?m)((?:^|\s)#)(.*)\n" };
    let edited = replace_one(random, text, expression, |random, found| match random.below(7) {
        0 => String::new(),
        1 => "\n".to_owned(),
        2 => format!("{}{}x\n", &found[1], &found[2]),
        3 => format!("{} another\n", &found[1]),
        4 => format!("{}\n{}{}\n", &found[1], &found[1], &found[2]),
        5 => format!("{}{}\n", &found[1], found[2].replace("comment]", "str]").replace("data:", "data:A")),
        _ => format!("{0}{1}\n{0}{1}\n", &found[1], &found[2]),
    });
    edited.or_else(|| {
        let mut lines = lines(text);
        let place = random.below(lines.len() + 1);
        lines.insert(
            place,
            random.pick(&["# added\n", "#\n", "    # added\n", "; added\n", "#ENC[AES256_GCM,data:,iv:]\n"]),
        );
        Some(lines.concat())
    })
}

fn add_plain_value(random: &mut Random, text: &str, format: Format) -> Option<String> {
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

fn change_type(random: &mut Random, text: &str, _: Format) -> Option<String> {
    replace_one(random, text, r"type:(?:str|int|float|bool|time|comment)\]", |random, _| {
        let word = random.pick(&["str", "str", "int", "float", "bool", "time", "comment", "null", "", "Str"]);
        format!("type:{word}]")
    })
}

fn replace_value(random: &mut Random, text: &str, format: Format) -> Option<String> {
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

fn surround_value(random: &mut Random, text: &str, _: Format) -> Option<String> {
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

fn quote_value(random: &mut Random, text: &str, format: Format) -> Option<String> {
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

fn loosen_base64(random: &mut Random, text: &str, _: Format) -> Option<String> {
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

fn change_age_file(random: &mut Random, text: &str, format: Format) -> Option<String> {
    let end = if format == Format::Yaml { r"\n" } else { r"\\n" };
    let expression = format!(r"(-----BEGIN AGE ENCRYPTED FILE-----{end})([\s\S]*?)({end}\s*-----END AGE)");
    replace_one(random, text, &expression, |random, found| {
        let mut body: Vec<char> = found[2].chars().collect();
        match random.below(5) {
            0 => {
                let place = random.below(body.len());
                body[place] = base64_character(random);
            }
            1 => drop(body.pop()),
            2 => body.push('='),
            3 => body.insert(0, ' '),
            _ => body.truncate(body.len() / 2),
        }
        format!("{}{}{}", &found[1], body.into_iter().collect::<String>(), &found[3])
    })
}

fn change_character(random: &mut Random, text: &str, _: Format) -> Option<String> {
    let place = text.floor_char_boundary(random.below(text.len()));
    let (before, after) = text.split_at(place);
    let rest = after.chars().next().map_or("", |first| &after[first.len_utf8()..]);
    let other = random.pick(&[
        " ", "\n", "\t", ":", "#", "-", "\"", "'", ",", "{", "}", "[", "]", "&", "*", "!", "|", ">", "%", "@", "`",
        "\\", "\0", "\u{1}", "\r", "\u{feff}", "\u{85}", "\u{2028}", "é", "a", "0", "=", ";", "?", "~", "\u{7f}", "<<",
        "---", "...",
    ]);
    Some(match random.below(3) {
        0 => format!("{before}{rest}"),
        1 => format!("{before}{other}{rest}"),
        _ => format!("{before}{other}{after}"),
    })
}

fn append(random: &mut Random, text: &str, format: Format) -> Option<String> {
    let yaml: &[&str] = &[
        "---\n",
        "---\na: 1\n",
        "---\nadded_unencrypted: 1\n",
        "---\nsops: 1\n",
        "---\nnull\n",
        "---\n- a\n",
        "---\ntext\n",
        "...\n",
        "...\n---\n",
        "\n\n",
        "  ",
        "\t",
        "# end\n",
        "---\na: null\n",
        "---\na: \"\"\na: \"\"\n",
        "---\n# c\n",
        "%YAML 1.1\n---\n",
        "sops: {}\n",
        "---\n1: null\n",
        "}",
    ];
    let others: &[&str] = &[
        "\n",
        " ",
        "}",
        "{}",
        "x",
        "# end\n",
        "\0",
        "A=\n",
        "[x]\n",
        "\t",
        "[sops]\n",
        "sops_x=1\n",
        ";c\n",
        "[sops]\nx=1\n",
    ];
    Some(format!("{text}{}", random.pick(if format == Format::Yaml { yaml } else { others })))
}

fn prepend(random: &mut Random, text: &str, _: Format) -> Option<String> {
    let begin = random.pick(&[
        "\u{feff}",
        "\n",
        " ",
        "\t",
        "---\n",
        "# c\n",
        "%YAML 1.1\n---\n",
        "%YAML 1.2\n---\n",
        "...\n",
        "null\n---\n",
        "{}\n---\n",
        "---\n---\n",
        "x",
        "%TAG ! !x\n---\n",
        "; c\n",
        "\r\n",
        "--- # c\n",
        "[s]\n",
        "A=\n",
        "\u{feff}\u{feff}",
        "--- ",
        "\0",
    ]);
    Some(format!("{begin}{text}"))
}
