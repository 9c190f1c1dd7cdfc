//! What libbpf-cargo generates from the object: the programs' bytes and the types of its BTF.
#![allow(
    clippy::all,
    clippy::pedantic,
    clippy::restriction,
    missing_debug_implementations,
    unreachable_pub,
    unsafe_code,
    unused_qualifications,
    elided_lifetimes_in_paths,
    dead_code,
    reason = "generated code"
)]

include!(concat!(env!("OUT_DIR"), "/endpoint.skel.rs"));
