//! The envelope of a document: apiVersion, kind, metadata, and which reader its spec goes to.

use std::sync::Arc;

use super::error::Cause;
use super::reader::{EmptyFields, Field, Fields, Reader};
use super::scope::Scope;
use super::{Resource, admin, cidr_group, cilium, kubernetes, name};
use crate::options::Level;
use crate::rule::{CidrGroup, Kind, Policy, ResourceName, Rule};
use crate::span::Location;
use crate::yaml::{Entries, Entry, Node};

/// Reads a document; `None` if it is refused, which the reader then knows the reasons of.
///
/// `implied` is the kind of a document that names none.
pub(super) fn read<'a>(
    reader: &mut Reader<'a>,
    root: Node<'a>,
    implied: Option<&'a str>,
    location: &Location,
) -> Option<Resource> {
    let kind = match kind(reader, root, implied)? {
        Document::Policy(kind) => kind,
        Document::CidrGroup => {
            reader.set_empty_fields(EmptyFields::Absent);
            return cidr_group(reader, root, implied, location).map(Resource::CidrGroup);
        }
    };
    reader.set_empty_fields(match (kind, reader.options.level) {
        // To a Kubernetes policy everybody is what an empty list says, too.
        (Kind::NetworkPolicy, Level::Cluster) | (_, Level::Agent) => EmptyFields::Absent,
        (_, Level::Cluster) => EmptyFields::Refused,
    });
    let fields = reader.fields(root, &DOCUMENT)?;
    check_version(reader, &fields, versions(kind), implied.is_some());
    let scope = scope(reader, &fields, kind)?;
    let mut rules = match kind {
        Kind::CiliumClusterwideNetworkPolicy | Kind::CiliumNetworkPolicy => {
            cilium_rules(reader, &fields, &scope)
        }
        Kind::AdminNetworkPolicy
        | Kind::BaselineAdminNetworkPolicy
        | Kind::ClusterNetworkPolicy
        | Kind::NetworkPolicy => one_spec(reader, &fields, &scope),
        Kind::Rules => Vec::new(),
    };
    for (rule, index) in rules.iter_mut().zip(0..) {
        rule.index = index;
    }
    Some(Resource::Policy(Policy {
        resource: scope.resource,
        location: location.clone(),
        rules,
    }))
}

/// What kind of resource a document is.
#[derive(Clone, Copy)]
enum Document {
    CidrGroup,
    Policy(Kind),
}

/// The kind, before anything else: what a kind that is not known may hold is not known either.
fn kind<'a>(reader: &mut Reader<'a>, root: Node<'a>, implied: Option<&'a str>) -> Option<Document> {
    let entries = reader.entries(root)?;
    let find = |text: &str| {
        let policy = Kind::ALL.into_iter().find(|kind| kind.name() == text);
        let group = || (text == CIDR_GROUP).then_some(Document::CidrGroup);
        policy.map(Document::Policy).or_else(group)
    };
    let other = |text: &str| Cause::OtherKind { kind: text.into() };
    match (entries.get("kind"), implied) {
        (Some(entry), _) => reader.field(entry, |reader, node| {
            let text = reader.text(node)?;
            let kind = find(text);
            if kind.is_none() {
                reader.refuse(node.span, other(text));
            }
            kind
        }),
        (None, Some(implied)) => {
            let kind = find(implied);
            if kind.is_none() {
                reader.refuse(root.span, other(implied));
            }
            kind
        }
        (None, None) => {
            reader.refuse(root.span, Cause::Missing { field: "kind" });
            None
        }
    }
}

const fn versions(kind: Kind) -> &'static [(&'static str, ())] {
    match kind {
        Kind::CiliumClusterwideNetworkPolicy | Kind::CiliumNetworkPolicy => &[("cilium.io/v2", ())],
        Kind::NetworkPolicy => &[("networking.k8s.io/v1", ())],
        Kind::AdminNetworkPolicy | Kind::BaselineAdminNetworkPolicy => {
            &[("policy.networking.k8s.io/v1alpha1", ())]
        }
        Kind::ClusterNetworkPolicy => &[("policy.networking.k8s.io/v1alpha2", ())],
        Kind::Rules => &[],
    }
}

