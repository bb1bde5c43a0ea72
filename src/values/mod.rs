//! References become values files: found in the source, allowed by policy, decrypted, in order.

mod data_keys;
mod error;
mod find;
mod load;
mod policy;

pub use data_keys::DataKeyStats;
pub use error::Error;
pub use find::{Found, Sources, find};
pub use load::{Loader, Powers, Values, ValuesFile};
pub use policy::{Allowed, Border, Policy, Refused};
