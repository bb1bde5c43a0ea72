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
    opens(&["ssh-rsa-pkcs8.pem"], age("ssh-rsa.age"));
    let by = opens(&["ssh-ed25519-pkcs8.pem"], age("ssh-ed25519-pkcs8.age"));
    assert_eq!(by.public, text("ssh-ed25519-pkcs8.pub"));
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
fn the_container_of_newer_gnupg_opens() {
    opens(&["pgp-cv25519.asc"], pgp("pgp-ocb-message.asc"));
    opens(&["pgp-cv25519.asc"], pgp("pgp-ocb-chunks-message.asc"));
    let error = refusal(&["pgp-cv25519.asc"], pgp("pgp-ocb-cut-message.asc"));
    assert_eq!(error.refusals[0].fault, KeyFault::Damaged("its content does not authenticate"));
    let error = refusal(&["pgp-p256.asc"], pgp("pgp-ocb-message.asc"));
    assert_eq!(error.refusals[0].fault, KeyFault::NoMatch { held: 1 });
}

#[test]
fn a_pgp_message_cut_off_behind_its_session_key_is_refused() {
    let error = refusal(&["pgp-cv25519.asc"], pgp("pgp-cut-message.asc"));
    assert_eq!(error.refusals[0].fault, KeyFault::Damaged("it is cut off"));
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

#[test]
fn what_is_no_usable_key_is_refused_by_name() {
    let fingerprint = |name: &'static str| holding(&[name]).inventory().identities[0].public.clone();
    let cv25519 = fingerprint("pgp-cv25519.asc");
    let found = |name: &'static str| {
        let inventory = holding(&[name]).inventory();
        assert_eq!(inventory.identities, [], "{name}");
        assert_eq!(inventory.reports[0].place, name);
        inventory.reports[0].fault.clone()
    };
    assert_eq!(found("age-protected.txt"), PlaceFault::AgeProtected);
    let recipient = Some("an age recipient, which is the public half");
    assert_eq!(found("age-recipient.pub"), PlaceFault::NoIdentity { line: 1, looks: recipient });
    for name in ["ssh-protected", "ssh-rsa-protected.pem", "ssh-rsa-protected-pkcs8.pem"] {
        assert_eq!(found(name), PlaceFault::SshProtected, "{name}");
    }
    assert_eq!(found("ssh-ecdsa"), PlaceFault::SshUnsupported);
    for name in ["ssh-ed25519.pub", "ssh-rsa.pub", "ssh-ecdsa.pub"] {
        assert_eq!(found(name), PlaceFault::SshPublic, "{name}");
    }
    for name in ["pgp-public.asc", "pgp-public.pgp"] {
        assert_eq!(found(name), PlaceFault::PgpPublic { fingerprint: cv25519.clone() }, "{name}");
    }
    assert!(matches!(found("pgp-protected.asc"), PlaceFault::PgpProtected { .. }));
    assert_eq!(found("pgp-rsa-message.asc"), PlaceFault::NoPgpKey);
    assert_eq!(found("make"), PlaceFault::Unknown);
}

fn text_place(form: Form, text: &str) -> Inventory {
    keyring(vec![Memory("here", form, text.as_bytes().to_vec())]).inventory()
}

#[test]
fn files_of_a_gnupg_home_are_known() {
    let keybox = b"\0\0\0\x20\x01\x01\0\x02KBXf\0\0\0\0".to_vec();
    let older = b"(21:protected-private-key(3:rsa(1:n257:".to_vec();
    let newer = b"Created: 20261124T001433\nKey: (protected-private-key (ecc (curve Curve25519)\n".to_vec();
    for content in [keybox, older, newer] {
        let inventory = keyring(vec![Memory("gnupg", Form::Any, content)]).inventory();
        assert_eq!(inventory.reports[0].fault, PlaceFault::GnupgHome);
    }
}

