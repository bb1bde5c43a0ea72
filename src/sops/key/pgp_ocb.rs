//! The OCB encrypted data packet (tag 20) that `GnuPG` 2.3 and newer writes for keys that ask for it.
//!
//! It never came into the `OpenPGP` standard, and sequoia 2 does not read it. The format is that of
//! draft-koch-librepgp, section 5.16: a header, chunks with a tag each, and a last tag over the length.

use aes_gcm::aead::generic_array::typenum::{U15, U16};
use aes_gcm::aead::{AeadInPlace, KeyInit};
use aes_gcm::aes::{Aes128, Aes192, Aes256};
use ocb3::{Nonce, Ocb3, Tag};
use sequoia_openpgp::types::SymmetricAlgorithm;
use zeroize::Zeroizing;

const VERSION: u8 = 1;
const OCB: u8 = 2;
const HEADER_BYTES: usize = 4;
const NONCE_BYTES: usize = 15;
const TAG_BYTES: usize = 16;
/// How the associated data begins: the packet's tag as new-format header byte.
const PACKET_TAG: u8 = 0xc0 | 0x14;
/// Chunks of 2^22 bytes are what gpg writes at most; a data key fits into one of the smallest.
const MAX_CHUNK_SIZE: u8 = 16;

/// Decrypts the body of such a packet. Everything is authenticated before anything is returned.
pub(super) fn open(
    body: &[u8],
    algorithm: SymmetricAlgorithm,
    session_key: &[u8],
) -> Result<Zeroizing<Vec<u8>>, &'static str> {
    let (header, rest) = body.split_first_chunk::<HEADER_BYTES>().ok_or("it is cut off")?;
    let [version, cipher, mode, chunk_size] = *header;
    if version != VERSION || mode != OCB || chunk_size > MAX_CHUNK_SIZE || cipher != u8::from(algorithm) {
        return Err("its cipher is unknown");
    }
    let (nonce, sealed) = rest.split_first_chunk::<NONCE_BYTES>().ok_or("it is cut off")?;
    let message = Message { header: *header, nonce: *nonce, chunk_bytes: 1 << (chunk_size + 6), sealed };
    match algorithm {
        SymmetricAlgorithm::AES128 => message.open(Ocb3::<Aes128, U15, U16>::new_from_slice(session_key).ok()),
        SymmetricAlgorithm::AES192 => message.open(Ocb3::<Aes192, U15, U16>::new_from_slice(session_key).ok()),
        SymmetricAlgorithm::AES256 => message.open(Ocb3::<Aes256, U15, U16>::new_from_slice(session_key).ok()),
        _ => Err("its cipher is unknown"),
    }
}

struct Message<'a> {
    header: [u8; HEADER_BYTES],
    nonce: [u8; NONCE_BYTES],
    chunk_bytes: usize,
    sealed: &'a [u8],
}

impl Message<'_> {
    fn open<C>(&self, cipher: Option<C>) -> Result<Zeroizing<Vec<u8>>, &'static str>
    where
        C: AeadInPlace<NonceSize = U15, TagSize = U16>,
    {
        const UNAUTHENTIC: &str = "its content does not authenticate";
        let cipher = cipher.ok_or("its session key has the wrong length")?;
        let last = self.sealed.len().checked_sub(TAG_BYTES).ok_or("it is cut off")?;
        let (mut sealed, last_tag) = self.sealed.split_at(last);
        let mut plaintext = Zeroizing::new(Vec::with_capacity(sealed.len()));
        let mut index = 0_u64;
        while !sealed.is_empty() {
            let (chunk, rest) = sealed.split_at(sealed.len().min(self.chunk_bytes + TAG_BYTES));
            let (text, tag) = chunk.split_at(chunk.len().checked_sub(TAG_BYTES).ok_or("it is cut off")?);
            let start = plaintext.len();
            plaintext.extend(text);
            cipher
                .decrypt_in_place_detached(
                    &self.nonce(index),
                    &self.associated(index, None),
                    &mut plaintext[start..],
                    Tag::from_slice(tag),
                )
                .map_err(|_| UNAUTHENTIC)?;
            sealed = rest;
            index += 1;
        }
        let associated = self.associated(index, Some(plaintext.len() as u64));
        cipher
            .decrypt_in_place_detached(&self.nonce(index), &associated, &mut [], Tag::from_slice(last_tag))
            .map_err(|_| UNAUTHENTIC)?;
        Ok(plaintext)
    }

    /// The packet's nonce with the chunk's number laid over its last eight bytes.
    fn nonce(&self, index: u64) -> Nonce<U15> {
        let mut nonce = self.nonce;
        for (byte, number) in nonce[NONCE_BYTES - 8..].iter_mut().zip(index.to_be_bytes()) {
            *byte ^= number;
        }
        nonce.into()
    }

    fn associated(&self, index: u64, total: Option<u64>) -> Vec<u8> {
        let mut data = vec![PACKET_TAG];
        data.extend(self.header);
        data.extend(index.to_be_bytes());
        data.extend(total.map(u64::to_be_bytes).into_iter().flatten());
        data
    }
}
