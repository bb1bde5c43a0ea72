//! Everything that goes wrong, each with a canary at hand. `messages` shows what people read, `leaks` looks for the canary.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;

use super::world::{CANARY, Outcome, World};

/// One way to fail.
pub(crate) struct Scenario {
    /// What is wrong.
    pub(crate) title: &'static str,
    /// Makes it go wrong.
    pub(crate) play: fn() -> (World, Outcome),
}

macro_rules! scenarios {
    ($($title:literal => $play:expr,)*) => { &[$(Scenario { title: $title, play: $play }),*] };
}

/// A chart with the canary in `secrets.yaml`.
fn canary() -> World {
    let world = World::new();
    world.with_canary();
    world
}

fn with_template(text: &str) -> (World, Outcome) {
    let world = canary();
    world.template("broken.yaml", text);
    let outcome = world.generate_values("secrets.yaml");
    (world, outcome)
}

fn with_parameters(parameters: &str) -> (World, Outcome) {
    let world = canary();
    let outcome = world.generate(&format!("plugin: {{name: sops, parameters: [{parameters}]}}"));
    (world, outcome)
}

fn with_values(files: &str) -> (World, Outcome) {
    let world = canary();
    let outcome = world.generate_values(files);
    (world, outcome)
}

fn with_setting(name: &str, value: &str) -> (World, Outcome) {
    let world = canary().set(name, value);
    let outcome = world.generate_values("secrets.yaml");
    (world, outcome)
}

fn edited(change: fn(String) -> String) -> (World, Outcome) {
    let world = canary();
    world.edit("repo/app/secrets.yaml", change);
    let outcome = world.generate_values("secrets.yaml");
    (world, outcome)
}

fn manifest(text: &str) -> (World, Outcome) {
    let world = canary();
    world.file("repo/app.yaml", text);
    let outcome = world.run(&["generate", "repo/app.yaml"], ".");
    (world, outcome)
}

/// The first characters of the ciphertext of `password` become others.
#[expect(clippy::needless_pass_by_value, reason = "it is passed on as a change of a file")]
fn tamper(text: String) -> String {
    let (before, after) = text.split_once("password: ENC[AES256_GCM,data:").expect("an encrypted value");
    let first = if after.starts_with('A') { "B" } else { "A" };
    format!("{before}password: ENC[AES256_GCM,data:{first}{}", &after[1..])
}

