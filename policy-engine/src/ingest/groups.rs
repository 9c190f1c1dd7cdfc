//! Files of security groups.

use std::net::IpAddr;
use std::sync::Arc;

use super::error::{Cause, Error};
use super::reader::{Field, Reader};
use super::service;
use crate::options::Options;
use crate::resolve::Group;
use crate::yaml::{self, Node};

/// Reads a file: a list of groups in each document.
pub(crate) fn read(file: &str, text: &str) -> Result<Vec<Group>, Vec<Error>> {
    let (file, options): (Arc<str>, _) = (file.into(), Options::default());
    let mut groups = Vec::new();
    let mut errors = Vec::new();
    for mut document in yaml::parse(text) {
        let mut reader = Reader::new(&file, &options);
        let readable = document.faults.iter().all(|fault| !fault.hides_content());
        for fault in std::mem::take(&mut document.faults) {
            reader.refuse_fault(fault);
        }
        if let Some(root) = document.root().filter(|_| readable) {
            groups.extend(reader.items(root, group).unwrap_or_default());
        }
        errors.extend(reader.into_errors());
    }
    if errors.is_empty() {
        Ok(groups)
    } else {
        Err(errors)
    }
}

fn group<'a>(reader: &mut Reader<'a>, node: Node<'a>) -> Option<Group> {
    let fields = reader.fields(node, &GROUP)?;
    if !fields.has("id") && !fields.has("name") && !fields.has("labels") {
        let field = "id, name or labels";
        reader.refuse(fields.span, Cause::Missing { field });
    }
    let Some(entry) = fields.get("addresses") else {
        let field = "addresses";
        reader.refuse(fields.span, Cause::Missing { field });
        return None;
    };
    let addresses = reader.field(entry, |reader, node| reader.items(node, address));
    Some(Group {
        id: service::text(reader, &fields, "id").unwrap_or_default(),
        name: service::text(reader, &fields, "name").unwrap_or_default(),
        region: service::text(reader, &fields, "region").unwrap_or_default(),
        labels: service::labels(reader, &fields),
        addresses: addresses?,
    })
}

fn address<'a>(reader: &mut Reader<'a>, node: Node<'a>) -> Option<IpAddr> {
    let text = reader.text(node)?;
    let address = text.parse().ok();
    if address.is_none() {
        let (found, expected) = (text.to_owned(), "an address");
        reader.refuse(node.span, Cause::Cidr { found, expected });
    }
    address
}

const GROUP: [Field; 5] = [
    Field::Known("addresses"),
    Field::Known("id"),
    Field::Known("labels"),
    Field::Known("name"),
    Field::Known("region"),
];
