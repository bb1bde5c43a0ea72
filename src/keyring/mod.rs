//! Where key material comes from: the places that sops knows, and the folders that the operator mounted.
//!
//! [`load`] makes a [`sops::Keyring`] of [`Places`]; nothing is read before a file needs it. All places are merged, a
//! wrong one never hides a good one, and what was wrong is said when no key opens. What a key file holds, its content
//! tells, not its name. Neither gpg-agent nor a `GnuPG` home is ever asked: PGP keys are mounted as files.

mod command;
mod files;
mod keys;

use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::secret::Plaintext;
use crate::sops::{self, DecryptionOrder, Form, KeyPlace, Material};

pub use keys::{Generation, Keys};

use command::Command;
use files::{File, Mount};

/// Where keys are mounted unless the operator says otherwise.
pub const DEFAULT_MOUNT: &str = "/etc/argocd-sops/keys";

/// The places to look at; whoever reads settings and environment fills this.
#[derive(Debug, Default)]
pub struct Places {
    /// `ARGOCD_SOPS_KEYS`: key files, or folders of them. `None` is [`DEFAULT_MOUNT`], which may be missing.
    pub mounts: Option<Vec<PathBuf>>,
    /// `SOPS_AGE_KEY`: age identities, several per line.
    pub age_key: Option<Plaintext>,
    /// `SOPS_AGE_KEY_FILE`
    pub age_key_file: Option<PathBuf>,
    /// `SOPS_AGE_SSH_PRIVATE_KEY_FILE`
    pub ssh_key_file: Option<PathBuf>,
    /// `HOME`: default files of age and SSH are looked for there. `None` looks for none.
    pub home: Option<PathBuf>,
    /// `XDG_CONFIG_HOME`: instead of the user's config folder below `home`.
    pub xdg_config_home: Option<PathBuf>,
    /// `SOPS_AGE_KEY_CMD`; other programs are run for `decrypt` only.
    pub age_key_command: Option<String>,
    /// `SOPS_AGE_SSH_PRIVATE_KEY_CMD`; as above.
    pub ssh_key_command: Option<String>,
    /// `SOPS_DECRYPTION_ORDER`
    pub order: DecryptionOrder,
}

/// Makes a keyring of places. Reads none of them yet.
///
/// The order is that of sops 3.13 (`age/keysource.go`), then our own mounts.
#[must_use]
pub fn load(places: Places) -> sops::Keyring {
    let mut found: Vec<Box<dyn KeyPlace>> = Vec::new();
    let default_files = default_files(&places);
    let default_files = default_files.into_iter().map(|(path, form)| File::maybe(path, form));
    found.extend(places.ssh_key_file.map(|path| File::named(path, Form::Ssh)));
    found.extend(places.ssh_key_command.map(|line| Command::boxed("SOPS_AGE_SSH_PRIVATE_KEY_CMD", line, Form::Ssh)));
    found.extend(places.age_key.map(Text::boxed));
    found.extend(places.age_key_file.map(|path| File::named(path, Form::AgeFile)));
    found.extend(places.age_key_command.map(|line| Command::boxed("SOPS_AGE_KEY_CMD", line, Form::AgeFile)));
    found.extend(default_files);
    match places.mounts {
        Some(mounts) => found.extend(mounts.into_iter().map(Mount::named)),
        None => found.push(Mount::maybe(DEFAULT_MOUNT.into())),
    }
    sops::Keyring::new(found, places.order)
}

/// What to do where no key opened a file, with the settings that name keys where they are wanted.
#[must_use]
pub fn hint(error: &sops::UnlockError) -> String {
    let hint = error.hint();
    if error.lacks_keys() {
        format!("{hint}; keys are named by `ARGOCD_SOPS_KEYS` or, for age, by `SOPS_AGE_KEY_FILE`")
    } else {
        hint
    }
}

/// Files that are looked at whenever they exist, also where a variable names another one.
fn default_files(places: &Places) -> Vec<(PathBuf, Form)> {
    let ssh = places.home.iter().flat_map(|home| ["id_ed25519", "id_rsa"].map(|name| home.join(".ssh").join(name)));
    ssh.map(|path| (path, Form::Ssh))
        .chain(config_home(places).map(|folder| (folder.join("sops/age/keys.txt"), Form::AgeFile)))
        .collect()
}

/// The files and folders that [`load`] makes key places of.
fn watched(places: &Places) -> Vec<PathBuf> {
    let default_mount = [PathBuf::from(DEFAULT_MOUNT)];
    let mounts = places.mounts.as_deref().unwrap_or(&default_mount);
    let named = places.ssh_key_file.iter().chain(&places.age_key_file).chain(mounts).cloned();
    named.chain(default_files(places).into_iter().map(|(path, _)| path)).collect()
}

/// As Go's `os.UserConfigDir`: a relative `XDG_CONFIG_HOME` counts as none at all.
fn config_home(places: &Places) -> Option<PathBuf> {
    match places.xdg_config_home.as_deref().filter(|path| !path.as_os_str().is_empty()) {
        Some(path) => path.is_absolute().then(|| path.to_owned()),
        None => places.home.as_deref().map(below_home),
    }
}

fn below_home(home: &Path) -> PathBuf {
    home.join(if cfg!(target_os = "macos") { "Library/Application Support" } else { ".config" })
}

/// `SOPS_AGE_KEY`
struct Text(Plaintext);

impl Text {
    fn boxed(text: Plaintext) -> Box<dyn KeyPlace> {
        Box::new(Self(text))
    }
}

impl KeyPlace for Text {
    fn read(&self, _recipient: &str) -> Vec<Material> {
        let content = Ok(Zeroizing::new(self.0.expose().to_vec()));
        vec![Material { place: "SOPS_AGE_KEY".to_owned(), form: Form::AgeText, content }]
    }
}

#[cfg(test)]
mod tests;
