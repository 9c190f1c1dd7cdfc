//! The agent: one event loop that owns the node and the datapath, and threads that bring it events.
//!
//! ```text
//! watch ─┐                      ┌─▶ checkpoint, journal
//! proxy ─┼─▶ Message ─▶ Agent ──┼─▶ Datapath (maps, programs, links)
//! signal ┘   (loop)             └─▶ answers released
//!                Shared: node, policy files, flows ◀── socket, proxy, events (read only)
//! ```

mod agent;
mod dns;
mod error;
mod events;
mod flows;
mod interfaces;
mod journal;
mod mount;
mod names;
mod policy_files;
mod server;
mod shared;
mod start;
mod state;
mod time;
mod watch;

use std::fmt;
use std::sync::mpsc::SyncSender;
use std::time::Instant;

use palisade_fqdn::MatchPattern;
use palisade_proxy::Held;

pub(crate) use self::error::DaemonError;
pub(crate) use self::start::{clear, run};
use crate::print;

/// What the event loop is told.
#[derive(Debug)]
enum Message {
    /// A server's answer that is not to be seen before its addresses are enforced, and since when
    /// it waits.
    Answer(Held, Instant),
    /// The folder of policies may have changed.
    Folder,
    /// The names that a pattern selects are to be forgotten; tells how many addresses were.
    ForgetNames(MatchPattern, SyncSender<usize>),
    /// The agent is to end.
    Stop,
}

/// Says what happens, on standard error.
fn log(text: fmt::Arguments<'_>) {
    print::complaint(&format!("palisade: {text}"));
}
