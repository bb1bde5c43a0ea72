//! PGP secret keys, and the `pgp` entries that they open.
//!
//! Keys are taken packet by packet from their files: signatures say who a key belongs to and how long, and neither
//! matters here. An expired or revoked key opens what was encrypted for it, as with gpg. There is no agent.

use sequoia_openpgp as openpgp;

use openpgp::Packet;
use openpgp::crypto::S2K;
use openpgp::packet::Key;
use openpgp::packet::key::{SecretKeyMaterial, SecretParts, UnspecifiedRole};
use openpgp::parse::{PacketParser, PacketParserResult, Parse};

use super::fault::{KeyFault, PlaceFault, PlaceReport};
use super::identity::{IdentityName, Material};
use super::{DataKey, Inventory, pgp_message};
use crate::sops::metadata::PgpKey;

/// The PGP keys of a keyring.
#[derive(Default)]
pub(super) struct Keys {
    keys: Vec<SecretKey>,
    reports: Vec<PlaceReport>,
}

/// A primary key or sub-key that can decrypt.
pub(super) struct SecretKey {
    pub(super) key: Key<SecretParts, UnspecifiedRole>,
    /// Fingerprint of the primary key: the name that people know.
    primary: String,
    place: String,
}

impl Keys {
    pub(super) fn parse(rings: &[Material]) -> Self {
        let mut keys = Self::default();
        for ring in rings {
            if let Ok(content) = &ring.content {
                keys.take_ring(&ring.place, content);
            }
        }
        keys
    }

    pub(super) fn inventory(&self) -> Inventory {
        let mut identities: Vec<_> = self.keys.iter().map(SecretKey::name).collect();
        // A primary key and its sub-keys stand beside each other, and have one name.
        identities.dedup();
        Inventory { identities, reports: self.reports.clone() }
    }

    /// Opens an entry. Whatever the file notes as fingerprint, the message itself says for whom it is.
    pub(super) fn unwrap(&self, key: &PgpKey) -> Result<(DataKey, IdentityName), KeyFault> {
        if self.keys.is_empty() {
            return Err(KeyFault::NoneHeld { kind: "PGP secret key" });
        }
        match pgp_message::open(&key.enc, &self.keys) {
            Ok((data_key, index)) => Ok((data_key, self.keys[index].name())),
            Err(pgp_message::Fault::NotForUs) => Err(KeyFault::NoMatch { held: self.inventory().identities.len() }),
            Err(pgp_message::Fault::Damaged(why)) => Err(KeyFault::Damaged(why)),
        }
    }

    fn take_ring(&mut self, place: &str, content: &[u8]) {
        for block in blocks(content) {
            let before = self.keys.len();
            let faults = self.take_block(place, block);
            let is_empty = self.keys.len() == before;
            let faults = if is_empty && faults.is_empty() { vec![PlaceFault::NoPgpKey] } else { faults };
            self.reports.extend(faults.into_iter().map(|fault| PlaceReport { place: place.to_owned(), fault }));
        }
    }

    /// Takes the usable keys of an armored block or of a binary ring, and says what is wrong with the others.
    fn take_block(&mut self, place: &str, block: &[u8]) -> Vec<PlaceFault> {
        let mut faults = Vec::new();
        let mut primary = String::new();
        let Ok(mut packets) = PacketParser::from_bytes(block) else {
            return faults;
        };
        while let PacketParserResult::Some(parser) = packets {
            let Ok((packet, rest)) = parser.next() else {
                break;
            };
            packets = rest;
            let key: Key<SecretParts, UnspecifiedRole> = match packet {
                Packet::PublicKey(key) => {
                    faults.push(PlaceFault::PgpPublic { fingerprint: key.fingerprint().to_hex() });
                    continue;
                }
                Packet::SecretKey(key) => {
                    primary = key.fingerprint().to_hex();
                    key.into()
                }
                Packet::SecretSubkey(key) => key.into(),
                _ => continue,
            };
            if !key.pk_algo().for_encryption() {
                continue;
            }
            match unusable(key.secret(), &primary) {
                None => self.keys.push(SecretKey { key, primary: primary.clone(), place: place.to_owned() }),
                Some(fault) if faults.last() == Some(&fault) => {}
                Some(fault) => faults.push(fault),
            }
        }
        faults
    }
}

impl SecretKey {
    fn name(&self) -> IdentityName {
        IdentityName { public: self.primary.clone(), place: self.place.clone() }
    }
}

/// Armored files may hold several blocks, one after the other; a binary ring is one.
fn blocks(content: &[u8]) -> Vec<&[u8]> {
    const BEGIN: &[u8] = b"-----BEGIN PGP ";
    let mut starts: Vec<usize> = content
        .windows(BEGIN.len())
        .enumerate()
        .filter(|(at, window)| {
            *window == BEGIN && (*at == 0 || matches!(content[at - 1], b'\n' | b'\r' | b' ' | b'\t'))
        })
        .map(|(at, _)| at)
        .collect();
    if starts.is_empty() {
        return vec![content];
    }
    starts.push(content.len());
    starts.windows(2).map(|bounds| &content[bounds[0]..bounds[1]]).collect()
}

fn unusable(secret: &SecretKeyMaterial, primary: &str) -> Option<PlaceFault> {
    let SecretKeyMaterial::Encrypted(encrypted) = secret else {
        return None;
    };
    let fingerprint = primary.to_owned();
    // gpg writes a private S2K where the secret is on a card, or was left out on purpose.
    Some(match encrypted.s2k() {
        S2K::Private { .. } | S2K::Unknown { .. } => PlaceFault::PgpStub { fingerprint },
        _ => PlaceFault::PgpProtected { fingerprint },
    })
}
