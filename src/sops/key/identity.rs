//! Private keys, told apart by what they look like.

use zeroize::Zeroizing;

use super::fault::{PlaceFault, PlaceReport};
use super::{Inventory, age_pq};

/// A place where private keys may be. Reading it is the business of whoever has files, variables or commands.
pub trait KeyPlace: Send + Sync {
    /// Reads the place. `recipient` is what the age entry at hand names; only places that are asked per key care.
    fn read(&self, recipient: &str) -> Vec<Material>;

    /// Whether the answer may depend on the recipient. Such a place is asked for each age entry that nothing else
    /// opens, all others are read once.
    fn is_asked_per_key(&self) -> bool {
        false
    }
}

/// What one place gave: private keys, as they are kept there.
pub struct Material {
    /// The place's name for messages: a path, a variable.
    pub place: String,
    /// What is expected.
    pub form: Form,
    /// What was found.
    pub content: Result<Zeroizing<Vec<u8>>, PlaceFault>,
}

/// What a place may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// age identities, one per line, with comments.
    AgeFile,
    /// age identities, several per line.
    AgeText,
    /// One SSH private key.
    Ssh,
    /// Anything; what it is, the content tells.
    Any,
}

/// One of our keys, in public terms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityName {
    /// The public half: an age recipient, an SSH public key, a PGP fingerprint.
    pub public: String,
    /// The place's name.
    pub place: String,
}

/// An age or SSH identity.
pub(super) struct Identity {
    secret: Secret,
    place: String,
}

enum Secret {
    X25519(::age::x25519::Identity),
    Hybrid(age_pq::Identity),
    Ssh(Box<::age::ssh::Identity>),
}

impl Identity {
    pub(super) fn as_age(&self) -> &dyn ::age::Identity {
        match &self.secret {
            Secret::X25519(identity) => identity,
            Secret::Hybrid(identity) => identity,
            Secret::Ssh(identity) => identity.as_ref(),
        }
    }

    pub(super) fn name(&self) -> IdentityName {
        let public = match &self.secret {
            Secret::X25519(identity) => identity.to_public().to_string(),
            Secret::Hybrid(identity) => identity.to_public(),
            Secret::Ssh(identity) => ::age::ssh::Recipient::try_from(identity.as_ref().clone())
                .map_or_else(|_| "ssh".to_owned(), |recipient| recipient.to_string()),
        };
        IdentityName { public, place: self.place.clone() }
    }
}

/// What the places gave: identities, PGP key rings not taken apart yet, and reports of what is wrong.
#[derive(Default)]
pub(super) struct Held {
    pub(super) identities: Vec<Identity>,
    pub(super) pgp: Vec<Material>,
    pub(super) reports: Vec<PlaceReport>,
}

impl Held {
    pub(super) fn read<'a>(places: impl Iterator<Item = &'a Box<dyn KeyPlace>>, recipient: &str) -> Self {
        let mut held = Self::default();
        for material in places.flat_map(|place| place.read(recipient)) {
            held.take(material);
        }
        held
    }

    pub(super) fn names(&self) -> Vec<IdentityName> {
        self.identities.iter().map(Identity::name).collect()
    }

    pub(super) fn inventory(&self) -> Inventory {
        Inventory { identities: self.names(), reports: self.reports.clone() }
    }

    fn take(&mut self, material: Material) {
        let content = match &material.content {
            Ok(content) => content,
            Err(fault) => return self.report(material.place.clone(), fault.clone()),
        };
        match (material.form, Looks::of(content)) {
            (_, Looks::Empty) => self.report(material.place, PlaceFault::Empty),
            (Form::Any, Looks::Pgp) => self.pgp.push(material),
            (Form::Any | Form::Ssh, Looks::Ssh) => self.take_ssh(&material.place, content),
            (Form::Any | Form::AgeFile | Form::AgeText, Looks::AgeProtected) => {
                self.report(material.place, PlaceFault::AgeProtected);
            }
            (Form::Any, Looks::Age) | (Form::AgeFile | Form::AgeText, _) => {
                self.take_age(&material.place, material.form, content);
            }
            (_, Looks::SshPublic) => self.report(material.place, PlaceFault::SshPublic),
            (Form::Any, Looks::GnupgHome) => self.report(material.place, PlaceFault::GnupgHome),
            (Form::Ssh, _) => self.report(material.place, PlaceFault::NoSshKey),
            (Form::Any, _) => self.report(material.place, PlaceFault::Unknown),
        }
    }

    /// Follows sops 3.13 `age/keysource.go` and age's `ParseIdentities`: nothing is trimmed but a CR at the end, and one
    /// bad line rejects the place.
    fn take_age(&mut self, place: &str, form: Form, content: &[u8]) {
        let Ok(text) = std::str::from_utf8(content) else {
            return self.report(place.to_owned(), PlaceFault::NoIdentity { line: 1, looks: None });
        };
        let mut identities = Vec::new();
        let mut plugins = Vec::new();
        for (index, line) in text.lines().enumerate() {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let words: Vec<&str> = if form == Form::AgeText { line.split_whitespace().collect() } else { vec![line] };
            for word in words {
                match parse_age(word) {
                    Ok(AgeWord::Secret(secret)) => identities.push(Identity { secret, place: place.to_owned() }),
                    Ok(AgeWord::Plugin(name)) => plugins.push(name),
                    Err(looks) => {
                        return self.report(place.to_owned(), PlaceFault::NoIdentity { line: index + 1, looks });
                    }
                }
            }
        }
        if identities.is_empty() && plugins.is_empty() {
            self.report(place.to_owned(), PlaceFault::Empty);
        }
        self.identities.extend(identities);
        for name in plugins {
            self.report(place.to_owned(), PlaceFault::AgePlugin { name });
        }
    }

    fn take_ssh(&mut self, place: &str, content: &[u8]) {
        match super::ssh::parse(content) {
            Ok(identity) => self.identities.push(Identity { secret: Secret::Ssh(identity), place: place.to_owned() }),
            Err(fault) => self.report(place.to_owned(), fault),
        }
    }

    fn report(&mut self, place: String, fault: PlaceFault) {
        self.reports.push(PlaceReport { place, fault });
    }
}

