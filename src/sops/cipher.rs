//! One encrypted value: taken apart, authenticated, decrypted in place, and read as its type.

use std::fmt;

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
    /// For initialisation vectors of 32 bytes: what sops writes.
    usual: Box<dyn Open>,
    iv_16: Box<dyn Open>,
    iv_12: Box<dyn Open>,
}

/// A decrypted value.
pub(crate) enum Opened {
    /// Type `str`.
    Str(Vec<u8>),
    /// Type `comment`.
    Comment(Vec<u8>),
    /// Any other type, with the decrypted text that it was read from.
    Other(Node<'static>, Plaintext),
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
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
            usual: Box::new(AesGcm::<A, U32>::new(key)),
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
            32 => &self.usual,
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

#[cfg(test)]
mod tests {
    use super::*;

    // Sealed by Go's crypto/cipher under the key 00 01 02 ..., with the IV f0 ef ee ...
    const SEALED: [(usize, &str, &str, &str); 5] = [
        (32, "GSoEDnE=", "8O/u7ezr6uno5+bl5OPi4eDf3t3c29rZ2NfW1dTT0tE=", "puX/LWDRpI1Ry5YytzIaoQ=="),
        (32, "4chZtpw=", "8O/u7ezr6uno5+bl", "msoBax+BM/0VOT6GR2M2hg=="),
        (32, "jfkvKR8=", "8O/u7ezr6uno5+bl5OPi4Q==", "PZUv1eXc0UB6e47rwbYCuQ=="),
        (16, "Q2tCLhw=", "8O/u7ezr6uno5+bl5OPi4eDf3t3c29rZ2NfW1dTT0tE=", "1kC8be+FBpitb48tzlk5Uw=="),
        (24, "tzy5tgU=", "8O/u7ezr6uno5+bl5OPi4eDf3t3c29rZ2NfW1dTT0tE=", "jJLEo6ct9+UXu8xMUH5bzA=="),
    ];
    const IV: &str = "8O/u7ezr6uno5+bl5OPi4eDf3t3c29rZ2NfW1dTT0tE=";

    fn cipher(length: u8) -> Cipher {
        Cipher::new(&DataKey::new((0..length).collect())).unwrap()
    }

    fn value(data: &str, iv: &str, tag: &str, kind: &str) -> String {
        format!("ENC[AES256_GCM,data:{data},iv:{iv},tag:{tag},type:{kind}]")
    }

    fn fault(value: &str, aad: &str) -> ValueFault {
        cipher(32).open(value.as_bytes(), aad.as_bytes()).unwrap_err()
    }

    #[test]
    fn keys_of_three_sizes_and_ivs_of_three_lengths_open() {
        for (length, data, iv, tag) in SEALED {
            let opened = cipher(u8::try_from(length).unwrap()).open(value(data, iv, tag, "str").as_bytes(), b"a:b:");
            assert!(matches!(opened, Ok(Opened::Str(text)) if text == b"hello"), "{length} {iv}");
        }
        assert!(matches!(Cipher::new(&DataKey::new(vec![0; 33])), Err(Error::DataKey { length: 33 })));
    }

    #[test]
    fn a_value_is_bound_to_its_path_and_to_every_bit() {
        let (_, data, iv, tag) = SEALED[0];
        assert_eq!(fault(&value(data, iv, tag, "str"), "a:c:"), ValueFault::Authentication);
        assert_eq!(fault(&value("GSoEDnA=", iv, tag, "str"), "a:b:"), ValueFault::Authentication);
        assert_eq!(fault(&value(data, &iv.replace("8O", "8A"), tag, "str"), "a:b:"), ValueFault::Authentication);
        assert_eq!(fault(&value(data, iv, "puX/LWDRpI1Ry5YytzIa", "str"), "a:b:"), ValueFault::Authentication);
    }

    #[test]
    fn the_empty_string_is_not_encrypted() {
        assert!(matches!(cipher(32).open(b"", b"anything"), Ok(Opened::Str(text)) if text.is_empty()));
    }

    #[test]
    fn text_behind_the_bracket_and_loose_bits_are_ignored() {
        let (_, data, iv, tag) = SEALED[0];
        for value in [
            value(data, iv, tag, "str") + " and more",
            value(data, iv, tag, "str") + "\n]",
            value("GSoEDnF=", iv, tag, "str"),
            value("GSoE\rDnE=", iv, tag, "str"),
        ] {
            let opened = cipher(32).open(value.as_bytes(), b"a:b:");
            assert!(matches!(opened, Ok(Opened::Str(text)) if text == b"hello"), "{value:?}");
        }
    }

    #[test]
    fn other_forms_are_not_encrypted_values() {
        let (_, data, iv, tag) = SEALED[0];
        for value in [
            "plain".to_owned(),
            " ".to_owned() + &value(data, iv, tag, "str"),
            value("", iv, tag, "str"),
            value(data, "", tag, "str"),
            value(data, iv, "", "str"),
            value(data, iv, tag, ""),
            value(data, iv, tag, "str").replace("AES256", "AES128"),
            value(data, iv, tag, "str").replace(']', ""),
            value(&format!("{data}\n"), iv, tag, "str"),
        ] {
            assert_eq!(fault(&value, "a:b:"), ValueFault::NotEncrypted("plain text"), "{value:?}");
        }
        assert_eq!(fault(&value("GSoEDnE", iv, tag, "str"), "a:b:"), ValueFault::Base64("data"));
        assert_eq!(fault(&value(data, "-_==", tag, "str"), "a:b:"), ValueFault::Base64("iv"));
        assert_eq!(fault(&value(data, iv, "a,b=", "str"), "a:b:"), ValueFault::Base64("tag"));
        assert_eq!(fault(&value(data, "8O/u7ezr6uno5+bl5OPi4eDf3t0=", tag, "str"), "a:b:"), ValueFault::IvLength(20));
    }

    #[test]
    fn each_type_is_read_as_go_reads_it() {
        let open =
            |data, tag, kind: &str, aad: &str| cipher(32).open(value(data, IV, tag, kind).as_bytes(), aad.as_bytes());
        let text = |opened| match opened {
            Ok(Opened::Other(node, text)) => (node, text.expose().to_vec()),
            other => panic!("{other:?}"),
        };
        let int = text(open("XH9YVQ==", "oSVy3mZ33CP0CFlL18Nycg==", "int", "a:"));
        assert!(matches!(int, (Node::Int(-7), text) if text == b"-007"));
        let float = text(open("QTdZEjMZ", "XHb/6iJyaQ20F4fuuaVjTA==", "float", "a:"));
        assert!(matches!(float, (Node::Float(0.25), text) if text == b"0x1p-2"));
        let bool = text(open("JR09Jw==", "JlX8BM+Z2oGe4yKdzQaWLg==", "bool", "a:"));
        assert!(matches!(bool, (Node::Bool(true), _)));
        let time = text(open("Q39YUzMaWV8vU/7D2vipyDwT2D6szRqqEZ6SNQ==", "vbevCWH3L6k101VX5GCppw==", "time", "a:"));
        assert!(matches!(time, (Node::Time(Timestamp { nanosecond: 100_000_000, offset_seconds: -18_000, .. }), _)));
        let comment = open("USEHFns=", "mlbFLowqa/3xNSNToimnHw==", "comment", ":");
        assert!(matches!(comment, Ok(Opened::Comment(text)) if text == b" note"));
    }

    #[test]
    fn plaintext_that_is_not_of_its_type_is_refused() {
        let fault = |data, tag, kind| fault(&value(data, IV, tag, kind), "a:");
        let x = ("CQ==", "uqpVCtbKAomT4jfLRPf5VA==");
        assert_eq!(fault(x.0, x.1, "bytes"), ValueFault::Bytes);
        assert_eq!(fault(x.0, x.1, "date"), ValueFault::UnknownType);
        assert_eq!(fault(x.0, x.1, "int"), ValueFault::Plaintext("int"));
        assert_eq!(fault(x.0, x.1, "time"), ValueFault::Plaintext("time"));
        assert_eq!(fault("CCob", "IgfHGmhlAN+QrrZev4mCOA==", "bool"), ValueFault::Plaintext("bool"));
        let too_big = fault("SH1aUS0cWUItUZLE3/WrxD4X0w==", "UUhIp9FREAoz7+wPSOmMvg==", "int");
        assert_eq!(too_big, ValueFault::Plaintext("int"));
    }
}
