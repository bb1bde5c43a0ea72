//! Changes to the text of a file, whatever it means.
#![expect(clippy::unnecessary_wraps, reason = "all changes have one shape, also those that are always possible")]

use regex::Regex;

use super::replace_one;
use crate::random::Random;
use crate::scenario::Format;

pub(super) fn rename_key(random: &mut Random, text: &str, _: Format) -> Option<String> {
    replace_one(random, text, r#"(?m)^([\s"-]*)(\w)(.*[:=].*)$"#, |random, found| {
        format!("{}{}{}", &found[1], random.pick(&["z", "Z", "", "é", "__"]), &found[3])
    })
}

/// The lines with their ends.
pub(super) fn lines(text: &str) -> Vec<&str> {
    text.split_inclusive('\n').collect()
}

pub(super) fn delete_line(random: &mut Random, text: &str, _: Format) -> Option<String> {
    let mut lines = lines(text);
    lines.remove(random.below(lines.len()));
    Some(lines.concat())
}

pub(super) fn double_line(random: &mut Random, text: &str, _: Format) -> Option<String> {
    let mut lines = lines(text);
    let place = random.below(lines.len());
    lines.insert(place, lines[place]);
    Some(lines.concat())
}

pub(super) fn swap_lines(random: &mut Random, text: &str, _: Format) -> Option<String> {
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
pub(super) fn reorder_entries(random: &mut Random, text: &str, format: Format) -> Option<String> {
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

pub(super) fn truncate(random: &mut Random, text: &str, _: Format) -> Option<String> {
    let end =
        if random.chance(30) { text.len() - random.between(1, 3).min(text.len()) } else { random.below(text.len()) };
    Some(text[..text.floor_char_boundary(end)].to_owned())
}

pub(super) fn reindent(random: &mut Random, text: &str, format: Format) -> Option<String> {
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

pub(super) fn change_line_ends(random: &mut Random, text: &str, _: Format) -> Option<String> {
    Some(match random.below(4) {
        0 | 1 => text.replace('\n', "\r\n"),
        2 => text.replacen('\n', "\r\n", random.between(1, 8)),
        _ => text.replacen('\n', "\r", random.between(1, 3)),
    })
}

pub(super) fn edit_comment(random: &mut Random, text: &str, format: Format) -> Option<String> {
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

pub(super) fn change_character(random: &mut Random, text: &str, _: Format) -> Option<String> {
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

pub(super) fn append(random: &mut Random, text: &str, format: Format) -> Option<String> {
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

pub(super) fn prepend(random: &mut Random, text: &str, _: Format) -> Option<String> {
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
