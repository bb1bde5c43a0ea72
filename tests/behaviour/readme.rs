//! The README says what the code does: its tables come from the tables of the code.

use std::fmt::Write as _;
use std::fs;

use argocd_sops::app::PARAMETERS;
use argocd_sops::config::SETTINGS;

const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");

/// Compares what stands between two marks; `UPDATE_README=1` writes it instead.
fn compare(name: &str, expected: &str) {
    let (begin, end) = (format!("<!-- {name}: begin -->\n"), format!("<!-- {name}: end -->"));
    let text = fs::read_to_string(README).unwrap();
    let (before, rest) = text.split_once(&begin).expect("the mark of the beginning");
    let (found, after) = rest.split_once(&end).expect("the mark of the end");
    if std::env::var("UPDATE_README").is_ok() {
        fs::write(README, format!("{before}{begin}{expected}{end}{after}")).unwrap();
    } else {
        assert_eq!(found, expected, "run this test with UPDATE_README=1");
    }
}

#[test]
fn the_tables_are_those_of_the_code() {
    let mut settings = String::from("| Variable | Value | Default | |\n| --- | --- | --- | --- |\n");
    for setting in SETTINGS {
        let default = if setting.default == "-" { String::new() } else { format!("`{}`", setting.default) };
        writeln!(settings, "| `{}` | {} | {default} | {} |", setting.name, setting.kind, setting.help).unwrap();
    }
    let mut parameters = String::from("| Parameter | Form | |\n| --- | --- | --- |\n");
    for parameter in PARAMETERS {
        writeln!(parameters, "| `{}` | {} | {} |", parameter.name, parameter.shape.as_str(), parameter.tooltip)
            .unwrap();
    }
    compare("settings", &settings);
    compare("parameters", &parameters);
}
