//! The spec of a `CiliumNetworkPolicy` or `CiliumClusterwideNetworkPolicy`.

use std::sync::Arc;

use palisade_abi::Direction;
use palisade_identity::Selector;

use super::error::Cause;
use super::ports::Site;
use super::reader::{Field, Fields, Reader};
use super::scope::Scope;
use super::selector::Keys;
use super::warning::Doubt;
use super::{icmp, peers, ports, selector};
use crate::options::DefaultDenyChoice;
use crate::rule::{AuthMode, Effect, Kind, Ports, Priority, Rule, Subject};
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
    subject: Subject,
    default_deny: DefaultDeny,
    log: Option<Arc<str>>,
}

/// Which directions default deny is switched on for.
struct DefaultDeny {
    ingress: bool,
    egress: bool,
}

/// Reads a spec and adds its rules in the order of the four lists.
pub(super) fn read<'a>(
    reader: &mut Reader<'a>,
    node: Node<'a>,
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
        subject: subject.unwrap_or_else(|| Subject::Endpoints(Selector::everything())),
        default_deny: default_deny(reader, &fields),
        log: log(reader, &fields),
    };
    let mut any = false;
    for section in &SECTIONS {
        if let Some(entry) = fields.get(section.name) {
            any |= !matches!(&entry.node.value, Value::Sequence(items) if items.is_empty());
            reader.field(entry, |reader, node| {
                if let Value::Sequence(items) = node.value {
                    rules.reserve_exact(items.len());
                }
                reader.each(node, |reader, node| {
                    rules.extend(rule(reader, node, entry, section, &shared));
                });
            });
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

fn subject<'a>(reader: &mut Reader<'a>, fields: &Fields<'a>, scope: &Scope) -> Option<Subject> {
    let clusterwide = scope.resource.kind == Kind::CiliumClusterwideNetworkPolicy;
    let (endpoints, nodes) = (fields.get("endpointSelector"), fields.get("nodeSelector"));
    let conflict = match (endpoints, nodes) {
        (Some(_), Some(_)) => Some((
            "a rule is about endpoints and about nodes",
            "keep endpointSelector or nodeSelector",
        )),
        (None, Some(_)) if !clusterwide => Some((
            "a namespaced policy is about nodes",
            "use CiliumClusterwideNetworkPolicy",
        )),
        (_, Some(_) | None) => None,
    };
    if let (Some((rule, instead)), Some(entry)) = (conflict, nodes) {
        reader.field(entry, |reader, _| {
            reader.refuse(entry.key_span, Cause::Conflict { rule, instead });
        });
    }
    match (endpoints, nodes) {
        (Some(entry), _) => reader.field(entry, |reader, node| {
            let parts = selector::read(reader, node, Keys::Cilium)?;
            if let Some((found, own)) = scope.replaced(&parts) {
                reader.doubt(node.span, Doubt::Namespace { found, own });
            }
            Some(Subject::Endpoints(scope.subject(parts)))
        }),
        (None, Some(entry)) => reader.field(entry, |reader, node| {
            let parts = selector::read(reader, node, Keys::Cilium)?;
            Some(Subject::Nodes(parts.selector()))
        }),
        (None, None) => {
            let field = if clusterwide {
                "endpointSelector or nodeSelector"
            } else {
                "endpointSelector"
            };
            reader.refuse(fields.span, Cause::Missing { field });
            None
        }
    }
}

/// What the log says about what the rules decide.
fn log<'a>(reader: &mut Reader<'a>, fields: &Fields<'a>) -> Option<Arc<str>> {
    let entry = fields.get("log")?;
    reader.field(entry, |reader, node| {
        let fields = reader.fields(node, &[Field::Known("value")])?;
        let entry = fields.get("value")?;
        reader.field(entry, |reader, node| {
            let text = reader.text(node)?;
            let is_short = text.chars().count() <= MAX_LOG && !text.chars().any(char::is_control);
            if reader.is_cluster() && !is_short {
                let (what, found) = ("the text of the log", text.to_owned());
                let allowed = "up to 32 characters that can be printed";
                reader.refuse(
                    node.span,
                    Cause::Invalid {
                        what,
                        found,
                        allowed,
                    },
                );
            }
            (!text.is_empty()).then(|| text.into())
        })
    })
}

/// What the two sides of a connection must have proved.
fn authentication<'a>(reader: &mut Reader<'a>, fields: &Fields<'a>) -> Option<AuthMode> {
    let entry = fields.get("authentication")?;
    reader.field(entry, |reader, node| {
        let fields = reader.fields(node, &[Field::Known("mode")])?;
        let Some(entry) = fields.get("mode") else {
            reader.refuse(fields.span, Cause::Missing { field: "mode" });
            return None;
        };
        reader.field(entry, |reader, node| {
            reader.one_of(node, "the mode", &AUTH_MODES)
        })
    })
}

