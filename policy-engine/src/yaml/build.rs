//! From the parser's events to a tree.

use std::collections::HashMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, StrInput};

use super::{Document, Entry, Fault, FaultKind, MAX_DEPTH, Node, Scalar, Span, Style, Value};
use crate::span::Position;

/// Reads every document of a text.
///
/// A syntax error ends the reading: the document it stands in carries it and is the last.
pub(crate) fn parse(text: &str) -> Vec<Document> {
    let mut builder = Builder {
        parser: Parser::new_from_str(text),
        faults: Vec::new(),
    };
    let mut documents = Vec::new();
    loop {
        let start = match builder.next() {
            Ok((Event::StreamEnd, _)) => return documents,
            Ok((Event::DocumentStart(_), _)) => builder.document(),
            Ok(_) => continue,
            Err(broken) => Err(broken),
        };
        match start {
            Ok(document) => documents.push(document),
            Err(Broken(fault)) => {
                builder.faults.push(fault);
                documents.push(Document {
                    start: builder
                        .faults
                        .first()
                        .map_or(Position::START, |f| f.span.start),
                    root: None,
                    faults: builder.faults,
                });
                return documents;
            }
        }
    }
}

struct Builder<'a> {
    parser: Parser<'a, StrInput<'a>>,
    faults: Vec<Fault>,
}

/// The text cannot be read any further.
struct Broken(Fault);

impl<'a> Builder<'a> {
    fn document(&mut self) -> Result<Document, Broken> {
        let (event, span) = self.next()?;
        let root = self.node(event, span, 0)?;
        Ok(Document {
            start: span.start,
            root: root.filter(|node| !node.is_null()),
            faults: std::mem::take(&mut self.faults),
        })
    }

    /// The node that starts with `event`; `None` if it was a fault, which is then noted.
    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Option<Node>, Broken> {
        if depth > MAX_DEPTH {
            return Err(Broken(Fault {
                span,
                kind: FaultKind::TooDeep,
            }));
        }
        let value = match event {
            Event::Scalar(text, style, _, tag) => {
                self.refuse_tag(tag.is_some(), span);
                let style = match style {
                    ScalarStyle::Plain => Style::Plain,
                    ScalarStyle::SingleQuoted
                    | ScalarStyle::DoubleQuoted
                    | ScalarStyle::Literal
                    | ScalarStyle::Folded => Style::Quoted,
                };
                Value::Scalar(Scalar {
                    text: text.into_owned(),
                    style,
                })
            }
            Event::SequenceStart(_, tag) => {
                self.refuse_tag(tag.is_some(), span);
                Value::Sequence(self.sequence(depth)?)
            }
            Event::MappingStart(_, tag) => {
                self.refuse_tag(tag.is_some(), span);
                Value::Mapping(self.mapping(depth)?)
            }
            // The parser promises a node here, so what is left is an alias.
            _ => {
                self.fault(span, FaultKind::Alias);
                return Ok(None);
            }
        };
        Ok(Some(Node { span, value }))
    }

    fn sequence(&mut self, depth: usize) -> Result<Vec<Node>, Broken> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(items),
                (event, span) => items.extend(self.node(event, span, depth + 1)?),
            }
        }
    }

    fn mapping(&mut self, depth: usize) -> Result<Vec<Entry>, Broken> {
        let mut entries = Vec::new();
        // Small mappings, which are nearly all, are searched in place.
        let mut seen: HashMap<String, Position> = HashMap::new();
        loop {
            let (event, key_span) = self.next()?;
            if event == Event::MappingEnd {
                return Ok(entries);
            }
            let key = self.node(event, key_span, depth + 1)?;
            let (event, span) = self.next()?;
            let node = self.node(event, span, depth + 1)?;
            let key = match key.map(|key| key.value) {
                Some(Value::Scalar(scalar)) => scalar.text,
                Some(Value::Mapping(_) | Value::Sequence(_)) => {
                    self.fault(key_span, FaultKind::KeyNotText);
                    continue;
                }
                None => continue,
            };
            let first = if entries.len() < SMALL {
                let entry = entries.iter().find(|entry: &&Entry| entry.key == key);
                entry.map(|entry| entry.key_span.start)
            } else {
                if entries.len() == SMALL && seen.is_empty() {
                    let known = entries.iter();
                    seen.extend(known.map(|entry| (entry.key.clone(), entry.key_span.start)));
                }
                seen.get(&key).copied()
            };
            if let Some(first) = first {
                self.fault(key_span, FaultKind::DuplicateKey { key, first });
                continue;
            }
            if entries.len() >= SMALL {
                seen.insert(key.clone(), key_span.start);
            }
            // The fault that stands in the place of a value has been noted.
            if let Some(node) = node {
                entries.push(Entry {
                    key,
                    key_span,
                    node,
                });
            }
        }
    }

    fn refuse_tag(&mut self, tagged: bool, span: Span) {
        if tagged {
            self.fault(span, FaultKind::Tag);
        }
    }

    fn fault(&mut self, span: Span, kind: FaultKind) {
        self.faults.push(Fault { span, kind });
    }

    fn next(&mut self) -> Result<(Event<'a>, Span), Broken> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => Ok((event, extent(span.start, span.end))),
            Some(Err(error)) => Err(broken(&error)),
            None => Ok((
                Event::StreamEnd,
                Span {
                    start: Position::START,
                    length: 0,
                },
            )),
        }
    }
}

