//! Charts that change by themselves, and charts that do not.

use std::io::Write as _;

use super::*;
use crate::app;
use crate::deadline::Deadline;
use crate::helm::{Chart, Environment, Helm, Options, tools};
use crate::repo::RepoPath;
use crate::secret::Plaintext;
use crate::values::ValuesFile;

/// A chart of files, rendered with values and `--set`.
fn volatile(files: &[(&str, &[u8])], values: &str, set: &str) -> bool {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    let parameters = serde_json::json!([{"name": "parameters", "map": {"a": set}}]).to_string();
    let variables = [("ARGOCD_APP_NAME", "web"), ("ARGOCD_APP_PARAMETERS", &parameters)];
    let plan = app::plan(&app::Request::from_plugin(variables).unwrap()).unwrap();
    let file = ValuesFile { name: "values.yaml".into(), content: Plaintext::from(values.to_owned()) };
    is_volatile(folder.path(), &Values { files: vec![file], secrets: Vec::new() }, &plan)
}

fn template(text: &str) -> bool {
    volatile(&[("templates/a.yaml", text.as_bytes())], "", "")
}

fn values(text: &str) -> bool {
    volatile(&[("templates/a.yaml", b"{{ tpl .Values.a . }}")], text, "")
}

fn archive(name: &str, content: &[u8]) -> Vec<u8> {
    let mut archive = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    archive.append_data(&mut header, name, content).unwrap();
    archive.into_inner().unwrap().finish().unwrap()
}

#[test]
fn functions_of_time_and_chance_are_found() {
    for text in [
        "a: {{ now }}",
        "a: {{- now -}}",
        "a: {{ .Values.x | default (now | unixEpoch) }}",
        "a: {{ date \"2006\" .Values.x }}",
        "{{ $x := randAlphaNum 8 }}",
        "{{ (genCA \"x\" 365).Cert }}",
        "{{ \"}}\" }}{{ uuidv4 }}",
        "{{ print \"}}\" now }}",
        "{{ tpl \"{{ .x }} {{ now }}\" . }}",
        "{{ tpl `{{ print \"{{ now }}\" }}` . }}",
        "{{/* begins */ now }}",
        "{{ shuffle .Values.x",
    ] {
        assert!(template(text), "{text}");
    }
}

#[test]
fn what_only_looks_like_them_is_not() {
    for text in [
        "now: {{ .Values.now }} date: {{ $date }} ago",
        "{{/* now and then */}}{{- /* randAlpha */ -}}",
        "{{ default \"now\" .Values.x }}",
        "{{ include \"common.date\" . }}",
        "{{ .Values.general }}",
        "{{ `{{ $labels.pod }}` }} {{ \"{{\" }}",
        "{{ tpl (toYaml .Values.x) . }}",
        "{{ dateModify \"1h\" (toDate \"2006\" \"2020\") | unixEpoch }}",
    ] {
        assert!(!template(text), "{text}");
    }
}

#[test]
fn values_are_templates_for_tpl() {
    for text in [
        "a: '{{ now }}'",
        "a: \"{{ printf \\\"%s\\\" now }}\"",
        "{\"a\": \"{{ randAlpha 5 }}\"}",
        "a: |\n  {{- if true }}\n  {{ uuidv4 }}\n  {{- end }}\n",
        "a: \"\\u007b\\x7B no\\u0077 }}\"",
        "a: \"{{ n\\\n  ow }}\"",
        "a: '{{ n'",
    ] {
        assert!(values(text), "{text}");
    }
    for text in ["a: now", "date: '{{ .Values.date }}'", "a: '{{ .Release.Name }}-x'", "a: \"tab \\t and \\\" quote\""]
    {
        assert!(!values(text), "{text}");
    }
    let a_chart = [("templates/a.yaml", &b"{{ tpl .Values.a . }}"[..])];
    assert!(volatile(&a_chart, "", "{{ now }}"));
    assert!(volatile(&a_chart, "", "{{ n\\ow }}"));
    assert!(!volatile(&a_chart, "", "now"));
}

