//! The Palisade agent and its command line.
fn main() {}
