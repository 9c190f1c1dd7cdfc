//! What libbpf-cargo generates from the objects: the programs' bytes and the types of their BTF.
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

/// The programs of an endpoint's device.
pub(crate) mod endpoint {
    include!(concat!(env!("OUT_DIR"), "/endpoint.skel.rs"));
}

/// The programs of a device that leads to the network.
pub(crate) mod host {
    include!(concat!(env!("OUT_DIR"), "/host.skel.rs"));
}

/// The programs of the overlay's device.
pub(crate) mod overlay {
    include!(concat!(env!("OUT_DIR"), "/overlay.skel.rs"));
}
