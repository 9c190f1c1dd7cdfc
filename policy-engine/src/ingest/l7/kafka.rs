//! `rules.kafka`: what a request must say.

use std::sync::Arc;

use super::super::error::Cause;
use super::super::reader::{Field, Fields, Reader};
use super::text;
use crate::rule::KafkaRule;
use crate::yaml::Node;

/// Reads an item of `rules.kafka`.
pub(super) fn rule<'a>(reader: &mut Reader<'a>, node: Node<'a>) -> Option<KafkaRule> {
    let fields = reader.fields(node, &RULE)?;
    let role = word(reader, &fields, "role", "the role", &ROLES);
    let api_key = word(reader, &fields, "apiKey", "the API key", &API_KEYS);
    if let (Some(_), Some(_), Some(entry)) = (&role, &api_key, fields.get("apiKey")) {
        reader.field(entry, |reader, _| {
            reader.refuse(
                entry.key_span,
                Cause::Conflict {
                    rule: "a Kafka rule has a role and an API key",
                    instead: "a role stands for keys: write one of the two",
                },
            );
        });
    }
    let version = |text: &str| text.parse::<i16>().is_ok_and(|version| version >= 0);
    let topic = |text: &str| {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        text.len() <= MAX_TOPIC && text.bytes().all(allowed)
    };
    Some(KafkaRule {
        role,
        api_key,
        api_version: checked(
            reader,
            &fields,
            "apiVersion",
            ("the API version", "a number from 0 to 32767, in quotes"),
            version,
        ),
        client_id: text(reader, &fields, "clientID").map(Arc::from),
        topic: checked(
            reader,
            &fields,
            "topic",
            (
                "the topic",
                "a topic is up to 255 letters, digits, dots, dashes and underscores",
            ),
            topic,
        ),
    })
}

/// One of a few words in any case.
fn word<'a>(
    reader: &mut Reader<'a>,
    fields: &Fields<'a>,
    name: &str,
    what: &'static str,
    words: &[&'static str],
) -> Option<Arc<str>> {
    let entry = fields.get(name)?;
    let text = text(reader, fields, name)?;
    if !words.iter().any(|word| word.eq_ignore_ascii_case(text)) {
        let (found, allowed) = (text.to_owned(), words.to_vec());
        reader.field(entry, |reader, node| {
            reader.refuse(
                node.span,
                Cause::NotOneOf {
                    what,
                    found,
                    allowed,
                },
            );
        });
    }
    Some(text.into())
}

fn checked<'a>(
    reader: &mut Reader<'a>,
    fields: &Fields<'a>,
    name: &str,
    (what, allowed): (&'static str, &'static str),
    is_valid: impl Fn(&str) -> bool,
) -> Option<Arc<str>> {
    let entry = fields.get(name)?;
    let text = text(reader, fields, name)?;
    if !is_valid(text) {
        let found = text.to_owned();
        reader.field(entry, |reader, node| {
            reader.refuse(
                node.span,
                Cause::Invalid {
                    what,
                    found,
                    allowed,
                },
            );
        });
    }
    Some(text.into())
}

const MAX_TOPIC: usize = 255;

const RULE: [Field; 5] = [
    Field::Known("apiKey"),
    Field::Known("apiVersion"),
    Field::Known("clientID"),
    Field::Known("role"),
    Field::Known("topic"),
];

const ROLES: [&str; 2] = ["consume", "produce"];

const API_KEYS: [&str; 34] = [
    "addoffsetstotxn",
    "addpartitionstotxn",
    "alterconfigs",
    "apiversions",
    "controlledshutdown",
    "createacls",
    "createtopics",
    "deleteacls",
    "deleterecords",
    "deletetopics",
    "describeacls",
    "describeconfigs",
    "describegroups",
    "endtxn",
    "fetch",
    "findcoordinator",
    "heartbeat",
    "initproducerid",
    "joingroup",
    "leaderandisr",
    "leavegroup",
    "listgroups",
    "metadata",
    "offsetcommit",
    "offsetfetch",
    "offsetforleaderepoch",
    "offsets",
    "produce",
    "saslhandshake",
    "stopreplica",
    "syncgroup",
    "txnoffsetcommit",
    "updatemetadata",
    "writetxnmarkers",
];
