//! The agent on real packets: pods in namespaces, policies in a folder, and what can go wrong.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "the whole binary is a test, its helpers too"
)]

mod lab;
mod names;
mod policy;
mod world;
