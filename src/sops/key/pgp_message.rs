//! A PGP message that holds a data key: for whom it is, and what is in it.
//!
//! Sequoia opens what the standard (RFC 9580) knows. `GnuPG` 2.3 and newer writes an encryption container of its own for
//! keys that ask for it; that one is taken apart in [`pgp_ocb`].

use std::cell::Cell;
use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};

use sequoia_openpgp as openpgp;

use openpgp::crypto::SessionKey;
use openpgp::packet::{PKESK, SEIP, SKESK, Tag};
use openpgp::parse::stream::{DecryptionHelper, DecryptorBuilder, MessageStructure, VerificationHelper};
use openpgp::parse::{PacketParser, PacketParserResult, Parse};
use openpgp::policy::StandardPolicy;
use openpgp::types::SymmetricAlgorithm;
use openpgp::{Cert, KeyHandle, Packet};
use zeroize::Zeroizing;

use super::pgp::SecretKey;
use super::{DataKey, pgp_ocb};

/// No data key, or share of one, is longer.
const MAX_DATA_KEY_BYTES: usize = 64;
/// Most tries for one message: its recipients times the keys that may fit.
const MAX_TRIES: usize = 500;

/// Why a message gave no data key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// It is encrypted for others.
    NotForUs,
    /// It is broken.
    Damaged(&'static str),
}

/// Opens a message with the first key that fits. Returns the key's index, too.
pub(super) fn open(message: &str, keys: &[SecretKey]) -> Result<(DataKey, usize), Fault> {
    // Who can write a values file must not be able to crash us: sequoia 2.4 has `unwrap`s on what it reads, one of which
    // our own tests met (see `MIN_SEIP_BYTES`).
    catch_unwind(AssertUnwindSafe(|| {
        let trial = Trial { keys, stage: Cell::new(Stage::Unread) };
        let data_key = match Envelope::of(message).map_err(Fault::Damaged)? {
            Envelope::Standard => open_standard(message, &trial),
            Envelope::Ocb { recipients, body } => open_ocb(&recipients, &body, &trial),
        };
        match (trial.stage.get(), data_key) {
            (Stage::Opened(index), Ok(data_key)) => Ok((data_key, index)),
            (Stage::NotForUs, _) => Err(Fault::NotForUs),
            (Stage::TooManyTries, _) => Err(Fault::Damaged("it lists too many recipients")),
            (_, Err(why)) => Err(Fault::Damaged(why)),
            (_, Ok(_)) => Err(Fault::Damaged("it is not encrypted")),
        }
    }))
    .unwrap_or(Err(Fault::Damaged("it is no readable PGP message")))
}

/// What a message is, before any key is used.
enum Envelope {
    Standard,
    Ocb { recipients: Vec<PKESK>, body: Vec<u8> },
}

/// Cipher block and two bytes, a literal packet with one byte in it, and the modification detection code. Where the file
/// ends before that, whatever length the packet claims, sequoia 2.4.2 panics.
const MIN_SEIP_BYTES: usize = 8 + 2 + 9 + 22;

impl Envelope {
    fn of(message: &str) -> Result<Self, &'static str> {
        const UNREADABLE: &str = "it is no readable PGP message";
        let mut recipients = Vec::new();
        let mut packets = PacketParser::from_bytes(message.as_bytes()).map_err(|_| UNREADABLE)?;
        while let PacketParserResult::Some(mut parser) = packets {
            match &parser.packet {
                Packet::SEIP(SEIP::V1(_)) => {
                    let body = parser.buffer_unread_content().map_err(|_| UNREADABLE)?;
                    return if body.len() < MIN_SEIP_BYTES { Err("it is cut off") } else { Ok(Self::Standard) };
                }
                Packet::SEIP(_) => return Ok(Self::Standard),
                Packet::Unknown(packet) if packet.tag() == Tag::SEIP => return Err("it is cut off"),
                Packet::Unknown(packet) if packet.tag() == Tag::AED => {
                    let body = parser.buffer_unread_content().map_err(|_| UNREADABLE)?.to_vec();
                    return Ok(Self::Ocb { recipients, body });
                }
                _ => {}
            }
            let (packet, rest) = parser.next().map_err(|_| UNREADABLE)?;
            packets = rest;
            match packet {
                Packet::PKESK(recipient) => recipients.push(recipient),
                Packet::Literal(_) | Packet::CompressedData(_) => return Err("it is not encrypted"),
                _ => {}
            }
        }
        Err(UNREADABLE)
    }
}

