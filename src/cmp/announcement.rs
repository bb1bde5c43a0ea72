//! What Argo CD's Parameters tab shows: every parameter, and the values files that the chart has.

use serde::Serialize;

use crate::app::{self, Environment, PARAMETERS, Parameter, Parameters, Shape};
use crate::repo::{Base, RepoPath, Source};
use crate::sops;

/// Where values files are looked for: in the application's folder and two levels below it.
const PATTERNS: [&str; 6] = ["*.yaml", "*.yml", "*/*.yaml", "*/*.yml", "*/*/*.yaml", "*/*/*.yml"];

/// The most values files that are announced: more than that nobody reads.
const MAX_FILES: usize = 100;

/// The most bytes of files that are read to tell encrypted ones from plain ones. A file beyond it counts as plain, which
/// changes how it is shown and not how it is rendered.
const MAX_BYTES: u64 = 16 * 1024 * 1024;

/// Folders of a chart whose files are no values.
const NO_VALUES_IN: [&str; 3] = ["templates", "charts", "crds"];

/// Files of a chart and of other tools that are no values. Hidden files are none either.
const NO_VALUES: [&str; 6] = [
    "Chart.yaml",
    "requirements.yaml",
    "kustomization.yaml",
    "kustomization.yml",
    "helmfile.yaml",
    "docker-compose.yml",
];

/// One parameter as Argo CD's JSON has it (`repository.ParameterAnnouncement`, argo-cd 3.6). What it also knows, `required`
/// and `map`, is never filled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Announcement {
    /// The parameter's name.
    pub name: &'static str,
    /// Its label.
    pub title: String,
    /// What it does.
    pub tooltip: &'static str,
    /// `boolean` for a switch, else empty, which means `string`; values are strings all the same.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub item_type: &'static str,
    /// `string`, `array` or `map`: Argo CD does not guess it.
    pub collection_type: &'static str,
    /// What holds until the Application says something else.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub string: String,
    /// The entries that Argo CD shows until the Application has its own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub array: Vec<String>,
}

/// Announces all parameters, for the chart of a source if there is one. Argo CD shows the values of an announcement until the
/// Application sets the parameter, and begins with them when somebody edits it.
///
/// Nothing is decrypted, no key is looked at, and nothing of a file but its path is told. It never fails: what cannot be read
/// is not announced. It reads files, so it does not belong on a thread of the runtime.
#[must_use]
pub fn announce(source: Option<&Source>, environment: &Environment) -> Vec<Announcement> {
    // What holds for an Application that says nothing.
    let request = app::Request { environment: environment.clone(), ..Default::default() };
    let plan = app::plan(&request).ok();
    let given = environment.parameters().and_then(|text| Parameters::from_json(text).ok());
    let says_which = given.is_some_and(|parameters| !parameters.value_files.is_empty());
    PARAMETERS
        .iter()
        .map(|parameter| {
            let mut announcement = Announcement::from(parameter);
            match (parameter.name, &plan) {
                ("valueFiles", _) => announcement.array = source.map(values_files).unwrap_or_default(),
                ("releaseName", Some(plan)) => announcement.string = plan.release.to_string(),
                ("namespace", Some(plan)) => {
                    announcement.string = plan.namespace.as_ref().map(ToString::to_string).unwrap_or_default();
                }
                _ => {}
            }
            if !announcement.array.is_empty() && !says_which {
                // The tab shows title and values, and not the tooltip.
                announcement.title.push_str(" (none set; these are in the chart)");
            }
            announcement
        })
        .collect()
}

impl From<&Parameter> for Announcement {
    fn from(parameter: &Parameter) -> Self {
        let is_switch = parameter.shape == Shape::Switch;
        Self {
            name: parameter.name,
            title: parameter.title.to_owned(),
            tooltip: parameter.tooltip,
            item_type: if is_switch { "boolean" } else { "" },
            collection_type: parameter.shape.as_str(),
            string: if is_switch { "false".to_owned() } else { String::new() },
            array: Vec::new(),
        }
    }
}

