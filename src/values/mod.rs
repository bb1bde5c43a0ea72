//! References become values files: found in the source, allowed by policy, decrypted, in order.

mod error;
mod find;
mod load;
mod policy;

pub use error::Error;
pub use find::{Found, Sources, find};
pub use load::{Loader, Values, ValuesFile};
pub use policy::{Allowed, Policy, Refused};