fn check_version<'a>(
    reader: &mut Reader<'a>,
    fields: &Fields<'a>,
    versions: &[(&'static str, ())],
    implied: bool,
) {
    if let Some(entry) = fields.get("apiVersion") {
        reader.field(entry, |reader, node| {
            reader.one_of(node, "the version of this kind", versions)
        });
    } else if !implied {
        let field = "apiVersion";
        reader.refuse(fields.span, Cause::Missing { field });
    }
}

fn cidr_group<'a>(
    reader: &mut Reader<'a>,
    root: Node<'a>,
    implied: Option<&'a str>,
    location: &Location,
) -> Option<CidrGroup> {
    let fields = reader.fields(root, &DOCUMENT)?;
    let versions = [("cilium.io/v2", ()), ("cilium.io/v2alpha1", ())];
    check_version(reader, &fields, &versions, implied.is_some());
    let Some(entry) = fields.get("metadata") else {
        let field = "metadata.name";
        reader.refuse(fields.span, Cause::Missing { field });
        return None;
    };
    let metadata = reader.field(entry, |reader, node| {
        let fields = reader.fields(node, &METADATA)?;
        refuse_namespace(
            reader,
            &fields,
            "CIDR groups have no namespace",
            "remove it",
        );
        let Some(entry) = fields.get("name") else {
            reader.refuse(fields.span, Cause::Missing { field: "name" });
            return None;
        };
        let name = reader.field(entry, |reader, node| {
            let name = reader.text(node)?;
            name::check(reader, node, name, "the name");
            Some(name)
        })?;
        let labels = fields.get("labels").map(|entry| {
            reader.field(entry, |reader, node| {
                let entries = reader.entries(node).into_iter().flat_map(Entries::iter);
                let label = |entry: Entry<'a>| {
                    let value = reader.field(entry, Reader::text)?;
                    Some((entry.key, value))
                };
                entries.filter_map(label).collect()
            })
        });
        Some((name, labels.unwrap_or_default()))
    });
    let (name, labels) = metadata?;
    cidr_group::read(reader, &fields, name, labels, location)
}

/// The name of the resource and the namespace its selectors are confined to: `default` where a
/// namespaced kind names none.
fn scope<'a>(reader: &mut Reader<'a>, fields: &Fields<'a>, kind: Kind) -> Option<Scope> {
    let Some(entry) = fields.get("metadata") else {
        let field = "metadata.name";
        reader.refuse(fields.span, Cause::Missing { field });
        return None;
    };
    reader.field(entry, |reader, node| {
        let fields = reader.fields(node, &METADATA)?;
        let Some(entry) = fields.get("name") else {
            reader.refuse(fields.span, Cause::Missing { field: "name" });
            return None;
        };
        let name = reader.field(entry, |reader, node| {
            let name = reader.text(node)?;
            name::check(reader, node, name, "the name");
            Some(name)
        })?;
        if kind == Kind::BaselineAdminNetworkPolicy && name != admin::BASELINE_NAME {
            reader.field(entry, |reader, node| {
                let (rule, instead) = (
                    "a cluster has only one policy of this kind",
                    "call it default, or use ClusterNetworkPolicy",
                );
                reader.refuse(node.span, Cause::Conflict { rule, instead });
            });
        }
        let namespace = match kind {
            Kind::AdminNetworkPolicy
            | Kind::BaselineAdminNetworkPolicy
            | Kind::CiliumClusterwideNetworkPolicy
            | Kind::ClusterNetworkPolicy
            | Kind::Rules => {
                refuse_namespace(
                    reader,
                    &fields,
                    "a clusterwide policy has no namespace",
                    "remove it, or use CiliumNetworkPolicy",
                );
                None
            }
            Kind::CiliumNetworkPolicy | Kind::NetworkPolicy => Some(namespace(reader, &fields)?),
        };
        let resource = ResourceName {
            kind,
            namespace,
            name: name.into(),
        };
        let span = fields
            .get("namespace")
            .map_or(fields.span, |entry| entry.node.span);
        Scope::new(resource, reader.options)
            .map_err(|error| reader.refuse(span, Cause::Selector(error)))
            .ok()
    })
}