fn broken(error: &ScanError) -> Broken {
    Broken(Fault {
        span: extent(*error.marker(), *error.marker()),
        kind: FaultKind::Syntax {
            detail: error.info().to_owned(),
        },
    })
}

fn extent(start: Marker, end: Marker) -> Span {
    let length = if start.line() == end.line() {
        end.col().saturating_sub(start.col())
    } else {
        1
    };
    Span {
        start: Position {
            line: clamp(start.line()),
            column: clamp(start.col()).saturating_add(1),
        },
        length: clamp(length),
    }
}

fn clamp(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// Up to so many keys are compared one by one.
const SMALL: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn only(text: &str) -> Document {
        let mut documents = parse(text);
        assert_eq!(documents.len(), 1, "{documents:?}");
        documents.remove(0)
    }

    fn faults(text: &str) -> Vec<String> {
        parse(text)
            .into_iter()
            .flat_map(|document| document.faults)
            .map(|fault| format!("{} {:?}", fault.span.start, fault.kind))
            .collect()
    }

    #[test]
    fn keys_and_values_know_their_places() {
        let document = only("a:\n  - port: \"80\"\n");
        let Some(Value::Mapping(entries)) = document.root.map(|root| root.value) else {
            panic!("a mapping");
        };
        let Value::Sequence(items) = &entries[0].node.value else {
            panic!("a list");
        };
        assert_eq!(items[0].span.start.to_string(), "2:5");
        let Value::Mapping(port) = &items[0].value else {
            panic!("a mapping");
        };
        assert_eq!(port[0].key_span.start.to_string(), "2:5");
        assert_eq!(port[0].node.span.start.to_string(), "2:11");
        assert_eq!(port[0].node.span.length, 4);
    }

    #[test]
    fn a_key_given_twice_is_a_fault() {
        assert_eq!(
            faults("{a: 1, b: 2, a: 3}"),
            ["1:14 DuplicateKey { key: \"a\", first: Position { line: 1, column: 2 } }"]
        );
    }

    #[test]
    fn a_key_given_twice_is_found_in_a_large_mapping() {
        let keys: Vec<String> = (0..40).map(|n| format!("k{n}: 1, ")).collect();
        let keys = keys.concat();
        for again in [0, 15, 16, 17, 39] {
            let found = faults(&format!("{{{keys}k{again}: 1}}"));
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(
                found[0].contains(&format!("key: \"k{again}\"")),
                "{found:?}"
            );
        }
    }

    #[test]
    fn an_alias_is_a_fault_and_an_anchor_alone_is_not() {
        assert_eq!(faults("a: &x 1\nb: *x\n"), ["2:4 Alias"]);
        assert!(faults("a: &x 1\n").is_empty());
    }

    #[test]
    fn depth_is_bounded() {
        let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
        assert_eq!(faults(&deep), ["1:66 TooDeep"]);
    }

    #[test]
    fn a_text_may_hold_many_documents_and_the_broken_one_is_the_last() {
        let documents = parse("---\na: 1\n---\n---\nb: [\n---\nc: 1\n");
        let roots: Vec<bool> = documents.iter().map(|d| d.root.is_some()).collect();
        assert_eq!(roots, [true, false, false]);
        assert!(documents[0].faults.is_empty());
        assert_eq!(documents[2].faults.len(), 1);
    }
}
