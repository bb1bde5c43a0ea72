//! `pgp` entries: a PGP message that holds the data key.
//!
//! Keys are taken packet by packet from their files: signatures say who a key belongs to and how long, and neither
//! matters here. An expired or revoked key opens what was encrypted for it, as with gpg. There is no agent.

use std::cell::Cell;
use std::io::Read;

use sequoia_openpgp as openpgp;

use openpgp::crypto::{S2K, SessionKey};
use openpgp::packet::key::{SecretKeyMaterial, SecretParts, UnspecifiedRole};
use openpgp::packet::{Key, PKESK, SKESK};
use openpgp::parse::stream::{DecryptionHelper, DecryptorBuilder, MessageStructure, VerificationHelper};
use openpgp::parse::{PacketParser, PacketParserResult, Parse};
use openpgp::policy::StandardPolicy;
use openpgp::types::SymmetricAlgorithm;
use openpgp::{Cert, KeyHandle, Packet};
use zeroize::Zeroizing;

use super::fault::{KeyFault, PlaceFault, PlaceReport};
use super::identity::{IdentityName, Material};
use super::{DataKey, Inventory};
use crate::sops::metadata::PgpKey;

/// No data key, or share of one, is longer.
const MAX_DATA_KEY_BYTES: usize = 64;
/// Most tries for one message: its recipients times the keys that may fit.
const MAX_TRIES: usize = 500;

/// The PGP keys of a keyring.
#[derive(Default)]
pub(super) struct Keys {
    keys: Vec<SecretKey>,
    reports: Vec<PlaceReport>,
}

/// A primary key or sub-key that can decrypt.
struct SecretKey {
    key: Key<SecretParts, UnspecifiedRole>,
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
        let state = State::default();
        let helper = Helper { keys: &self.keys, state: &state };
        let data_key = open(&key.enc, helper).map_err(|fault| match state.stage.get() {
            Stage::NoRecipientOfOurs => KeyFault::NoMatch { held: self.inventory().identities.len() },
            Stage::TooManyTries => KeyFault::Damaged("it lists too many recipients"),
            Stage::Unread | Stage::Opened(_) | Stage::NotOpened => KeyFault::Damaged(fault),
        })?;
        match state.stage.get() {
            Stage::Opened(index) => Ok((data_key, self.keys[index].name())),
            _ => Err(KeyFault::Damaged("it is not encrypted")),
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

/// Reads a message to its end, so that its authentication has been checked.
fn open(message: &str, helper: Helper<'_>) -> Result<DataKey, &'static str> {
    let policy = policy();
    let mut plaintext = DecryptorBuilder::from_bytes(message.as_bytes())
        .and_then(|builder| builder.buffer_size(MAX_DATA_KEY_BYTES * 2).with_policy(&policy, None, helper))
        .map_err(|_| "it is no readable PGP message")?;
    let mut data_key = Zeroizing::new(Vec::with_capacity(MAX_DATA_KEY_BYTES + 1));
    (&mut plaintext)
        .take(MAX_DATA_KEY_BYTES as u64 + 1)
        .read_to_end(&mut data_key)
        .map_err(|_| "its content does not authenticate")?;
    match data_key.len() {
        0 => Err("it is empty"),
        1..=MAX_DATA_KEY_BYTES => Ok(DataKey::new(std::mem::take(&mut data_key))),
        _ => Err("it holds more than a data key"),
    }
}

/// Old ciphers open, as with gpg: the message is there, and refusing it protects nobody. What lacks integrity does not.
#[expect(deprecated, reason = "the ciphers are old, that is the point")]
fn policy() -> StandardPolicy<'static> {
    let mut policy = StandardPolicy::new();
    for old in [SymmetricAlgorithm::TripleDES, SymmetricAlgorithm::CAST5, SymmetricAlgorithm::Blowfish] {
        policy.accept_symmetric_algo(old);
    }
    policy
}

#[derive(Default)]
struct State {
    stage: Cell<Stage>,
}

/// How far a message was opened.
#[derive(Default, Clone, Copy)]
enum Stage {
    #[default]
    Unread,
    NoRecipientOfOurs,
    TooManyTries,
    NotOpened,
    Opened(usize),
}

struct Helper<'a> {
    keys: &'a [SecretKey],
    state: &'a State,
}

impl DecryptionHelper for Helper<'_> {
    fn decrypt(
        &mut self,
        pkesks: &[PKESK],
        _: &[SKESK],
        algorithm: Option<SymmetricAlgorithm>,
        decrypt: &mut dyn FnMut(Option<SymmetricAlgorithm>, &SessionKey) -> bool,
    ) -> openpgp::Result<Option<Cert>> {
        self.state.stage.set(Stage::NoRecipientOfOurs);
        let mut tries = 0;
        for pkesk in pkesks {
            let recipient = pkesk.recipient();
            for (index, candidate) in self.keys.iter().enumerate().filter(|(_, key)| may_fit(recipient.as_ref(), key)) {
                tries += 1;
                if tries > MAX_TRIES {
                    self.state.stage.set(Stage::TooManyTries);
                    return Ok(None);
                }
                if recipient.is_some() {
                    self.state.stage.set(Stage::NotOpened);
                }
                let mut pair = candidate.key.clone().into_keypair()?;
                let session = pkesk.decrypt(&mut pair, algorithm);
                if session.is_some_and(|(algorithm, session_key)| decrypt(algorithm, &session_key)) {
                    self.state.stage.set(Stage::Opened(index));
                    return Ok(None);
                }
            }
        }
        Ok(None)
    }
}

/// The recipient's own key, or any where the message hides for whom it is.
fn may_fit(recipient: Option<&KeyHandle>, key: &SecretKey) -> bool {
    recipient.is_none_or(|handle| handle.aliases(&key.key.key_handle()))
}

/// Signatures do not matter: who can write the file can sign it as well.
impl VerificationHelper for Helper<'_> {
    fn get_certs(&mut self, _: &[KeyHandle]) -> openpgp::Result<Vec<Cert>> {
        Ok(Vec::new())
    }

    fn check(&mut self, _: MessageStructure<'_>) -> openpgp::Result<()> {
        Ok(())
    }
}
