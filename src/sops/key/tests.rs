//! Every kind of private key against messages of the real age and gpg (`tests/vectors/keys/make`).

use super::*;
use crate::sops::metadata::{AgeKey, GcpKmsKey, PgpKey, Selector};

/// What every message holds.
const DATA_KEY: &[u8] = b"0123456789abcdef0123456789abcdef";

struct Memory(&'static str, Form, Vec<u8>);

impl KeyPlace for Memory {
    fn read(&self, _recipient: &str) -> Vec<Material> {
        vec![Material { place: self.0.to_owned(), form: self.1, content: Ok(Zeroizing::new(self.2.clone())) }]
    }
}

fn vector(name: &str) -> Vec<u8> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/keys").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn text(name: &str) -> String {
    String::from_utf8(vector(name)).expect("the vector is text")
}

fn keyring(places: Vec<Memory>) -> Keyring {
    let places = places.into_iter().map(|place| Box::new(place) as Box<dyn KeyPlace>).collect();
    Keyring::new(places, DecryptionOrder::default())
}

/// A keyring of files whose kind only their content tells.
fn holding(names: &[&'static str]) -> Keyring {
    keyring(names.iter().map(|name| Memory(name, Form::Any, vector(name))).collect())
}

fn age(message: &str) -> MasterKey {
    MasterKey::Age(AgeKey { recipient: "age1noted".to_owned(), enc: text(message) })
}

fn pgp(message: &str) -> MasterKey {
    MasterKey::Pgp(PgpKey { fp: "85D77543B3D624B63CEA9E6DBC17301B491B3F21".to_owned(), enc: text(message) })
}

fn gcp() -> MasterKey {
    MasterKey::GcpKms(GcpKmsKey {
        resource_id: "projects/p/locations/l/keyRings/r/cryptoKeys/k".to_owned(),
        enc: String::new(),
    })
}

fn metadata(key_groups: Vec<Vec<MasterKey>>) -> Metadata {
    Metadata {
        last_modified: String::new(),
        mac: None,
        version: "3.13.3".to_owned(),
        selector: Selector::UnencryptedSuffix("_unencrypted".to_owned()),
        mac_only_encrypted: false,
        shamir_threshold: 0,
        key_groups,
    }
}

fn unlock(keyring: &Keyring, keys: Vec<MasterKey>) -> Result<Unlocked, UnlockError> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime needs nothing");
    runtime.block_on(keyring.unlock(&metadata(vec![keys])))
}

/// The public half and the place of the key that opened.
fn opens(held: &[&'static str], key: MasterKey) -> IdentityName {
    let unlocked = unlock(&holding(held), vec![key]).unwrap_or_else(|error| panic!("{held:?}: {error}"));
    assert_eq!(unlocked.data_key.expose(), DATA_KEY);
    unlocked.used[0].identity.clone().expect("a key of ours opened it")
}

fn refusal(held: &[&'static str], key: MasterKey) -> UnlockError {
    unlock(&holding(held), vec![key]).expect_err("nothing here opens it")
}

#[test]
fn an_age_identity_opens_its_message() {
    let by = opens(&["age-x25519.txt"], age("age-x25519.age"));
    assert_eq!(by.public, text("age-recipient.pub").trim_end());
    assert_eq!(by.place, "age-x25519.txt");
}

#[test]
fn a_hybrid_identity_opens_its_message() {
    let by = opens(&["age-pq.txt"], age("age-pq.age"));
    let noted = text("age-pq.txt");
    let noted = noted.lines().find_map(|line| line.strip_prefix("# public key: ")).expect("age-keygen notes it");
    assert_eq!(by.public, noted);
}

#[test]
fn an_identity_among_many_opens() {
    let all = ["age-other.txt", "age-pq.txt", "ssh-rsa", "ssh-ed25519", "age-x25519.txt"];
    assert_eq!(opens(&all, age("age-x25519.age")).place, "age-x25519.txt");
}

#[test]
fn an_ssh_key_opens_its_message_in_every_form() {
    assert_eq!(
        opens(&["ssh-ed25519"], age("ssh-ed25519.age")).public,
        text("ssh-ed25519.pub").trim_end_matches(" test\n")
    );
    assert_eq!(opens(&["ssh-rsa"], age("ssh-rsa.age")).public, text("ssh-rsa.pub").trim_end_matches(" test\n"));
    opens(&["ssh-rsa-pkcs1.pem"], age("ssh-rsa.age"));
}

#[test]
fn a_pgp_key_opens_its_message_with_every_algorithm() {
    for name in ["cv25519", "p256", "p384", "p521", "rsa"] {
        let file: &'static str = format!("pgp-{name}.asc").leak();
        assert_eq!(opens(&[file], pgp(&format!("pgp-{name}-message.asc"))).place, file);
    }
}

#[test]
fn a_pgp_key_opens_in_binary_form_and_as_sub_key_without_its_primary() {
    for file in ["pgp-cv25519.pgp", "pgp-subkeys.asc"] {
        opens(&[file], pgp("pgp-cv25519-message.asc"));
    }
}

#[test]
fn every_key_of_a_ring_is_tried() {
    for ring in ["pgp-ring.asc", "pgp-ring.pgp"] {
        opens(&[ring], pgp("pgp-p256-message.asc"));
        opens(&[ring], pgp("pgp-p384-message.asc"));
    }
    let mut both = vector("pgp-p256.asc");
    both.extend(vector("pgp-p384.asc"));
    let keyring = keyring(vec![Memory("two blocks", Form::Any, both)]);
    unlock(&keyring, vec![pgp("pgp-p384-message.asc")]).expect("the second block is read as well");
}

#[test]
fn an_expired_or_revoked_pgp_key_still_opens_what_was_encrypted_for_it() {
    opens(&["pgp-expired.asc"], pgp("pgp-p521-message.asc"));
    opens(&["pgp-revoked.asc"], pgp("pgp-rsa-message.asc"));
}

#[test]
fn a_pgp_message_opens_for_hidden_and_several_recipients_and_every_packing() {
    opens(&["pgp-cv25519.asc", "pgp-ring.asc"], pgp("pgp-hidden-message.asc"));
    opens(&["pgp-rsa.asc"], pgp("pgp-two-message.asc"));
    opens(&["pgp-p384.asc"], pgp("pgp-two-message.asc"));
    opens(&["pgp-cv25519.asc"], pgp("pgp-uncompressed-message.asc"));
    opens(&["pgp-cv25519.asc"], pgp("pgp-aes128-message.asc"));
}

#[test]
fn a_pgp_message_that_inflates_is_refused() {
    let error = refusal(&["pgp-cv25519.asc"], pgp("pgp-bomb-message.asc"));
    assert_eq!(error.refusals[0].fault, KeyFault::Damaged("it holds more than a data key"));
}

#[test]
fn a_changed_pgp_message_is_refused() {
    let good = text("pgp-cv25519-message.asc");
    let key = holding(&["pgp-cv25519.asc"]);
    let (at, _) = good.char_indices().filter(|(_, c)| c.is_ascii_alphanumeric()).nth_back(80).expect("it is longer");
    let mut changed = good.clone();
    changed.replace_range(at..=at, if &good[at..=at] == "A" { "B" } else { "A" });
    let entry = MasterKey::Pgp(PgpKey { fp: String::new(), enc: changed });
    let error = unlock(&key, vec![entry]).expect_err("it was changed");
    assert!(matches!(error.refusals[0].fault, KeyFault::Damaged(_)), "{error}");
}
