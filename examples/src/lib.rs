//! One runnable example per kind of user.

pub mod conformance;
