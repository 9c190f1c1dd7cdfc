//! Policies as documents: what is printed reads back as the same rules.
//!
//! The selectors that are printed are those that decide, so that what reading adds (the namespace
//! and the cluster of peers) stands in the document. Read it with the options of the first reading.
//!
//! ```
//! use palisade_policy::{Options, ingest, print};
//!
//! let text = "\
//! apiVersion: cilium.io/v2
//! kind: CiliumNetworkPolicy
//! metadata: {name: db, namespace: shop}
//! spec:
//!   endpointSelector: {matchLabels: {app: db}}
//!   ingress:
//!   - fromEntities: [host]
//!     toPorts: [{ports: [{port: \"5432\", protocol: TCP}]}]
//! ";
//! let policy = &ingest::read("db.yaml", text, &Options::default()).unwrap().policies[0];
//! assert_eq!(
//!     print::policy(policy)?,
//!     "\
//! apiVersion: cilium.io/v2
//! kind: CiliumNetworkPolicy
//! metadata:
//!   name: db
//!   namespace: shop
//! spec:
//!   endpointSelector:
//!     matchLabels:
//!       app: db
//!   ingress:
//!   - fromEntities:
//!     - host
//!     toPorts:
//!     - ports:
//!       - port: \"5432\"
//!         protocol: TCP
//! "
//! );
//! # Ok::<(), print::Error>(())
//! ```

mod admin;
mod kubernetes;
mod l7;
mod peers;
mod ports;
mod selector;
mod tree;

use palisade_abi::Direction;
use thiserror::Error;

use self::tree::Tree;
use crate::rule::{CidrGroup, Effect, Kind, Policy, Priority, ResourceName, Rule, Subject};
use crate::span::Location;

/// Why a policy cannot be printed.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum Error {
    /// The kind is one that is not printed.
    #[error("policies of kind {kind} are not printed")]
    Kind {
        /// The kind.
        kind: Kind,
    },
    /// The policy has no rules, and a document has one at least.
    #[error("{resource} has no rules")]
    NoRules {
        /// The policy.
        resource: ResourceName,
    },
    /// No document of the kind says what a rule says.
    #[error("{location}: no document of this kind says {what}")]
    NotExpressible {
        /// The rule.
        location: Location,
        /// What it says.
        what: &'static str,
    },
}

/// The YAML document of a policy, of any kind that is read.
///
/// # Errors
/// [`enum@Error`] for other kinds, and for rules that no document of the kind says.
pub fn policy(policy: &Policy) -> Result<String, Error> {
    let resource = &policy.resource;
    let (version, spec) = match resource.kind {
        Kind::CiliumClusterwideNetworkPolicy | Kind::CiliumNetworkPolicy => {
            let mut specs = specs(&policy.rules, resource)?;
            let spec = match specs.len() {
                0 => {
                    let resource = (**resource).clone();
                    return Err(Error::NoRules { resource });
                }
                1 => ("spec", specs.remove(0)),
                _ => ("specs", Tree::List(specs)),
            };
            ("cilium.io/v2", spec)
        }
        Kind::NetworkPolicy => ("networking.k8s.io/v1", ("spec", kubernetes::spec(policy)?)),
        Kind::AdminNetworkPolicy | Kind::BaselineAdminNetworkPolicy => (
            "policy.networking.k8s.io/v1alpha1",
            ("spec", admin::spec(policy)?),
        ),
        Kind::ClusterNetworkPolicy => (
            "policy.networking.k8s.io/v1alpha2",
            ("spec", admin::spec(policy)?),
        ),
        kind @ Kind::Rules => return Err(Error::Kind { kind }),
    };
    let mut metadata = vec![("name", Tree::text(&*resource.name))];
    if let Some(namespace) = &resource.namespace {
        metadata.push(("namespace", Tree::text(&**namespace)));
    }
    let document = Tree::map([
        ("apiVersion", Tree::text(version)),
        ("kind", Tree::text(resource.kind.name())),
        ("metadata", Tree::map(metadata)),
        spec,
    ]);
    Ok(document.print())
}

