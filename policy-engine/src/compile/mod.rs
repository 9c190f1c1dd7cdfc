//! Rules and identities in, logical tables out.

mod cookies;
mod decide;
mod describe;
mod groups;
mod index;
mod logical;
mod signatures;
mod subjects;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use palisade_abi::{Direction, EndpointId, IDENTITY_PAGE_LEN, IDENTITY_PAGES, Identity};
use palisade_identity::{LabelSet, Selector, Source, reserved};

pub use self::cookies::Origin;
pub(crate) use self::cookies::{Cookies, Given, Part};
pub(crate) use self::describe::{peer as peer_text, port as port_text};
pub(crate) use self::index::Index;
pub(crate) use self::logical::{Both, Content, Logical, PortGroup, Signature};
pub(crate) use self::signatures::Signatures;
use self::subjects::all_sides;
pub(crate) use self::subjects::{Otherwise, Side, sides};

use self::decide::{Decider, Forms, Levels, Matched, Sources, Who};
use self::groups::Groups;
use crate::filters::{self, Conflict};
use crate::named_ports::NamedPorts;
use crate::options::Options;
use crate::proxy_ports::ProxyPorts;
use crate::rule::{Peers, Policy, Rule};

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

/// A compile and what is needed to add to it.
pub(crate) struct Compiled {
    pub(crate) logical: Logical,
    pub(crate) signatures: Both<Signatures>,
    pub(crate) given: Given,
    /// The endpoints whose rules contradict each other.
    pub(crate) conflicts: BTreeMap<EndpointId, Arc<Conflict>>,
}

/// Compiles from scratch.
pub(crate) fn compile(desired: &Desired<'_>, cookies: &Cookies) -> Compiled {
    let rules = sorted_rules(desired.policies);
    let (sides, mut endpoints) = distinct_sides(desired, &rules);
    let conflicts = conflicts(&sides, &endpoints, &rules);
    endpoints.retain(|endpoint, _| !conflicts.contains_key(endpoint));
    let (signatures, identities) = split_identities(desired, &rules, &sides);
    let mut groups = Groups::default();
    let mut forms = Forms::new();
    for (_, side) in &sides {
        forms.add(side, &rules, &mut groups);
    }
    let ports = groups.split();
    let levels = Levels::of(&rules);
    let mut rows = Decider::new(Sources {
        rules: &rules,
        levels: &levels,
        groups: &groups,
        forms: &forms,
        cookies,
        proxies: desired.proxy_ports,
        tier: desired.options.tier,
    });
    let policies = sides
        .iter()
        .map(|(direction, side)| {
            let of = signatures.get(*direction);
            content(*direction, side, &rules, of, &mut rows)
        })
        .collect();
    let logical = Logical {
        verdicts: rows.verdicts,
        rows: rows.rows,
        policies,
        endpoints,
        identities,
        ports,
    };
    Compiled {
        logical,
        signatures,
        given: rows.given,
        conflicts,
    }
}

/// The endpoints whose rules contradict each other.
fn conflicts(
    sides: &[Sided],
    endpoints: &BTreeMap<EndpointId, Both<u32>>,
    rules: &[&Rule],
) -> BTreeMap<EndpointId, Arc<Conflict>> {
    let check = |(direction, side): &Sided| {
        let in_force = side
            .rules
            .iter()
            .filter_map(|place| rules.get(*place as usize).copied());
        filters::check(*direction, in_force).err().map(Arc::new)
    };
    let found: Vec<Option<Arc<Conflict>>> = sides.iter().map(check).collect();
    let of = |place: u32| found.get(place as usize).cloned().flatten();
    endpoints
        .iter()
        .filter_map(|(endpoint, pair)| {
            let conflict = of(pair.ingress).or_else(|| of(pair.egress))?;
            Some((*endpoint, conflict))
        })
        .collect()
}

/// Every rule, in the order that they decide in; what breaks ties is the name of the resource, then
/// the place in it.
pub(crate) fn sorted_rules(policies: &[Arc<Policy>]) -> Vec<&Rule> {
    let mut rules: Vec<&Rule> = policies.iter().flat_map(|policy| &policy.rules).collect();
    rules.sort_by(|a, b| {
        let levels = (a.tier, a.priority).cmp(&(b.tier, b.priority));
        levels.then_with(|| (&a.resource, a.index).cmp(&(&b.resource, b.index)))
    });
    rules
}

/// Whether the identity pages have room for an identity; to the kernel any other is unknown.
pub(crate) const fn has_page(identity: Identity) -> bool {
    identity.get() / IDENTITY_PAGE_LEN < IDENTITY_PAGES
}

/// A policy: a direction and its rules.
type Sided = (Direction, Side);