enum AgeWord {
    Secret(Secret),
    Plugin(String),
}

/// One age identity. The error says what else it looks like, where that is known.
fn parse_age(word: &str) -> Result<AgeWord, Option<&'static str>> {
    if let Some(rest) = word.strip_prefix("AGE-PLUGIN-") {
        return Ok(AgeWord::Plugin(plugin_name(rest)));
    }
    if word.starts_with("AGE-SECRET-KEY-PQ-1") {
        return word.parse().map(Secret::Hybrid).map(AgeWord::Secret).map_err(|()| Some("a damaged age identity"));
    }
    if word.starts_with("AGE-SECRET-KEY-1") {
        return word.parse().map(Secret::X25519).map(AgeWord::Secret).map_err(|_| Some("a damaged age identity"));
    }
    Err(if word.starts_with("age1") {
        Some("an age recipient, which is the public half")
    } else if Looks::of(word.as_bytes()) == Looks::Ssh {
        Some("an SSH key")
    } else if Looks::of(word.as_bytes()) == Looks::Pgp {
        Some("a PGP key")
    } else {
        None
    })
}

/// `AGE-PLUGIN-NAME-1...`: the name, as the plugin's program has it.
fn plugin_name(rest: &str) -> String {
    let name = rest.rsplit_once("-1").map_or("", |(name, _)| name);
    name.chars().filter(char::is_ascii_alphanumeric).take(32).collect::<String>().to_ascii_lowercase()
}

/// A keybox (`pubring.kbx`), or a file of `private-keys-v1.d` in its older or its newer form. Follows `GnuPG` 2.4,
/// `kbx/keybox-blob.c` and `agent/keyformat.txt`.
fn is_of_gnupg_home(content: &[u8]) -> bool {
    let begin = &content[..content.len().min(256)];
    let holds = |words: &[u8]| begin.windows(words.len()).any(|window| window == words);
    begin.get(8..12) == Some(b"KBXf")
        || (begin.starts_with(b"(") || begin.starts_with(b"Key: (") || holds(b"\nKey: (")) && holds(b"private-key")
}

/// What a key file looks like at first sight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Looks {
    Empty,
    Age,
    AgeProtected,
    Ssh,
    SshPublic,
    Pgp,
    GnupgHome,
    Unknown,
}

impl Looks {
    fn of(content: &[u8]) -> Self {
        if content.trim_ascii().is_empty() {
            return Self::Empty;
        }
        // Binary OpenPGP packets begin with a set high bit; text does not, but for a byte order mark.
        if content[0] & 0x80 != 0 && !content.starts_with(b"\xef\xbb\xbf") {
            return Self::Pgp;
        }
        if is_of_gnupg_home(content) {
            return Self::GnupgHome;
        }
        let lines = || content.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty());
        if lines().any(|line| line.starts_with(b"-----BEGIN PGP ")) {
            return Self::Pgp;
        }
        let Some(first) = lines().find(|line| !line.starts_with(b"#")) else {
            return Self::Age;
        };
        let first = String::from_utf8_lossy(&first[..first.len().min(64)]);
        Self::of_line(&first)
    }

    fn of_line(line: &str) -> Self {
        let begins = |prefixes: &[&str]| prefixes.iter().any(|prefix| line.starts_with(prefix));
        if begins(&["age-encryption.org/", "-----BEGIN AGE "]) {
            Self::AgeProtected
        } else if begins(&["AGE-SECRET-KEY-", "AGE-PLUGIN-", "age1"]) {
            Self::Age
        } else if line.starts_with("-----BEGIN ") && line.contains("PRIVATE KEY-----") {
            Self::Ssh
        } else if begins(&[
            "ssh-",
            "ecdsa-sha2-",
            "sk-ssh-",
            "sk-ecdsa-",
            "---- BEGIN SSH2 PUBLIC KEY",
            "-----BEGIN PUBLIC KEY",
        ]) {
            Self::SshPublic
        } else {
            Self::Unknown
        }
    }
}
