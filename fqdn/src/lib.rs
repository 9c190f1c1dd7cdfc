//! DNS names, patterns, a wire view, a cache and the filter that decides a query.
//!
//! For whoever lets pods reach names instead of addresses: a proxy that reads queries, a node that
//! learns addresses from answers, a tool that checks patterns. Compatible with the semantics of
//! `matchName` and `matchPattern` in Cilium's policies. The crate decides and remembers; it opens
//! no socket, reads no clock and starts no thread. Time is a [`Duration`](std::time::Duration)
//! that the caller passes in.
//!
//! ```text
//! query  ── wire::Message ── DnsName ── Filter ── Allow ── forwarded byte for byte
//!                                            └── Refuse ── wire::reply
//! answer ── wire::Message ── check_answers ── resolution ── Cache ── Changes
//!                                                          (what is new, what is over)
//! ```
//!
//! ```
//! use std::time::Duration;
//! use palisade_abi::EndpointId;
//! use palisade_fqdn::wire::{self, Message, Rcode};
//! use palisade_fqdn::{Answer, Cache, Decision, Filter, Limits};
//!
//! // Which names may be asked for, by whom.
//! let pod = EndpointId::new(7);
//! let mut filter = Filter::new();
//! filter.set(pod, [("*.domain.com".parse()?, "policies/shop.yaml:9")]);
//!
//! // A query for OK.domain.com passes; one for evil.test would be refused.
//! let query = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x02OK\x06domain\x03com\0\0\x01\0\x01";
//! let message = Message::parse_query(query)?;
//! let question = message.question().unwrap();
//! let decision = filter.decide([&pod], question.name());
//! assert_eq!(decision, Decision::Allow { rule: &"policies/shop.yaml:9" });
//! assert!(wire::reply(query, Rcode::REFUSED, None).is_some());
//!
//! // The server's answer repeats the question, and its address becomes known.
//! let answer = b"\x12\x34\x81\x80\0\x01\0\x01\0\0\0\0\x02OK\x06domain\x03com\0\0\x01\0\x01\
//!     \xc0\x0c\0\x01\0\x01\0\0\0\x1e\0\x04\xc0\0\x02\x01";
//! let response = Message::parse(answer)?;
//! response.check_answers(0x1234, question)?;
//! let resolution = response.resolution()?;
//! let mut cache = Cache::new(Limits::default());
//! let answer = Answer {
//!     endpoint: pod,
//!     name: question.name(),
//!     addresses: &resolution.addresses,
//!     ttl: resolution.ttl,
//! };
//! let changes = cache.update(&answer, Duration::ZERO, &|_, _| false);
//! assert_eq!(changes.added.len(), 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! - [`DnsName`]: case, dots and escapes settled once; text and wire agree.
//! - [`MatchPattern`]: one name or many; [`PatternSet`]: which of ten thousand match, in one walk.
//! - [`wire`]: messages in place, whatever bytes they are; answers that need no server.
//! - [`Filter`]: rule sets by whatever key a query has; the least rule that allows is named.
//! - [`Cache`]: addresses by endpoint and name, bounded; past their time while connections live.
//! - [`journal`]: the cache as bytes to append to a file, and back.
//! - [`Binding`]: whether aliases and completed names count, which by default they do not.
//!
//! Feature `serde`: names and patterns as text, [`Record`] for a checkpoint, and `PreCache`, which
//! reads what Cilium's agent knew.
#![forbid(unsafe_code)]

mod binding;
mod cache;
mod filter;
mod glob;
#[cfg(feature = "serde")]
mod import;
mod label_hash;
mod name;
mod pattern;
mod pattern_set;
#[cfg(feature = "serde")]
mod serialize;
mod trie;
pub mod wire;

pub use self::binding::Binding;
pub use self::cache::{
    Answer, Bound, Cache, Changes, Eviction, Limits, Live, Lookup, Record, Usage, journal,
};
pub use self::filter::{Decision, Filter};
#[cfg(feature = "serde")]
pub use self::import::PreCache;
pub use self::name::{DnsName, Labels, NameError};
pub use self::pattern::{Level, MatchPattern, PatternError};
pub use self::pattern_set::{PatternId, PatternSet};
