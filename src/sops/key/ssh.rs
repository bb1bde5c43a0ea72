//! SSH private keys as age identities: ed25519 and RSA, in OpenSSH or PEM form.

use ::age::ssh::{Identity, UnsupportedKey};

use super::fault::PlaceFault;

/// SSH keys are small; the parser reads a damaged one again from its start for every line.
const MAX_BYTES: usize = 64 * 1024;

pub(super) fn parse(content: &[u8]) -> Result<Box<Identity>, PlaceFault> {
    if content.len() > MAX_BYTES {
        return Err(PlaceFault::TooLarge { max_bytes: MAX_BYTES });
    }
    let text = std::str::from_utf8(content).map_err(|_| PlaceFault::NoSshKey)?;
    if text.contains("Proc-Type: 4,ENCRYPTED") || text.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----") {
        return Err(PlaceFault::SshProtected);
    }
    match Identity::from_buffer(text.trim_start().as_bytes(), None) {
        Ok(identity @ Identity::Unencrypted(_)) => Ok(Box::new(identity)),
        Ok(
            Identity::Encrypted(_)
            | Identity::Unsupported(UnsupportedKey::EncryptedPem | UnsupportedKey::EncryptedSsh(_)),
        ) => Err(PlaceFault::SshProtected),
        Ok(Identity::Unsupported(_)) => Err(PlaceFault::SshUnsupported),
        Err(_) => Err(PlaceFault::NoSshKey),
    }
}