/// The YAML document of a CIDR group.
///
/// ```
/// use palisade_policy::{Options, ingest, print};
///
/// let text = "{apiVersion: cilium.io/v2, kind: CiliumCIDRGroup, metadata: {name: office, \
///             labels: {site: a}}, spec: {externalCIDRs: [10.0.0.0/8]}}";
/// let read = |text: &str| ingest::read("office.yaml", text, &Options::default());
/// let group = &read(text).unwrap().cidr_groups[0];
/// let printed = print::cidr_group(group);
/// let again = &read(&printed).unwrap().cidr_groups[0];
/// assert_eq!((&again.labels, &again.prefixes), (&group.labels, &group.prefixes), "{printed}");
/// ```
pub fn cidr_group(group: &CidrGroup) -> String {
    // The label of its name is one that reading adds.
    let own = group
        .labels
        .iter()
        .filter(|label| !label.key().contains("io.cilium."));
    let labels = own.map(|label| (label.key(), Tree::text(label.value())));
    let mut metadata = vec![("name", Tree::text(&*group.name))];
    let labels: Vec<_> = labels.collect();
    if !labels.is_empty() {
        metadata.push(("labels", Tree::map(labels)));
    }
    let prefixes = group.prefixes.iter().map(|one| Tree::text(one.to_string()));
    let prefixes = Tree::List(prefixes.collect());
    let document = Tree::map([
        ("apiVersion", Tree::text("cilium.io/v2")),
        ("kind", Tree::text("CiliumCIDRGroup")),
        ("metadata", Tree::map(metadata)),
        ("spec", Tree::map([("externalCIDRs", prefixes)])),
    ]);
    document.print()
}

/// Rules that share a subject, in the order of the lists of a spec.
fn specs(rules: &[Rule], resource: &ResourceName) -> Result<Vec<Tree>, Error> {
    let share = |first: &Rule, second: &Rule| {
        let same_switch =
            first.direction != second.direction || first.default_deny == second.default_deny;
        first.subject == second.subject
            && first.log == second.log
            && same_switch
            && section(first) <= section(second)
    };
    rules
        .chunk_by(share)
        .map(|rules| spec(rules, resource))
        .collect()
}

/// The place of a rule's list in a spec, and its name.
const fn section(rule: &Rule) -> (u8, &'static str) {
    match (rule.direction, rule.effect) {
        (Direction::Ingress, Effect::Allow) => (0, "ingress"),
        (Direction::Ingress, Effect::Deny | Effect::Pass) => (1, "ingressDeny"),
        (Direction::Egress, Effect::Allow) => (2, "egress"),
        (Direction::Egress, Effect::Deny | Effect::Pass) => (3, "egressDeny"),
    }
}

fn spec(rules: &[Rule], resource: &ResourceName) -> Result<Tree, Error> {
    let mut entries: Vec<(String, Tree)> = Vec::new();
    let Some(first) = rules.first() else {
        return Ok(Tree::map(entries));
    };
    let (field, subject) = match &first.subject {
        Subject::Endpoints(subject) => ("endpointSelector", selector::subject(subject, resource)),
        Subject::Nodes(subject) => ("nodeSelector", selector::cilium(subject)),
    };
    entries.push((field.to_owned(), subject));
    if let Some(log) = &first.log {
        let value = Tree::map([("value", Tree::text(&**log))]);
        entries.push(("log".to_owned(), value));
    }
    let off = |direction| {
        rules
            .iter()
            .any(|rule| rule.direction == direction && !rule.default_deny)
    };
    let switches = [
        ("egress", Direction::Egress),
        ("ingress", Direction::Ingress),
    ];
    let switches: Vec<_> = switches
        .into_iter()
        .filter(|(_, direction)| off(*direction))
        .map(|(name, _)| (name, Tree::Raw("false".to_owned())))
        .collect();
    if !switches.is_empty() {
        entries.push(("enableDefaultDeny".to_owned(), Tree::map(switches)));
    }
    for rules in rules.chunk_by(|first, second| section(first) == section(second)) {
        let items: Result<Vec<_>, _> = rules.iter().map(|one| rule(one, resource)).collect();
        let name = rules.first().map_or("", |rule| section(rule).1);
        entries.push((name.to_owned(), Tree::List(items?)));
    }
    Ok(Tree::map(entries))
}

fn rule(rule: &Rule, resource: &ResourceName) -> Result<Tree, Error> {
    if rule.effect == Effect::Pass {
        return Err(cannot(rule, "pass"));
    }
    if rule.priority != Priority::ZERO {
        return Err(cannot(rule, "a priority"));
    }
    let mut entries = peers::entries(rule)?;
    entries.extend(ports::entries(rule, resource)?);
    if let Some(mode) = rule.auth {
        let mode = Tree::map([("mode", Tree::text(mode.name()))]);
        entries.push(("authentication", mode));
    }
    Ok(Tree::map(entries))
}

fn cannot(rule: &Rule, what: &'static str) -> Error {
    Error::NotExpressible {
        location: rule.location.clone(),
        what,
    }
}
