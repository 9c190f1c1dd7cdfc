//! One runnable example per kind of user.
#![forbid(unsafe_code)]

pub mod conformance;
pub mod connectivity;
