//! DNS names and patterns, as peers and as rules for what may be asked.

use palisade_fqdn::MatchPattern;
use palisade_identity::{Label, Selector};

use super::error::Cause;
use super::reader::{Field, Fields, Reader};
use crate::options::Level;
use crate::rule::{DnsRule, Peer, PeerKind};
use crate::yaml::Node;

/// An item of `toFQDNs`: a name or a pattern.
pub(super) fn peer<'a>(reader: &mut Reader<'a>, node: Node<'a>) -> Option<Peer> {
    let fields = reader.fields(node, &SELECTOR)?;
    let patterns = patterns(reader, &fields)?;
    let [pattern] = patterns
        .try_into()
        .map_err(|_| refuse_count(reader, &fields))
        .ok()?;
    let label = Label::fqdn(pattern.as_str()).ok()?;
    Some(Peer {
        selector: Selector::having(&label),
        kind: PeerKind::Fqdn(pattern),
        location: reader.location(node.span.start),
    })
}

/// An item of `rules.dns`: what it names, both if it names both, nothing if it is empty.
pub(super) fn rules<'a>(reader: &mut Reader<'a>, node: Node<'a>) -> Option<Vec<DnsRule>> {
    let fields = reader.fields(node, &SELECTOR)?;
    let patterns = patterns(reader, &fields)?;
    if patterns.len() != 1 && reader.options.level == Level::Cluster {
        refuse_count(reader, &fields);
    }
    let location = reader.location(node.span.start);
    let rule = |pattern| DnsRule {
        pattern,
        location: location.clone(),
    };
    Some(patterns.into_iter().map(rule).collect())
}

/// The patterns that are there; `None` if one of them is wrong.
fn patterns<'a>(reader: &mut Reader<'a>, fields: &Fields<'a>) -> Option<Vec<MatchPattern>> {
    let level = match reader.options.level {
        Level::Agent => palisade_fqdn::Level::Agent,
        Level::Cluster => palisade_fqdn::Level::Cluster,
    };
    let mut found = Vec::new();
    let mut clean = true;
    for (field, what) in [("matchName", "name"), ("matchPattern", "pattern")] {
        let Some(entry) = fields.get(field) else {
            continue;
        };
        let pattern = reader.field(entry, |reader, node| {
            let text = reader.text(node)?;
            // To the agent an empty text is one that is not there.
            if text.is_empty() && reader.options.level == Level::Agent {
                return Some(None);
            }
            let parsed = match what {
                "name" => MatchPattern::parse_name(text, level),
                _ => MatchPattern::parse(text, level),
            };
            match parsed {
                Ok(pattern) => Some(Some(pattern)),
                Err(error) => {
                    let (found, detail) = (text.to_owned(), error.to_string());
                    reader.refuse(
                        node.span,
                        Cause::Dns {
                            what,
                            found,
                            detail,
                        },
                    );
                    None
                }
            }
        });
        clean &= pattern.is_some();
        found.extend(pattern.flatten());
    }
    clean.then_some(found)
}

fn refuse_count(reader: &mut Reader<'_>, fields: &Fields<'_>) {
    let cause = if fields.has("matchName") && fields.has("matchPattern") {
        Cause::Conflict {
            rule: "an item has a name and a pattern",
            instead: "write an item of its own for each",
        }
    } else {
        Cause::Missing {
            field: "matchName or matchPattern",
        }
    };
    reader.refuse(fields.span, cause);
}

const SELECTOR: [Field; 2] = [Field::Known("matchName"), Field::Known("matchPattern")];
