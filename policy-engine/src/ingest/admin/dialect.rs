//! What the three kinds say differently.

use super::super::reader::Field;
use crate::rule::{Effect, Kind, Tier};

/// How a kind writes what all of them say.
pub(super) struct Dialect {
    /// The fields of a spec.
    pub(super) spec: &'static [Field],
    /// The tier; `None` if the document says it.
    pub(super) tier: Option<Tier>,
    /// The priority; `None` if the document says it.
    pub(super) priority: Option<u16>,
    /// The words for what a rule does.
    pub(super) actions: &'static [(&'static str, Effect)],
    /// The field that holds the ports of a rule.
    pub(super) ports: &'static str,
    /// The fields of an item of `to`; those of `from` are the same everywhere.
    pub(super) egress_peer: &'static [Field],
    /// Whether pods may leave out the selector of their namespaces.
    pub(super) namespaces: Namespaces,
    /// Rules of a direction.
    pub(super) max_rules: usize,
    /// Peers and ports of a rule.
    pub(super) max_items: usize,
}

/// Whether an item about pods may leave out the selector of their namespaces.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(super) enum Namespaces {
    /// It means every namespace.
    Optional,
    /// It may not.
    Required,
}

impl Dialect {
    /// How a kind writes; `None` for kinds that other modules read.
    pub(super) const fn of(kind: Kind) -> Option<Self> {
        match kind {
            Kind::AdminNetworkPolicy => Some(Self {
                spec: &ADMIN_SPEC,
                tier: Some(Tier::Admin),
                priority: None,
                actions: &ADMIN_ACTIONS,
                ports: "ports",
                egress_peer: &EGRESS_PEER,
                namespaces: Namespaces::Required,
                max_rules: 100,
                max_items: 100,
            }),
            Kind::BaselineAdminNetworkPolicy => Some(Self {
                spec: &BASELINE_SPEC,
                tier: Some(Tier::Baseline),
                priority: Some(AFTER_ALL),
                actions: &BASELINE_ACTIONS,
                ports: "ports",
                egress_peer: &BASELINE_EGRESS_PEER,
                namespaces: Namespaces::Required,
                max_rules: 100,
                max_items: 100,
            }),
            Kind::ClusterNetworkPolicy => Some(Self {
                spec: &CLUSTER_SPEC,
                tier: None,
                priority: None,
                actions: &CLUSTER_ACTIONS,
                ports: "protocols",
                egress_peer: &EGRESS_PEER,
                namespaces: Namespaces::Optional,
                max_rules: 25,
                max_items: 25,
            }),
            Kind::CiliumClusterwideNetworkPolicy
            | Kind::CiliumNetworkPolicy
            | Kind::NetworkPolicy
            | Kind::Rules => None,
        }
    }

    /// The fields of a rule whose peers stand in `peers`.
    pub(super) const fn rule(&self, peers: &'static str) -> [Field; 4] {
        [
            Field::Known("action"),
            Field::Known(peers),
            Field::Known("name"),
            Field::Known(self.ports),
        ]
    }
}

/// The older kind has no priority; where both kinds stand in the tier, the newer one goes first.
const AFTER_ALL: u16 = 1001;

const ADMIN_ACTIONS: [(&str, Effect); 3] = [
    ("Allow", Effect::Allow),
    ("Deny", Effect::Deny),
    ("Pass", Effect::Pass),
];

const BASELINE_ACTIONS: [(&str, Effect); 2] = [("Allow", Effect::Allow), ("Deny", Effect::Deny)];

const CLUSTER_ACTIONS: [(&str, Effect); 3] = [
    ("Accept", Effect::Allow),
    ("Deny", Effect::Deny),
    ("Pass", Effect::Pass),
];

const ADMIN_SPEC: [Field; 4] = [
    Field::Known("egress"),
    Field::Known("ingress"),
    Field::Known("priority"),
    Field::Known("subject"),
];

const BASELINE_SPEC: [Field; 3] = [
    Field::Known("egress"),
    Field::Known("ingress"),
    Field::Known("subject"),
];

const CLUSTER_SPEC: [Field; 5] = [
    Field::Known("egress"),
    Field::Known("ingress"),
    Field::Known("priority"),
    Field::Known("subject"),
    Field::Known("tier"),
];

const EGRESS_PEER: [Field; 5] = [
    Field::Known("domainNames"),
    Field::Known("namespaces"),
    Field::Known("networks"),
    Field::Known("nodes"),
    Field::Known("pods"),
];

const BASELINE_EGRESS_PEER: [Field; 4] = [
    Field::Known("namespaces"),
    Field::Known("networks"),
    Field::Known("nodes"),
    Field::Known("pods"),
];
