//! Network namespaces, links, servers and packets for tests.
//!
//! A test that needs a network makes one: namespaces with generated names, joined by veth pairs,
//! with servers that live inside. Every part is a guard, so that a test that panics leaves as
//! little behind as one that passes. Whoever uses [`Namespace`], [`link`] or [`BpfFs`] needs root;
//! the packet builders, [`wait_for`] and [`cases`] do not.
//!
//! ```text
//!   Namespace ──run──▶ closure on a thread of its own, inside the namespace
//!       │    ──spawn─▶ Process, killed with its guard
//!       └── link::pair ── Namespace
//!                             └── echo::Server
//! ```
//!
//! ```
//! use std::time::Duration;
//!
//! use palisade_testkit::wait_for;
//!
//! let mut polls = 0;
//! wait_for("the third poll", Duration::from_secs(1), || {
//!     polls += 1;
//!     polls == 3
//! })?;
//! # Ok::<(), palisade_testkit::Timeout>(())
//! ```
//!
//! ```no_run
//! use palisade_testkit::{Namespace, echo, link};
//!
//! let (web, db) = (Namespace::new("web")?, Namespace::new("db")?);
//! link::pair(
//!     &link::End { namespace: &web, name: "eth0", addresses: &["10.0.0.1/24", "fd00::1/64"] },
//!     &link::End { namespace: &db, name: "eth0", addresses: &["10.0.0.2/24", "fd00::2/64"] },
//! )?;
//! let server = echo::Server::tcp(&db, "10.0.0.2:0".parse().unwrap())?;
//! let address = server.address();
//! web.run(|| std::net::TcpStream::connect(address))?.unwrap();
//! # Ok::<(), palisade_testkit::Error>(())
//! ```
#![forbid(unsafe_code)]

mod bpffs;
mod cases;
pub mod echo;
mod error;
pub mod link;
mod namespace;
pub mod packet;
mod process;
mod wait;

pub use self::bpffs::BpfFs;
pub use self::cases::cases;
pub use self::error::Error;
pub use self::namespace::Namespace;
pub use self::process::Process;
pub use self::wait::{Timeout, wait_for, wait_some};