#[test]
fn one_bad_line_rejects_its_place_and_no_other() {
    let good = text("age-x25519.txt");
    for bad in ["x", " # indented", "AGE-SECRET-KEY-1XYZ", "AGE-SECRET-KEY-PQ-1XYZ", "age1xyz", "ssh-ed25519 AAAA"] {
        let inventory = text_place(Form::AgeFile, &format!("{good}{bad}\n"));
        assert_eq!(inventory.identities, [], "{bad}");
        assert!(matches!(inventory.reports[0].fault, PlaceFault::NoIdentity { line: 4, .. }), "{bad}");
    }
    let places = vec![
        Memory("bad", Form::AgeFile, b"no key\n".to_vec()),
        Memory("good", Form::AgeFile, good.into_bytes()),
        Memory("empty", Form::Any, b" \n".to_vec()),
    ];
    unlock(&keyring(places), vec![age("age-x25519.age")]).expect("a wrong place never hides a good one");
}

#[test]
fn only_a_variable_holds_several_identities_per_line() {
    let line = |name| text(name).lines().last().map(str::to_owned).expect("the key is the last line");
    let both = format!("{}\t {}\r\n", line("age-other.txt"), line("age-x25519.txt"));
    assert_eq!(text_place(Form::AgeText, &both).identities.len(), 2);
    assert_eq!(text_place(Form::AgeFile, &both).identities.len(), 0);
    assert_eq!(text_place(Form::AgeFile, &line("age-other.txt")).identities.len(), 1);
    assert_eq!(text_place(Form::AgeFile, &format!("{}\r\n", line("age-other.txt"))).identities.len(), 1);
}

#[test]
fn ssh_keys_are_read_only_where_sops_reads_them() {
    assert_eq!(text_place(Form::Ssh, &text("ssh-ed25519")).identities.len(), 1);
    assert_eq!(text_place(Form::AgeFile, &text("ssh-ed25519")).identities.len(), 0);
    assert_eq!(text_place(Form::Ssh, &text("age-x25519.txt")).reports[0].fault, PlaceFault::NoSshKey);
}

#[test]
fn a_plugin_identity_is_refused_by_name_beside_a_good_one() {
    let both = format!("AGE-PLUGIN-YUBIKEY-1QQQQ\n{}", text("age-x25519.txt"));
    let inventory = text_place(Form::Any, &both);
    assert_eq!(inventory.identities.len(), 1);
    assert_eq!(inventory.reports[0].fault, PlaceFault::AgePlugin { name: "yubikey".to_owned() });
}

#[test]
fn local_keys_are_tried_before_servers_and_a_broken_key_does_not_hide_a_good_one() {
    let broken = MasterKey::Age(AgeKey { recipient: "age1broken".to_owned(), enc: "no armor".to_owned() });
    let keyring = holding(&["age-x25519.txt"]);
    let unlocked =
        unlock(&keyring, vec![gcp(), broken, age("age-pq.age"), age("age-x25519.age")]).expect("the last one opens");
    assert_eq!(unlocked.used[0].key, age("age-x25519.age"));
}

#[test]
fn pgp_keys_are_not_parsed_for_an_age_file() {
    let keyring = holding(&["age-other.txt", "pgp-rsa.asc"]);
    unlock(&keyring, vec![age("age-x25519.age")]).expect_err("the identity is another one");
    assert!(keyring.pgp.get().is_none());
}

fn unlock_groups(
    held: &[&'static str],
    groups: Vec<Vec<MasterKey>>,
    threshold: usize,
) -> Result<Unlocked, UnlockError> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime needs nothing");
    runtime.block_on(holding(held).unlock(&Metadata { shamir_threshold: threshold, ..metadata(groups) }))
}

#[test]
fn groups_give_their_parts_and_all_that_opened_are_named() {
    let groups = || vec![vec![gcp(), age("share-1.age")], vec![pgp("pgp-share-message.asc")], vec![gcp()]];
    let unlocked = unlock_groups(&["age-x25519.txt", "pgp-p256.asc"], groups(), 2).expect("two parts are enough");
    assert_eq!(unlocked.data_key.expose(), DATA_KEY);
    let used: Vec<_> = unlocked.used.iter().map(|used| used.key.clone()).collect();
    assert_eq!(used, [age("share-1.age"), pgp("pgp-share-message.asc")]);

    let error = unlock_groups(&["age-x25519.txt", "pgp-p256.asc"], groups(), 3).expect_err("three are wanted");
    assert_eq!(error.cause, UnlockCause::TooFewParts { have: 2, need: 3 });
}

