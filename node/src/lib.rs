//! The pure core of a node: events in, ordered plans out.
//!
//! A [`Node`] knows the endpoints, policies, host addresses and DNS answers of one node. It gives
//! identities to labels, prefixes and learnt addresses, and says in which order the tables are to
//! be written so that no flow ever meets half a change. It has no sockets, clocks or threads: whoever
//! embeds it brings the [`Event`]s and the time, applies the [`Plan`] to any
//! [`Table`](palisade_abi::Table), and carries out the effects.
//!
//! ```text
//!            Event ──▶ Node::handle ──▶ Plan ──▶ checkpoint and journal, writes, effects
//!
//! added:     identity ─▶ class ─▶ ipcache ─▶ policy           ─▶ release of an answer
//!            endpoint: policy ─▶ record ─▶ generation ─▶ ipcache
//! removed:   the reverse, then a grace period before a number is used again
//! ```
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! use palisade_abi::{Action, Protocol, Table};
//! use palisade_node::{Config, Endpoint, Event, Link, Node, Party};
//! use palisade_policy::{Image, NamedPorts, Options, ingest};
//!
//! let policy = "
//! apiVersion: cilium.io/v2
//! kind: CiliumNetworkPolicy
//! metadata: {name: pay, namespace: shop}
//! spec:
//!   endpointSelector: {matchLabels: {app: pay}}
//!   ingress:
//!   - fromEndpoints: [{matchLabels: {app: cart}}]
//! ";
//! let policies = ingest::read("pay.yaml", policy, &Options::default()).unwrap().policies;
//! let pod = |name: &str, address: &str| -> Result<Event, Box<dyn std::error::Error>> {
//!     Ok(Event::EndpointAdded(Endpoint {
//!         name: format!("shop/{name}").into(),
//!         labels: palisade_identity::LabelSet::parse([
//!             format!("k8s:app={name}").as_str(),
//!             "k8s:io.kubernetes.pod.namespace=shop",
//!             "k8s:io.cilium.k8s.policy.cluster=default",
//!         ])?,
//!         addresses: vec![address.parse()?],
//!         named_ports: NamedPorts::new(),
//!         link: Link::default(),
//!     }))
//! };
//!
//! let config = Config::default();
//! let mut tables = Image::new(config.sizes);
//! let mut node = Node::new(config);
//! let events = [
//!     Event::Policies(policies.into_iter().map(Arc::new).collect::<Vec<_>>().into()),
//!     pod("pay", "10.0.0.2")?,
//!     pod("cart", "10.0.0.3")?,
//!     pod("web", "10.0.0.4")?,
//! ];
//! for event in events {
//!     let plan = node.handle(event, Duration::ZERO)?;
//!     tables.apply_all(&plan.writes)?;
//! }
//!
//! let to_pay = |from: &str| {
//!     let (from, to) = (Party::Endpoint(from.into()), Party::Endpoint("shop/pay".into()));
//!     let verdict = node.verdict(&from, &to, Protocol::TCP, 8443);
//!     verdict.decisive().map(|(_, verdict)| verdict.action())
//! };
//! assert_eq!(to_pay("shop/cart"), Some(Action::Allow));
//! assert_eq!(to_pay("shop/web"), Some(Action::Deny));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! - [`Node::new`] starts over empty tables, [`Node::restore`] over what a [`Checkpoint`], a journal
//!   of names and the tables themselves say. [`Node::start_journal`] begins that journal.
//! - [`Node::verdict`], [`Node::dns_verdict`], [`Node::origin`] and the lists answer questions.
#![forbid(unsafe_code)]

mod checkpoint;
mod config;
mod dns_filter;
mod endpoints;
mod error;
mod event;
mod explain_name;
mod identities;
mod named;
mod names;
mod node;
mod plan;
mod query;
mod reconcile;
mod settle;

pub use self::checkpoint::Checkpoint;
pub use self::config::Config;
pub use self::dns_filter::{DnsOutcome, DnsVerdict};
pub use self::endpoints::Member;
pub use self::error::Error;
pub use self::event::{DnsAnswer, Endpoint, Event, Link, PolicySet, Token};
pub use self::explain_name::NameRule;
pub use self::node::Node;
pub use self::plan::{Checkpointing, Effect, Plan};
pub use self::query::{FlowVerdict, KnownAddress, Party, Usage};
