//! Network policies in, decision tables, verdicts and explanations out.
//!
//! Reads the policies of Cilium, of Kubernetes and of its administrators with the semantics of
//! Cilium, compiles them to the tables that Palisade's BPF programs walk, and answers from the same
//! tables in user space: what is decided, and by which line. It is pure: no I/O, no clock, no
//! threads; neither root nor a kernel is needed.
//!
//! ```text
//! text ──ingest──▶ Policy { Rule … } ──Tables::update──▶ [Write] ──▶ kernel or Image
//!                   every item keeps                      │
//!                   its file:line:column                  └─▶ verdict ─▶ cookie ─▶ Origin
//! ```
//!
//! ```
//! use std::collections::BTreeMap;
//! use std::sync::Arc;
//!
//! use palisade_abi::{Action, Direction, EndpointId, Protocol, TableSizes};
//! use palisade_identity::{Identity, LabelSet};
//! use palisade_policy::{Desired, LocalEndpoint, NamedPorts, Options, ProxyPorts, Tables, ingest};
//!
//! let text = r#"
//! apiVersion: cilium.io/v2
//! kind: CiliumNetworkPolicy
//! metadata: {name: pay, namespace: shop}
//! spec:
//!   endpointSelector: {matchLabels: {app: pay}}
//!   ingress:
//!   - fromEndpoints: [{matchLabels: {app: web}}]
//!     toPorts: [{ports: [{port: "8443", protocol: TCP}]}]
//! "#;
//! let options = Options::default();
//! let policies: Vec<_> = ingest::read("policies/pay.yaml", text, &options)
//!     .map_err(|errors| errors.iter().map(|error| error.render(text)).collect::<String>())?
//!     .policies
//!     .into_iter()
//!     .map(Arc::new)
//!     .collect();
//!
//! let pod = |app| {
//!     LabelSet::parse([
//!         app,
//!         "k8s:io.kubernetes.pod.namespace=shop",
//!         "k8s:io.cilium.k8s.policy.cluster=default",
//!     ])
//! };
//! let (web, cart) = (Identity::new(1001), Identity::new(1002));
//! let identities = BTreeMap::from([(web, pod("k8s:app=web")?), (cart, pod("k8s:app=cart")?)]);
//! let pay = LocalEndpoint::new(EndpointId::new(7), pod("k8s:app=pay")?);
//!
//! let mut tables = Tables::new(TableSizes::default());
//! let writes = tables.update(&Desired {
//!     identities: &identities,
//!     endpoints: std::slice::from_ref(&pay),
//!     policies: &policies,
//!     options: &options,
//!     named_ports: NamedPorts::NONE,
//!     proxy_ports: ProxyPorts::NONE,
//! })?;
//! assert!(!writes.is_empty()); // What a kernel would be told, in this order.
//!
//! let ask = |peer| tables.verdict(pay.id, Direction::Ingress, peer, Protocol::TCP, 8443);
//! assert_eq!(ask(web).action(), Action::Allow);
//! assert_eq!(ask(cart).action(), Action::Deny);
//! let origin = tables.origin(ask(cart).cookie()).ok_or("a verdict without a rule")?;
//! assert_eq!(origin.location.to_string(), "policies/pay.yaml:7");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! - [`ingest`]: documents to [`Policy`]s, or every reason to refuse them.
//! - [`resolve`]: services and security groups made peers.
//! - [`mod@print`]: policies to documents.
//! - [`Policy`], [`Rule`]: the model, for who makes rules of something else.
//! - [`Options`]: what changes the meaning of policies on a node, and how strictly files are read.
//! - [`Tables`]: the decision tables, changed by ordered [`palisade_abi::Write`]s.
//! - [`explain`]: why a verdict is what it is; who and what can reach whom.
//! - [`filters`], [`flat`]: the same rules as Cilium's filters, and as the entries of its policy maps.
//!
//! What is not understood is refused with its place, never ignored. Differences from Cilium are
//! listed in `docs/differences.md`.
//!
//! Feature `serde`: results as JSON.
#![forbid(unsafe_code)]

mod budget;
mod compile;
mod dns;
pub mod explain;
pub mod filters;
pub mod flat;
pub mod ingest;
mod named_ports;
mod options;
pub mod print;
mod proxy_ports;
pub mod resolve;
mod rule;
mod span;
pub mod tables;
mod yaml;

pub use self::budget::{Budget, Fill, RuleCost};
pub use self::compile::{Desired, LocalEndpoint, Origin};
pub use self::dns::{DnsRuleSet, DnsRules};
pub use self::explain::{Explanation, Flow, Party};
pub use self::named_ports::NamedPorts;
pub use self::options::{
    AllowLocalhost, CidrMatch, DefaultDenyChoice, Enforcement, ExtendedProtocols, HostFirewall,
    IpBlocks, L7Proxy, Level, NodeLabels, Options, Stack, Strictness,
};
pub use self::proxy_ports::{Proxy, ProxyPorts};
pub use self::rule::{
    AuthMode, CidrGroup, DnsRule, Effect, Entity, GroupReference, HeaderMatch, HttpRule, KafkaRule,
    Kind, L7Rules, Listener, MismatchAction, Parser, Peer, PeerKind, Peers, Policy, PortMatch,
    PortRule, Ports, Priority, PriorityError, Redirect, ResourceName, Rule, SecretName,
    ServiceReference, Subject, Tier, TlsContext,
};
pub use self::span::{Location, Position};
pub use self::tables::{Image, LoadOrder, Tables};