/// The files of the application's folder that look like values, as `valueFiles` would name them: those of the folder
/// itself first, encrypted ones with `secrets://`.
fn values_files(source: &Source) -> Vec<String> {
    let mut paths: Vec<RepoPath> = Vec::new();
    for pattern in PATTERNS {
        // A link that leads out spoils one pattern; rendering will name it.
        let found = source.resolve(Base::Application, pattern).and_then(|pattern| source.matches(&pattern));
        paths.extend(found.unwrap_or_default().into_iter().filter_map(|path| path.below(source.app())));
    }
    let charts: Vec<RepoPath> = paths
        .iter()
        .filter(|path| path.file_name() == "Chart.yaml" && !path.parent().as_str().is_empty())
        .map(RepoPath::parent)
        .collect();
    paths.retain(|path| {
        let is_hidden = path.components().any(|name| name.starts_with('.'));
        let is_of_the_chart = path.components().next().is_some_and(|first| NO_VALUES_IN.contains(&first));
        // Such a name would mean something else as an entry of `valueFiles`.
        let has_signs = path.as_str().contains(['*', '?', '[', ']', '{', '}', '$', '\\']);
        let is_of_another = charts.iter().any(|chart| path.below(chart).is_some());
        !(is_hidden || is_of_the_chart || has_signs || is_of_another || NO_VALUES.contains(&path.file_name()))
    });
    // Who takes the list over gets the chart's defaults first, where they are weakest.
    let is_default = |path: &RepoPath| matches!(path.as_str(), "values.yaml" | "values.yml");
    paths.sort_by_key(|path| (!is_default(path), path.components().count(), path.clone()));
    let mut room = MAX_BYTES;
    let entries = paths.into_iter().filter_map(|path| entry(source, &path, &mut room));
    entries.take(MAX_FILES).collect()
}

