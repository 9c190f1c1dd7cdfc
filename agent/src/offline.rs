//! What needs no agent: policies in files, judged for endpoints in a file.

mod budget;
mod flow;
mod manifests;
mod matrix;
mod world;

pub(crate) use self::budget::budget;
pub(crate) use self::flow::{explain, verdict};
pub(crate) use self::matrix::matrix;
pub(crate) use self::world::{OfflineError, check};