/// Reads a message to its end, so that its authentication has been checked.
fn open_standard(message: &str, trial: &Trial<'_>) -> Result<DataKey, &'static str> {
    let policy = policy();
    let plaintext = DecryptorBuilder::from_bytes(message.as_bytes())
        .and_then(|builder| builder.buffer_size(MAX_DATA_KEY_BYTES * 2).with_policy(&policy, None, trial))
        .map_err(|_| "it does not open with the key that it names")?;
    data_key(plaintext)
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

fn open_ocb(recipients: &[PKESK], body: &[u8], trial: &Trial<'_>) -> Result<DataKey, &'static str> {
    let mut opened = Err("it does not open with the key that it names");
    trial.session_keys(recipients, None, &mut |algorithm, session_key| {
        opened =
            algorithm.map_or(Err("its cipher is unknown"), |algorithm| pgp_ocb::open(body, algorithm, session_key));
        opened.is_ok()
    });
    let content = opened?;
    let mut packets = PacketParser::from_bytes(content.as_slice()).map_err(|_| "it holds no data key")?;
    while let PacketParserResult::Some(parser) = packets {
        if let Packet::Literal(_) = parser.packet {
            return data_key(parser);
        }
        packets = parser.recurse().map_err(|_| "it holds no data key")?.1;
    }
    Err("it holds no data key")
}

fn data_key(plaintext: impl Read) -> Result<DataKey, &'static str> {
    let mut data_key = Zeroizing::new(Vec::with_capacity(MAX_DATA_KEY_BYTES + 1));
    plaintext
        .take(MAX_DATA_KEY_BYTES as u64 + 1)
        .read_to_end(&mut data_key)
        .map_err(|_| "its content does not authenticate")?;
    match data_key.len() {
        0 => Err("it is empty"),
        1..=MAX_DATA_KEY_BYTES => Ok(DataKey::new(std::mem::take(&mut data_key))),
        _ => Err("it holds more than a data key"),
    }
}

/// Our keys, and how far a message was opened with them.
struct Trial<'a> {
    keys: &'a [SecretKey],
    stage: Cell<Stage>,
}

#[derive(Clone, Copy)]
enum Stage {
    Unread,
    NotForUs,
    TooManyTries,
    NotOpened,
    Opened(usize),
}

impl Trial<'_> {
    /// Gives every session key that one of ours finds to `decrypt`, until that is content.
    fn session_keys(
        &self,
        recipients: &[PKESK],
        hint: Option<SymmetricAlgorithm>,
        decrypt: &mut dyn FnMut(Option<SymmetricAlgorithm>, &SessionKey) -> bool,
    ) {
        self.stage.set(Stage::NotForUs);
        let mut tries = 0;
        for pkesk in recipients {
            let recipient = pkesk.recipient();
            // Hidden recipients leave no name: any key may be the one.
            let fits = |key: &SecretKey| recipient.as_ref().is_none_or(|name| name.aliases(key.key.key_handle()));
            for (index, candidate) in self.keys.iter().enumerate().filter(|(_, key)| fits(key)) {
                tries += 1;
                if tries > MAX_TRIES {
                    return self.stage.set(Stage::TooManyTries);
                }
                if recipient.is_some() {
                    self.stage.set(Stage::NotOpened);
                }
                let Ok(mut pair) = candidate.key.clone().into_keypair() else { continue };
                let session = pkesk.decrypt(&mut pair, hint);
                if session.is_some_and(|(algorithm, session_key)| decrypt(algorithm, &session_key)) {
                    return self.stage.set(Stage::Opened(index));
                }
            }
        }
    }
}

impl DecryptionHelper for &Trial<'_> {
    fn decrypt(
        &mut self,
        recipients: &[PKESK],
        _: &[SKESK],
        hint: Option<SymmetricAlgorithm>,
        decrypt: &mut dyn FnMut(Option<SymmetricAlgorithm>, &SessionKey) -> bool,
    ) -> openpgp::Result<Option<Cert>> {
        self.session_keys(recipients, hint, decrypt);
        Ok(None)
    }
}

/// Signatures do not matter: who can write the file can sign it as well.
impl VerificationHelper for &Trial<'_> {
    fn get_certs(&mut self, _: &[KeyHandle]) -> openpgp::Result<Vec<Cert>> {
        Ok(Vec::new())
    }

    fn check(&mut self, _: MessageStructure<'_>) -> openpgp::Result<()> {
        Ok(())
    }
}