/// `fromRequires` and `toRequires`, which upstream still has in its types and reads no more.
fn check_requires<'a>(reader: &mut Reader<'a>, fields: &Fields<'a>) {
    for field in ["fromRequires", "toRequires"] {
        let Some(entry) = fields.get(field) else {
            continue;
        };
        reader.field(entry, |reader, node| {
            let Some(items) = reader.items(node, Reader::text) else {
                return;
            };
            let found = items.len();
            if found > 0 && reader.is_cluster() {
                reader.refuse(entry.key_span, Cause::TooMany { found, max: 0 });
            } else if found > 0 {
                reader.doubt(entry.key_span, Doubt::NoEffect { field });
            }
        });
    }
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
        reader.field(entry, |reader, node| {
            reader.items(node, |reader, node| {
                // The agent reads a label written as text, too.
                if !reader.is_cluster() && matches!(node.value, Value::Scalar(_)) {
                    return reader.text(node).map(drop);
                }
                let fields = reader.fields(node, &LABEL)?;
                if !fields.has("key") {
                    reader.refuse(fields.span, Cause::Missing { field: "key" });
                }
                for name in ["key", "source", "value"] {
                    if let Some(entry) = fields.get(name) {
                        reader.field(entry, Reader::text);
                    }
                }
                Some(())
            })
        });
    }
    if let Some(entry) = fields.get("description") {
        reader.field(entry, Reader::text);
    }
}

fn rule<'a>(
    reader: &mut Reader<'a>,
    node: Node<'a>,
    list: Entry<'_>,
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
    check_requires(reader, &fields);
    let auth = authentication(reader, &fields);
    let ports = rule_ports(reader, &fields, section, shared);
    Some(Rule {
        resource: Arc::clone(&shared.scope.resource),
        index: 0,
        location: reader.location(node.span.start),
        section: reader.location(list.key_span.start),
        subject: shared.subject.clone(),
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
        auth,
        log: shared.log.clone(),
    })
}

/// Every protocol where the rule names neither ports nor ICMP types.
fn rule_ports<'a>(
    reader: &mut Reader<'a>,
    fields: &Fields<'a>,
    section: &Section,
    shared: &Shared<'_>,
) -> Ports {
    let site = Site {
        direction: section.direction,
        effect: section.effect,
        is_host: matches!(shared.subject, Subject::Nodes(_)),
        scope: shared.scope,
    };
    let mut named = false;
    let mut rules = Vec::new();
    for (name, is_icmp) in [("toPorts", false), ("icmps", true)] {
        let Some(entry) = fields.get(name) else {
            continue;
        };
        if named && !matches!(&entry.node.value, Value::Sequence(items) if items.is_empty()) {
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
        reader.field(entry, |reader, node| {
            reader.each(node, |reader, node| {
                named = true;
                if is_icmp {
                    rules.extend(icmp::item(reader, node).unwrap_or_default());
                } else {
                    ports::item(reader, node, &site, &mut rules);
                }
            });
        });
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

const MAX_LOG: usize = 32;

const AUTH_MODES: [(&str, AuthMode); 3] = [
    ("disabled", AuthMode::Disabled),
    ("required", AuthMode::Required),
    ("test-always-fail", AuthMode::AlwaysFail),
];

const LABEL: [Field; 3] = [
    Field::Known("key"),
    Field::Known("source"),
    Field::Known("value"),
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
    Field::Known("log"),
    Field::Known("nodeSelector"),
];

const INGRESS: [Field; 10] = [
    Field::Known("authentication"),
    Field::Known("fromCIDR"),
    Field::Known("fromCIDRSet"),
    Field::Known("fromEndpoints"),
    Field::Known("fromEntities"),
    Field::Known("fromGroups"),
    Field::Known("fromNodes"),
    Field::Known("fromRequires"),
    Field::Known("icmps"),
    Field::Known("toPorts"),
];

const INGRESS_DENY: [Field; 10] = [
    Field::Dropped("authentication"),
    Field::Known("fromCIDR"),
    Field::Known("fromCIDRSet"),
    Field::Known("fromEndpoints"),
    Field::Known("fromEntities"),
    Field::Known("fromGroups"),
    Field::Known("fromNodes"),
    Field::Known("fromRequires"),
    Field::Known("icmps"),
    Field::Known("toPorts"),
];

const EGRESS: [Field; 12] = [
    Field::Known("authentication"),
    Field::Known("icmps"),
    Field::Known("toCIDR"),
    Field::Known("toCIDRSet"),
    Field::Known("toEndpoints"),
    Field::Known("toEntities"),
    Field::Known("toFQDNs"),
    Field::Known("toGroups"),
    Field::Known("toNodes"),
    Field::Known("toPorts"),
    Field::Known("toRequires"),
    Field::Known("toServices"),
];

const EGRESS_DENY: [Field; 12] = [
    Field::Dropped("authentication"),
    Field::Known("icmps"),
    Field::Known("toCIDR"),
    Field::Known("toCIDRSet"),
    Field::Known("toEndpoints"),
    Field::Known("toEntities"),
    Field::Dropped("toFQDNs"),
    Field::Known("toGroups"),
    Field::Known("toNodes"),
    Field::Known("toPorts"),
    Field::Known("toRequires"),
    Field::Known("toServices"),
];
