//! `age` entries: an armored age file that holds the data key.
//!
//! The file format is <https://c2sp.org/age>; armor is read as strictly as the age that sops links (1.3) reads it.

use std::cell::Cell;
use std::io::Read;

use ::age::{DecryptError, Decryptor};
use age_core::format::{FileKey, Stanza};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use memchr::memmem;
use zeroize::Zeroizing;

use super::identity::Identity;
use super::{DataKey, KeyFault};
use crate::sops::metadata::AgeKey;

/// No data key, or share of one, is longer.
const MAX_DATA_KEY_BYTES: usize = 64;

/// The most bytes of an age file, without its armor. sops writes a few hundred, or 2 KiB for a post-quantum recipient.
const MAX_FILE_BYTES: usize = 64 * 1024;

/// The most stanzas of an age file: each costs an operation with each identity, and reading them takes time that grows
/// with the square of their number. sops writes one.
const MAX_STANZAS: usize = 32;

/// Opens an entry with the first identity that fits. Returns its index, too.
pub(super) fn unwrap(key: &AgeKey, identities: &[Identity]) -> Result<(DataKey, usize), KeyFault> {
    if identities.is_empty() {
        return Err(KeyFault::NoneHeld { kind: "age identity" });
    }
    let file = dearmor(&key.enc).map_err(KeyFault::Damaged)?;
    open(&file, identities)
}

/// Opens a binary age file. As with age, an identity that meets a malformed stanza ends it, the next is not asked.
fn open(file: &[u8], identities: &[Identity]) -> Result<(DataKey, usize), KeyFault> {
    if file.len() > MAX_FILE_BYTES || memmem::find_iter(file, b"\n-> ").take(MAX_STANZAS + 1).count() > MAX_STANZAS {
        return Err(KeyFault::Damaged("it is larger than any that holds a data key"));
    }
    let decryptor = Decryptor::new(file).map_err(|error| fault(&error, identities.len()))?;
    let opened = Cell::new(0);
    let witnesses: Vec<_> =
        identities.iter().enumerate().map(|(index, identity)| Witness { identity, index, opened: &opened }).collect();
    let payload = decryptor
        .decrypt(witnesses.iter().map(|witness| witness as &dyn ::age::Identity))
        .map_err(|error| fault(&error, identities.len()))?;

    // Its whole size at once: a growing buffer would leave copies behind.
    let mut data_key = Zeroizing::new(Vec::with_capacity(MAX_DATA_KEY_BYTES + 1));
    payload
        .take(MAX_DATA_KEY_BYTES as u64 + 1)
        .read_to_end(&mut data_key)
        .map_err(|_| KeyFault::Damaged("its payload does not authenticate"))?;
    if data_key.len() > MAX_DATA_KEY_BYTES {
        return Err(KeyFault::Damaged("it holds more than a data key"));
    }
    Ok((DataKey::new(std::mem::take(&mut data_key)), opened.get()))
}

/// An identity that notes when it was the one that opened.
struct Witness<'a> {
    identity: &'a Identity,
    index: usize,
    opened: &'a Cell<usize>,
}

impl ::age::Identity for Witness<'_> {
    fn unwrap_stanza(&self, stanza: &Stanza) -> Option<Result<FileKey, DecryptError>> {
        let file_key = self.identity.as_age().unwrap_stanza(stanza)?;
        self.opened.set(self.index);
        Some(file_key)
    }
}

fn fault(error: &DecryptError, held: usize) -> KeyFault {
    match error {
        DecryptError::NoMatchingKeys => KeyFault::NoMatch { held },
        DecryptError::InvalidMac => KeyFault::Damaged("the MAC of its header is wrong"),
        DecryptError::UnknownFormat => KeyFault::Damaged("it is no age file of version 1"),
        DecryptError::DecryptionFailed => KeyFault::Damaged("its payload does not authenticate"),
        _ => KeyFault::Damaged("its header is malformed"),
    }
}

const BEGIN: &str = "-----BEGIN AGE ENCRYPTED FILE-----";
const END: &str = "-----END AGE ENCRYPTED FILE-----";
const MAX_BLANK_BYTES: usize = 1024;
const COLUMNS: usize = 64;

