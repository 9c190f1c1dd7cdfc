//! Rules and identities in, logical tables out.

mod cookies;
mod decide;
mod describe;
mod groups;
mod hash;
mod index;
mod logic;
mod logical;
mod signatures;
mod subjects;

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use palisade_abi::{EndpointId, IDENTITY_PAGE_LEN, IDENTITY_PAGES, Identity};
use palisade_identity::{LabelSet, Selector, Source, reserved};

pub use self::cookies::Origin;
pub(crate) use self::cookies::{Cookies, Given, Part, Stands};
pub(crate) use self::decide::Decisions;
pub(crate) use self::describe::{peer as peer_text, port as port_text};
pub(crate) use self::hash::{Map, Seed};
pub(crate) use self::index::Index;
pub(crate) use self::logic::{Basis, Changes, Content, Delta, InForce, Logic, Moved};
pub(crate) use self::logical::{Both, PortGroup, Signature};
pub(crate) use self::subjects::{Otherwise, Side, sides};

use crate::named_ports::NamedPorts;
use crate::options::Options;
use crate::proxy_ports::ProxyPorts;
use crate::rule::{Policy, Rule};

/// An endpoint of this node, as policies see it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LocalEndpoint {
    /// Its number.
    pub id: EndpointId,
    /// The labels that subjects are selected by.
    pub labels: LabelSet,
    /// The names of its own ports, for ingress rules that name ports.
    pub named_ports: NamedPorts,
}

impl LocalEndpoint {
    /// An endpoint whose ports have no names.
    pub const fn new(id: EndpointId, labels: LabelSet) -> Self {
        Self {
            id,
            labels,
            named_ports: NamedPorts::new(),
        }
    }
}

/// Everything that decides what the tables say.
#[derive(Clone, Copy, Debug)]
pub struct Desired<'a> {
    /// The known identities, the reserved ones included.
    pub identities: &'a BTreeMap<Identity, LabelSet>,
    /// The endpoints of this node.
    pub endpoints: &'a [LocalEndpoint],
    /// The policies, in any order.
    pub policies: &'a [Arc<Policy>],
    /// How policies decide.
    pub options: &'a Options,
    /// The names of ports in the whole cluster, for egress rules that name ports.
    pub named_ports: &'a NamedPorts,
    /// Where the proxies listen.
    pub proxy_ports: &'a ProxyPorts,
}

/// Every rule, in the order that they decide in; what breaks ties is the name of the resource, then
/// the place in it.
pub(crate) fn sorted_rules(policies: &[Arc<Policy>]) -> Vec<&Rule> {
    let mut rules: Vec<&Rule> = policies.iter().flat_map(|policy| &policy.rules).collect();
    rules.sort_by(|a, b| in_order(a, b));
    rules
}

/// The order that rules decide in.
pub(crate) fn in_order(a: &Rule, b: &Rule) -> Ordering {
    let levels = (a.tier, a.priority).cmp(&(b.tier, b.priority));
    levels.then_with(|| (&a.resource, a.index).cmp(&(&b.resource, b.index)))
}

/// Whether the identity pages have room for an identity; to the kernel any other is unknown.
pub(crate) const fn has_page(identity: Identity) -> bool {
    identity.get() / IDENTITY_PAGE_LEN < IDENTITY_PAGES
}

/// The selector of the node itself.
fn host_selector() -> Option<Selector> {
    let labels = reserved::labels(Identity::HOST)?;
    labels.iter().next().map(Selector::having)
}

/// Whether the labels include a reserved one.
pub(crate) fn is_reserved(labels: &LabelSet, name: &str) -> bool {
    labels
        .get(name)
        .is_some_and(|label| label.source() == Source::Reserved)
}
