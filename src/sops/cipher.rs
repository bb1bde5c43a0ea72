//! One encrypted value: taken apart, authenticated, decrypted in place, and read as its type.

use aes_gcm::aead::consts::{U12, U16, U32};
use aes_gcm::aead::generic_array::{ArrayLength, GenericArray};
use aes_gcm::aes::cipher::{BlockCipher, BlockEncrypt, BlockSizeUser};
use aes_gcm::aes::{Aes128, Aes192, Aes256};
use aes_gcm::{AeadInPlace, AesGcm, KeyInit, Tag};
use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

use super::error::{Error, ValueFault};
use super::key::DataKey;
use super::number;
use super::tree::{Node, Timestamp};
use crate::secret::Plaintext;

/// What every encrypted value begins with.
pub(crate) const PREFIX: &[u8] = b"ENC[AES256_GCM,";

const TAG_BYTES: usize = 16;

/// Go's decoder ignores unused bits of the last character; padding is required.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireCanonical),
);

/// AES-GCM under a file's data key, made once per file.
pub(crate) struct Cipher {
    iv_32: Box<dyn Open>, // what sops writes
    iv_16: Box<dyn Open>,
    iv_12: Box<dyn Open>,
}

/// A decrypted value.
#[derive(Debug)]
pub(crate) enum Opened {
    /// Type `str`.
    Str(Vec<u8>),
    /// Type `comment`.
    Comment(Vec<u8>),
    /// Any other type, with the decrypted text that it was read from.
    Other(Node<'static>, Plaintext),
}

impl Cipher {
    /// Expands the data key. Keys of 16 and 24 bytes mean AES-128 and AES-192, as in Go.
    pub(crate) fn new(key: &DataKey) -> Result<Self, Error> {
        match key.expose().len() {
            16 => Ok(Self::with::<Aes128>(key.expose())),
            24 => Ok(Self::with::<Aes192>(key.expose())),
            32 => Ok(Self::with::<Aes256>(key.expose())),
            length => Err(Error::DataKey { length }),
        }
    }

    fn with<A>(key: &[u8]) -> Self
    where
        A: BlockCipher + BlockSizeUser<BlockSize = U16> + BlockEncrypt + KeyInit + Send + Sync + 'static,
    {
        let key = GenericArray::from_slice(key);
        Self {
            iv_32: Box::new(AesGcm::<A, U32>::new(key)),
            iv_16: Box::new(AesGcm::<A, U16>::new(key)),
            iv_12: Box::new(AesGcm::<A, U12>::new(key)),
        }
    }

    /// Decrypts `ENC[AES256_GCM,...]`; `aad` is the path of its keys. An empty text is not encrypted and stays empty.
    pub(crate) fn open(&self, value: &[u8], aad: &[u8]) -> Result<Opened, ValueFault> {
        if value.is_empty() {
            return Ok(Opened::Str(Vec::new()));
        }
        let parts = Parts::of(value).ok_or(ValueFault::NotEncrypted("plain text"))?;
        // Data and tag are joined before opening, as in sops: the tag is the last 16 bytes of both.
        let mut text = Zeroizing::new(Vec::with_capacity((parts.data.len() + parts.tag.len()) / 4 * 3 + 6));
        decode(parts.data, &mut text).ok_or(ValueFault::Base64("data"))?;
        let mut iv = Vec::with_capacity(48);
        decode(parts.iv, &mut iv).ok_or(ValueFault::Base64("iv"))?;
        decode(parts.tag, &mut text).ok_or(ValueFault::Base64("tag"))?;

        let split = text.len().checked_sub(TAG_BYTES).ok_or(ValueFault::Authentication)?;
        let tag = *Tag::from_slice(&text[split..]);
        text.truncate(split);
        let gcm = match iv.len() {
            32 => &self.iv_32,
            16 => &self.iv_16,
            12 => &self.iv_12,
            length => return Err(ValueFault::IvLength(length)),
        };
        if !gcm.open(&iv, aad, &mut text, &tag) {
            return Err(ValueFault::Authentication);
        }
        read(parts.kind, text)
    }
}

/// AES-GCM of one key size and one nonce size.
trait Open: Send + Sync {
    /// Verifies, then decrypts in place; `false`, and `text` untouched, when it does not authenticate.
    fn open(&self, iv: &[u8], aad: &[u8], text: &mut [u8], tag: &Tag) -> bool;
}

impl<A, N> Open for AesGcm<A, N>
where
    A: BlockCipher + BlockSizeUser<BlockSize = U16> + BlockEncrypt + Send + Sync,
    N: ArrayLength<u8> + Send + Sync,
{
    fn open(&self, iv: &[u8], aad: &[u8], text: &mut [u8], tag: &Tag) -> bool {
        self.decrypt_in_place_detached(GenericArray::from_slice(iv), aad, text, tag).is_ok()
    }
}

/// The four parts of a value, still in base64.
struct Parts<'a> {
    data: &'a [u8],
    iv: &'a [u8],
    tag: &'a [u8],
    kind: &'a [u8],
}

