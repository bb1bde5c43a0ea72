//! The hybrid post-quantum identities of age 1.3: `AGE-SECRET-KEY-PQ-1...`.
//!
//! A stanza `mlkem768x25519` holds the file key in HPKE base mode (RFC 9180) with X-Wing as its KEM, see
//! <https://c2sp.org/age>.

use std::str::FromStr;

use ::age::DecryptError;
use age_core::format::{FILE_KEY_BYTES, FileKey, Stanza};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bech32::{FromBase32, ToBase32, Variant};
use hpke::aead::ChaCha20Poly1305;
use hpke::kdf::HkdfSha256;
use hpke::kem::XWing;
use hpke::{Deserializable, Kem, OpModeR, Serializable, single_shot_open};
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::{Zeroize, Zeroizing};

const SECRET_PREFIX: &str = "AGE-SECRET-KEY-PQ-";
const PUBLIC_PREFIX: &str = "age1pq";
const STANZA: &str = "mlkem768x25519";
const INFO: &[u8] = b"age-encryption.org/mlkem768x25519";
/// What X-Wing hands over: an ML-KEM-768 ciphertext, then an X25519 share.
const SHARE_BYTES: usize = 1088 + 32;
const TAG_BYTES: usize = 16;

/// A hybrid identity: the seed of an X-Wing key.
pub(super) struct Identity {
    seed: Zeroizing<[u8; 32]>,
}

impl FromStr for Identity {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (prefix, mut digits, variant) = bech32::decode(text).map_err(|_| ())?;
        let bytes = Vec::<u8>::from_base32(&digits).map(Zeroizing::new);
        digits.fill(bech32::u5::default());
        std::hint::black_box(&digits);
        // `decode` lowers the prefix of a text in capitals; mixed case it refuses.
        if !prefix.eq_ignore_ascii_case(SECRET_PREFIX) || variant != Variant::Bech32 {
            return Err(());
        }
        let seed = <[u8; 32]>::try_from(bytes.map_err(|_| ())?.as_slice()).map_err(|_| ())?;
        Ok(Self { seed: Zeroizing::new(seed) })
    }
}

impl Identity {
    /// The recipient, `age1pq1...`: near to two thousand characters.
    pub(super) fn to_public(&self) -> String {
        self.key().map_or_else(String::new, |key| {
            let public = XWing::sk_to_pk(&key).to_bytes();
            bech32::encode(PUBLIC_PREFIX, public.as_slice().to_base32(), Variant::Bech32).unwrap_or_default()
        })
    }

    fn key(&self) -> Option<<XWing as Kem>::PrivateKey> {
        <XWing as Kem>::PrivateKey::from_bytes(self.seed.as_slice()).ok()
    }

    fn open(&self, share: &[u8], body: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let share = <XWing as Kem>::EncappedKey::from_bytes(share).ok()?;
        single_shot_open::<ChaCha20Poly1305, HkdfSha256, XWing>(&OpModeR::Base, &self.key()?, &share, INFO, body, &[])
            .ok()
            .map(Zeroizing::new)
    }
}

impl ::age::Identity for Identity {
    fn unwrap_stanza(&self, stanza: &Stanza) -> Option<Result<FileKey, DecryptError>> {
        if stanza.tag != STANZA {
            return None;
        }
        let malformed = Some(Err(DecryptError::InvalidHeader));
        let [share] = stanza.args.as_slice() else {
            return malformed;
        };
        let Ok(share) = STANDARD_NO_PAD.decode(share) else {
            return malformed;
        };
        if share.len() != SHARE_BYTES || stanza.body.len() != FILE_KEY_BYTES + TAG_BYTES || is_low_order(&share) {
            return malformed;
        }
        // A key that does not fit cannot be told from a damaged stanza: the next identity may open it.
        let opened = self.open(&share, &stanza.body)?;
        Some(FileKey::try_init_with_mut(|file_key| {
            if opened.len() != file_key.len() {
                return Err(DecryptError::InvalidHeader);
            }
            file_key.copy_from_slice(&opened);
            Ok(())
        }))
    }
}

/// Whether the X25519 half of a share is a point that makes every shared secret zero, for any key.
fn is_low_order(share: &[u8]) -> bool {
    let Ok(point) = <[u8; 32]>::try_from(&share[SHARE_BYTES - 32..]) else {
        return true;
    };
    let mut anyone = [1; 32];
    let shared = StaticSecret::from(anyone).diffie_hellman(&PublicKey::from(point));
    anyone.zeroize();
    !shared.was_contributory()
}
