//! The eBPF programs of a node, their loader, maps and events.
#![deny(unsafe_code)]

pub mod attach;
mod conntrack;
mod datapath;
mod events;
mod layout;
pub mod load;
pub mod maps;
pub mod netlink;
mod probe;
mod program;
pub mod route;
mod skel;
mod sys;
mod table;

pub use palisade_abi as abi;

pub use self::attach::Hook;
pub use self::conntrack::{Connection, uptime};
pub use self::datapath::{Config, Datapath, Error, Origin};
pub use self::events::Events;
pub use self::load::Programs;
pub use self::maps::{Map, Maps};
pub use self::probe::Features;
pub use self::program::{Frame, Outcome, Program, TcAction};
