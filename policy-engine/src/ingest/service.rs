//! Peers that somebody else must resolve: services and security groups.

use std::collections::BTreeMap;
use std::sync::Arc;

use palisade_identity::Selector;

use super::error::Cause;
use super::reader::{Field, Fields, Reader};
use super::scope::reserved;
use super::selector::{self, Keys};
use super::warning::Doubt;
use crate::rule::{GroupReference, Peer, PeerKind, ServiceReference};
use crate::yaml::{Entries, Node};

/// An item of `toServices`.
pub(super) fn service<'a>(reader: &mut Reader<'a>, node: Node<'a>) -> Option<Peer> {
    let fields = reader.fields(node, &SERVICE)?;
    let named = fields.get("k8sService").map(|entry| {
        reader.field(entry, |reader, node| {
            let fields = reader.fields(node, &NAMED)?;
            let namespace = text(reader, &fields, "namespace");
            let name = text(reader, &fields, "serviceName");
            let entry = fields.get("serviceName");
            if entry.is_none_or(|entry| Reader::is_empty_text(entry.node)) {
                let field = "serviceName";
                reader.refuse(fields.span, Cause::Missing { field });
            }
            let name = name?;
            Some(ServiceReference::Name { namespace, name })
        })
    });
    let selected = fields.get("k8sServiceSelector").map(|entry| {
        reader.field(entry, |reader, node| {
            let fields = reader.fields(node, &SELECTED)?;
            let namespace = text(reader, &fields, "namespace");
            let Some(entry) = fields.get("selector") else {
                let field = "selector";
                reader.refuse(fields.span, Cause::Missing { field });
                return None;
            };
            let parts = reader.field(entry, |reader, node| {
                selector::read(reader, node, Keys::Pod)
            })?;
            Some(ServiceReference::Labels {
                namespace,
                selector: parts.selector(),
            })
        })
    });
    let reference = match (selected, named) {
        (Some(selected), named) => {
            if named.is_some() {
                reader.doubt(fields.span, Doubt::TwoServices);
            }
            selected
        }
        (None, Some(named)) => named,
        (None, None) => {
            let field = "k8sService or k8sServiceSelector";
            reader.refuse(fields.span, Cause::Missing { field });
            None
        }
    };
    Some(Peer {
        selector: nobody()?,
        kind: PeerKind::Service(Arc::new(reference?)),
        location: reader.location(node.span.start),
    })
}

/// An item of `toGroups` or `fromGroups`.
pub(super) fn group<'a>(reader: &mut Reader<'a>, node: Node<'a>) -> Option<Peer> {
    let fields = reader.fields(node, &[Field::Known("aws")])?;
    let Some(entry) = fields.get("aws") else {
        reader.refuse(fields.span, Cause::Missing { field: "aws" });
        return None;
    };
    let reference = reader.field(entry, |reader, node| {
        let fields = reader.fields(node, &AWS)?;
        Some(GroupReference {
            labels: labels(reader, &fields),
            ids: texts(reader, &fields, "securityGroupsIds"),
            names: texts(reader, &fields, "securityGroupsNames"),
            region: text(reader, &fields, "region").unwrap_or_default(),
        })
    });
    Some(Peer {
        selector: nobody()?,
        kind: PeerKind::Group(Arc::new(reference?)),
        location: reader.location(node.span.start),
    })
}

/// A selector that matches nobody.
fn nobody() -> Option<Selector> {
    reserved("none")
}

/// The labels of a group.
pub(super) fn labels<'a>(
    reader: &mut Reader<'a>,
    fields: &Fields<'a>,
) -> BTreeMap<Arc<str>, Arc<str>> {
    let Some(entry) = fields.get("labels") else {
        return BTreeMap::new();
    };
    reader.field(entry, |reader, node| {
        let entries = reader.entries(node).into_iter().flat_map(Entries::iter);
        let mut labels = BTreeMap::new();
        for entry in entries {
            if let Some(value) = reader.field(entry, Reader::text) {
                labels.insert(entry.key.into(), value.into());
            }
        }
        labels
    })
}

/// The text of a field; `None` if it is absent, empty or wrong.
pub(super) fn text<'a>(
    reader: &mut Reader<'a>,
    fields: &Fields<'a>,
    name: &str,
) -> Option<Arc<str>> {
    let entry = fields.get(name)?;
    let text = reader.field(entry, Reader::text)?;
    (!text.is_empty()).then(|| text.into())
}

fn texts<'a>(reader: &mut Reader<'a>, fields: &Fields<'a>, name: &str) -> Vec<Arc<str>> {
    let texts = fields.get(name).and_then(|entry| {
        reader.field(entry, |reader, node| {
            reader.items(node, |reader, node| reader.text(node).map(Arc::from))
        })
    });
    texts.unwrap_or_default()
}

const SERVICE: [Field; 2] = [
    Field::Known("k8sService"),
    Field::Known("k8sServiceSelector"),
];

const NAMED: [Field; 2] = [Field::Known("namespace"), Field::Known("serviceName")];

const SELECTED: [Field; 2] = [Field::Known("namespace"), Field::Known("selector")];

const AWS: [Field; 4] = [
    Field::Known("labels"),
    Field::Known("region"),
    Field::Known("securityGroupsIds"),
    Field::Known("securityGroupsNames"),
];