#[test]
fn one_part_is_never_enough_whatever_threshold_the_file_claims() {
    for threshold in [0, 1] {
        let groups = vec![vec![age("share-1.age")], vec![gcp()]];
        let error = unlock_groups(&["age-x25519.txt"], groups, threshold).expect_err("one part says nothing");
        assert_eq!(error.cause, UnlockCause::TooFewParts { have: 1, need: 2 });
    }
    let twice = vec![vec![age("share-1.age")], vec![age("share-1.age")]];
    let error = unlock_groups(&["age-x25519.txt"], twice, 2).expect_err("the same part twice is one");
    assert!(matches!(error.cause, UnlockCause::Combine { .. }));
}

#[test]
fn one_group_ignores_the_threshold() {
    unlock_groups(&["age-x25519.txt"], vec![vec![age("age-x25519.age")]], 3).expect("sops does not look at it");
}

#[test]
fn more_than_a_data_key_is_refused() {
    let error = refusal(&["age-x25519.txt"], age("age-long.age"));
    assert_eq!(error.refusals[0].fault, KeyFault::Damaged("it holds more than a data key"));
}

#[test]
fn a_file_with_thousands_of_keys_is_refused_untried() {
    let error = unlock(&holding(&[]), vec![gcp(); 1001]).expect_err("it is made to keep us busy");
    assert_eq!(error.cause, UnlockCause::TooManyKeys { listed: 1001, most: 1000 });
    assert_eq!(error.refusals.len(), 0);
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_the_recognition_of_keys_panic(
        start in proptest::sample::select(vec![
            "", "AGE-SECRET-KEY-1", "AGE-SECRET-KEY-PQ-1", "AGE-PLUGIN-", "-----BEGIN PGP PRIVATE KEY BLOCK-----\n\n",
            "-----BEGIN OPENSSH PRIVATE KEY-----\n", "-----BEGIN RSA PRIVATE KEY-----\n", "-----BEGIN PRIVATE KEY-----\n",
            "\u{99}\u{1}", "ssh-rsa ", "# \n",
        ]),
        rest in proptest::collection::vec(proptest::num::u8::ANY, 0..300),
    ) {
        let content: Vec<u8> = start.bytes().chain(rest).collect();
        for form in [Form::Any, Form::AgeFile, Form::AgeText, Form::Ssh] {
            let _ = keyring(vec![Memory("any", form, content.clone())]).inventory();
        }
    }

    #[test]
    fn no_changed_byte_makes_a_key_file_or_a_message_panic(
        at in 0_usize..4000,
        byte in proptest::num::u8::ANY,
        key in proptest::sample::select(vec!["pgp-ring.pgp", "pgp-rsa.asc", "ssh-rsa-pkcs8.pem", "ssh-ed25519", "ssh-rsa-pkcs1.pem"]),
        message in proptest::sample::select(vec!["pgp-p256-message.asc", "pgp-ocb-message.asc", "pgp-hidden-message.asc", "age-x25519.age", "age-pq.age"]),
    ) {
        let change = |mut bytes: Vec<u8>| {
            let at = at % bytes.len();
            bytes[at] = byte;
            bytes
        };
        let _ = keyring(vec![Memory("changed", Form::Any, change(vector(key)))]).inventory();
        let enc = String::from_utf8_lossy(&change(vector(message))).into_owned();
        let entry = if message.starts_with("pgp") {
            MasterKey::Pgp(PgpKey { fp: String::new(), enc })
        } else {
            MasterKey::Age(AgeKey { recipient: String::new(), enc })
        };
        if let Ok(unlocked) = unlock(&holding(&["age-x25519.txt", "age-pq.txt", "pgp-p256.asc", "pgp-cv25519.asc"]), vec![entry]) {
            proptest::prop_assert_eq!(unlocked.data_key.expose(), DATA_KEY);
        }
    }
}