pub(crate) const SCENARIOS: &[Scenario] = scenarios! {
    // --- helm ---
    "helm is not there" => || with_setting("ARGOCD_SOPS_HELM", "no-such-helm"),
    "the time is up" => || {
        let world = canary();
        world.file("slow", "#!/bin/sh\nexec sleep 60\n");
        let program = world.path("slow");
        fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let world = world.set("ARGOCD_SOPS_HELM", &program.display().to_string()).set("ARGOCD_SOPS_TIMEOUT", "1s");
        let outcome = world.generate_values("secrets.yaml");
        (world, outcome)
    },
    "the time is up before the values are there" => || {
        let world = canary();
        let list = "- a\n".repeat(100_000);
        world.encrypted("large.yaml", &format!("list:\n{list}"));
        let world = world.set("ARGOCD_SOPS_TIMEOUT", "10ms");
        let outcome = world.generate_values("secrets.yaml, large.yaml");
        (world, outcome)
    },
    "a template cannot be parsed" => || with_template("a: {{ .Values.password"),
    "a template fails with the value" => || with_template("{{ fail (printf \"bad %s\" .Values.password) }}"),
    "a template fails with the quoted value" => || with_template("{{ fail (quote .Values.password) }}"),
    "a template fails with the value in JSON" => || with_template("{{ fail (toJson .Values) }}"),
    "a template fails with the value in base64" => || with_template("{{ fail (b64enc .Values.password) }}"),
    "a template fails with the value in base64 among others" =>
        || with_template("{{ fail (b64enc (printf \"user:%s!\" .Values.password)) }}"),
    "a template fails with the value in a URL" => || with_template("{{ fail (urlquery .Values.password) }}"),
    "a template fails with all values in YAML" => || with_template("{{ fail (toYaml .Values) }}"),
    "a template takes the value for a map" => || with_template("a: {{ .Values.password.user }}"),
    "a template takes the value for a number" => || with_template("a: {{ index .Values.password 1 2 }}"),
    "a required value is missing" => || with_template("a: {{ required \"set .Values.missing\" .Values.missing }}"),
    "the values do not fit the schema" => || {
        let world = canary();
        world.file("repo/app/values.schema.json", r#"{"properties": {"password": {"type": "string", "pattern": "^[0-9]+$"}}}"#);
        let outcome = world.generate_values("secrets.yaml");
        (world, outcome)
    },
    "a number does not fit the schema" => || {
        let world = canary();
        world.encrypted("pin.yaml", "pin: 8675309867530\n");
        world.file("repo/app/values.schema.json", r#"{"properties": {"pin": {"maximum": 5}}}"#);
        let outcome = world.generate_values("pin.yaml");
        (world, outcome)
    },
    "a template fails with a number" => || {
        let world = canary();
        world.encrypted("pin.yaml", "pin: 8675309867530\n");
        world.template("broken.yaml", "{{ fail (print .Values.pin) }}");
        let outcome = world.generate_values("pin.yaml");
        (world, outcome)
    },
    "a value of an encrypted text is of the wrong type" => || {
        let world = canary();
        world.encrypted("values.bin", "a: !!int canary-7Kq\n");
        let outcome = world.generate_values("values.bin");
        (world, outcome)
    },
    "there is no chart" => || {
        let world = canary();
        fs::remove_file(world.path("repo/app/Chart.yaml")).unwrap();
        let outcome = world.generate_values("secrets.yaml");
        (world, outcome)
    },
    "Chart.yaml is broken" => || {
        let world = canary();
        world.file("repo/app/Chart.yaml", "apiVersion: v2\nname: [web\n");
        let outcome = world.generate_values("secrets.yaml");
        (world, outcome)
    },
    "a dependency of the same repository is missing" => || {
        let world = canary();
        world.file(
            "repo/app/Chart.yaml",
            "apiVersion: v2\nname: web\nversion: 1.0.0\ndependencies: [{name: lib, version: 1.0.0, repository: 'file://../lib'}]\n",
        );
        let outcome = world.generate_values("secrets.yaml");
        (world, outcome)
    },
    "a dependency names a repository that only the caller knows" => || {
        let world = canary();
        world.file(
            "repo/app/Chart.yaml",
            "apiVersion: v2\nname: web\nversion: 1.0.0\ndependencies: [{name: lib, version: 1.0.0, repository: '@team'}]\n",
        );
        let outcome = world.generate_values("secrets.yaml");
        (world, outcome)
    },
    "a link of the chart leads out" => || {
        let world = canary();
        symlink("/etc/passwd", world.path("repo/app/templates/link.yaml")).unwrap();
        let outcome = world.generate_values("secrets.yaml");
        (world, outcome)
    },

    // --- what helm made of it ---
    "the output is no YAML" => || with_template("a: b\n c: {{ .Values.password }}"),
    "the output is no object" => || with_template("password: {{ .Values.password | quote }}"),
    "the output has no apiVersion" => || with_template("kind: Secret\nstringData: {a: {{ .Values.password | quote }}}"),
    "an encrypted file is taken as it is" => || {
        let world = canary();
        let text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  a: |-\n    {{ .Files.Get \"secrets.yaml\" | nindent 4 }}\n";
        world.template("raw.yaml", text);
        let text = "{{- $raw := .Files.Get \"secrets.yaml\" | fromYaml }}\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: b}\ndata: {a: {{ $raw.password | quote }}}\n";
        world.template("raw2.yaml", text);
        let outcome = world.generate_values("secrets.yaml");
        (world, outcome)
    },
    "there are no objects" => || {
        let world = canary();
        fs::remove_file(world.path("repo/app/templates/secret.yaml")).unwrap();
        let outcome = world.generate_values("secrets.yaml");
        (world, outcome)
    },

    // --- keys ---
    "there is no key" => || with_setting("SOPS_AGE_KEY_FILE", ""),
    "there is another key" => || {
        let world = canary().set("SOPS_AGE_KEY_FILE", "");
        let other = include_str!("../vectors/sops/keys/age-other.txt");
        let world = world.set("SOPS_AGE_KEY", other.lines().find(|line| line.starts_with("AGE-")).unwrap());
        let outcome = world.generate_values("secrets.yaml");
        (world, outcome)
    },
    "the key file is not there" => || with_setting("SOPS_AGE_KEY_FILE", "/no/such/key.txt"),
    "the mount holds a public key" => || {
        let world = canary().set("SOPS_AGE_KEY_FILE", "");
        fs::remove_file(world.path("keys/age.txt")).unwrap();
        world.file("repo/app/secrets.yaml", include_str!("../vectors/sops/cases/key-pgp-rsa.yaml"));
        world.file("keys/public.asc", include_str!("../vectors/sops/keys/pgp-rsa-1.pub.asc"));
        let keys = world.path("keys").display().to_string();
        let world = world.set("ARGOCD_SOPS_KEYS", &keys);
        let outcome = world.generate_values("secrets.yaml");
        (world, outcome)
    },

    // --- encrypted files ---
    "a value was tampered with" => || edited(tamper),
    "a value was moved" => || edited(|text| text.replace("password: ENC[", "passphrase: ENC[")),
    "the MAC was taken away" => || edited(|text| {
        let lines: Vec<_> = text.lines().filter(|line| !line.trim_start().starts_with("mac:")).collect();
        lines.join("\n") + "\n"
    }),
    "an encrypted value was replaced by plain text" => || edited(|text| {
        text.lines().map(|line| if line.starts_with("password:") { format!("password: {CANARY:?}\n") } else { format!("{line}\n") }).collect()
    }),
    "the metadata was cut away" => || edited(|text| text.split_once("sops:").unwrap().0.to_owned()),
    "the metadata is damaged" => || edited(|text| text.replace("lastmodified:", "lastmodifed:")),
    "an encrypted file is no YAML any more" => || edited(|text| format!("a: [\n{text}")),
    "conflict markers in an encrypted file" => || edited(|text| format!("<<<<<<< HEAD\n{text}")),
    "a file was encrypted twice" => || {
        let world = canary();
        let once = fs::read_to_string(world.path("repo/app/secrets.yaml")).unwrap();
        world.encrypted("secrets.bin", &once);
        let outcome = world.generate_values("secrets.bin");
        (world, outcome)
    },
    "dotenv as a values file" => || {
        let world = canary();
        world.encrypted("secrets.env", "PASSWORD=x\n");
        let outcome = world.generate_values("secrets.env");
        (world, outcome)
    },

    // --- references ---
    "a values file is missing" => || with_values("secret.yaml"),
    "a values file in a folder that is not there" => || with_values("envs/prod/secrets.yaml"),
    "a glob matches nothing" => || with_values("'envs/*.yaml'"),
    "a path leads out of the repository" => || with_values("../../../etc/passwd"),
    "a link leads out of the repository" => || {
        let world = canary();
        symlink(world.path("keys/age.txt"), world.path("repo/app/key.yaml")).unwrap();
        symlink("../../keys/age.txt", world.path("repo/app.key")).unwrap();
        fs::remove_file(world.path("repo/app/key.yaml")).unwrap();
        let outcome = world.generate_values("secrets.yaml, /app.key");
        (world, outcome)
    },
    "a folder as a values file" => || with_values("templates"),
    "a values file that helm cannot parse" => || {
        let world = canary();
        world.file("repo/app/broken.yaml", "a: b\nc: [d\n");
        let outcome = world.generate_values("secrets.yaml, broken.yaml");
        (world, outcome)
    },
    "$ref in a plugin" => || with_values("$values/secrets.yaml"),
    "age import" => || with_values("'secrets+age-import:///keys/age.txt?secrets.yaml'"),
    "gpg import" => || with_values("'secrets+gpg-import:///keys/key.asc?secrets.yaml'"),
    "age import from Kubernetes" => || with_values("'secrets+age-import-kubernetes://argocd/keys#age.txt?secrets.yaml'"),
    "a literal" => || with_values("'secrets+literal://abc'"),
    "a remote values file" => || with_values("'https://user:pass@values.example.com/v.yaml?token=t'"),
    "a remote encrypted file" => || with_values("'secrets://https://user:pass@values.example.com/v.yaml?token=t'"),
    "a backend of helm-secrets" => || with_values("'secrets://vals!secrets.yaml'"),
    "an optional file of helm-secrets" => || with_values("'secrets://?secrets.yaml'"),
    "an unknown scheme" => || with_values("'s3://bucket/values.yaml'"),

    // --- parameters ---
    "an unknown parameter" => || with_parameters("{name: valuesFiles, array: [secrets.yaml]}"),
    "a parameter of the wrong shape" => || with_parameters("{name: parameters, array: [a=b]}"),
    "a parameter twice" => || with_parameters("{name: releaseName, string: a}, {name: releaseName, string: b}"),
    "a switch that is none" => || with_parameters("{name: skipCrds, string: maybe}"),
    "a release name that would be a flag" => || with_parameters("{name: releaseName, string: '--post-renderer=sh'}"),
    "a file parameter whose name holds a path" =>
        || with_parameters("{name: fileParameters, map: {'password=/etc/hostname,b': values.yaml}}"),
    "a Kubernetes version that is none" => || with_parameters("{name: kubeVersion, string: latest}"),
    "inline values that are no YAML" => || with_parameters("{name: values, string: \"a: [b\\nc: d\"}"),
    "a chart from elsewhere" => || with_parameters("{name: chart, string: nginx}"),
    "a helm version that Argo CD does not know" => || with_parameters("{name: version, string: v2}"),

    // --- the plugin ---
    "no policy" => || {
        let world = canary();
        let outcome = world.plugin(r#"[{"name":"valueFiles","array":["secrets.yaml"]}]"#, &[]);
        (world, outcome)
    },
    "a policy that is not understood" => || {
        let world = canary();
        let outcome = world.plugin(
            r#"[{"name":"valueFiles","array":["secrets.yaml"]}]"#,
            &[("ARGOCD_SOPS_POLICY", "/etc/argocd-sops/policy.yaml")],
        );
        (world, outcome)
    },
    "parameters that are no JSON" => || {
        let world = canary();
        let outcome = world.plugin("[{", &[("ARGOCD_SOPS_POLICY", "open")]);
        (world, outcome)
    },
    "a file that was not sent" => || {
        let world = canary();
        let outcome = world.plugin(
            r#"[{"name":"valueFiles","array":["/shared/values.yaml"]}]"#,
            &[("ARGOCD_SOPS_POLICY", "open"), ("ARGOCD_APP_SOURCE_PATH", "teams/a/app")],
        );
        (world, outcome)
    },
    "no Argo CD around" => || {
        let world = canary();
        let outcome = world.run(&["generate"], "repo/app");
        (world, outcome)
    },

    // --- the terminal ---
    "no manifest" => || {
        let world = canary();
        let outcome = world.run(&["generate", "app.yml"], "repo");
        (world, outcome)
    },
    "no Application" => || manifest("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"),
    "an ApplicationSet" => || manifest("apiVersion: argoproj.io/v1alpha1\nkind: ApplicationSet\nmetadata: {name: a}\n"),
    "a manifest that is no YAML" => || manifest("apiVersion: argoproj.io/v1alpha1\nkind: [Application\n"),
    "helm and plugin in one source" => || {
        let world = canary();
        let outcome = world.generate("plugin: {name: sops}\nhelm: {valueFiles: [secrets.yaml]}");
        (world, outcome)
    },
    "another plugin" => || {
        let world = canary();
        let outcome = world.generate("plugin: {name: vault}");
        (world, outcome)
    },
    "a source that is not there" => || manifest(
        "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {name: a}\nspec:\n  source: {path: charts/web, plugin: {name: sops}}\n",
    ),
    "a folder of the chart for a manifest" => || {
        let world = canary();
        let outcome = world.run(&["generate", "repo/app"], ".");
        (world, outcome)
    },
    "a values file for a manifest" => || {
        let world = canary();
        let outcome = world.run(&["generate", "repo/app/values.yaml"], ".");
        (world, outcome)
    },
    "a check-out that is not there" => || {
        let world = canary();
        world.generate_values("secrets.yaml");
        let outcome = world.run(&["generate", "app.yaml", "--repo", "../web"], "repo");
        (world, outcome)
    },
    "a check-out of another source that is not there" => || {
        let world = canary();
        world.generate_values("secrets.yaml");
        let outcome = world.run(&["generate", "app.yaml", "--ref", "values=../values"], "repo");
        (world, outcome)
    },
    "no repository around the manifest" => || {
        let world = canary();
        world.generate_values("secrets.yaml");
        fs::rename(world.path("repo/app.yaml"), world.path("app.yaml")).unwrap();
        let outcome = world.run(&["generate", "app.yaml"], ".");
        (world, outcome)
    },
    "a chart that wants more memory than it may have" => || {
        let world = canary().set("ARGOCD_SOPS_HELM_MEMORY", "256Mi");
        world.template("bomb.yaml", "a: {{ repeat 3000000000 \"x\" | len }}\n");
        let outcome = world.generate_values("secrets.yaml");
        (world, outcome)
    },
    "a setting that cannot be used" => || with_setting("ARGOCD_SOPS_TIMEOUT", "soon"),

    // --- decrypt ---
    "decrypt: no such file" => || {
        let world = canary();
        let outcome = world.run(&["decrypt", "nothing.yaml"], "repo/app");
        (world, outcome)
    },
    "decrypt: a plain file" => || {
        let world = canary();
        let outcome = world.run(&["decrypt", "values.yaml"], "repo/app");
        (world, outcome)
    },
    "decrypt: a tampered file" => || {
        let world = canary();
        world.edit("repo/app/secrets.yaml", tamper);
        let outcome = world.run(&["decrypt", "secrets.yaml"], "repo/app");
        (world, outcome)
    },
    "decrypt: a YAML file of another name" => || {
        let world = canary();
        fs::rename(world.path("repo/app/secrets.yaml"), world.path("repo/app/secrets.enc")).unwrap();
        let outcome = world.run(&["decrypt", "secrets.enc"], "repo/app");
        (world, outcome)
    },
    "decrypt: a format that cannot hold it" => || {
        let world = canary();
        world.encrypted("deep.yaml", &format!("a: {{b: {CANARY:?}}}\n"));
        let outcome = world.run(&["decrypt", "--output-type", "dotenv", "deep.yaml"], "repo/app");
        (world, outcome)
    },
    "decrypt: nothing at a path" => || {
        let world = canary();
        let outcome = world.run(&["decrypt", "--extract", "[\"user\"]", "secrets.yaml"], "repo/app");
        (world, outcome)
    },
    "decrypt: a path that is none" => || {
        let world = canary();
        let outcome = world.run(&["decrypt", "--extract", "user.name", "secrets.yaml"], "repo/app");
        (world, outcome)
    },
    "healthcheck: there is no server" => || {
        let world = canary();
        let plugins = world.path("plugins").display().to_string();
        let world = world.set("ARGOCD_PLUGINSOCKFILEPATH", &plugins);
        let outcome = world.run(&["healthcheck"], "repo");
        (world, outcome)
    },
    "healthcheck: the server has left its socket" => || {
        let world = canary();
        let place = world.path("tmp");
        drop(UnixListener::bind(place.join("sops-v1.sock")).unwrap());
        let world = world.set("ARGOCD_PLUGINSOCKFILEPATH", &place.display().to_string());
        let world = world.set("ARGOCD_SOPS_PLUGIN_NAME", "sops-v1");
        let outcome = world.run(&["healthcheck"], "repo");
        (world, outcome)
    },
};
