//! From the parser's events to a tree.

use std::borrow::Cow;
use std::collections::HashMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Span as Extent, StrInput};

use super::tree::{Growing, Open, Stored, StoredEntry, StoredValue};
use super::{Document, Fault, FaultKind, MAX_DEPTH, Span, Style, json};
use crate::span::Position;

/// Reads every document of a text.
///
/// A syntax error ends the reading: the document it stands in carries it and is the last.
pub(crate) fn parse(text: &str) -> Vec<Document<'_>> {
    json::parse(text).map_or_else(|| parse_events(text), |document| vec![document])
}

/// The same by the parser of YAML, whatever the text is.
pub(super) fn parse_events(text: &str) -> Vec<Document<'_>> {
    let mut builder = Builder {
        text,
        parser: Parser::new_from_str(text),
        nodes: Growing::default(),
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
                let mut faults = std::mem::take(&mut builder.faults);
                faults.push(fault);
                let start = faults.first().map_or(Position::START, |one| one.span.start);
                documents.push(Growing::default().document(start, None, faults));
                return documents;
            }
        }
    }
}

struct Builder<'t> {
    text: &'t str,
    parser: Parser<'t, StrInput<'t>>,
    nodes: Growing<'t>,
    faults: Vec<Fault>,
}

/// The text cannot be read any further.
struct Broken(Fault);

impl<'t> Builder<'t> {
    fn document(&mut self) -> Result<Document<'t>, Broken> {
        let (event, extent) = self.next()?;
        let span = place(extent);
        let root = self.node(event, extent, 0)?;
        let faults = std::mem::take(&mut self.faults);
        Ok(self.nodes.document(span.start, root, faults))
    }

    /// The node that starts with `event`; `None` if it was a fault, which is then noted.
    fn node(
        &mut self,
        event: Event<'t>,
        extent: Extent,
        depth: usize,
    ) -> Result<Option<Stored<'t>>, Broken> {
        let span = place(extent);
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
                StoredValue::Scalar(self.borrowed(text, extent), style)
            }
            Event::SequenceStart(_, tag) => {
                self.refuse_tag(tag.is_some(), span);
                self.sequence(depth)?
            }
            Event::MappingStart(_, tag) => {
                self.refuse_tag(tag.is_some(), span);
                self.mapping(depth)?
            }
            // The parser promises a node here, so what is left is an alias.
            _ => {
                self.fault(span, FaultKind::Alias);
                return Ok(None);
            }
        };
        Ok(Some(Stored { span, value }))
    }

    fn sequence(&mut self, depth: usize) -> Result<StoredValue<'t>, Broken> {
        let open = self.nodes.open_sequence();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(self.nodes.close_sequence(open)),
                (event, extent) => {
                    if let Some(item) = self.node(event, extent, depth + 1)? {
                        self.nodes.push_item(item);
                    }
                }
            }
        }
    }

    fn mapping(&mut self, depth: usize) -> Result<StoredValue<'t>, Broken> {
        let open = self.nodes.open_mapping();
        let mut seen = HashMap::new();
        loop {
            let (event, extent) = self.next()?;
            if event == Event::MappingEnd {
                return Ok(self.nodes.close_mapping(open));
            }
            let key_span = place(extent);
            let key = self.node(event, extent, depth + 1)?;
            let (event, extent) = self.next()?;
            let node = self.node(event, extent, depth + 1)?;
            let key = match key.map(|key| key.value) {
                Some(StoredValue::Scalar(text, _)) => text,
                Some(StoredValue::Mapping(_) | StoredValue::Sequence(_)) => {
                    self.fault(key_span, FaultKind::KeyNotText);
                    continue;
                }
                None => continue,
            };
            if let Some(first) = self.first(open, &key, &mut seen) {
                let key = key.into_owned();
                self.fault(key_span, FaultKind::DuplicateKey { key, first });
                continue;
            }
            if !seen.is_empty() {
                seen.insert(key.clone(), key_span.start);
            }
            // The fault that stands in the place of a value has been noted.
            if let Some(node) = node {
                self.nodes.push_entry(StoredEntry {
                    key,
                    key_span,
                    node,
                });
            }
        }
    }

    /// Where a key stood first in an open mapping. Small mappings, which are nearly all, are
    /// searched in place, and what large ones hold is noted.
    fn first(
        &self,
        open: Open,
        key: &str,
        seen: &mut HashMap<Cow<'t, str>, Position>,
    ) -> Option<Position> {
        let entries = self.nodes.entries(open);
        if entries.len() < SMALL {
            let entry = entries.iter().find(|entry| entry.key == key);
            return entry.map(|entry| entry.key_span.start);
        }
        if seen.is_empty() {
            let known = entries.iter();
            seen.extend(known.map(|entry| (entry.key.clone(), entry.key_span.start)));
        }
        seen.get(key).copied()
    }

    /// The text of a scalar as a piece of the document's text, if it stands there as it is.
    fn borrowed(&self, text: Cow<'t, str>, extent: Extent) -> Cow<'t, str> {
        // Places count characters. Where those are not bytes the piece is another text, if any.
        let whole = self.text.get(extent.start.index()..extent.end.index());
        let quoted = whole.map(|whole| whole.trim_start_matches(QUOTES).trim_end_matches(QUOTES));
        [whole, quoted]
            .into_iter()
            .flatten()
            .find(|piece| *piece == text)
            .map_or(text, Cow::Borrowed)
    }

    fn refuse_tag(&mut self, tagged: bool, span: Span) {
        if tagged {
            self.fault(span, FaultKind::Tag);
        }
    }

    fn fault(&mut self, span: Span, kind: FaultKind) {
        self.faults.push(Fault { span, kind });
    }

    fn next(&mut self) -> Result<(Event<'t>, Extent), Broken> {
        match self.parser.next_event() {
            Some(Ok((event, extent))) => Ok((event, extent)),
            Some(Err(error)) => Err(broken(&error)),
            None => {
                let start = Marker::new(0, 1, 0);
                Ok((Event::StreamEnd, Extent::empty(start)))
            }
        }
    }
}

fn broken(error: &ScanError) -> Broken {
    Broken(Fault {
        span: place(Extent::empty(*error.marker())),
        kind: FaultKind::Syntax {
            detail: error.info().to_owned(),
        },
    })
}

fn place(extent: Extent) -> Span {
    let (start, end) = (extent.start, extent.end);
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

const QUOTES: [char; 2] = ['"', '\''];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::Value;

    fn only(text: &str) -> Document<'_> {
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
        let Some(Value::Mapping(entries)) = document.root().map(|root| root.value) else {
            panic!("a mapping");
        };
        let Value::Sequence(items) = entries.at(0).unwrap().node.value else {
            panic!("a list");
        };
        let item = items.iter().next().unwrap();
        assert_eq!(item.span.start.to_string(), "2:5");
        let Value::Mapping(port) = item.value else {
            panic!("a mapping");
        };
        let port = port.at(0).unwrap();
        assert_eq!(port.key_span.start.to_string(), "2:5");
        assert_eq!(port.node.span.start.to_string(), "2:11");
        assert_eq!(port.node.span.length, 4);
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
        let roots: Vec<bool> = documents.iter().map(|d| d.root().is_some()).collect();
        assert_eq!(roots, [true, false, false]);
        assert!(documents[0].faults.is_empty());
        assert_eq!(documents[2].faults.len(), 1);
    }
}