#[test]
fn a_template_made_of_parts_is_not_trusted() {
    assert!(template("{{ tpl (printf \"{{ %s }}\" .Values.x) . }}"));
    assert!(template("{{ $a := \"{{ n\" }}{{ tpl (print $a \"ow }}\") . }}"));
    assert!(template("{{ tpl \"{{ n\\u006fw }}\" . }}"));
    assert!(!template("{{ printf \"{{ %s }}\" .Values.x }}"), "nobody renders it");
}

#[test]
fn a_text_that_is_decoded_before_it_is_rendered_is_not_trusted() {
    // `{{ now }}`
    let text = "a: e3sgbm93IH19";
    let chart = |template: &'static [u8]| [("templates/a.yaml", template)];
    assert!(volatile(&chart(b"{{ tpl (b64dec .Values.a) . }}"), text, ""));
    assert!(!volatile(&chart(b"{{ b64dec .Values.a }}"), text, ""), "nobody renders it");
    assert!(volatile(&chart(b"{{ tpl .Values.a . }}"), "a: !!binary e3sgbm93IH19", ""));
}

#[test]
fn data_in_a_folder_that_is_called_templates_is_data() {
    let json: &[u8] = br#"{"a": "{{ \"x\" | print now }}"}"#;
    for name in ["files/templates/a.json", "charts/sub/files/templates/a.json"] {
        assert!(volatile(&[(name, json)], "", ""), "{name}");
    }
    let sub = archive("sub/files/templates/a.json", json);
    assert!(volatile(&[("charts/sub-1.0.0.tgz", &sub)], "", ""));
    for name in ["templates/a.yaml", "charts/sub/templates/deep/a.yaml"] {
        assert!(!volatile(&[(name, b"{{ default \"now\" .Values.x }}")], "", ""), "{name}");
    }
}

#[test]
fn every_file_of_a_chart_is_looked_at() {
    let now = b"{{ now }}";
    for name in ["templates/_helpers.tpl", "files/page.html", "values.yaml", "charts/sub/templates/deep/x.yaml", ".x"] {
        assert!(volatile(&[(name, now)], "", ""), "{name}");
    }
}

#[test]
fn sub_charts_in_archives_are_looked_at() {
    let sub = archive("sub/templates/a.yaml", b"{{ now }}");
    assert!(volatile(&[("charts/sub-1.0.0.tgz", &sub)], "", ""));
    let nested = archive("outer/charts/sub-1.0.0.tgz", &sub);
    assert!(volatile(&[("charts/outer-1.0.0.tgz", &nested)], "", ""));
    let steady = archive("sub/templates/a.yaml", b"{{ .Values.a }}");
    assert!(!volatile(&[("charts/sub-1.0.0.tgz", &steady)], "", ""));
}

