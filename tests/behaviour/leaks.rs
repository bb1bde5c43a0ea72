//! The canary must be nowhere: not in a message, not in a log line, not in a file left behind.

use base64::Engine as _;

use super::scenarios::SCENARIOS;
use super::world::{CANARY, World};

/// The forms in which a value could be read.
fn forms(secret: &str) -> Vec<String> {
    let escaped = serde_json::to_string(secret).unwrap();
    let percent: String = secret
        .bytes()
        .map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect();
    let mut forms = vec![
        secret.to_owned(),
        escaped.trim_matches('"').to_owned(),
        escaped.trim_matches('"').replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026"),
        percent.clone(),
        percent.replace("%20", "+"),
        // What stays together in most other spellings.
        "canary-7Kq".to_owned(),
        // Of the number that some scenarios take.
        "67530986753".to_owned(),
    ];
    for shift in 0..3 {
        let padded = format!("{}{secret}", "x".repeat(shift));
        let encoded = base64::engine::general_purpose::STANDARD_NO_PAD.encode(padded);
        forms.push(encoded[4..encoded.len() - 4].to_owned());
    }
    forms
}

fn assert_clean(title: &str, world: &World, texts: &[&str]) {
    for form in forms(CANARY) {
        for text in texts {
            assert!(!text.contains(&form), "{title}: the canary is in the output as {form:?}");
        }
        for (path, content) in world.files() {
            // What the test itself wrote as plain text.
            let written_by_the_test =
                title == "an encrypted value was replaced by plain text" && path.ends_with("secrets.yaml");
            let found = content.windows(form.len()).any(|window| window == form.as_bytes());
            assert!(!found || written_by_the_test, "{title}: the canary is in {}", path.display());
        }
    }
}

#[test]
fn no_failure_shows_the_canary_or_leaves_it_behind() {
    for scenario in SCENARIOS {
        let (world, outcome) = (scenario.play)();
        assert_eq!(outcome.stdout, "", "{}: a failure prints no manifest", scenario.title);
        assert_clean(scenario.title, &world, &[&outcome.stderr]);
    }
}

#[test]
fn a_number_is_masked_as_helm_spells_it() {
    let world = World::new();
    world.encrypted("secrets.yaml", "pin: 8675309042\nrate: 0.00000712345\n");
    world.template("broken.yaml", "{{ fail (printf \"%v %v %s\" .Values.pin .Values.rate (toYaml .Values)) }}");
    let outcome = world.generate_values("secrets.yaml");
    assert_eq!(outcome.code, 1, "{}", outcome.stderr);
    assert!(outcome.stderr.contains("[redacted] [redacted]"), "{}", outcome.stderr);
    assert!(!outcome.stderr.contains("8.67") && !outcome.stderr.contains("7.12"), "{}", outcome.stderr);
}

#[test]
fn a_success_shows_the_canary_on_stdout_alone() {
    let world = World::new();
    world.with_canary();
    let outcome = world.generate_values("secrets.yaml");
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    assert!(outcome.stdout.contains("canary-7Kq"), "the value has arrived");
    assert_clean("success", &world, &[&outcome.stderr]);
}

#[test]
fn trace_logs_of_the_plugin_show_nothing() {
    let world = World::new();
    world.with_canary();
    let parameters = r#"[{"name":"valueFiles","array":["secrets.yaml"]}]"#;
    let outcome = world.plugin(parameters, &[("ARGOCD_SOPS_POLICY", "open"), ("ARGOCD_SOPS_LOG_FORMAT", "json")]);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    assert!(outcome.stderr.contains("\"level\":"), "there are log lines: {}", outcome.stderr);
    assert_clean("trace", &world, &[&outcome.stderr]);
}