fn namespace<'a>(reader: &mut Reader<'a>, fields: &Fields<'a>) -> Option<Arc<str>> {
    let text = match fields.get("namespace") {
        Some(entry) => reader.field(entry, |reader, node| {
            let text = reader.text(node)?;
            if !text.is_empty() {
                name::check_namespace(reader, node, text);
            }
            Some(text)
        })?,
        None => "",
    };
    Some(if text.is_empty() { "default" } else { text }.into())
}

fn refuse_namespace(
    reader: &mut Reader<'_>,
    fields: &Fields<'_>,
    rule: &'static str,
    instead: &'static str,
) {
    if let Some(entry) = fields.get("namespace")
        && reader.options.level == Level::Cluster
    {
        reader.refuse(entry.key_span, Cause::Conflict { rule, instead });
    }
}

fn cilium_rules<'a>(reader: &mut Reader<'a>, fields: &Fields<'a>, scope: &Scope) -> Vec<Rule> {
    let mut rules = Vec::new();
    let (spec, specs) = (fields.get("spec"), fields.get("specs"));
    if spec.is_none() && specs.is_none() {
        let field = "spec";
        reader.refuse(fields.span, Cause::Missing { field });
    }
    if let Some(entry) = spec {
        reader.field(entry, |reader, node| {
            cilium::read(reader, node, scope, &mut rules);
        });
    }
    if let Some(entry) = specs {
        reader.field(entry, |reader, node| {
            reader.items(node, |reader, node| {
                cilium::read(reader, node, scope, &mut rules);
                Some(())
            });
        });
    }
    rules
}

/// The rules of a kind that has one `spec` and no more.
fn one_spec<'a>(reader: &mut Reader<'a>, fields: &Fields<'a>, scope: &Scope) -> Vec<Rule> {
    let mut rules = Vec::new();
    if let Some(entry) = fields.get("specs") {
        let (field, allowed) = (entry.key.to_owned(), vec!["spec"]);
        reader.refuse(entry.key_span, Cause::UnknownField { field, allowed });
    }
    if let Some(entry) = fields.get("spec") {
        reader.field(entry, |reader, node| {
            if scope.resource.kind == Kind::NetworkPolicy {
                kubernetes::read(reader, node, scope, &mut rules);
            } else {
                admin::read(reader, node, scope, &mut rules);
            }
        });
    } else {
        let field = "spec";
        reader.refuse(fields.span, Cause::Missing { field });
    }
    rules
}

const CIDR_GROUP: &str = "CiliumCIDRGroup";

const DOCUMENT: [Field; 6] = [
    Field::Known("apiVersion"),
    Field::Known("kind"),
    Field::Known("metadata"),
    Field::Known("spec"),
    Field::Known("specs"),
    // What the cluster writes; says nothing about what is wanted.
    Field::Known("status"),
];

const METADATA: [Field; 14] = [
    Field::Known("annotations"),
    Field::Known("creationTimestamp"),
    Field::Known("deletionGracePeriodSeconds"),
    Field::Known("deletionTimestamp"),
    Field::Known("finalizers"),
    Field::Known("generateName"),
    Field::Known("generation"),
    Field::Known("labels"),
    Field::Known("managedFields"),
    Field::Known("name"),
    Field::Known("namespace"),
    Field::Known("ownerReferences"),
    Field::Known("resourceVersion"),
    Field::Known("uid"),
];
