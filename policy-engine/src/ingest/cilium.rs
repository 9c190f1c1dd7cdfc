//! The spec of a `CiliumNetworkPolicy` or `CiliumClusterwideNetworkPolicy`.

use std::sync::Arc;

use palisade_abi::Direction;
use palisade_identity::Selector;

use super::error::Cause;
use super::reader::{Field, Fields, Reader};
use super::scope::Scope;
use super::selector::Keys;
use super::{icmp, peers, ports, selector};
use crate::options::DefaultDenyChoice;
use crate::rule::{Effect, Kind, Ports, Priority, Rule, Subject};
use crate::yaml::{Entry, Node, Value};

/// One of the four lists of rules.
struct Section {
    name: &'static str,
    direction: Direction,
    effect: Effect,
}

/// What all rules of a spec share.
struct Shared<'s> {
    scope: &'s Scope,
    subject: Selector,
    default_deny: DefaultDeny,
}

/// Which directions default deny is switched on for.
struct DefaultDeny {
    ingress: bool,
    egress: bool,
}

/// Reads a spec and adds its rules in the order of the four lists.
pub(super) fn read<'a>(
    reader: &mut Reader<'a>,
    node: &'a Node,
    scope: &Scope,
    rules: &mut Vec<Rule>,
) {
    let Some(fields) = reader.fields(node, &SPEC) else {
        return;
    };
    check_labels(reader, &fields);
    let subject = subject(reader, &fields, scope);
    let shared = Shared {
        scope,
        subject: subject.unwrap_or_else(Selector::everything),
        default_deny: default_deny(reader, &fields),
    };
    let mut any = false;
    for section in &SECTIONS {
        if let Some(entry) = fields.get(section.name) {
            any |= !matches!(&entry.node.value, Value::Sequence(items) if items.is_empty());
            let more = reader.field(entry, |reader, node| {
                reader.items(node, |reader, node| {
                    rule(reader, node, entry, section, &shared)
                })
            });
            rules.extend(more.unwrap_or_default());
        }
    }
    if !any {
        reader.refuse(
            fields.span,
            Cause::Missing {
                field: "ingress, ingressDeny, egress or egressDeny, with an item",
            },
        );
    }
}

fn subject<'a>(reader: &mut Reader<'a>, fields: &Fields<'a>, scope: &Scope) -> Option<Selector> {
    let clusterwide = scope.resource.kind == Kind::CiliumClusterwideNetworkPolicy;
    let (endpoints, nodes) = (fields.get("endpointSelector"), fields.get("nodeSelector"));
    if let Some(entry) = nodes {
        let cause = if endpoints.is_some() {
            Cause::Conflict {
                rule: "a rule is about endpoints and about nodes",
                instead: "keep endpointSelector or nodeSelector",
            }
        } else if clusterwide {
            Cause::NotModelled {
                what: "nodeSelector".to_owned(),
            }
        } else {
            Cause::Conflict {
                rule: "a namespaced policy is about nodes",
                instead: "use CiliumClusterwideNetworkPolicy",
            }
        };
        reader.field(entry, |reader, _| reader.refuse(entry.key_span, cause));
    }
    let Some(entry) = endpoints else {
        if nodes.is_none() {
            let field = "endpointSelector";
            reader.refuse(fields.span, Cause::Missing { field });
        }
        return None;
    };
    reader.field(entry, |reader, node| {
        let parts = selector::read(reader, node, Keys::Cilium)?;
        Some(scope.subject(parts))
    })
}

/// Every rule switches default deny on for its direction unless the spec says otherwise.
fn default_deny<'a>(reader: &mut Reader<'a>, fields: &Fields<'a>) -> DefaultDeny {
    let mut choice = DefaultDeny {
        ingress: true,
        egress: true,
    };
    let Some(entry) = fields.get("enableDefaultDeny") else {
        return choice;
    };
    reader.field(entry, |reader, node| {
        let known = [Field::Known("egress"), Field::Known("ingress")];
        let Some(fields) = reader.fields(node, &known) else {
            return;
        };
        let mut direction = |name, switch: &mut bool| {
            let said = fields
                .get(name)
                .and_then(|entry| reader.field(entry, Reader::boolean));
            if reader.options.default_deny_choice == DefaultDenyChoice::Honoured {
                *switch = said.unwrap_or(*switch);
            }
        };
        direction("ingress", &mut choice.ingress);
        direction("egress", &mut choice.egress);
    });
    choice
}

/// `labels` and `description` are for people; they must only be of the right type.
fn check_labels<'a>(reader: &mut Reader<'a>, fields: &Fields<'a>) {
    if let Some(entry) = fields.get("labels") {
        reader.field(entry, Reader::list);
    }
    if let Some(entry) = fields.get("description") {
        reader.field(entry, Reader::text);
    }
}

