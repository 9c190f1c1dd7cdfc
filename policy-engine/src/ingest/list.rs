//! Lists of resources, as a cluster prints them.

use super::error::Cause;
use super::reader::{Field, Reader};
use crate::yaml::{Items, Node, Value};

/// An item of a list, and the kind that the list's own name gives it.
pub(super) struct Item<'a> {
    pub(super) root: Node<'a>,
    pub(super) kind: Option<&'a str>,
}

/// The items of a document that is a list; `None` if it is something else.
pub(super) fn read<'a>(reader: &mut Reader<'a>, root: Node<'a>) -> Option<Vec<Item<'a>>> {
    let Value::Mapping(entries) = &root.value else {
        return None;
    };
    let Value::Scalar(kind) = entries.get("kind")?.node.value else {
        return None;
    };
    let kind = kind.text.strip_suffix("List")?;
    let fields = reader.fields(root, &LIST)?;
    let Some(entry) = fields.get("items") else {
        let field = "items";
        reader.refuse(fields.span, Cause::Missing { field });
        return Some(Vec::new());
    };
    let items = reader.field(entry, Reader::list);
    let items = items.into_iter().flat_map(Items::iter);
    // The items of a typed list may leave out what its name says.
    let kind = Some(kind).filter(|kind| !kind.is_empty());
    Some(items.map(|root| Item { root, kind }).collect())
}

const LIST: [Field; 4] = [
    Field::Known("apiVersion"),
    Field::Known("items"),
    Field::Known("kind"),
    Field::Known("metadata"),
];
