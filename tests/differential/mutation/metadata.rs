//! Changes to the metadata.

use super::{base64_character, replace_one};
use crate::random::Random;
use crate::scenario::Format;

const METADATA_NAMES: &str = "lastmodified|mac_only_encrypted|mac|version|unencrypted_suffix|encrypted_suffix|unencrypted_regex|\
    encrypted_regex|unencrypted_comment_regex|encrypted_comment_regex|shamir_threshold|recipient|enc|age|key_groups|sops";

pub(super) fn change_metadata(random: &mut Random, text: &str, _: Format) -> Option<String> {
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

pub(super) fn delete_metadata(random: &mut Random, text: &str, _: Format) -> Option<String> {
    let expression = format!(r#"(?m)^\s*-?\s*"?(?:sops_)?(?:\w+__)?(?:{METADATA_NAMES})"?\s*[:=].*\n"#);
    replace_one(random, text, &expression, |_, _| String::new())
}

pub(super) fn add_metadata(random: &mut Random, text: &str, format: Format) -> Option<String> {
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

pub(super) fn respell_metadata_name(random: &mut Random, text: &str, _: Format) -> Option<String> {
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

pub(super) fn change_age_file(random: &mut Random, text: &str, format: Format) -> Option<String> {
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
