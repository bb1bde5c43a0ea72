//! What the program does, seen from outside: one module for each capability.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::disallowed_methods, reason = "a test starts programs and gives each an environment of its own")]

mod caller;
mod confinement;
mod decrypt;
mod dependencies;
mod generate;
mod leaks;
mod manifests;
mod messages;
mod parameters;
mod policies;
mod process;
mod readme;
mod scenarios;
mod serve;
mod terminal;
mod world;
