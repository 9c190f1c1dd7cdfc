//! The eBPF programs of a node, their loader, maps and events.
//!
//! Two programs stand at the host-side veth of every endpoint, two at each device that leads to other
//! machines, and two at that of the overlay. They ask the decision tables once per
//! flow, cache the answer in conntrack under a generation, and deliver, hand to a proxy or drop.
//! What a rule means is not decided here: `palisade-policy` compiles it into [`abi::Write`]s.
//!
//! ```text
//!        pod ──▶ from_container ──▶ local pod (redirect_peer) │ proxy (sk_assign) │ host's stack
//!        pod ◀── to_container ◀──── host's stack
//!                     │ │
//!   tables, conntrack ┘ └ events: drops with rule and reason, verdicts of new flows
//! ```
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use palisade_datapath::abi::{Mode, Table, TableSizes, Write};
//! use palisade_datapath::netlink::Netlink;
//! use palisade_datapath::{Config, Datapath};
//!
//! // Loads the programs, or takes over what an earlier run has pinned, with all it holds.
//! let config = Config::new("/sys/fs/bpf/palisade", TableSizes::default(), Mode::Enforce);
//! let mut datapath = Datapath::open(&config)?;
//! datapath.apply_all(&[Write::Generation])?;
//! if let Some(veth) = Netlink::open()?.device("lxc-web")? {
//!     datapath.attach(veth.ifindex)?;
//! }
//! for event in datapath.events()?.poll(Duration::from_secs(1))? {
//!     println!("{} → {}", event.source, event.destination);
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Parts
//! - [`Datapath`]: the whole of it, pinned below one folder, adopted after a restart.
//! - [`Maps`]: the tables alone, each behind a typed wrapper; [`Maps::create_with`] takes maps of the
//!   caller's own.
//! - [`Programs`]: the programs alone, over any set of maps; [`Program::run`] tries them on a packet.
//! - [`Events`], [`Connection`], [`maps::Counters`]: what the programs tell.
//! - [`netlink`], [`route`], [`overlay`]: devices, addresses, the routes that a transparent proxy
//!   needs, and the device of tunnels to other nodes.
//!
//! # Needs
//! Building: clang 14 to 19, libelf and zlib. Running: root, and Linux 6.1 or later; [`features`]
//! says what of it was found. Everything acts in the network namespace of the calling thread. The
//! life of a packet is told in `bpf/README.md`.
#![deny(unsafe_code)]

pub mod attach;
mod clsact;
mod conntrack;
mod datapath;
mod events;
mod layout;
pub mod load;
pub mod maps;
pub mod netlink;
pub mod overlay;
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
pub use self::probe::{Feature, Features, Need, features};
pub use self::program::{Frame, Outcome, Program, Statistics, TcAction};
