//! Metadata read from JSON, dotenv and INI; the loose typing is that of sops' decoder, mapstructure 2.5.

use proptest::prelude::*;

use super::*;
use crate::sops::store;

const AGE: &str = r#""age": [{"recipient": "age1x", "enc": "E"}]"#;
const REST: &str = r#""lastmodified": "2026-11-23T19:40:24Z", "mac": "M", "version": "3.13.3""#;

/// Metadata of a JSON file whose `sops` entry has these fields.
fn read(fields: &str) -> Result<Metadata, MetadataError> {
    let text = format!("{{\"a\": 1, \"sops\": {{{fields}}}}}");
    let mut tree = store::parse(Format::Json, text.as_bytes()).unwrap();
    let metadata = take(Format::Json, &mut tree).map(Option::unwrap);
    assert_eq!(tree.branches[0].len(), 1, "the entry is taken out");
    metadata
}

/// The same, with one key and all that must be there.
fn with(fields: &str) -> Result<Metadata, MetadataError> {
    read(&format!("{AGE}, {REST}, {fields}"))
}

fn message<T: std::fmt::Debug>(result: Result<T, MetadataError>) -> String {
    result.unwrap_err().to_string()
}

#[test]
fn the_default_selector_is_a_suffix() {
    let metadata = read(&format!("{AGE}, {REST}")).unwrap();
    assert_eq!(metadata.selector, Selector::UnencryptedSuffix("_unencrypted".into()));
    assert_eq!(metadata.mac.as_deref(), Some("M"));
    assert_eq!((metadata.mac_only_encrypted, metadata.shamir_threshold), (false, 0));
    let [group] = metadata.key_groups.as_slice() else { panic!("one group") };
    assert_eq!(*group, [MasterKey::Age(AgeKey { recipient: "age1x".into(), enc: "E".into() })]);
}

