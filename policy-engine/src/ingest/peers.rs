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
use crate::span::Location;
use crate::yaml::{Entry, Node, Value};

/// A kind of list that names peers, in the order in which lists are read.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
enum Kind {
    Endpoints,
    Entities,
    Cidr,
    CidrSet,
    Fqdns,
    Nodes,
    Groups,
    Services,
}

/// What an item of a list says.
enum Item {
    Anybody,
    One(Peer),
    Several(Vec<Peer>),
}

/// What the items of lists say, one after the other.
#[derive(Default)]
struct Said {
    /// Where an item stands for everybody.
    anybody: Option<Location>,
    peers: Vec<Peer>,
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
    let lists = lists(fields, direction);
    check_lists(reader, &lists);
    let mut said = Said::default();
    let mut nobody = false;
    for &(kind, entry) in &lists {
        reader.field(entry, |reader, node| {
            let at = entry.key_span;
            if let Value::Sequence(items) = node.value {
                said.peers.reserve_exact(items.len());
            }
            reader.each(node, |reader, node| {
                match item(reader, node, kind, scope, subject) {
                    Some(Item::Anybody) if said.anybody.is_none() => {
                        said.anybody = Some(reader.location(at.start));
                    }
                    Some(Item::One(peer)) => said.peers.push(peer),
                    Some(Item::Several(peers)) => said.peers.extend(peers),
                    Some(Item::Anybody) | None => {}
                }
            });
            if !has_items(node) {
                nobody = true;
                let list = entry.key.to_owned();
                reader.doubt(at, Doubt::NoPeers { list });
            }
        });
    }
    let first = lists
        .first()
        .map(|(_, entry)| reader.location(entry.key_span.start));
    if said.anybody.is_some() && !nobody {
        return Peers::Any {
            location: said.anybody,
        };
    }
    if first.is_none() && has_ports(fields) {
        return Peers::Any { location: None };
    }
    Peers::Some {
        location: first,
        list: if nobody { Vec::new() } else { said.peers },
    }
}

/// The lists that the rule has, in the order of their kinds.
fn lists<'a>(fields: &Fields<'a>, direction: Direction) -> Vec<(Kind, Entry<'a>)> {
    let lists = fields
        .entries()
        .filter_map(|entry| Some((kind(direction, entry.key)?, entry)));
    // Alone of all lists, an empty one of names counts as absent.
    let counts = |kind: &Kind, entry: &Entry<'_>| *kind != Kind::Fqdns || has_items(entry.node);
    let mut lists: Vec<_> = lists.filter(|(kind, entry)| counts(kind, entry)).collect();
    lists.sort_by_key(|(kind, _)| *kind);
    lists
}

/// No two lists may have items.
fn check_lists<'a>(reader: &mut Reader<'a>, lists: &[(Kind, Entry<'a>)]) {
    let filled = lists.iter().filter(|(_, entry)| has_items(entry.node));
    for (_, entry) in filled.skip(1) {
        reader.field(*entry, |reader, _| {
            reader.refuse(
                entry.key_span,
                Cause::Conflict {
                    rule: "a rule names its peers in two ways",
                    instead: "write a rule of its own for each",
                },
            );
        });
    }
}

fn item<'a>(
    reader: &mut Reader<'a>,
    node: Node<'a>,
    kind: Kind,
    scope: &Scope,
    subject: &Subject,
) -> Option<Item> {
    match kind {
        Kind::Cidr => cidr::plain(reader, node).map(one),
        Kind::CidrSet => cidr::set(reader, node).map(one),
        Kind::Endpoints => {
            let parts = selector::read(reader, node, Keys::Cilium)?;
            let selector = scope.peer(parts, subject);
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
                selector: scope.node_peer(parts),
                kind: PeerKind::Nodes,
                location: reader.location(node.span.start),
            }))
        }
        Kind::Services => service::service(reader, node).map(one),
    }
}

/// A peer of a label selector; one that asks for nothing means everybody, known or not.
pub(super) fn endpoints_peer(reader: &Reader<'_>, node: Node<'_>, selector: Selector) -> Peer {
    Peer {
        selector,
        kind: PeerKind::Endpoints,
        location: reader.location(node.span.start),
    }
}

fn entities<'a>(reader: &mut Reader<'a>, node: Node<'a>, scope: &Scope) -> Option<Item> {
    let entity = reader.one_of(node, "the entity", entity::words(reader.options.level))?;
    let Some(selectors) = entity::selectors(entity, scope) else {
        return Some(Item::Anybody);
    };
    let peers = selectors.into_iter().map(|selector| Peer {
        selector,
        kind: PeerKind::Entity(entity),
        location: reader.location(node.span.start),
    });
    Some(Item::Several(peers.collect()))
}

fn refuse_nodes(reader: &mut Reader<'_>, node: Node<'_>) {
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
        Item::One(peer)
    }
}

fn has_items(node: Node<'_>) -> bool {
    !matches!(&node.value, Value::Sequence(items) if items.is_empty())
}

fn has_ports(fields: &Fields<'_>) -> bool {
    ["toPorts", "icmps"]
        .into_iter()
        .any(|name| fields.get(name).is_some_and(|entry| has_items(entry.node)))
}

fn kind(direction: Direction, list: &str) -> Option<Kind> {
    Some(match (direction, list) {
        (Direction::Ingress, "fromEndpoints") | (Direction::Egress, "toEndpoints") => {
            Kind::Endpoints
        }
        (Direction::Ingress, "fromEntities") | (Direction::Egress, "toEntities") => Kind::Entities,
        (Direction::Ingress, "fromCIDR") | (Direction::Egress, "toCIDR") => Kind::Cidr,
        (Direction::Ingress, "fromCIDRSet") | (Direction::Egress, "toCIDRSet") => Kind::CidrSet,
        (Direction::Egress, "toFQDNs") => Kind::Fqdns,
        (Direction::Ingress, "fromNodes") | (Direction::Egress, "toNodes") => Kind::Nodes,
        (Direction::Ingress, "fromGroups") | (Direction::Egress, "toGroups") => Kind::Groups,
        (Direction::Egress, "toServices") => Kind::Services,
        _ => return None,
    })
}
