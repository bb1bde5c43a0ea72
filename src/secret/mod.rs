//! Values that must not be seen.
//!
//! Everything decrypted lives in a [`Plaintext`]: zeroed on drop, never printed, cloned or serialised.

mod plaintext;

pub use plaintext::Plaintext;