impl<'a> Parts<'a> {
    /// Follows sops' pattern, whose groups are greedy and do not cross lines: text after the last `]` is ignored, no part
    /// may be empty.
    fn of(value: &'a [u8]) -> Option<Self> {
        let rest = value.strip_prefix(PREFIX)?.strip_prefix(b"data:")?;
        let line = rest.iter().position(|byte| *byte == b'\n').map_or(rest, |end| &rest[..end]);
        let line = &line[..line.iter().rposition(|byte| *byte == b']')?];
        let (line, kind) = split_last(line, b",type:")?;
        let (line, tag) = split_last(line, b",tag:")?;
        let (data, iv) = split_last(line, b",iv:")?;
        (!data.is_empty()).then_some(Self { data, iv, tag, kind })
    }
}

/// Splits at the last `mark` that has something behind it.
fn split_last<'a>(text: &'a [u8], mark: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let mut end = text.len().checked_sub(mark.len() + 1)? + 1;
    while let Some(at) = text[..end].iter().rposition(|byte| *byte == mark[0]) {
        if text[at..].starts_with(mark) {
            return Some((&text[..at], &text[at + mark.len()..]));
        }
        end = at;
    }
    None
}

/// Appends the decoded bytes. Go's decoder skips line ends.
fn decode(text: &[u8], out: &mut Vec<u8>) -> Option<()> {
    if text.contains(&b'\r') {
        let text: Vec<u8> = text.iter().copied().filter(|byte| *byte != b'\r').collect();
        return BASE64.decode_vec(text, out).ok();
    }
    BASE64.decode_vec(text, out).ok()
}

/// Reads decrypted text as the type that the value names.
fn read(kind: &[u8], mut text: Zeroizing<Vec<u8>>) -> Result<Opened, ValueFault> {
    let node = match kind {
        b"str" => return Ok(Opened::Str(std::mem::take(&mut *text))),
        b"comment" => return Ok(Opened::Comment(std::mem::take(&mut *text))),
        b"int" => number::parse_int(&text).map(Node::Int).ok_or(ValueFault::Plaintext("int"))?,
        b"float" => number::parse_float(&text).map(Node::Float).ok_or(ValueFault::Plaintext("float"))?,
        b"bool" => number::parse_bool(&text).map(Node::Bool).ok_or(ValueFault::Plaintext("bool"))?,
        b"time" => Timestamp::parse_rfc3339(&text).map(Node::Time).ok_or(ValueFault::Plaintext("time"))?,
        b"bytes" => return Err(ValueFault::Bytes),
        _ => return Err(ValueFault::UnknownType),
    };
    Ok(Opened::Other(node, Plaintext::new(std::mem::take(&mut *text))))
}
