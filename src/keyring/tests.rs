//! Places as sops and Kubernetes lay them out, with keys from `tests/vectors/keys`.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use super::*;
use crate::sops::{AgeKey, Inventory, MasterKey, Metadata, PlaceFault, PlaceReport, Selector, UnlockError, Unlocked};

fn vector(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/keys").join(name)
}

fn text(name: &str) -> String {
    fs::read_to_string(vector(name)).expect("the vector is text")
}

fn home() -> tempfile::TempDir {
    tempfile::tempdir().expect("there is room for a folder")
}

fn put(name: &str, target: &Path) {
    fs::create_dir_all(target.parent().expect("it lies in a folder")).expect("the folder can be made");
    fs::copy(vector(name), target).expect("the key can be copied");
}

/// Nothing but what a test names: the machine's own mounts stay out.
fn nowhere() -> Places {
    Places { mounts: Some(Vec::new()), ..Places::default() }
}

fn mounted(paths: &[&Path]) -> Inventory {
    load(Places { mounts: Some(paths.iter().map(|path| (*path).to_owned()).collect()), ..nowhere() }).inventory()
}

fn places_of(inventory: &Inventory) -> Vec<String> {
    inventory.identities.iter().map(|identity| identity.place.clone()).collect()
}

fn unlock(places: Places, enc: &str) -> Result<Unlocked, UnlockError> {
    let metadata = Metadata {
        last_modified: String::new(),
        mac: None,
        version: "3.13.3".to_owned(),
        selector: Selector::UnencryptedSuffix("_unencrypted".to_owned()),
        mac_only_encrypted: false,
        shamir_threshold: 0,
        key_groups: vec![vec![MasterKey::Age(AgeKey { recipient: "age1asked".to_owned(), enc: text(enc) })]],
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime needs nothing");
    runtime.block_on(load(places).unlock(&metadata))
}

#[test]
fn all_places_of_sops_are_merged() {
    let home = home();
    put("ssh-ed25519", &home.path().join(".ssh/id_ed25519"));
    put("ssh-rsa", &home.path().join(".ssh/id_rsa"));
    put("age-pq.txt", &home.path().join(".config/sops/age/keys.txt"));
    let inventory = load(Places {
        age_key: Some(Plaintext::new(text("age-other.txt").lines().last().unwrap_or_default().as_bytes().to_vec())),
        age_key_file: Some(vector("age-x25519.txt")),
        ssh_key_file: Some(vector("ssh-rsa-pkcs1.pem")),
        home: Some(home.path().to_owned()),
        mounts: Some(vec![vector("pgp-p256.asc")]),
        ..Places::default()
    })
    .inventory();
    let below = |path: &str| home.path().join(path).display().to_string();
    let expected = [
        vector("ssh-rsa-pkcs1.pem").display().to_string(),
        "SOPS_AGE_KEY".to_owned(),
        vector("age-x25519.txt").display().to_string(),
        below(".ssh/id_ed25519"),
        below(".ssh/id_rsa"),
        below(".config/sops/age/keys.txt"),
        vector("pgp-p256.asc").display().to_string(),
    ];
    assert_eq!(places_of(&inventory), expected);
    assert_eq!(inventory.reports, []);
}

#[test]
fn missing_default_files_are_fine_and_missing_named_ones_are_not() {
    let home = home();
    let nothing = load(Places { home: Some(home.path().to_owned()), ..nowhere() }).inventory();
    assert_eq!(nothing, Inventory::default());

    let gone = home.path().join("gone");
    let named = Places {
        age_key_file: Some(gone.clone()),
        ssh_key_file: Some(gone.clone()),
        mounts: Some(vec![gone.clone()]),
        ..Places::default()
    };
    let report = PlaceReport { place: gone.display().to_string(), fault: PlaceFault::Missing };
    assert_eq!(load(named).inventory().reports, vec![report; 3]);
}

#[test]
fn a_missing_file_does_not_hide_a_good_one() {
    let places = Places {
        age_key_file: Some("/nonexistent/keys.txt".into()),
        ssh_key_file: Some("/nonexistent/id".into()),
        mounts: Some(vec!["/nonexistent".into(), vector("age-x25519.txt")]),
        ..Places::default()
    };
    let unlocked = unlock(places, "age-x25519.age").expect("the mounted identity opens it");
    let identity = unlocked.used[0].identity.clone().expect("it is one of ours");
    assert_eq!(identity.place, vector("age-x25519.txt").display().to_string());
}

#[test]
fn the_config_folder_is_that_of_the_platform() {
    let home = home();
    let xdg = home.path().join("xdg");
    put("age-x25519.txt", &xdg.join("sops/age/keys.txt"));
    put("age-other.txt", &home.path().join(".config/sops/age/keys.txt"));
    let found = |xdg: Option<&str>| {
        let places = Places { home: Some(home.path().to_owned()), xdg_config_home: xdg.map(Into::into), ..nowhere() };
        places_of(&load(places).inventory())
    };
    let default = home.path().join(".config/sops/age/keys.txt").display().to_string();
    assert_eq!(found(xdg.to_str()), [xdg.join("sops/age/keys.txt").display().to_string()]);
    assert_eq!(found(Some("")), found(None));
    assert_eq!(found(None), [default]);
    assert_eq!(found(Some("relative")), Vec::<String>::new());
}

#[test]
fn a_folder_is_read_as_kubernetes_mounts_it() {
    let mount = home();
    let data = mount.path().join("..2026_11_23");
    put("age-x25519.txt", &data.join("keys.txt"));
    put("pgp-ring.asc", &data.join("ring"));
    put("age-other.txt", &data.join("team-b/keys.txt"));
    put("age-pq.txt", &data.join("team-b/deeper/keys.txt"));
    symlink("..2026_11_23", mount.path().join("..data")).expect("links can be made");
    for name in ["keys.txt", "ring", "team-b"] {
        symlink(Path::new("..data").join(name), mount.path().join(name)).expect("links can be made");
    }
    let inventory = mounted(&[mount.path()]);
    let path = |name: &str| mount.path().join(name).display().to_string();
    // age first, PGP after it; two keys in the ring; one level of sub-folders.
    assert_eq!(places_of(&inventory), [path("keys.txt"), path("team-b/keys.txt"), path("ring"), path("ring")]);
    assert_eq!(inventory.reports, []);
}

#[test]
fn what_is_wrong_in_a_folder_is_reported_file_by_file() {
    let mount = home();
    put("age-x25519.txt", &mount.path().join("a"));
    put("pgp-public.asc", &mount.path().join("b"));
    symlink("gone", mount.path().join("c")).expect("links can be made");
    fs::write(mount.path().join("d"), vec![b'#'; files::MAX_BYTES + 1]).expect("it can be written");
    fs::write(mount.path().join("e"), "").expect("it can be written");
    let inventory = mounted(&[mount.path()]);
    assert_eq!(inventory.identities.len(), 1);
    let mut faults: Vec<_> =
        inventory.reports.iter().map(|report| (report.place.clone(), report.fault.to_string())).collect();
    faults.sort();
    let names: Vec<_> =
        faults.iter().map(|(place, fault)| (&place[mount.path().as_os_str().len() + 1..], fault.as_str())).collect();
    assert_eq!(
        names[1..],
        [("c", "no such file or folder"), ("d", "larger than 1048576 bytes"), ("e", "holds no key")]
    );
    assert_eq!(names[0].0, "b");
    assert!(names[0].1.starts_with("a public PGP key"), "{}", names[0].1);
}

#[test]
fn a_folder_with_too_many_files_is_read_in_part() {
    let mount = home();
    for number in 0..300 {
        fs::write(mount.path().join(format!("{number:03}")), "x").expect("it can be written");
    }
    let inventory = mounted(&[mount.path()]);
    assert_eq!(inventory.reports.last().map(|report| &report.fault), Some(&PlaceFault::TooManyFiles { most: 256 }));
    assert_eq!(inventory.reports.len(), 257);
}

#[test]
fn nothing_is_read_before_a_file_needs_it() {
    let mount = home();
    let keyring = load(Places { mounts: Some(vec![mount.path().to_owned()]), ..nowhere() });
    put("age-x25519.txt", &mount.path().join("later"));
    assert_eq!(keyring.inventory().identities.len(), 1);
}

/// A program that prints a key, if it is asked as it shall be.
fn script(folder: &Path, body: &str) -> String {
    let path = folder.join("print key");
    fs::write(&path, format!("#!/bin/sh\n{body}\n")).expect("it can be written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it is ours");
    format!("'{}'", path.display())
}

fn asking(line: String) -> Places {
    Places { age_key_command: Some(line), ..nowhere() }
}

#[test]
fn a_key_command_is_split_without_a_shell_and_told_the_recipient() {
    let folder = home();
    let body = format!(
        "[ \"$SOPS_AGE_RECIPIENT\" = age1asked ] && [ \"$1\" = '$HOME; x' ] && cat '{}'",
        vector("age-x25519.txt").display()
    );
    let line = script(folder.path(), &body) + " '$HOME; x'";
    let unlocked = unlock(asking(line), "age-x25519.age").expect("the command prints the identity");
    assert_eq!(unlocked.used[0].identity.as_ref().map(|identity| identity.place.as_str()), Some("SOPS_AGE_KEY_CMD"));

    let line = script(folder.path(), &format!("cat '{}'", vector("ssh-ed25519").display()));
    let places = Places { ssh_key_command: Some(line), ..nowhere() };
    unlock(places, "ssh-ed25519.age").expect("the command prints the SSH key");
}

#[test]
fn a_key_command_is_not_run_where_another_identity_opens() {
    let folder = home();
    let mark = folder.path().join("ran");
    let line = script(folder.path(), &format!("touch '{}'", mark.display()));
    let places = Places { mounts: Some(vec![vector("age-x25519.txt")]), ..asking(line) };
    unlock(places, "age-x25519.age").expect("the mounted identity opens it");
    assert!(!mark.exists());
}

#[test]
fn a_failing_key_command_says_so_without_its_output() {
    let folder = home();
    let line = script(folder.path(), "echo s3cret; exit 3");
    let error = unlock(asking(line), "age-x25519.age").expect_err("there is no key");
    assert_eq!(error.reports[0].fault, PlaceFault::CommandFailed { code: Some(3) });
    assert!(!format!("{error} {} {error:?}", error.hint()).contains("s3cret"));

    let fault = |line: &str| {
        unlock(asking(line.to_owned()), "age-x25519.age").expect_err("there is no key").reports[0].fault.clone()
    };
    assert_eq!(fault("'unclosed"), PlaceFault::CommandSyntax);
    assert_eq!(fault(""), PlaceFault::CommandSyntax);
    assert_eq!(fault("/nonexistent/program"), PlaceFault::CommandNotStarted(std::io::ErrorKind::NotFound));
    assert_eq!(fault("head -c 2000000 /dev/zero"), PlaceFault::TooLarge { max_bytes: files::MAX_BYTES });
}

#[test]
fn a_key_command_that_does_not_end_is_ended() {
    let started = std::time::Instant::now();
    for line in ["sleep 600", "sh -c 'exec >&-; exec sleep 600'"] {
        let place = Command::limited(line.to_owned(), std::time::Duration::from_millis(50));
        assert_eq!(place.read("").remove(0).content.err(), Some(PlaceFault::CommandTimedOut { seconds: 0 }));
    }
    assert!(started.elapsed().as_secs() < 60);
}

/// Keys of a Kubernetes Secret that is mounted at a folder, looked at every time.
fn mounted_secret(mount: &Path, key: &str) -> Keys {
    swap(mount, "..1", &[key]);
    symlink("..data/keys.txt", mount.join("keys.txt")).expect("links can be made");
    Keys::looked_at(Places { mounts: Some(vec![mount.to_owned()]), ..nowhere() }, std::time::Duration::ZERO)
}

/// Swaps the content of a mounted Secret as the kubelet does.
fn swap(mount: &Path, data: &str, keys: &[&str]) {
    fs::create_dir(mount.join(data)).expect("the folder can be made");
    for key in keys {
        put(key, &mount.join(data).join("keys.txt"));
    }
    symlink(data, mount.join("..tmp")).expect("links can be made");
    fs::rename(mount.join("..tmp"), mount.join("..data")).expect("links can be swapped");
}

fn public_halves(generation: &Generation) -> Vec<String> {
    generation.keyring.inventory().identities.into_iter().map(|identity| identity.public).collect()
}

#[test]
fn keys_are_read_again_when_kubernetes_swaps_them() {
    let mount = home();
    let keys = mounted_secret(mount.path(), "age-x25519.txt");
    let before = keys.now();
    let old = public_halves(&before);
    assert_eq!(keys.now().number, before.number, "nothing has changed");
    swap(mount.path(), "..2", &["age-other.txt"]);
    let after = keys.now();
    assert_ne!(after.number, before.number);
    assert_ne!(public_halves(&after), old);
    assert_eq!(public_halves(&before), old, "who holds the old ones keeps them");
}

#[test]
fn a_key_that_is_taken_away_is_gone() {
    let mount = home();
    let keys = mounted_secret(mount.path(), "age-x25519.txt");
    assert_eq!(public_halves(&keys.now()).len(), 1);
    swap(mount.path(), "..2", &[]);
    assert_eq!(public_halves(&keys.now()).len(), 0);
}

#[test]
fn a_key_that_was_half_written_is_read_again() {
    let mount = home();
    let key = text("age-x25519.txt");
    fs::write(mount.path().join("keys.txt"), &key[..key.len() / 2]).expect("it can be written");
    let places = Places { mounts: Some(vec![mount.path().to_owned()]), ..nowhere() };
    let keys = Keys::looked_at(places, std::time::Duration::ZERO);
    assert_eq!(public_halves(&keys.now()).len(), 0);
    fs::write(mount.path().join("keys.txt"), &key).expect("it can be written");
    assert_eq!(public_halves(&keys.now()).len(), 1);
}

#[test]
fn places_are_not_looked_at_for_every_request() {
    let mount = home();
    let places = Places { mounts: Some(vec![mount.path().to_owned()]), ..nowhere() };
    let keys = Keys::looked_at(places, std::time::Duration::from_hours(1));
    let before = keys.now().number;
    put("age-x25519.txt", &mount.path().join("later"));
    assert_eq!(keys.now().number, before);
    assert_ne!(keys.look().number, before, "unless somebody must know");
}
