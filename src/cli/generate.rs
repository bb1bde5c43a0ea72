//! `generate`: as a plugin from variables and a working directory, in a terminal from a manifest and a check-out.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use tracing::info;

use super::Printed;
use super::arguments::Generate;
use super::decrypt::read;
use super::report::Failure;
use crate::app::{self, ApiVersion, Application, KubeVersion, Surroundings};
use crate::config::Variables;
use crate::deadline::Deadline;
use crate::helm::Slots;
use crate::keyring::Keys;
use crate::phases::Phases;
use crate::plugin::{self, Plugin};
use crate::repo::{self, Base, Source};
use crate::values::{Loader, Policy, Sources};

/// The name by which Applications call the plugin.
const PLUGIN_NAME: &str = "sops";

/// The most bytes of a manifest that are read, as the API server would store them.
const MAX_MANIFEST: u64 = 3 * 1024 * 1024;

pub(super) async fn run(arguments: Generate, variables: &Variables) -> Result<Vec<Printed>, Failure> {
    match &arguments.app {
        None => as_plugin(variables).await,
        Some(manifest) => in_terminal(manifest, &arguments, variables).await,
    }
}

/// The contract of a CMP `generate` command.
async fn as_plugin(variables: &Variables) -> Result<Vec<Printed>, Failure> {
    let request = app::Request::from_plugin(variables.text().map(|(name, value)| (name, value.to_owned())))
        .map_err(plugin::Error::App)?;
    let folder = std::env::current_dir().map_err(|cause| Failure::Read { file: ".".into(), cause })?;
    let (root, app, above) = archive_root(&folder, request.environment.source_path().unwrap_or_default());
    let own = Source::open_trimmed(&root, &app, &above)?;
    let plugin = plugin(variables, variables.policy()?, Keeps::nothing())?;
    let rendered = plugin
        .generate(plugin::Request {
            app: request,
            sources: Sources { own, refs: BTreeMap::new() },
            deadline: Deadline::within(variables.timeout()?),
            phases: Phases::default(),
            ahead: None,
        })
        .await?;
    Ok(vec![Printed::Manifests(rendered)])
}

/// Where the archive that Argo CD sent was unpacked: the working directory without the end that it shares with the
/// source's path. With `manifest-generate-paths` the archive begins below the repository's root, and what is missing above
/// it is the last of the three.
pub(super) fn archive_root(folder: &Path, source_path: &str) -> (PathBuf, String, String) {
    let wanted: Vec<&str> = source_path.split('/').filter(|name| !matches!(*name, "" | ".")).collect();
    let mut root = folder.to_owned();
    let mut shared = 0;
    for name in wanted.iter().rev() {
        match root.components().next_back() {
            Some(Component::Normal(last)) if last == *name => {
                root.pop();
                shared += 1;
            }
            _ => break,
        }
    }
    let (above, app) = wanted.split_at(wanted.len() - shared);
    (root, app.join("/"), above.join("/"))
}

/// An Application of a manifest, each of its sources in turn.
async fn in_terminal(manifest: &Path, arguments: &Generate, variables: &Variables) -> Result<Vec<Printed>, Failure> {
    let text = String::from_utf8_lossy(&read(manifest, MAX_MANIFEST)?).into_owned();
    let failure = |cause| Failure::Manifest { file: manifest.to_owned(), cause };
    let application = Application::parse(&text).map_err(failure)?;
    let named = arguments.repo.iter().map(|folder| ("--repo", folder));
    let mut named = named.chain(arguments.refs.iter().map(|(_, folder)| ("--ref", folder)));
    if let Some((option, folder)) = named.find(|(_, folder)| !folder.is_dir()) {
        return Err(Failure::Folder { option, folder: folder.clone() });
    }
    let root = match &arguments.repo {
        Some(folder) => folder.clone(),
        None => work_tree(manifest)?,
    };
    let option = |name, cause| Failure::Option { name, cause };
    let surroundings = Surroundings {
        plugin_name: PLUGIN_NAME.to_owned(),
        revision: None,
        kube_version: (arguments.kube_version.as_deref().map(KubeVersion::parse).transpose())
            .map_err(|cause| option("--kube-version", cause))?,
        api_versions: (arguments
            .api_versions
            .iter()
            .map(|version| ApiVersion::parse(version))
            .collect::<Result<_, _>>())
        .map_err(|cause| option("--api-versions", cause))?,
    };
    let plugin = plugin(variables, Policy::Open, Keeps::nothing())?;
    let mut rendered = Vec::new();
    for source in &application.sources {
        let own = Source::open(&root, &source.path)?;
        let source = with_overrides(&application, source.clone(), &own).map_err(|error| match error {
            Override::Manifest(cause) => failure(cause),
            Override::File(cause) => Failure::Source(cause),
        })?;
        let refs = arguments.refs.iter().map(|(name, folder)| Ok((name.clone(), Source::open(folder, ".")?)));
        let request = plugin::Request {
            app: application.request(&source, &surroundings).map_err(failure)?,
            sources: Sources { own, refs: refs.collect::<Result<_, repo::Error>>()? },
            deadline: Deadline::within(variables.timeout()?),
            phases: Phases::default(),
            ahead: None,
        };
        rendered.push(Printed::Manifests(plugin.generate(request).await?));
    }
    Ok(rendered)
}

