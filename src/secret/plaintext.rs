//! Bytes that were decrypted, or that were made of something decrypted.

use std::fmt;

use zeroize::Zeroizing;

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
}