/// Takes the armor off: blank lines only around it, full lines but the last, strict base64.
fn dearmor(text: &str) -> Result<Vec<u8>, &'static str> {
    let body = text.trim_start_matches([' ', '\t', '\n', '\r', '\x0b', '\x0c']);
    // The first line may not be indented, so what was dropped must end with its line end.
    let dropped = &text[..text.len() - body.len()];
    if dropped.len() > MAX_BLANK_BYTES || !(dropped.is_empty() || dropped.ends_with('\n')) {
        return Err("its armor does not begin with the age header line");
    }
    let mut lines = Lines { rest: body };
    if lines.next() != Some(BEGIN) {
        return Err("its armor does not begin with the age header line");
    }
    let mut file = Vec::with_capacity(body.len() / 4 * 3);
    let mut last = false;
    loop {
        let line = lines.next().ok_or("its armor is cut off")?;
        if line == END {
            break;
        }
        if last || line.is_empty() || line.len() > COLUMNS {
            return Err("its armor has a line of the wrong length");
        }
        STANDARD.decode_vec(line, &mut file).map_err(|_| "its armor is no valid base64")?;
        last = line.len() < COLUMNS || line.ends_with('=');
    }
    if !lines.rest.trim_ascii().is_empty() || lines.rest.len() >= MAX_BLANK_BYTES {
        return Err("text follows its armor");
    }
    Ok(file)
}

/// Lines that end with LF or CRLF; the last one may have no end.
struct Lines<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Lines<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        if self.rest.is_empty() {
            return None;
        }
        let (line, rest) = self.rest.split_once('\n').unwrap_or((self.rest, ""));
        self.rest = rest;
        Some(line.strip_suffix('\r').unwrap_or(line))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use sha2::{Digest, Sha256};

    use super::super::identity::Held;
    use super::super::{Form, KeyPlace, Material};
    use super::*;

    struct Given(String);

    impl KeyPlace for Given {
        fn read(&self, _recipient: &str) -> Vec<Material> {
            let content = Ok(Zeroizing::new(self.0.clone().into_bytes()));
            vec![Material { place: "vector".to_owned(), form: Form::AgeFile, content }]
        }
    }

    /// What a file of the public vectors demands, and what we made of it.
    fn judge(vector: &[u8]) -> Option<(String, String)> {
        let end = vector.windows(2).position(|pair| pair == b"\n\n").expect("a head ends with an empty line");
        let (fields, file) = (String::from_utf8_lossy(&vector[..end]), &vector[end + 2..]);
        let field = |name: &str| fields.lines().filter_map(|line| line.strip_prefix(name)).collect::<Vec<_>>();
        if !field("passphrase: ").is_empty() {
            return None;
        }
        let place: Box<dyn KeyPlace> = Box::new(Given(field("identity: ").join("\n")));
        let held = Held::read([place].iter(), "");
        assert_eq!(held.identities.len(), field("identity: ").len());
        let opened = if field("armored: ") == ["yes"] {
            // What is no UTF-8 cannot stand in a SOPS file.
            let enc = String::from_utf8_lossy(file).into_owned();
            unwrap(&AgeKey { recipient: String::new(), enc }, &held.identities)
        } else {
            open(file, &held.identities)
        };
        let outcome = match opened {
            Ok((payload, _)) => format!("{:x}", Sha256::digest(payload.expose())),
            Err(KeyFault::NoMatch { .. }) => "no match".to_owned(),
            Err(KeyFault::Damaged("it holds more than a data key")) => "too long".to_owned(),
            Err(_) => "failure".to_owned(),
        };
        let expected = match field("expect: ")[0] {
            "success" => field("payload: ")[0].to_owned(),
            "no match" => "no match".to_owned(),
            _ => "failure".to_owned(),
        };
        Some((outcome, expected))
    }

    #[test]
    fn a_header_that_would_take_hours_is_refused_at_once() {
        let stanza = format!("-> X25519 {}\n{}\n", "A".repeat(43), "B".repeat(43));
        let long = format!("-> x\n{}A\n", format!("{}\n", "A".repeat(64)).repeat(100_000));
        for stanzas in [stanza.repeat(100_000), long] {
            let file = format!("age-encryption.org/v1\n{stanzas}--- {}\n", "C".repeat(43));
            let Err(fault) = open(file.as_bytes(), &[]) else { panic!("it opens") };
            assert!(matches!(fault, KeyFault::Damaged("it is larger than any that holds a data key")));
        }
    }

    #[test]
    fn the_public_age_vectors_are_opened_and_refused_as_they_demand() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/age");
        let mut judged = 0;
        let mut wrong = Vec::new();
        for entry in fs::read_dir(folder).expect("the vectors are part of the tree") {
            let path = entry.expect("an entry is readable").path();
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            if name == "README.md" || name == "fetch" {
                continue;
            }
            if let Some((outcome, expected)) = judge(&fs::read(&path).expect("a vector is readable")) {
                judged += 1;
                if outcome != expected {
                    wrong.push(format!("{name}: {outcome} instead of {expected}"));
                }
            }
        }
        assert_eq!(wrong, Vec::<String>::new());
        assert_eq!(judged, 63);
    }
}
