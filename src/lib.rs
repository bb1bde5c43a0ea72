//! Renders Argo CD Applications whose Helm values are encrypted with SOPS.
//!
//! The path of one request, each noun owned by the room that makes it:
//!
//! ```text
//! plugin::Request -> app::Plan -> values::Values -> helm::Rendered -> manifests::Manifests
//! ```
//!
//! Read [`plugin`] first; `ARCHITECTURE.md` has the map and the reasons.

pub mod app;
pub mod cli;
pub mod cmp;
pub mod config;
pub mod deadline;
pub mod flight;
pub mod helm;
pub mod keyring;
pub mod manifests;
pub mod message;
pub mod phases;
pub mod plugin;
pub mod reference;
pub mod repo;
pub mod secret;
pub mod sops;
pub mod telemetry;
pub mod values;
