//! SSH private keys as age identities: ed25519 and RSA, in OpenSSH or PEM form (PKCS#1, PKCS#8).

use ::age::ssh::{Identity, UnsupportedKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::SigningKey;
use zeroize::Zeroizing;

use super::fault::PlaceFault;

/// SSH keys are small; the parser reads a damaged one again from its start for every line.
const MAX_BYTES: usize = 64 * 1024;

pub(super) fn parse(content: &[u8]) -> Result<Box<Identity>, PlaceFault> {
    if content.len() > MAX_BYTES {
        return Err(PlaceFault::TooLarge { max_bytes: MAX_BYTES });
    }
    let text = std::str::from_utf8(content).map_err(|_| PlaceFault::NoSshKey)?.trim_start();
    if text.contains("Proc-Type: 4,ENCRYPTED") || text.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----") {
        return Err(PlaceFault::SshProtected);
    }
    if text.starts_with("-----BEGIN EC PRIVATE KEY-----") || text.starts_with("-----BEGIN DSA PRIVATE KEY-----") {
        return Err(PlaceFault::SshUnsupported);
    }
    let rewritten = match text.strip_prefix("-----BEGIN PRIVATE KEY-----") {
        Some(body) => Some(from_pkcs8(body)?),
        None => None,
    };
    let text = rewritten.as_ref().map_or(text, |text| text.as_str());
    match Identity::from_buffer(text.as_bytes(), None) {
        Ok(identity @ Identity::Unencrypted(_)) => Ok(Box::new(identity)),
        Ok(
            Identity::Encrypted(_)
            | Identity::Unsupported(UnsupportedKey::EncryptedPem | UnsupportedKey::EncryptedSsh(_)),
        ) => Err(PlaceFault::SshProtected),
        Ok(Identity::Unsupported(_)) => Err(PlaceFault::SshUnsupported),
        Err(_) => Err(PlaceFault::NoSshKey),
    }
}

const OID_RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
const OID_ED25519: &[u8] = &[0x2b, 0x65, 0x70];

/// Rewrites a PKCS#8 key (RFC 5958), which sops reads and the age crate does not, in a form that it reads.
fn from_pkcs8(body: &str) -> Result<Zeroizing<String>, PlaceFault> {
    let (body, _) = body.split_once("-----END PRIVATE KEY-----").ok_or(PlaceFault::NoSshKey)?;
    let body = Zeroizing::new(body.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect::<Vec<u8>>());
    let der = STANDARD.decode(&*body).map(Zeroizing::new).map_err(|_| PlaceFault::NoSshKey)?;
    let (oid, key) = take_apart(&der).ok_or(PlaceFault::NoSshKey)?;
    match oid {
        OID_RSA => Ok(pem("RSA PRIVATE KEY", key)),
        OID_ED25519 => {
            let (seed, _) = element(0x04, key).ok_or(PlaceFault::NoSshKey)?;
            let seed = <[u8; 32]>::try_from(seed).map(Zeroizing::new).map_err(|_| PlaceFault::NoSshKey)?;
            Ok(pem("OPENSSH PRIVATE KEY", &openssh_ed25519(&seed)))
        }
        _ => Err(PlaceFault::SshUnsupported),
    }
}

/// The algorithm and the key of a `PrivateKeyInfo`.
fn take_apart(der: &[u8]) -> Option<(&[u8], &[u8])> {
    const INTEGER: u8 = 0x02;
    const OCTETS: u8 = 0x04;
    const OID: u8 = 0x06;
    const SEQUENCE: u8 = 0x30;
    let (info, _) = element(SEQUENCE, der)?;
    let (_version, info) = element(INTEGER, info)?;
    let (algorithm, info) = element(SEQUENCE, info)?;
    let (key, _attributes) = element(OCTETS, info)?;
    let (oid, _parameters) = element(OID, algorithm)?;
    Some((oid, key))
}

/// One DER element with this tag: its content, and what follows it.
fn element(tag: u8, der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&[found, length], rest) = der.split_first_chunk()?;
    if found != tag {
        return None;
    }
    let (length, rest) = match length {
        0..=0x7f => (usize::from(length), rest),
        0x81 => rest.split_first_chunk().map(|(&[a], rest)| (usize::from(a), rest))?,
        0x82 => rest.split_first_chunk().map(|(&[a, b], rest)| (usize::from(u16::from_be_bytes([a, b])), rest))?,
        _ => return None,
    };
    rest.split_at_checked(length)
}

/// The file that `ssh-keygen` writes for an ed25519 key without a passphrase (OpenSSH's `PROTOCOL.key`).
fn openssh_ed25519(seed: &[u8; 32]) -> Zeroizing<Vec<u8>> {
    let public = SigningKey::from_bytes(seed).verifying_key().to_bytes();
    let mut public_part = Vec::new();
    string(&mut public_part, b"ssh-ed25519");
    string(&mut public_part, &public);

    let mut private_part = Zeroizing::new(Vec::with_capacity(256));
    private_part.extend([0; 8]); // twice the same number, which tells a wrong passphrase
    private_part.extend(&public_part);
    let mut pair = Zeroizing::new([0; 64]);
    pair[..32].copy_from_slice(seed);
    pair[32..].copy_from_slice(&public);
    string(&mut private_part, pair.as_slice());
    string(&mut private_part, b"");
    for padding in 1..=(8 - private_part.len() % 8) % 8 {
        private_part.push(u8::try_from(padding).unwrap_or_default());
    }

    let mut file = Zeroizing::new(Vec::with_capacity(512));
    file.extend(b"openssh-key-v1\0");
    string(&mut file, b"none");
    string(&mut file, b"none");
    string(&mut file, b"");
    file.extend(1_u32.to_be_bytes());
    string(&mut file, &public_part);
    string(&mut file, &private_part);
    file
}

/// Appends an SSH string: length, then bytes.
fn string(out: &mut Vec<u8>, bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).unwrap_or_default();
    out.extend(length.to_be_bytes());
    out.extend(bytes);
}

fn pem(label: &str, der: &[u8]) -> Zeroizing<String> {
    const COLUMNS: usize = 64;
    let encoded = Zeroizing::new(STANDARD.encode(der));
    let mut pem = Zeroizing::new(String::with_capacity(encoded.len() * 2 + 128));
    for part in ["-----BEGIN ", label, "-----\n"] {
        pem.push_str(part);
    }
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, more) = rest.split_at(rest.len().min(COLUMNS));
        pem.push_str(line);
        pem.push('\n');
        rest = more;
    }
    for part in ["-----END ", label, "-----\n"] {
        pem.push_str(part);
    }
    pem
}
