//! The other side of a rule.

use palisade_abi::Direction;
use palisade_identity::Selector;

use super::error::Cause;
use super::reader::{Fields, Reader};
use super::scope::Scope;
use super::selector::Keys;
use super::warning::Doubt;
use super::{cidr, entity, fqdn, selector, service};
use crate::options::NodeLabels;
use crate::rule::{Peer, PeerKind, Peers, Subject};
use crate::yaml::{Entry, Node, Value};

/// A kind of list that names peers.
#[derive(Clone, Copy)]
enum Kind {
    Cidr,
    CidrSet,
    Endpoints,
    Entities,
    Fqdns,
    Groups,
    Nodes,
    Services,
}

/// What an item of a list says.
enum Item {
    Anybody,
    Some(Vec<Peer>),
}

/// Reads the peers of a rule.
///
/// A list that is there and empty selects nobody, even beside others. Where there is none, the rule
/// is about everybody if it has ports, and about nobody else.
pub(super) fn read<'a>(
    reader: &mut Reader<'a>,
    fields: &Fields<'a>,
    direction: Direction,
    scope: &Scope,
    subject: &Subject,
) -> Peers {
    // A rule about nodes names none of the endpoints that have no labels yet.
    let subject = match subject {
        Subject::Endpoints(selector) => selector.clone(),
        Subject::Nodes(_) => Selector::everything(),
    };
    let lists = present(reader, fields, direction);
    let location = |reader: &Reader<'a>, entry: &Entry| reader.location(entry.key_span.start);
    let mut anybody = None;
    let mut nobody = false;
    let mut peers = Vec::new();
    for (kind, entry) in &lists {
        let items = reader.field(entry, |reader, node| {
            reader.items(node, |reader, node| {
                item(reader, node, *kind, scope, &subject)
            })
        });
        if !has_items(&entry.node) {
            nobody = true;
            reader.field(entry, |reader, _| {
                reader.doubt(
                    entry.key_span,
                    Doubt::NoPeers {
                        list: entry.key.clone(),
                    },
                );
            });
        }
        for item in items.unwrap_or_default() {
            match item {
                Item::Anybody => anybody = anybody.or(Some(location(reader, entry))),
                Item::Some(more) => peers.extend(more),
            }
        }
    }
    let first = lists.first().map(|(_, entry)| location(reader, entry));
    if anybody.is_some() && !nobody {
        return Peers::Any { location: anybody };
    }
    if first.is_none() && has_ports(fields) {
        return Peers::Any { location: None };
    }
    Peers::Some {
        location: first,
        list: if nobody { Vec::new() } else { peers },
    }
}

/// The lists that the rule has, of which no two may have items.
fn present<'a>(
    reader: &mut Reader<'a>,
    fields: &Fields<'a>,
    direction: Direction,
) -> Vec<(Kind, &'a Entry)> {
    let lists: Vec<_> = kinds(direction)
        .iter()
        .filter_map(|(name, kind)| Some((*kind, fields.get(name)?)))
        // Alone of all lists, an empty one of names counts as absent.
        .filter(|(kind, entry)| !matches!(kind, Kind::Fqdns) || has_items(&entry.node))
        .collect();
    let mut filled = lists.iter().filter(|(_, entry)| has_items(&entry.node));
    filled.next();
    for (_, entry) in filled {
        reader.field(entry, |reader, _| {
            reader.refuse(
                entry.key_span,
                Cause::Conflict {
                    rule: "a rule names its peers in two ways",
                    instead: "write a rule of its own for each",
                },
            );
        });
    }
    lists
}

fn item<'a>(
    reader: &mut Reader<'a>,
    node: &'a Node,
    kind: Kind,
    scope: &Scope,
    subject: &Selector,
) -> Option<Item> {
    match kind {
        Kind::Cidr => cidr::plain(reader, node).map(one),
        Kind::CidrSet => cidr::set(reader, node).map(one),
        Kind::Endpoints => {
            let parts = selector::read(reader, node, Keys::Cilium)?;
            let selector = scope.peer(&parts.selector(), subject);
            Some(one(endpoints_peer(reader, node, selector)))
        }
        Kind::Entities => entities(reader, node, scope),
        Kind::Fqdns => fqdn::peer(reader, node).map(one),
        Kind::Groups => service::group(reader, node).map(one),
        Kind::Nodes => {
            if reader.options.node_labels == NodeLabels::Unknown {
                refuse_nodes(reader, node);
            }
            let parts = selector::read(reader, node, Keys::Cilium)?;
            Some(one(Peer {
                selector: scope.node_peer(&parts.selector()),
                kind: PeerKind::Nodes,
                location: reader.location(node.span.start),
            }))
        }
        Kind::Services => service::service(reader, node).map(one),
    }
}

/// A peer of a label selector; one that asks for nothing means everybody, known or not.
pub(super) fn endpoints_peer(reader: &Reader<'_>, node: &Node, selector: Selector) -> Peer {
    Peer {
        selector,
        kind: PeerKind::Endpoints,
        location: reader.location(node.span.start),
    }
}

fn entities<'a>(reader: &mut Reader<'a>, node: &'a Node, scope: &Scope) -> Option<Item> {
    let words = entity::words(reader.options.level);
    let entity = reader.one_of(node, "the entity", &words)?;
    let Some(selectors) = entity::selectors(entity, scope) else {
        return Some(Item::Anybody);
    };
    let location = reader.location(node.span.start);
    let peers = selectors.into_iter().map(|selector| Peer {
        selector,
        kind: PeerKind::Entity(entity),
        location: location.clone(),
    });
    Some(Item::Some(peers.collect()))
}

fn refuse_nodes(reader: &mut Reader<'_>, node: &Node) {
    reader.refuse(
        node.span,
        Cause::Conflict {
            rule: "nodes have no labels here",
            instead: "name the entity remote-node or kube-apiserver",
        },
    );
}

fn one(peer: Peer) -> Item {
    if peer.selector.is_everything() {
        Item::Anybody
    } else {
        Item::Some(vec![peer])
    }
}

fn has_items(node: &Node) -> bool {
    !matches!(&node.value, Value::Sequence(items) if items.is_empty())
}

fn has_ports(fields: &Fields<'_>) -> bool {
    ["toPorts", "icmps"]
        .into_iter()
        .any(|name| fields.get(name).is_some_and(|entry| has_items(&entry.node)))
}

const fn kinds(direction: Direction) -> &'static [(&'static str, Kind)] {
    match direction {
        Direction::Ingress => &[
            ("fromEndpoints", Kind::Endpoints),
            ("fromEntities", Kind::Entities),
            ("fromCIDR", Kind::Cidr),
            ("fromCIDRSet", Kind::CidrSet),
            ("fromNodes", Kind::Nodes),
            ("fromGroups", Kind::Groups),
        ],
        Direction::Egress => &[
            ("toEndpoints", Kind::Endpoints),
            ("toEntities", Kind::Entities),
            ("toCIDR", Kind::Cidr),
            ("toCIDRSet", Kind::CidrSet),
            ("toFQDNs", Kind::Fqdns),
            ("toNodes", Kind::Nodes),
            ("toGroups", Kind::Groups),
            ("toServices", Kind::Services),
        ],
    }
}
