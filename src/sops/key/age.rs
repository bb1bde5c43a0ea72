//! `age` entries: an armored age file that holds the data key.
//!
//! The file format is <https://c2sp.org/age>; armor is read as strictly as the age that sops links (1.3) reads it.

use std::cell::Cell;
use std::io::Read;

use ::age::{DecryptError, Decryptor};
use age_core::format::{FileKey, Stanza};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::identity::Identity;
use super::{DataKey, KeyFault};
use crate::sops::metadata::AgeKey;

/// No data key, or share of one, is longer.
const MAX_DATA_KEY_BYTES: usize = 64;

/// Opens an entry with the first identity that fits. Returns its index, too.
pub(super) fn unwrap(key: &AgeKey, identities: &[Identity]) -> Result<(DataKey, usize), KeyFault> {
    if identities.is_empty() {
        return Err(KeyFault::NoneHeld { kind: "age identity" });
    }
    let file = dearmor(&key.enc).map_err(KeyFault::Damaged)?;
    let decryptor = Decryptor::new(&file[..]).map_err(|error| fault(&error, identities.len()))?;
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
