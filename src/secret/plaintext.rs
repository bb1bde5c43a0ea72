//! Bytes that were decrypted, or that were made of something decrypted.

use std::fmt;

use zeroize::{Zeroize, Zeroizing};

/// Decrypted bytes: zeroed on drop, and neither printable nor clonable.
///
/// [`Plaintext::expose`] is the only way to the bytes, so that every use can be found by name.
#[derive(Default)]
pub struct Plaintext(Zeroizing<Vec<u8>>);

impl Plaintext {
    /// Takes bytes over; the given allocation itself is zeroed later, nothing is copied.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes. Whoever calls this answers for where they go.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The number of bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The number of bytes that are taken up in memory.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.0.capacity()
    }

    /// Appends bytes. A larger allocation takes their place when they outgrow the old one, which is zeroed first.
    pub fn extend(&mut self, more: &[u8]) {
        let needed = self.0.len() + more.len();
        if needed > self.0.capacity() {
            let mut larger = Vec::with_capacity(needed.max(self.0.capacity() * 2).max(4096));
            larger.extend_from_slice(&self.0);
            self.0.zeroize();
            *self.0 = larger;
        }
        self.0.extend_from_slice(more);
    }
}

impl From<String> for Plaintext {
    fn from(text: String) -> Self {
        Self::new(text.into_bytes())
    }
}

impl fmt::Debug for Plaintext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_shows_nothing() {
        let shown = format!("{:?}", Plaintext::new(b"hunter2".to_vec()));
        assert_eq!(shown, "[redacted]");
    }

    #[test]
    fn extending_keeps_what_was_there() {
        let mut text = Plaintext::default();
        for part in [&b"one "[..], b"two ", &[b'x'; 5000]] {
            text.extend(part);
        }
        assert_eq!(&text.expose()[..8], b"one two ");
        assert_eq!(text.len(), 5008);
    }
}
