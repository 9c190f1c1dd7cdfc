//! `from` and `to`: the other side of a rule.

use palisade_abi::Direction;
use palisade_fqdn::MatchPattern;
use palisade_identity::{Label, Requirement, Selector};

use super::super::error::Cause;
use super::super::reader::{Fields, Reader};
use super::super::scope::Scope;
use super::super::selector::{self, Keys};
use super::super::{cidr, peers};
use super::dialect::Dialect;
use super::{Section, check_count, check_some, only, subject};
use crate::options::{CidrMatch, NodeLabels};
use crate::rule::{Effect, Peer, PeerKind, Peers};
use crate::yaml::{Entry, Node};

/// Reads the peers of a rule; what is missing is refused.
pub(super) fn read<'a>(
    reader: &mut Reader<'a>,
    fields: &Fields<'a>,
    section: &Section,
    effect: Option<Effect>,
    dialect: &Dialect,
    scope: &Scope,
) -> Peers {
    let Some(entry) = fields.get(section.peers) else {
        let field = section.peers;
        reader.refuse(fields.span, Cause::Missing { field });
        return Peers::Some {
            location: None,
            list: Vec::new(),
        };
    };
    check_some(reader, entry, "an item");
    let list = reader.field(entry, |reader, node| {
        check_count(reader, node, dialect.max_items);
        reader.items(node, |reader, node| {
            item(reader, node, section, effect, dialect, scope)
        })
    });
    Peers::Some {
        location: Some(reader.location(entry.key_span.start)),
        list: list.unwrap_or_default().into_iter().flatten().collect(),
    }
}

fn item<'a>(
    reader: &mut Reader<'a>,
    node: Node<'a>,
    section: &Section,
    effect: Option<Effect>,
    dialect: &Dialect,
    scope: &Scope,
) -> Option<Vec<Peer>> {
    let (known, missing) = match section.direction {
        Direction::Ingress => (&subject::PODS[..], "namespaces or pods"),
        Direction::Egress => (
            dialect.egress_peer,
            "namespaces, pods, nodes, networks or domainNames",
        ),
    };
    let entry = only(
        reader,
        node,
        known,
        missing,
        "an item names its peers in two ways",
    )?;
    match entry.key {
        "nodes" => nodes(reader, entry),
        "networks" => several(reader, entry, cidr::network),
        "domainNames" => {
            if effect != Some(Effect::Allow) {
                refuse_names(reader, entry);
            }
            several(reader, entry, domain)
        }
        _ => {
            let pods = subject::pods(reader, entry, dialect)?;
            let pods = scope.confine(pods);
            Some(vec![peers::endpoints_peer(reader, node, pods)])
        }
    }
}

/// The nodes of the cluster by their labels; an empty selector is all.
///
/// In Cilium's model the node that a pod runs on is its host and not one of the nodes. Where
/// addresses select whoever has them, it is.
fn nodes<'a>(reader: &mut Reader<'a>, entry: Entry<'a>) -> Option<Vec<Peer>> {
    reader.field(entry, |reader, node| {
        if reader.options.node_labels == NodeLabels::Unknown {
            let (rule, instead) = (
                "nodes have no labels here",
                "say that they do in the options, or name the addresses of the nodes as networks",
            );
            reader.refuse(node.span, Cause::Conflict { rule, instead });
            return None;
        }
        let parts = selector::read(reader, node, Keys::Node)?;
        let selector = parts.selector();
        let location = reader.location(node.span.start);
        let of = |name| {
            let label = Label::reserved(name).ok()?;
            let requirement = Requirement::exists((&label).into());
            Some(Peer {
                selector: selector.with(requirement),
                kind: PeerKind::Nodes,
                location: location.clone(),
            })
        };
        let names: &[&str] = match reader.options.cidr_match {
            CidrMatch::Everybody => &["host", "remote-node"],
            CidrMatch::Outside => &["remote-node"],
        };
        Some(names.iter().copied().filter_map(of).collect())
    })
}

/// A list of peers of one kind inside an item.
fn several<'a>(
    reader: &mut Reader<'a>,
    entry: Entry<'a>,
    read: impl FnMut(&mut Reader<'a>, Node<'a>) -> Option<Peer>,
) -> Option<Vec<Peer>> {
    check_some(reader, entry, "an item");
    reader.field(entry, |reader, node| {
        check_count(reader, node, MAX_IN_ITEM);
        reader.items(node, read)
    })
}

fn refuse_names<'a>(reader: &mut Reader<'a>, entry: Entry<'a>) {
    let (rule, instead) = (
        "a rule that does not allow names domains",
        "deny by networks, and allow the names before",
    );
    reader.field(entry, |reader, _| {
        reader.refuse(entry.key_span, Cause::Conflict { rule, instead });
    });
}

/// A name, or `*.` and a name: every name below it, however deep.
fn domain<'a>(reader: &mut Reader<'a>, node: Node<'a>) -> Option<Peer> {
    let text = reader.text(node)?;
    let (stars, name) = match text.strip_prefix("*.") {
        Some(name) => ("**.", name),
        None => ("", text),
    };
    let parsed = MatchPattern::parse_name(name, palisade_fqdn::Level::Cluster)
        .and_then(|name| format!("{stars}{name}").parse::<MatchPattern>());
    let detail = match parsed {
        Ok(pattern) if name.trim_end_matches('.').contains('.') => {
            let label = Label::fqdn(pattern.as_str()).ok()?;
            return Some(Peer {
                selector: Selector::having(&label),
                kind: PeerKind::Fqdn(pattern),
                location: reader.location(node.span.start),
            });
        }
        Ok(_) => "a name has two labels or more".to_owned(),
        Err(error) => error.to_string(),
    };
    let (what, found) = ("name", text.to_owned());
    reader.refuse(
        node.span,
        Cause::Dns {
            what,
            found,
            detail,
        },
    );
    None
}

/// Networks or names of one item.
const MAX_IN_ITEM: usize = 25;