#[test]
fn what_cannot_be_looked_at_counts_as_volatile() {
    assert!(volatile(&[("charts/broken-1.0.0.tgz", b"\x1f\x8b broken")], "", ""));
    let mut bomb = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let zeros = vec![b' '; 1024 * 1024];
    let mut header = tar::Header::new_gnu();
    header.set_path("sub/files/x").unwrap();
    header.set_size(100 * 1024 * 1024);
    header.set_cksum();
    bomb.write_all(header.as_bytes()).unwrap();
    for _ in 0..100 {
        bomb.write_all(&zeros).unwrap();
    }
    assert!(volatile(&[("charts/bomb-1.0.0.tgz", &bomb.finish().unwrap())], "", ""));
    assert!(volatile(&[("values.schema.json", br#"{"$ref": "file:///x.json"}"#)], "", ""));
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(".", folder.path().join("loop")).unwrap();
    let mut look = Look::new();
    assert!(look.folder(folder.path(), "", 0).is_none());
}

#[test]
fn a_text_full_of_beginnings_takes_no_time() {
    for part in ["{{/*}}", "{{", "{{\"", "{{`", "{{ '", "{{ \"{{ `{{ '"] {
        for end in ["", "*/", "}}"] {
            let text = part.repeat(50_000) + end;
            let mut actions = Actions::default();
            actions.template(text.as_bytes());
            actions.data(text.as_bytes());
            assert!(!actions.are_volatile(), "{part} {end}");
        }
    }
}

/// Calls whose outcome differs from run to run.
const DIFFER: &[&str] = &[
    "now",
    "date \"05.000000000\" \"\"",
    "dateInZone \"05.000000000\" \"\" \"UTC\"",
    "date_in_zone \"05.000000000\" \"\" \"UTC\"",
    "shuffle \"abcdefghijklmnopqrstuvwxyz\"",
    "bcrypt \"x\"",
    "htpasswd \"a\" \"b\"",
    "encryptAES \"k\" \"t\"",
    "randAlphaNum 12",
    "randAlpha 12",
    "randAscii 12 | b64enc",
    "randNumeric 12",
    "randBytes 12",
    "randInt 0 1000000000",
    "uuidv4",
    "genPrivateKey \"ed25519\" | b64enc",
    "(genCAWithKey \"x\" 1 (genPrivateKey \"ed25519\")).Cert | b64enc",
    "(genSelfSignedCertWithKey \"x\" nil nil 1 (genPrivateKey \"ed25519\")).Cert | b64enc",
];

/// Calls that are volatile, but not to be seen within a second, or without a cluster's network.
const SLOW: &[&str] = &[
    "ago (toDate \"2006\" \"2020\")",
    "durationRound (toDate \"2006\" \"2020\")",
    "htmlDate \"\"",
    "htmlDateInZone \"\" \"UTC\"",
    "getHostByName \"localhost\"",
    "(genCA \"x\" 1).Cert | trunc 10",
    "(genSelfSignedCert \"x\" nil nil 1).Cert | trunc 10",
    "(genSignedCert \"x\" nil nil 1 (genCA \"x\" 1)).Cert | trunc 10",
    "(genSignedCertWithKey \"x\" nil nil 1 (genCA \"x\" 1) (genPrivateKey \"ed25519\")).Cert | trunc 10",
];

/// Calls that sound like time or chance and are not.
const STEADY: &[&str] = &[
    "dateModify \"1h\" (toDate \"2006\" \"2020\")",
    "toDate \"2006\" \"2020\" | unixEpoch",
    "duration 95",
    "derivePassword 1 \"long\" \"p\" \"u\" \"s\"",
    "lookup \"v1\" \"Secret\" \"a\" \"b\"",
    "sha256sum \"x\"",
];

/// What a helm prints for each call.
async fn outcomes(program: &Path, calls: &[&str]) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("templates")).unwrap();
    fs::write(folder.path().join("Chart.yaml"), "apiVersion: v2\nname: web\nversion: 1.0.0\n").unwrap();
    let lines: Vec<_> =
        calls.iter().enumerate().map(|(number, call)| format!("n{number}: '{{{{ {call} }}}}'")).collect();
    fs::write(folder.path().join("templates/a.yaml"), lines.join("\n")).unwrap();
    let options = Options {
        program: program.into(),
        search_path: None,
        scratch: folder.path().to_owned(),
        max_output: 1024 * 1024,
        max_memory: 1 << 30,
        environment: Environment::default(),
    };
    let plan = app::plan(&app::Request::from_plugin([("ARGOCD_APP_NAME", "web")]).unwrap()).unwrap();
    let chart = Chart { folder: folder.path(), tree: folder.path(), name: &RepoPath::root() };
    let deadline = Deadline::within(std::time::Duration::from_mins(1));
    let run = Helm::find(options).unwrap().start(chart, &plan, 0, deadline).unwrap();
    let printed = run.feed(&Values::default()).await.unwrap().into_plaintext();
    let printed = String::from_utf8(printed.expose().to_vec()).unwrap();
    let outcomes: Vec<_> = printed.lines().filter(|line| line.starts_with('n')).map(str::to_owned).collect();
    assert_eq!(outcomes.len(), calls.len(), "{printed}");
    outcomes
}

#[tokio::test]
async fn the_functions_are_those_of_the_real_helms() {
    for version in ["helm-4.2.4/helm", "helm-3.22.0/helm"] {
        let Some(program) = tools::tool(version) else { continue };
        let calls: Vec<_> = [DIFFER, STEADY, SLOW].concat();
        let (one, other) = tokio::join!(outcomes(&program, &calls), outcomes(&program, &calls));
        for (number, call) in calls.iter().enumerate() {
            let volatile = !STEADY.contains(call);
            if !SLOW.contains(call) {
                assert_eq!(one[number] != other[number], volatile, "{call}: {}", one[number]);
            }
            assert_eq!(template(&format!("a: {{{{ {call} }}}}")), volatile, "{call}");
        }
    }
}
