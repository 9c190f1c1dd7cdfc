//! The envelope of a document: apiVersion, kind, metadata, and which reader its spec goes to.

use std::sync::Arc;

use super::error::Cause;
use super::reader::{EmptyFields, Field, Fields, Reader};
use super::scope::Scope;
use super::{cilium, kubernetes};
use crate::options::Level;
use crate::rule::{Kind, Policy, ResourceName, Rule};
use crate::span::Location;
use crate::yaml::Node;

/// Reads a document; `None` if it is refused, which the reader then knows the reasons of.
pub(super) fn read<'a>(
    reader: &mut Reader<'a>,
    root: &'a Node,
    location: &Location,
) -> Option<Policy> {
    let kind = kind(reader, root)?;
    reader.set_empty_fields(match (kind, reader.options.level) {
        (Kind::CiliumClusterwideNetworkPolicy | Kind::CiliumNetworkPolicy, Level::Cluster) => {
            EmptyFields::Refused
        }
        // To a Kubernetes policy everybody is what an empty list says, too.
        (_, Level::Cluster | Level::Agent) => EmptyFields::Absent,
    });
    let fields = reader.fields(root, &DOCUMENT)?;
    check_version(reader, &fields, kind);
    let scope = scope(reader, &fields, kind)?;
    let mut rules = match kind {
        Kind::CiliumClusterwideNetworkPolicy | Kind::CiliumNetworkPolicy => {
            cilium_rules(reader, &fields, &scope)
        }
        Kind::NetworkPolicy => kubernetes_rules(reader, &fields, &scope),
        Kind::AdminNetworkPolicy
        | Kind::BaselineAdminNetworkPolicy
        | Kind::ClusterNetworkPolicy
        | Kind::Rules => Vec::new(),
    };
    for (rule, index) in rules.iter_mut().zip(0..) {
        rule.index = index;
    }
    Some(Policy {
        resource: scope.resource,
        location: location.clone(),
        rules,
    })
}

/// The kind, before anything else: what a kind that is not known may hold is not known either.
fn kind<'a>(reader: &mut Reader<'a>, root: &'a Node) -> Option<Kind> {
    let entries = reader.entries(root)?;
    let Some(entry) = entries.iter().find(|entry| entry.key == "kind") else {
        reader.refuse(root.span, Cause::Missing { field: "kind" });
        return None;
    };
    reader.field(entry, |reader, node| {
        let text = reader.text(node)?;
        let kind = READ.into_iter().find(|kind| kind.name() == text);
        if kind.is_none() {
            let what = format!("kind {text:?}");
            reader.refuse(node.span, Cause::NotModelled { what });
        }
        kind
    })
}

fn check_version<'a>(reader: &mut Reader<'a>, fields: &Fields<'a>, kind: Kind) {
    let expected = match kind {
        Kind::CiliumClusterwideNetworkPolicy | Kind::CiliumNetworkPolicy => "cilium.io/v2",
        Kind::NetworkPolicy => "networking.k8s.io/v1",
        Kind::AdminNetworkPolicy | Kind::BaselineAdminNetworkPolicy => {
            "policy.networking.k8s.io/v1alpha1"
        }
        Kind::ClusterNetworkPolicy => "policy.networking.k8s.io/v1alpha2",
        Kind::Rules => "",
    };
    if let Some(entry) = fields.get("apiVersion") {
        reader.field(entry, |reader, node| {
            reader.one_of(node, "the version of this kind", &[(expected, ())])
        });
    } else {
        let field = "apiVersion";
        reader.refuse(fields.span, Cause::Missing { field });
    }
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
        let name = reader.field(entry, Reader::text)?;
        let namespace = match kind {
            Kind::AdminNetworkPolicy
            | Kind::BaselineAdminNetworkPolicy
            | Kind::CiliumClusterwideNetworkPolicy
            | Kind::ClusterNetworkPolicy
            | Kind::Rules => {
                refuse_namespace(reader, &fields);
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
        Some(entry) => reader.field(entry, Reader::text)?,
        None => "",
    };
    Some(if text.is_empty() { "default" } else { text }.into())
}

fn refuse_namespace(reader: &mut Reader<'_>, fields: &Fields<'_>) {
    if let Some(entry) = fields.get("namespace")
        && reader.options.level == Level::Cluster
    {
        reader.refuse(
            entry.key_span,
            Cause::Conflict {
                rule: "a clusterwide policy has no namespace",
                instead: "remove it, or use CiliumNetworkPolicy",
            },
        );
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

fn kubernetes_rules<'a>(reader: &mut Reader<'a>, fields: &Fields<'a>, scope: &Scope) -> Vec<Rule> {
    let mut rules = Vec::new();
    if let Some(entry) = fields.get("specs") {
        let (field, allowed) = (entry.key.clone(), vec!["spec"]);
        reader.refuse(entry.key_span, Cause::UnknownField { field, allowed });
    }
    if let Some(entry) = fields.get("spec") {
        reader.field(entry, |reader, node| {
            kubernetes::read(reader, node, scope, &mut rules);
        });
    } else {
        let field = "spec";
        reader.refuse(fields.span, Cause::Missing { field });
    }
    rules
}

/// The kinds that are read so far.
const READ: [Kind; 3] = [
    Kind::CiliumClusterwideNetworkPolicy,
    Kind::CiliumNetworkPolicy,
    Kind::NetworkPolicy,
];

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
