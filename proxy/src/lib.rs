//! A transparent DNS proxy that enforces rules per query.
//!
//! Clients ask a server; the proxy takes their queries, over UDP and TCP, IPv4 and IPv6. A query
//! that the embedder's [`Policy`] refuses gets an answer of the proxy's own and goes nowhere. An
//! allowed one goes to the server, byte for byte under another id, in the client's name. The
//! server's answer is checked against the query and handed to the embedder if it has addresses; the
//! client gets it, byte for byte, once the embedder says that they are enforced.
//!
//! It holds no rules and knows no kernel tables: `palisade-fqdn` judges names, and the embedder
//! brings both together.
//!
//! ```
//! use std::net::UdpSocket;
//! use std::sync::Arc;
//! use std::thread;
//!
//! use palisade_abi::Identity;
//! use palisade_proxy::{
//!     Config, Decision, Held, Policy, Proxy, Query, Rejection, RuleToken,
//! };
//!
//! struct OnlyExample;
//!
//! impl Policy for OnlyExample {
//!     fn decide(&self, query: &Query<'_>) -> Decision {
//!         let rule = RuleToken::new(1);
//!         if query.name.to_string().ends_with("example.com") {
//!             Decision::Allow { identity: Identity::WORLD, rule }
//!         } else {
//!             Decision::Refuse { rejection: Rejection::Refused, rule }
//!         }
//!     }
//!
//!     fn answer(&self, held: Held) {
//!         // Make `held.answer().addresses` reachable first, on another thread if that takes time.
//!         held.release();
//!     }
//! }
//!
//! # let server = UdpSocket::bind("127.0.0.1:0")?;
//! # let upstream = server.local_addr()?;
//! # thread::spawn(move || {
//! #     let mut buffer = [0; 512];
//! #     while let Ok((len, from)) = server.recv_from(&mut buffer) {
//! #         buffer[2] |= 0x80;
//! #         server.send_to(&buffer[..len], from).unwrap();
//! #     }
//! # });
//! // No privilege needed: clients speak to the proxy, which asks one server.
//! let config = Config::forward("127.0.0.1:0".parse()?, upstream);
//! let proxy = Proxy::bind(config)?.start(Arc::new(OnlyExample))?;
//!
//! let client = UdpSocket::bind("127.0.0.1:0")?;
//! client.connect(proxy.addresses()[0])?;
//! let mut ask = |name: &[u8]| {
//!     let header = *b"\x12\x34\x01\x00\0\x01\0\0\0\0\0\0";
//!     client.send(&[&header, name, b"\0\x01\0\x01"].concat())?;
//!     let mut reply = [0; 512];
//!     client.recv(&mut reply)?;
//!     Ok::<u8, std::io::Error>(reply[3] & 15)
//! };
//! assert_eq!(ask(b"\x07example\x03com\0")?, 0);
//! assert_eq!(ask(b"\x04evil\x04test\0")?, 5); // REFUSED
//! assert_eq!(proxy.stats().refused, 1);
//! proxy.stop()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Two modes
//!
//! [`Config::forward`] is the one above. [`Config::transparent`] is for a node whose datapath hands
//! packets over that were meant for a server:
//!
//! ```text
//!   pod ──▶ server:53      assigned to 127.0.0.1:PORT by the datapath, addresses untouched
//!   pod ◀── server:53      from a socket bound to the server's address, mark ProxyReturn
//!          node ──▶ server:53   random port, mark ProxyForward with the client's identity
//! ```
//!
//! so that the client sees the server answer, and the server's ingress policy sees the client.
//! That mode needs `CAP_NET_ADMIN` and a process that may have about 1,000 descriptors (see
//! [`Limits`]).
//!
//! # Threads
//!
//! - `dns-udp`, [a few](Config::threads) of that name, serve all UDP queries. They wait for events
//!   only: listeners, which they share, sockets towards servers, deadlines. What has come together
//!   is taken, asked and answered together. With `io_uring` ([`Waiting`]) one call sends all that
//!   is to be sent, takes what servers said and waits for more: a query that comes alone costs three
//!   system calls, under load it is fewer than one.
//! - `dns-tcp` accepts connections; each gets a thread, which serves its queries one by one.
//! - All of them call the [`Policy`]; since the first one does, it must never wait.
//! - An answer that waits is nobody's thread: [`Held`] is a value that the embedder keeps and
//!   releases from wherever it learns that the addresses are enforced. The reply leaves from that
//!   very thread. Any number of answers can wait without stalling another one.
//!
//! The threads stay in the network namespace of the thread that calls [`Proxy::start`]. Releasing an
//! answer opens no socket, so that it may happen in any other.
//!
//! # Bounds
//!
//! Queries, held answers, connections and sockets are bounded over all clients and per client
//! address ([`Limits`]); every wait has an end ([`Timing`]). A client beyond its share is told
//! SERVFAIL at once.
//!
//! # What is not passed on
//!
//! What is no query, queries above 4 KiB, zone transfers (their names are judged by no rule), and
//! answers that do not repeat the id and the question byte for byte or come from somewhere else.
//!
//! What is passed on but not held: addresses that the question does not lead to, hints in other
//! record types, and the additional section. A client that uses them meets whatever is enforced.
// Only `sys` overrides this.
#![deny(unsafe_code)]

mod address;
mod asked;
mod bind;
mod config;
mod deadlines;
mod entropy;
mod held;
mod message;
mod policy;
mod proxy;
mod share;
mod shared;
mod sink;
mod socket;
mod stats;
mod stop;
mod sys;
mod tcp;
mod udp;

pub use self::bind::BindError;
pub use self::config::{Config, Limits, Mode, OnLate, Timing, Waiting};
pub use self::held::{Held, Released};
pub use self::policy::{
    Answer, Decision, Event, Outcome, Policy, Query, Reject, Rejection, RuleToken,
};
pub use self::proxy::{Proxy, RunError, Running};
pub use self::stats::Stats;