/// Each distinct policy once, and the places of each endpoint's two.
fn distinct_sides(
    desired: &Desired<'_>,
    rules: &[&Rule],
) -> (Vec<Sided>, BTreeMap<EndpointId, Both<u32>>) {
    let sets: BTreeSet<&LabelSet> = desired.endpoints.iter().map(|one| &one.labels).collect();
    let sets: Vec<&LabelSet> = sets.into_iter().collect();
    let all = all_sides(&sets, rules, desired.options);
    let sides = all.into_iter().map(|sides| {
        let uses_names = sides.ingress.uses_names(rules);
        (sides, uses_names)
    });
    let by_labels: HashMap<&LabelSet, (Both<Side>, bool)> = sets.into_iter().zip(sides).collect();
    let mut places: BTreeMap<Sided, u32> = BTreeMap::new();
    let mut distinct = Vec::new();
    // Most endpoints have the labels of one before them, and no rule of theirs names ports.
    let mut known: HashMap<(&LabelSet, Option<&NamedPorts>), Both<u32>> = HashMap::new();
    let mut endpoints = BTreeMap::new();
    for endpoint in desired.endpoints {
        let Some((sides, uses_names)) = by_labels.get(&endpoint.labels) else {
            continue;
        };
        let names = uses_names.then_some(&endpoint.named_ports);
        let pair = *known.entry((&endpoint.labels, names)).or_insert_with(|| {
            Both::new(|direction| {
                let names = match direction {
                    Direction::Ingress => &endpoint.named_ports,
                    Direction::Egress => desired.named_ports,
                };
                let side = (direction, sides.get(direction).named(rules, names));
                let next = u32::try_from(distinct.len()).unwrap_or(u32::MAX);
                *places.entry(side).or_insert_with_key(|side| {
                    distinct.push(side.clone());
                    next
                })
            })
        });
        endpoints.insert(endpoint.id, pair);
    }
    (distinct, endpoints)
}

/// Splits the identities by the selectors of the policies in force, for each direction apart.
fn split_identities(
    desired: &Desired<'_>,
    rules: &[&Rule],
    sides: &[Sided],
) -> (Both<Signatures>, BTreeMap<Identity, Both<Signature>>) {
    let mut signatures = Both::<Signatures>::default();
    for (direction, side) in sides {
        let of = signatures.get_mut(*direction);
        for selector in selectors(side, rules) {
            of.intern(selector);
        }
        if let Some(host) = side.localhost.then(host_selector).flatten() {
            of.intern(&host);
        }
    }
    let (known, sets): (Vec<Identity>, Vec<&LabelSet>) = desired
        .identities
        .iter()
        .filter(|(identity, _)| has_page(**identity) && **identity != Identity::UNKNOWN)
        .unzip();
    let ingress = signatures.ingress.split(&sets);
    let egress = signatures.egress.split(&sets);
    let identities = known
        .into_iter()
        .zip(ingress.into_iter().zip(egress))
        .map(|(identity, (ingress, egress))| (identity, Both { ingress, egress }))
        .collect();
    (signatures, identities)
}

/// The rows of one policy.
fn content(
    direction: Direction,
    side: &Side,
    rules: &[&Rule],
    signatures: &Signatures,
    rows: &mut Decider<'_>,
) -> Content {
    let named = Named::new(side, rules, signatures);
    let host = side.localhost.then(host_selector).flatten();
    let host = host.and_then(|selector| signatures.id(&selector));
    let context = rows.context(side);
    let default = rows.row(context, Who::Peer, named.any.clone());
    let unknown = rows.unknown(context, &named.any, &named.maybe);
    let touched = signatures.touched(named.by_selector.keys().copied().chain(host));
    let mut exceptions = Vec::with_capacity(touched.len());
    for signature in touched {
        let matching = signatures.content(signature);
        let is_host = host.is_some_and(|host| matching.contains(&host));
        let who = if is_host { Who::Host } else { Who::Peer };
        let row = rows.row(context, who, named.matched(matching));
        if row != default {
            exceptions.push((signature, row));
        }
    }
    Content {
        direction,
        default,
        unknown,
        exceptions,
    }
}

/// A policy's rules by whom they name.
struct Named {
    /// The rules for any peer.
    any: Vec<Matched>,
    /// The first peer of every rule that names some.
    maybe: Vec<Matched>,
    /// The rules and peers that each selector stands for.
    by_selector: HashMap<u32, Vec<Matched>>,
}

impl Named {
    fn new(side: &Side, rules: &[&Rule], signatures: &Signatures) -> Self {
        let mut named = Self {
            any: Vec::new(),
            maybe: Vec::new(),
            by_selector: HashMap::new(),
        };
        for place in &side.rules {
            let Some(rule) = rules.get(*place as usize) else {
                continue;
            };
            match &rule.peers {
                Peers::Any { .. } => named.any.push((*place, 0)),
                Peers::Some { list, .. } => {
                    let mut for_all = None;
                    for (peer, selector) in (0..).zip(list.iter().map(|peer| &peer.selector)) {
                        let matched = (*place, peer);
                        if selector.is_everything() {
                            for_all = for_all.or(Some(matched));
                        } else if let Some(id) = signatures.id(selector) {
                            named.by_selector.entry(id).or_default().push(matched);
                        }
                    }
                    match for_all {
                        Some(matched) => named.any.push(matched),
                        None if list.is_empty() => {}
                        None => named.maybe.push((*place, 0)),
                    }
                }
            }
        }
        named
    }

    /// The rules that match whoever these selectors match, each with its first matching peer.
    fn matched(&self, selectors: &[u32]) -> Vec<Matched> {
        let mut first: BTreeMap<u32, u32> = self.any.iter().copied().collect();
        for id in selectors {
            for (place, peer) in self.by_selector.get(id).into_iter().flatten() {
                let best = first.entry(*place).or_insert(*peer);
                *best = (*best).min(*peer);
            }
        }
        first.into_iter().collect()
    }
}

fn selectors<'a>(side: &'a Side, rules: &'a [&'a Rule]) -> impl Iterator<Item = &'a Selector> {
    let in_force = side
        .rules
        .iter()
        .filter_map(|place| rules.get(*place as usize));
    in_force
        .flat_map(|rule| rule.peers.list())
        .map(|peer| &peer.selector)
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
