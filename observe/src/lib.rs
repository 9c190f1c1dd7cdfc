//! Flows: what happened to which packet, and which rule decided.
//!
//! The datapath reports drops and verdicts as numbers; a [`Flow`] is such a report with names: who
//! sent to whom, what became of it, and the line of the policy that decided. It prints as
//! `hubble observe` prints and as one line of JSON. This crate is pure: bytes, a [`Resolver`] and
//! the time of the boot go in, text comes out.
//!
//! ```text
//! bytes ──decode──▶ RawEvent ──Flow::from_event──▶ Flow ──▶ compact line, JSON line
//!                                   ▲                └────▶ Filter, Ring, Summary
//!                               Resolver
//! ```
//!
//! ```
//! use std::net::IpAddr;
//! use std::time::Duration;
//!
//! use palisade_abi::{Cookie, DropReason, RawEvent, Verdict};
//! use palisade_observe::{EndpointName, Flow, Origin, Resolver};
//!
//! struct Shop;
//!
//! impl Resolver for Shop {
//!     fn endpoint(&self, address: IpAddr) -> Option<EndpointName> {
//!         match address.to_string().as_str() {
//!             "10.0.0.1" => Some(EndpointName::new("shop", "cart")),
//!             "10.0.0.2" => Some(EndpointName::new("shop", "pay")),
//!             _ => None,
//!         }
//!     }
//!
//!     fn origin(&self, _: Cookie) -> Option<Origin> {
//!         Some(Origin::new("policies/pay.yaml:9", "fromEndpoints app=web"))
//!     }
//! }
//!
//! # fn address(text: &str) -> palisade_abi::Address { text.parse::<IpAddr>().unwrap().into() }
//! let event = RawEvent {
//!     time: 1_123_000_000,
//!     kind: palisade_abi::EVENT_DROP,
//!     reason: DropReason::Policy as u8,
//!     direction: 0,
//!     protocol: 6,
//!     flags: 0,
//!     tcp_flags: 0x02,
//!     endpoint: 2,
//!     source_identity: 1007,
//!     destination_identity: 1011,
//!     verdict: Verdict::default_deny(Cookie::new(3)),
//!     source: address("10.0.0.1"),
//!     destination: address("10.0.0.2"),
//!     source_port: 41_022.into(),
//!     destination_port: 8_443.into(),
//!     ifindex: 4,
//!     length: 74,
//!     pad: 0,
//! };
//! let boot = Duration::from_secs(1_795_233_600);
//! let flow = Flow::from_event(&event, boot, &Shop)?;
//! assert_eq!(
//!     flow.compact().to_string(),
//!     "Nov 21 04:00:01.123: shop/cart:41022 (ID:1007) -> shop/pay:8443 (ID:1011) \
//!      Policy denied DROPPED (TCP Flags: SYN) by policies/pay.yaml:9",
//! );
//! # Ok::<(), palisade_observe::DecodeError>(())
//! ```
//!
//! - [`decode`]: the bytes of the ring buffer, checked.
//! - [`Flow`], [`Peer`], [`Transport`], [`Outcome`]: the report.
//! - [`Query`]: what the DNS proxy reports.
//! - [`Filter`]: which flows somebody wants to see.
//! - [`Ring`], [`Summary`]: the last flows, and how many there were of which kind.
#![forbid(unsafe_code)]

mod clean;
mod compact;
mod decode;
mod filter;
mod flow;
mod json;
mod query;
mod resolve;
mod ring;
mod summary;
mod timestamp;
mod transport;

pub use self::compact::Compact;
pub use self::decode::{DecodeError, decode};
pub use self::filter::{Filter, PodFilter};
pub use self::flow::{Decider, Flow, FlowVerdict, Heading, Outcome, Peer, UnknownVerdict};
pub use self::json::JsonError;
pub use self::query::{DnsQuery, Query};
pub use self::resolve::{EndpointName, Origin, Resolver};
pub use self::ring::{Batch, Ring};
pub use self::summary::{Drops, Summary};
pub use self::timestamp::{Stamp, Timestamp, TimestampError};
pub use self::transport::{IpFamily, TcpFlags, Transport};