#[test]
fn at_most_one_selector_may_have_a_text() {
    let metadata = with(r#""unencrypted_suffix": "", "encrypted_regex": "^data$""#).unwrap();
    assert_eq!(metadata.selector, Selector::EncryptedRegex("^data$".into()));
    let two = with(r#""encrypted_suffix": "a", "encrypted_comment_regex": "b""#);
    assert_eq!(two.unwrap_err(), MetadataError::Selectors);
}

#[test]
fn names_fold_case_and_the_exact_one_wins() {
    let fields = r#""LASTMODIFIED": "2026-11-23T19:40:24Z", "verſion": "3.9.0", "MAC": "x", "mac": "y""#;
    let metadata = read(&format!("\"AGE\": {{\"Enc\": \"E\"}}, {fields}")).unwrap();
    assert_eq!(metadata.version, "3.9.0");
    assert_eq!(metadata.mac.as_deref(), Some("y"));
}

#[test]
fn types_are_converted_as_sops_converts_them() {
    for (text, expected) in [("2", 2), ("2.9", 2), ("\"0x2\"", 2), ("\"\"", 0), ("true", 1), ("-1", 0), ("null", 0)] {
        assert_eq!(with(&format!("\"shamir_threshold\": {text}")).unwrap().shamir_threshold, expected, "{text}");
    }
    for (text, expected) in [("\"t\"", true), ("\"\"", false), ("0.5", true), ("0", false), ("null", false)] {
        assert_eq!(with(&format!("\"mac_only_encrypted\": {text}")).unwrap().mac_only_encrypted, expected, "{text}");
    }
    for (text, expected) in [("1.50", "1.5"), ("true", "1"), ("7", "7")] {
        let selector = with(&format!("\"encrypted_suffix\": {text}")).unwrap().selector;
        assert_eq!(selector, Selector::EncryptedSuffix(expected.into()), "{text}");
    }
}

#[test]
fn what_sops_cannot_convert_is_refused_by_name() {
    assert_eq!(message(with(r#""shamir_threshold": "two""#)), "`shamir_threshold` is not a whole number");
    assert_eq!(message(with(r#""mac_only_encrypted": "yes""#)), "`mac_only_encrypted` is not true or false");
    assert_eq!(message(with(r#""encrypted_regex": []"#)), "`encrypted_regex` is not text");
    assert_eq!(message(with(r#""pgp": """#)), "`pgp` is not a list of maps");
    assert_eq!(message(with(r#""pgp": [{"enc": {}}]"#)), "`pgp[0].enc` is not text");
    assert_eq!(message(with(r#""key_groups": [{"age": [1]}]"#)), "`key_groups[0].age` is not a list of maps");
}

#[test]
fn a_single_map_is_a_list_of_one_and_an_empty_one_is_none() {
    let metadata =
        read(&format!(r#""age": {{"enc": "E"}}, "pgp": {{}}, "kms": [], "hc_vault": null, {REST}"#)).unwrap();
    assert_eq!(metadata.key_groups[0].len(), 1);
    assert_eq!(read(&format!("\"age\": {{}}, {REST}")).unwrap_err(), MetadataError::NoKeys);
    assert_eq!(read(&format!("\"age\": [null], {REST}")).unwrap().key_groups[0].len(), 1);
}

#[test]
fn keys_stand_in_the_order_of_sops() {
    let time = r#""created_at": "2026-11-23T19:40:24Z""#;
    let lists = format!(
        r#""age": [{{}}], "pgp": [{{{time}}}], "hc_vault": [{{{time}}}], "azure_kv": [{{{time}}}],
        "hckms": [{{{time}, "key_id": "r:u"}}], "gcp_kms": [{{{time}}}],
        "kms": [{{{time}, "arn": "A", "context": {{"x": 1, "y": null}}}}]"#
    );
    let metadata = read(&format!("{lists}, {REST}")).unwrap();
    let kinds: Vec<usize> = metadata.key_groups[0]
        .iter()
        .map(|key| match key {
            MasterKey::AwsKms(key) => {
                assert_eq!(key.context, [("x".to_owned(), "1".to_owned())]);
                0
            }
            MasterKey::GcpKms(_) => 1,
            MasterKey::HuaweiKms(_) => 2,
            MasterKey::AzureKeyVault(_) => 3,
            MasterKey::Vault(_) => 4,
            MasterKey::Pgp(_) => 5,
            MasterKey::Age(_) => 6,
        })
        .collect();
    assert_eq!(kinds, [0, 1, 2, 3, 4, 5, 6]);
}

#[test]
fn top_level_keys_win_over_groups_whose_dates_are_then_not_looked_at() {
    let groups = r#""key_groups": [{"pgp": [{"enc": "P"}]}, {"age": [{"enc": "A"}]}]"#;
    assert_eq!(with(groups).unwrap().key_groups.len(), 1);
    let message = message(read(&format!("{groups}, {REST}")));
    assert_eq!(message, "`key_groups[0].pgp[0].created_at` is not an RFC 3339 timestamp");
    let groups = r#""key_groups": [{"age": [{"enc": "A"}]}, {}]"#;
    assert_eq!(read(&format!("{groups}, {REST}")).unwrap().key_groups.len(), 2);
}

#[test]
fn dates_and_ids_of_unused_kinds_are_checked_too() {
    assert_eq!(
        message(with(r#""pgp": [{"created_at": "yesterday"}]"#)),
        "`pgp[0].created_at` is not an RFC 3339 timestamp"
    );
    let time = r#""created_at": "2026-11-23T19:40:24Z""#;
    assert_eq!(
        message(with(&format!(r#""hckms": [{{{time}, "key_id": "region:"}}]"#))),
        "`hckms[0].key_id` is not of the form region:uuid"
    );
}

#[test]
fn lastmodified_is_required_and_loses_its_fraction() {
    let fields = |time: &str| read(&format!(r#"{AGE}, "version": "3.9.0", "lastmodified": "{time}""#));
    assert_eq!(fields("2026-11-23T19:40:24.123+00:00").unwrap().last_modified, "2026-11-23T19:40:24Z");
    assert_eq!(fields("2026-11-23T19:40:24+02:00").unwrap().last_modified, "2026-11-23T19:40:24+02:00");
    assert_eq!(message(fields("")), "`lastmodified` is not an RFC 3339 timestamp");
}

#[test]
fn versions_have_three_numbers_or_begin_with_1() {
    for version in ["3.13.3", "v3.0.0", "4.0.0-rc.1+build.7", "1.x", "0.0.0"] {
        assert!(is_version(version), "{version}");
    }
    for version in ["", "3.9", "3.9.1.2", "03.9.1", "3.9.x", "vv3.9.1", "3.9.1-", "3.9.1-01", "3.9.1+", " 3.9.1", "2"] {
        assert!(!is_version(version), "{version}");
    }
}

#[test]
fn a_sops_entry_must_be_one_map() {
    let take = |text: &str| take(Format::Json, &mut store::parse(Format::Json, text.as_bytes()).unwrap());
    assert_eq!(take(r#"{"sops": null}"#).unwrap_err(), MetadataError::NotAMap);
    assert_eq!(take(r#"{"sops": {}, "sops": {}}"#).unwrap_err(), MetadataError::Duplicate);
    assert!(take(r#"{"a": {"sops": {}}}"#).unwrap().is_none());
}

#[test]
fn flattened_names_build_lists_and_maps_in_any_order() {
    let text = "sops_version=3.9.0\nA=1\nsops_key_groups__list_1__map_age__list_0__map_enc=x\\ny\n\
        sops_lastmodified=2026-11-23T19:40:24Z\n\
        sops_key_groups__list_0__map_kms__list_0__map_context__map_env=prod\n\
        sops_key_groups__list_0__map_kms__list_0__map_created_at=2026-11-23T19:40:24Z\n";
    let mut tree = store::parse(Format::Dotenv, text.as_bytes()).unwrap();
    let metadata = take(Format::Dotenv, &mut tree).unwrap().unwrap();
    assert_eq!(tree.branches[0].len(), 1);
    let [first, second] = metadata.key_groups.as_slice() else { panic!("two groups") };
    assert!(matches!(&first[0], MasterKey::AwsKms(key) if key.context == [("env".to_owned(), "prod".to_owned())]));
    assert!(matches!(&second[0], MasterKey::Age(key) if key.enc == "x\ny"));
}

#[test]
fn ini_metadata_has_escaped_or_real_newlines() {
    for enc in ["x\\ny", "\"\"\"x\ny\"\"\""] {
        let text =
            format!("[sops]\nage__list_0__map_enc = {enc}\nlastmodified = 2026-11-23T19:40:24Z\nversion = 3.9.0\n");
        let mut tree = store::parse(Format::Ini, text.as_bytes()).unwrap();
        let metadata = take(Format::Ini, &mut tree).unwrap().unwrap();
        assert!(matches!(&metadata.key_groups[0][0], MasterKey::Age(key) if key.enc == "x\ny"), "{enc}");
    }
}

#[test]
fn flattened_names_that_contradict_each_other_are_refused() {
    let take = |text: &str| take(Format::Dotenv, &mut store::parse(Format::Dotenv, text.as_bytes()).unwrap());
    for (text, expected) in [
        ("sops_a=1\nsops_a=2\n", "the name `sops_a` stands there twice"),
        ("sops_a=1\nsops_a__map_b=2\n", "the name `a` is both a value and a list or map"),
        ("sops_a__list_0=1\nsops_a__list_2=2\n", "the name `a` is a list with gaps"),
        ("sops_a__list_1=1\n", "the name `a` is a list with gaps"),
        ("sops_a__list_0__map_b=1\nsops_a__map_c=2\n", "the name `a` is both a value and a list or map"),
    ] {
        assert_eq!(message(take(text)), expected, "{text}");
    }
    let deep = format!("sops_{}=1\n", "a__map_".repeat(100_000));
    assert!(message(take(&deep)).ends_with("is nested too deeply"));
}

proptest! {
    #[test]
    fn no_flattened_names_make_it_panic(names in prop::collection::vec("(a|age|__map_|__list_|0|1|-1|99999999999999999999){0,6}", 0..6)) {
        let text = names.iter().fold(String::new(), |text, name| text + "sops_" + name + "=x\n");
        let _ = take(Format::Dotenv, &mut store::parse(Format::Dotenv, text.as_bytes()).unwrap());
    }

    #[test]
    fn no_json_metadata_makes_it_panic(name in "(age|pgp|kms|hckms|key_groups|context|mac|version|shamir_threshold)", value in r#"(null|1|-1e300|true|""|"x"|\[\]|\[null\]|\[\[\]\]|\{\}|\{"enc":1\}|\[\{"context":[1]\}\])"#) {
        let text = format!("{{\"sops\":{{\"{name}\":{value}}}}}");
        let _ = take(Format::Json, &mut store::parse(Format::Json, text.as_bytes()).unwrap());
    }
}