/// The entry for a file; `None` for one that holds Kubernetes objects, or is none.
fn entry(source: &Source, path: &RepoPath, room: &mut u64) -> Option<String> {
    let file = source.file(source.resolve(Base::Application, path.as_str()).ok()?).ok()?;
    let Ok(bytes) = file.read(*room) else { return Some(path.to_string()) };
    *room = room.saturating_sub(bytes.len() as u64);
    let begins = |word: &[u8]| bytes.split(|byte| *byte == b'\n').any(|line| line.starts_with(word));
    if begins(b"apiVersion:") && begins(b"kind:") {
        return None;
    }
    // Broken ciphertext is no plain text.
    let is_encrypted = !matches!(sops::detect(path.file_name(), &bytes), Ok(None));
    Some(if is_encrypted { format!("secrets://{path}") } else { path.to_string() })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    const ENCRYPTED: &str = "a: ENC[AES256_GCM,data:AA==,iv:AA==,tag:AA==,type:str]\nsops:\n    mac: ENC[AES256_GCM,data:AA==,iv:AA==,tag:AA==,type:str]\n";

    fn tree(files: &[(&str, &str)]) -> (tempfile::TempDir, Source) {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = folder.path().join("app").join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let source = Source::open(folder.path(), "app").unwrap();
        (folder, source)
    }

    fn environment(pairs: &[(&str, &str)]) -> Environment {
        Environment::from_pairs(pairs.iter().copied()).unwrap()
    }

    fn announced(announcements: &[Announcement], name: &str) -> Announcement {
        announcements.iter().find(|announcement| announcement.name == name).unwrap().clone()
    }

    #[test]
    fn every_parameter_is_announced_with_its_collection_type() {
        let announcements = announce(None, &Environment::default());
        assert_eq!(announcements.len(), PARAMETERS.len());
        let json = serde_json::to_value(&announcements).unwrap();
        assert_eq!(json[0]["name"], "valueFiles");
        assert_eq!(json[0]["collectionType"], "array");
        assert_eq!(json[0]["title"], "Values files");
        assert_eq!(json[0].get("array"), None, "nobody knows the chart");
        let switch = json.as_array().unwrap().iter().find(|each| each["name"] == "skipCrds").unwrap();
        assert_eq!((&switch["itemType"], &switch["string"]), (&"boolean".into(), &"false".into()));
        assert_eq!(switch["collectionType"], "string");
    }

    #[test]
    fn the_charts_values_files_are_announced_and_encrypted_ones_marked() {
        let (_keep, source) = tree(&[
            ("Chart.yaml", "name: web"),
            ("values.yaml", "a: 1"),
            ("secrets.yaml", ENCRYPTED),
            ("env/prod.yml", "b: 1"),
            ("env/secrets/prod.yaml", ENCRYPTED),
            ("env/too/deep/values.yaml", "c: 1"),
            ("templates/deployment.yaml", "a: 1"),
            ("templates/sub/x.yaml", "a: 1"),
            ("charts/sub/values.yaml", "a: 1"),
            ("crds/crd.yaml", "a: 1"),
            ("other/Chart.yaml", "name: other"),
            ("other/values.yaml", "a: 1"),
            ("extra/object.yaml", "kind: ConfigMap\napiVersion: v1\n"),
            (".argocd-source.yaml", "a: 1"),
            ("values-$ENV.yaml", "a: 1"),
            ("README.md", "a"),
        ]);
        let found = announced(&announce(Some(&source), &Environment::default()), "valueFiles");
        assert_eq!(
            found.array,
            ["values.yaml", "secrets://secrets.yaml", "env/prod.yml", "secrets://env/secrets/prod.yaml"]
        );
        assert_eq!(found.title, "Values files (none set; these are in the chart)");
    }

    #[test]
    fn what_an_application_sets_is_not_said_to_be_unset() {
        let (_keep, source) = tree(&[("values.yaml", "a: 1")]);
        let set = environment(&[("ARGOCD_APP_PARAMETERS", r#"[{"name": "valueFiles", "array": ["values.yaml"]}]"#)]);
        assert_eq!(announced(&announce(Some(&source), &set), "valueFiles").title, "Values files");
    }

    #[test]
    fn defaults_are_those_that_hold() {
        let team = environment(&[("ARGOCD_APP_NAME", "team-a_web"), ("ARGOCD_APP_NAMESPACE", "shop")]);
        let announcements = announce(None, &team);
        assert_eq!(announced(&announcements, "releaseName").string, "web");
        assert_eq!(announced(&announcements, "namespace").string, "shop");
    }

    #[test]
    fn a_tab_is_never_failed() {
        let (keep, source) = tree(&[("values.yaml", "a: 1"), ("broken.yaml", "a: ENC[AES256_GCM,data:x\n\t- {")]);
        symlink("/etc/passwd", keep.path().join("app/out.yaml")).unwrap();
        symlink("loop.yml", keep.path().join("app/loop.yml")).unwrap();
        fs::create_dir(keep.path().join("app/folder.yml")).unwrap();
        let odd = environment(&[("ARGOCD_APP_NAME", "--x"), ("ARGOCD_APP_PARAMETERS", "not JSON")]);
        assert_eq!(announce(Some(&source), &odd).len(), PARAMETERS.len());
        fs::remove_file(keep.path().join("app/out.yaml")).unwrap();
        let found = announced(&announce(Some(&source), &odd), "valueFiles");
        assert_eq!(found.array, ["values.yaml", "secrets://broken.yaml"]);
    }

    #[test]
    fn a_repository_full_of_yaml_is_cut_short() {
        let names: Vec<String> = (0..MAX_FILES + 10).map(|number| format!("{number:04}.yaml")).collect();
        let files: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "a: 1")).collect();
        let (keep, source) = tree(&files);
        fs::File::create(keep.path().join("app/0000.yaml")).unwrap().set_len(1 << 40).unwrap();
        let found = announced(&announce(Some(&source), &Environment::default()), "valueFiles");
        assert_eq!((found.array.len(), found.array[0].as_str()), (MAX_FILES, "0000.yaml"));
    }
}