enum Override {
    Manifest(app::ManifestError),
    File(repo::Error),
}

/// Applies the override files of the application's folder; in a cluster the repo-server has done so.
fn with_overrides(application: &Application, mut source: app::Source, files: &Source) -> Result<app::Source, Override> {
    for name in app::override_files(application.instance_name()) {
        let path = files.resolve(Base::Application, &name).map_err(Override::File)?;
        match files.file(path.clone()) {
            Ok(file) => {
                let text = file.read(MAX_MANIFEST).map_err(Override::File)?;
                source.apply_override(path.as_str(), &String::from_utf8_lossy(&text)).map_err(Override::Manifest)?;
            }
            Err(repo::Error::Missing { .. }) => {}
            Err(error) => return Err(Override::File(error)),
        }
    }
    Ok(source)
}

/// The git work tree around a manifest; around the working directory for stdin.
fn work_tree(manifest: &Path) -> Result<PathBuf, Failure> {
    let begin = if manifest.as_os_str() == "-" { Path::new(".") } else { manifest.parent().unwrap_or(Path::new(".")) };
    let begin = if begin.as_os_str().is_empty() { Path::new(".") } else { begin };
    let folder = begin.canonicalize().map_err(|cause| Failure::Read { file: begin.to_owned(), cause })?;
    let root = folder.ancestors().find(|folder| folder.join(".git").exists());
    root.map(Path::to_owned).ok_or_else(|| Failure::NoRepository { file: manifest.to_owned() })
}

/// What a plugin keeps from one request for the next, and how many helms it runs at once.
pub(super) struct Keeps {
    /// Where private copies of charts are made; else where the variables say.
    pub(super) scratch: Option<PathBuf>,
    pub(super) slots: Slots,
    pub(super) data_keys: Duration,
    pub(super) renders: plugin::Options,
}

impl Keeps {
    /// A process that renders once keeps nothing.
    fn nothing() -> Self {
        Self { scratch: None, slots: Slots::new(1), data_keys: Duration::ZERO, renders: plugin::Options::OFF }
    }
}

/// The plugin of this process; data keys are kept for a while where requests follow each other.
pub(super) fn plugin(variables: &Variables, policy: Policy, keeps: Keeps) -> Result<Plugin, Failure> {
    let mut places = variables.places()?;
    // Other programs are run for `decrypt` only.
    if places.age_key_command.take().is_some() | places.ssh_key_command.take().is_some() {
        info!("`SOPS_AGE_KEY_CMD` and `SOPS_AGE_SSH_PRIVATE_KEY_CMD` are read by `decrypt` only");
    }
    let loader = Loader::new(policy, Keys::new(places), keeps.data_keys);
    let mut helm = variables.helm()?;
    helm.scratch = keeps.scratch.unwrap_or(helm.scratch);
    Ok(Plugin::new(helm, keeps.slots, loader, variables.manifests()?, keeps.renders))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(folder: &str, source_path: &str) -> (String, String, String) {
        let (root, app, above) = archive_root(Path::new(folder), source_path);
        (root.display().to_string(), app, above)
    }

    fn expected(root: &str, app: &str, above: &str) -> (String, String, String) {
        (root.into(), app.into(), above.into())
    }

    #[test]
    fn the_archive_begins_where_the_path_of_the_source_begins() {
        assert_eq!(found("/w/id/apps/web", "apps/web"), expected("/w/id", "apps/web", ""));
        assert_eq!(found("/w/id/apps/web", "./apps//web/"), expected("/w/id", "apps/web", ""));
        assert_eq!(found("/w/id", "."), expected("/w/id", "", ""));
        assert_eq!(found("/w/id", ""), expected("/w/id", "", ""));
    }

    #[test]
    fn a_trimmed_archive_misses_the_beginning_of_the_path() {
        assert_eq!(found("/w/id/web", "apps/team/web"), expected("/w/id", "web", "apps/team"));
        assert_eq!(found("/w/id", "apps/web"), expected("/w/id", "", "apps/web"));
    }
}