fn rule<'a>(
    reader: &mut Reader<'a>,
    node: &'a Node,
    list: &Entry,
    section: &Section,
    shared: &Shared<'_>,
) -> Option<Rule> {
    let known: &[Field] = match (section.direction, section.effect) {
        (Direction::Ingress, Effect::Allow) => &INGRESS,
        (Direction::Ingress, Effect::Deny | Effect::Pass) => &INGRESS_DENY,
        (Direction::Egress, Effect::Allow) => &EGRESS,
        (Direction::Egress, Effect::Deny | Effect::Pass) => &EGRESS_DENY,
    };
    let fields = reader.fields(node, known)?;
    let peers = peers::read(
        reader,
        &fields,
        section.direction,
        shared.scope,
        &shared.subject,
    );
    let ports = rule_ports(reader, &fields, section);
    Some(Rule {
        resource: Arc::clone(&shared.scope.resource),
        index: 0,
        location: reader.location(node.span.start),
        section: reader.location(list.key_span.start),
        subject: Subject::Endpoints(shared.subject.clone()),
        direction: section.direction,
        effect: section.effect,
        default_deny: match section.direction {
            Direction::Ingress => shared.default_deny.ingress,
            Direction::Egress => shared.default_deny.egress,
        },
        peers,
        ports,
        tier: shared.scope.tier,
        priority: Priority::ZERO,
        auth: None,
        log: None,
    })
}

/// Every protocol where the rule names neither ports nor ICMP types.
fn rule_ports<'a>(reader: &mut Reader<'a>, fields: &Fields<'a>, section: &Section) -> Ports {
    let mut named = false;
    let mut rules = Vec::new();
    for (name, is_icmp) in [("toPorts", false), ("icmps", true)] {
        let Some(entry) = fields.get(name) else {
            continue;
        };
        if named {
            reader.field(entry, |reader, _| {
                reader.refuse(
                    entry.key_span,
                    Cause::Conflict {
                        rule: "a rule has toPorts and icmps",
                        instead: "write a rule of its own for each",
                    },
                );
            });
        }
        let items = reader.field(entry, |reader, node| {
            reader.items(node, |reader, node| {
                Some(if is_icmp {
                    icmp::item(reader, node)
                } else {
                    ports::item(reader, node, section.direction, section.effect)
                })
            })
        });
        let items = items.unwrap_or_default();
        named |= !items.is_empty();
        rules.extend(items.into_iter().flatten().flatten());
    }
    if named {
        Ports::Some(rules)
    } else {
        Ports::All
    }
}

const SECTIONS: [Section; 4] = [
    Section {
        name: "ingress",
        direction: Direction::Ingress,
        effect: Effect::Allow,
    },
    Section {
        name: "ingressDeny",
        direction: Direction::Ingress,
        effect: Effect::Deny,
    },
    Section {
        name: "egress",
        direction: Direction::Egress,
        effect: Effect::Allow,
    },
    Section {
        name: "egressDeny",
        direction: Direction::Egress,
        effect: Effect::Deny,
    },
];

const SPEC: [Field; 10] = [
    Field::Known("description"),
    Field::Known("egress"),
    Field::Known("egressDeny"),
    Field::Known("enableDefaultDeny"),
    Field::Known("endpointSelector"),
    Field::Known("ingress"),
    Field::Known("ingressDeny"),
    Field::Known("labels"),
    Field::NotModelled("log"),
    Field::Known("nodeSelector"),
];

const INGRESS: [Field; 10] = [
    Field::NotModelled("authentication"),
    Field::Known("fromCIDR"),
    Field::Known("fromCIDRSet"),
    Field::Known("fromEndpoints"),
    Field::Known("fromEntities"),
    Field::NotModelled("fromGroups"),
    Field::Known("fromNodes"),
    Field::NotModelled("fromRequires"),
    Field::Known("icmps"),
    Field::Known("toPorts"),
];

const INGRESS_DENY: [Field; 10] = [
    Field::Dropped("authentication"),
    Field::Known("fromCIDR"),
    Field::Known("fromCIDRSet"),
    Field::Known("fromEndpoints"),
    Field::Known("fromEntities"),
    Field::NotModelled("fromGroups"),
    Field::Known("fromNodes"),
    Field::NotModelled("fromRequires"),
    Field::Known("icmps"),
    Field::Known("toPorts"),
];

const EGRESS: [Field; 12] = [
    Field::NotModelled("authentication"),
    Field::Known("icmps"),
    Field::Known("toCIDR"),
    Field::Known("toCIDRSet"),
    Field::Known("toEndpoints"),
    Field::Known("toEntities"),
    Field::Known("toFQDNs"),
    Field::NotModelled("toGroups"),
    Field::Known("toNodes"),
    Field::Known("toPorts"),
    Field::NotModelled("toRequires"),
    Field::NotModelled("toServices"),
];

const EGRESS_DENY: [Field; 12] = [
    Field::Dropped("authentication"),
    Field::Known("icmps"),
    Field::Known("toCIDR"),
    Field::Known("toCIDRSet"),
    Field::Known("toEndpoints"),
    Field::Known("toEntities"),
    Field::Dropped("toFQDNs"),
    Field::NotModelled("toGroups"),
    Field::Known("toNodes"),
    Field::Known("toPorts"),
    Field::NotModelled("toRequires"),
    Field::NotModelled("toServices"),
];
