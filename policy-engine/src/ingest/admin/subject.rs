//! Pods by their namespaces and by their own labels: subjects, and peers of both directions.

use palisade_identity::Selector;

use super::super::error::Cause;
use super::super::reader::{Field, Fields, Reader};
use super::super::scope::Scope;
use super::super::selector::{self, Keys};
use super::dialect::{Dialect, Namespaces};
use super::only;
use crate::yaml::{Entry, Node};

/// The pods that a policy is about. Those on the network of their host are not among them: they
/// are no endpoints.
pub(super) fn read<'a>(
    reader: &mut Reader<'a>,
    fields: &Fields<'a>,
    dialect: &Dialect,
) -> Option<Selector> {
    let Some(entry) = fields.get("subject") else {
        let field = "subject";
        reader.refuse(fields.span, Cause::Missing { field });
        return None;
    };
    reader.field(entry, |reader, node| {
        let entry = only(
            reader,
            node,
            &PODS,
            "namespaces or pods",
            "a subject is chosen in two ways",
        )?;
        pods(reader, entry, dialect)
    })
}

/// The pods of a field `namespaces` or `pods`.
pub(super) fn pods<'a>(
    reader: &mut Reader<'a>,
    entry: Entry<'a>,
    dialect: &Dialect,
) -> Option<Selector> {
    let (namespaces, pods) = reader.field(entry, |reader, node| {
        if entry.key == "namespaces" {
            let namespaces = selector(reader, node, Keys::Namespace)?;
            return Some((namespaces, Selector::everything()));
        }
        let fields = reader.fields(node, &NAMESPACED_POD)?;
        let mut part = |field, keys, may_miss: bool| match fields.get(field) {
            Some(entry) => reader.field(entry, |reader, node| selector(reader, node, keys)),
            None if may_miss => Some(Selector::everything()),
            None => {
                reader.refuse(fields.span, Cause::Missing { field });
                None
            }
        };
        let optional = dialect.namespaces == Namespaces::Optional;
        let namespaces = part("namespaceSelector", Keys::Namespace, optional);
        let pods = part("podSelector", Keys::Pod, false);
        Some((namespaces?, pods?))
    })?;
    Some(Scope::pods_of(&pods, &namespaces))
}

fn selector<'a>(reader: &mut Reader<'a>, node: Node<'a>, keys: Keys) -> Option<Selector> {
    selector::read(reader, node, keys).map(selector::Parts::selector)
}

/// The fields of a subject and of an item of `from`.
pub(super) const PODS: [Field; 2] = [Field::Known("namespaces"), Field::Known("pods")];

const NAMESPACED_POD: [Field; 2] = [
    Field::Known("namespaceSelector"),
    Field::Known("podSelector"),
];
