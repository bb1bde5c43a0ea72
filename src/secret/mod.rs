//! Values that must not be seen.
//!
//! Everything decrypted lives in a [`Plaintext`]: zeroed on drop, never printed, cloned or serialised. Foreign text
//! passes [`redact`] before a person may read it, URLs are shown as [`SafeUrl`].

mod plaintext;
mod redactor;
mod safe_url;
mod spelling;

pub use plaintext::Plaintext;
pub use redactor::{MASK, redact};
pub use safe_url::SafeUrl;
