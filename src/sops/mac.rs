//! The MAC of a file: SHA-512 over every leaf in document order.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha512};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::cipher::{Cipher, Opened};
use super::error::{MacFault, ValueFault};
use super::metadata::Metadata;
use super::number;
use super::tree::Node;
use crate::secret::Plaintext;

/// SHA-256 of `sops`: what the hash starts with when only encrypted values enter.
const ONLY_ENCRYPTED: [u8; 32] = [
    0x8a, 0x3f, 0xd2, 0xad, 0x54, 0xce, 0x66, 0x52, 0x7b, 0x10, 0x34, 0xf3, 0xd1, 0x47, 0xbe, 0x0b, 0x0b, 0x97, 0x5b,
    0x3b, 0xf4, 0x4f, 0x72, 0xc6, 0xfd, 0xad, 0xec, 0x81, 0x76, 0xf2, 0x7d, 0x69,
];

/// The running hash, or what is to be hashed once its turn has come.
pub(crate) struct Mac {
    sink: Sink,
    scratch: Zeroizing<Vec<u8>>,
}

/// Where the leaves go.
enum Sink {
    Hash(Sha512),
    Later(Plaintext),
}

impl Sink {
    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Hash(hash) => hash.update(bytes),
            Self::Later(collected) => collected.extend(bytes),
        }
    }
}

impl Mac {
    /// Starts the hash in one of its two modes.
    pub(crate) fn new(only_encrypted: bool) -> Self {
        let mut hash = Sha512::new();
        if only_encrypted {
            hash.update(ONLY_ENCRYPTED);
        }
        Self { sink: Sink::Hash(hash), scratch: Zeroizing::new(Vec::with_capacity(64)) }
    }

    /// Collects the leaves of a later part of the file, for [`Mac::append`].
    pub(crate) fn of_later_part() -> Self {
        Self { sink: Sink::Later(Plaintext::default()), scratch: Zeroizing::new(Vec::with_capacity(64)) }
    }

    /// Adds what a later part has collected.
    pub(crate) fn append(&mut self, later: Self) {
        if let Sink::Later(collected) = later.sink {
            self.sink.update(collected.expose());
        }
    }

    /// Adds a leaf by its type and value, not as it is written. Null, comments and empty collections add nothing.
    pub(crate) fn add(&mut self, leaf: &Node<'_>) -> Result<(), ValueFault> {
        let scratch = &mut *self.scratch;
        scratch.clear();
        match leaf {
            Node::Str(text) => {
                self.sink.update(text.bytes());
                return Ok(());
            }
            Node::Int(value) => scratch.extend_from_slice(value.to_string().as_bytes()),
            Node::Float(value) => number::write_float_plain(scratch, *value),
            Node::Bool(value) => scratch.extend_from_slice(if *value { b"True" } else { b"False" }),
            Node::Time(time) if time.is_rfc3339() => time.write_nano(scratch),
            Node::Time(_) => return Err(ValueFault::TimeOffset),
            Node::Null | Node::Comment(_) | Node::InlineComment(_) | Node::Map(_) | Node::List(_) => return Ok(()),
        }
        self.sink.update(&*scratch);
        Ok(())
    }

    /// Adds bytes of a comment that turned out to be a string.
    pub(crate) fn add_bytes(&mut self, bytes: &[u8]) {
        self.sink.update(bytes);
    }

    /// Compares with the MAC of the file.
    pub(crate) fn verify(self, cipher: &Cipher, metadata: &Metadata) -> Result<(), MacFault> {
        let stored = metadata.mac.as_deref().ok_or(MacFault::Missing)?;
        let stored = match cipher.open(stored.as_bytes(), metadata.last_modified.as_bytes()) {
            Ok(Opened::Str(text)) => Zeroizing::new(text),
            Ok(_) => return Err(MacFault::Mismatch),
            Err(fault) => return Err(MacFault::Unreadable(fault)),
        };
        let mut computed = Zeroizing::new(String::with_capacity(128));
        let Sink::Hash(hash) = self.sink else { return Err(MacFault::Mismatch) };
        for byte in hash.finalize() {
            write!(computed, "{byte:02X}").expect("writing to a String does not fail");
        }
        if bool::from(computed.as_bytes().ct_eq(&stored)) { Ok(()) } else { Err(MacFault::Mismatch) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_mode_starts_with_the_sha_256_of_sops() {
        assert_eq!(sha2::Sha256::digest(b"sops").as_slice(), ONLY_ENCRYPTED);
    }

    #[test]
    fn open_values_enter_by_type() {
        let digest = |leaves: &[Node<'_>]| {
            let mut mac = Mac::new(false);
            for leaf in leaves {
                mac.add(leaf).unwrap();
            }
            let Sink::Hash(hash) = mac.sink else { panic!("a running hash") };
            hash.finalize()
        };
        let leaves = [
            Node::Bool(true),
            Node::Null,
            Node::Int(-31),
            Node::Map(Vec::new()),
            Node::Float(1.5),
            Node::Float(1e3),
            Node::List(Vec::new()),
        ];
        assert_eq!(digest(&leaves), Sha512::digest(b"True-311.51000"));
    }
}
