//! What libbpf-cargo generates from the programs of this bench.
#![allow(
    clippy::all,
    clippy::pedantic,
    clippy::restriction,
    missing_debug_implementations,
    missing_docs,
    unreachable_pub,
    unsafe_code,
    unused_qualifications,
    elided_lifetimes_in_paths,
    dead_code,
    reason = "generated code"
)]

include!(concat!(env!("OUT_DIR"), "/blocks.skel.rs"));
