//! `rules.http`: what a request must say.

use std::sync::Arc;

use super::super::error::Cause;
use super::super::reader::{Field, Fields, Reader};
use super::{re2, required, text, tls};
use crate::rule::{HeaderMatch, HttpRule, MismatchAction};
use crate::yaml::Node;

/// Reads an item of `rules.http`.
pub(super) fn rule<'a>(reader: &mut Reader<'a>, node: Node<'a>) -> Option<HttpRule> {
    let fields = reader.fields(node, &RULE)?;
    let headers = fields.get("headers").and_then(|entry| {
        reader.field(entry, |reader, node| {
            reader.items(node, |reader, node| reader.text(node).map(Arc::from))
        })
    });
    let matches = fields
        .get("headerMatches")
        .and_then(|entry| reader.field(entry, |reader, node| reader.items(node, header_match)));
    Some(HttpRule {
        path: expression(reader, &fields, "path"),
        method: expression(reader, &fields, "method"),
        host: expression(reader, &fields, "host"),
        headers: headers.unwrap_or_default(),
        header_matches: matches.unwrap_or_default(),
    })
}

/// A regular expression. Nobody checks that of the host upstream; a proxy could not use it.
fn expression<'a>(reader: &mut Reader<'a>, fields: &Fields<'a>, name: &str) -> Option<Arc<str>> {
    let entry = fields.get(name)?;
    let text = text(reader, fields, name)?;
    reader.field(entry, |reader, node| {
        if let Err(detail) = re2::check(text) {
            let found = text.to_owned();
            reader.refuse(node.span, Cause::Expression { found, detail });
        }
    });
    Some(text.into())
}

fn header_match<'a>(reader: &mut Reader<'a>, node: Node<'a>) -> Option<HeaderMatch> {
    let fields = reader.fields(node, &HEADER_MATCH)?;
    let name = required(reader, &fields, "name");
    let mismatch = fields.get("mismatch").and_then(|entry| {
        reader.field(entry, |reader, node| {
            // To the agent an empty text is one that is not there.
            if reader.is_absent_text(node) {
                return None;
            }
            reader.one_of(node, "the action", &ACTIONS)
        })
    });
    let secret = fields
        .get("secret")
        .and_then(|entry| reader.field(entry, tls::secret));
    Some(HeaderMatch {
        mismatch,
        name: name?.into(),
        secret,
        value: text(reader, &fields, "value").map(Arc::from),
    })
}

const RULE: [Field; 5] = [
    Field::Known("headerMatches"),
    Field::Known("headers"),
    Field::Known("host"),
    Field::Known("method"),
    Field::Known("path"),
];

const HEADER_MATCH: [Field; 4] = [
    Field::Known("mismatch"),
    Field::Known("name"),
    Field::Known("secret"),
    Field::Known("value"),
];

const ACTIONS: [(&str, MismatchAction); 4] = [
    ("ADD", MismatchAction::Add),
    ("DELETE", MismatchAction::Delete),
    ("LOG", MismatchAction::Log),
    ("REPLACE", MismatchAction::Replace),
];
