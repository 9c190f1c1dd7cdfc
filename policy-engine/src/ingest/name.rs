//! Names of resources.

use super::error::Cause;
use super::reader::Reader;
use crate::yaml::Node;

/// Refuses what no resource can be called: RFC 1123 subdomains are what a cluster takes.
///
/// The agent asks for a name, whatever it is.
pub(super) fn check(reader: &mut Reader<'_>, node: Node<'_>, name: &str, what: &'static str) {
    let allowed = "up to 253 lower-case letters, digits, dashes and dots, each part of letters and \
                   digits at its ends";
    let is_valid = || name.len() <= 253 && name.split('.').all(is_label);
    refuse_unless(reader, node, name, (what, allowed), is_valid);
}

/// Refuses what no namespace can be called: an RFC 1123 label.
pub(super) fn check_namespace(reader: &mut Reader<'_>, node: Node<'_>, name: &str) {
    let allowed = "up to 63 lower-case letters, digits and dashes, with letters and digits at the \
                   ends";
    let is_valid = || name.len() <= 63 && is_label(name);
    refuse_unless(reader, node, name, ("the namespace", allowed), is_valid);
}

fn refuse_unless(
    reader: &mut Reader<'_>,
    node: Node<'_>,
    name: &str,
    (what, allowed): (&'static str, &'static str),
    is_valid: impl Fn() -> bool,
) {
    if name.is_empty() || (reader.is_cluster() && !is_valid()) {
        let found = name.to_owned();
        reader.refuse(
            node.span,
            Cause::Invalid {
                what,
                found,
                allowed,
            },
        );
    }
}

fn is_label(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with('-')
        && !text.ends_with('-')
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}
