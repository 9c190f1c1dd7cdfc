//! JSON in its plainest form, which programs write and which is most of what is read.
//!
//! What is not plain is left to the parser of YAML, errors above all: a text is taken here only if
//! both make the same of it.

use std::borrow::Cow;

use super::tree::{Growing, Stored, StoredEntry, StoredValue};
use super::{Document, MAX_DEPTH, Span, Style};
use crate::span::Position;

/// The document of a text that is one mapping or list of ASCII JSON, without escapes, keys given
/// twice or anything else that is rare.
pub(super) fn parse(text: &str) -> Option<Document<'_>> {
    if !text.trim_start_matches(BLANK).starts_with(['{', '[']) || !text.is_ascii() {
        return None;
    }
    let mut reader = Reader {
        text,
        at: 0,
        line: 1,
        line_start: 0,
        nodes: Growing::default(),
    };
    let root = reader.node(0)?;
    reader.skip_blank();
    let start = root.span.start;
    (reader.at == text.len()).then(|| reader.nodes.document(start, Some(root), Vec::new()))
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
    line: u32,
    line_start: usize,
    nodes: Growing<'t>,
}

impl<'t> Reader<'t> {
    fn node(&mut self, depth: usize) -> Option<Stored<'t>> {
        if depth > MAX_DEPTH {
            return None;
        }
        self.skip_blank();
        let start = self.position();
        let (length, value) = match self.peek()? {
            b'{' => {
                self.at += 1;
                (1 + self.blanks(), self.mapping(depth)?)
            }
            b'[' => {
                self.at += 1;
                (1 + self.blanks(), self.sequence(depth)?)
            }
            b'"' => {
                let text = self.quoted()?;
                (text.len() + 2 + self.blanks(), scalar(text, Style::Quoted))
            }
            _ => {
                let text = self.word()?;
                (text.len(), scalar(text, Style::Plain))
            }
        };
        Some(Stored {
            span: span(start, length),
            value,
        })
    }

    /// How many blanks follow on the line: those behind a bracket or a quote belong to it.
    fn blanks(&self) -> usize {
        let rest = self.text.get(self.at..).unwrap_or_default();
        rest.bytes().take_while(|b| *b == b' ').count()
    }

    fn mapping(&mut self, depth: usize) -> Option<StoredValue<'t>> {
        let open = self.nodes.open_mapping();
        self.skip_blank();
        if self.take(b'}') {
            return Some(self.nodes.close_mapping(open));
        }
        loop {
            self.skip_blank();
            let start = self.position();
            let key = self.quoted()?;
            let mut before = self.nodes.entries(open).iter();
            if key.len() > MAX_KEY || before.len() > SMALL || before.any(|one| one.key == key) {
                return None;
            }
            // To YAML a key and its colon belong together.
            if !self.take(b':') {
                return None;
            }
            let node = self.node(depth + 1)?;
            self.nodes.push_entry(StoredEntry {
                key: Cow::Borrowed(key),
                key_span: span(start, key.len() + 2),
                node,
            });
            self.skip_blank();
            if self.take(b'}') {
                return Some(self.nodes.close_mapping(open));
            }
            if !self.take(b',') {
                return None;
            }
        }
    }

    fn sequence(&mut self, depth: usize) -> Option<StoredValue<'t>> {
        let open = self.nodes.open_sequence();
        self.skip_blank();
        if self.take(b']') {
            return Some(self.nodes.close_sequence(open));
        }
        loop {
            let item = self.node(depth + 1)?;
            self.nodes.push_item(item);
            self.skip_blank();
            if self.take(b']') {
                return Some(self.nodes.close_sequence(open));
            }
            if !self.take(b',') {
                return None;
            }
        }
    }

    /// The text between two quotes that stand on one line.
    fn quoted(&mut self) -> Option<&'t str> {
        let rest = self.text.get(self.at..)?.strip_prefix('"')?;
        let special = |b: u8| b == b'"' || b == b'\\' || !(b' '..=b'~').contains(&b);
        let length = rest.bytes().position(special)?;
        let text = rest.get(..length)?;
        self.at += length + 1;
        self.take(b'"').then_some(text)
    }

    /// A number or one of the three words.
    fn word(&mut self) -> Option<&'t str> {
        let rest = self.text.get(self.at..)?;
        let inner = |b: u8| b.is_ascii_alphanumeric() || b"+-.".contains(&b);
        let length = rest.bytes().position(|b| !inner(b)).unwrap_or(rest.len());
        let word = rest.get(..length)?;
        let digits = word.strip_prefix('-').unwrap_or(word);
        let is_number = digits.starts_with(|c: char| c.is_ascii_digit());
        if !is_number && !["false", "null", "true"].contains(&word) {
            return None;
        }
        self.at += length;
        Some(word)
    }

    fn skip_blank(&mut self) {
        while let Some(byte) = self.peek() {
            match byte {
                b' ' => self.at += 1,
                b'\n' => {
                    self.at += 1;
                    self.line = self.line.saturating_add(1);
                    self.line_start = self.at;
                }
                _ => return,
            }
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let is_there = self.peek() == Some(byte);
        self.at += usize::from(is_there);
        is_there
    }

    fn position(&self) -> Position {
        Position {
            line: self.line,
            column: clamp(self.at - self.line_start).saturating_add(1),
        }
    }
}

const fn scalar(text: &str, style: Style) -> StoredValue<'_> {
    StoredValue::Scalar(Cow::Borrowed(text), style)
}

fn span(start: Position, length: usize) -> Span {
    Span {
        start,
        length: clamp(length),
    }
}

fn clamp(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

const BLANK: [char; 2] = [' ', '\n'];

/// YAML looks so far ahead for the colon of a key, and further.
const MAX_KEY: usize = 1_000;

/// Keys of mappings up to this size are compared one by one.
const SMALL: usize = 64;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::build::parse_events;
    use super::*;

    proptest! {
        #[test]
        fn both_parsers_make_the_same_of_a_text(text in json()) {
            let taken = parse(&text);
            prop_assert!(taken.is_some(), "{text}");
            prop_assert_eq!(Vec::from_iter(taken), parse_events(&text), "{}", text);
        }

        #[test]
        fn a_text_that_is_nearly_json_is_taken_by_both_or_left(
            text in json(),
            at in any::<prop::sample::Index>(),
            mark in "[ -~\\n\\té]{0,2}",
        ) {
            let at = at.index(text.len());
            let text = [&text[..at], &mark, &text[(at + 1).min(text.len())..]].concat();
            if let Some(taken) = parse(&text) {
                prop_assert_eq!(vec![taken], parse_events(&text), "{}", text);
            }
        }
    }

    #[test]
    fn what_is_not_plain_is_left() {
        let deep = format!("{}1{}", "[".repeat(70), "]".repeat(70));
        for text in [
            "",
            "a: 1",
            "\"a\"",
            r#"{"a": 1, "a": 2}"#,
            r#"{"a": "\n"}"#,
            "{\"a\": \"é\"}",
            "{\"a\":\t1}",
            "{\"a\": 1}\n---\n{\"b\": 1}",
            "{\"a\": 1} # x",
            "{\"a\": 1,}",
            "{a: 1}",
            "[1, ]",
            "[*x]",
            &deep,
        ] {
            assert!(parse(text).is_none(), "{text}");
        }
    }

    /// A mapping or a list, with blanks wherever they may stand.
    fn json() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            "-?[0-9]{1,3}(\\.[0-9])?",
            "true|false|null",
            "\"[ !#-\\[\\]-~]{0,8}\"",
        ];
        let blank = "[ \\n]{0,2}";
        let inner = leaf.prop_recursive(4, 24, 4, move |inner| {
            let item = (blank, inner.clone(), blank).prop_map(|(a, item, b)| a + &item + &b);
            let keys =
                prop::collection::btree_map("[ !#-\\[\\]-~]{0,5}", (blank, inner, blank), 0..4);
            let list = prop::collection::vec(item, 0..4);
            prop_oneof![
                list.prop_map(|items| list_of(&items)),
                keys.prop_map(map_of)
            ]
        });
        (blank, prop::collection::vec(inner, 0..3), blank)
            .prop_map(|(before, items, after)| before + &list_of(&items) + &after)
    }

    fn list_of(items: &[String]) -> String {
        format!("[{}]", items.join(","))
    }

    fn map_of(entries: std::collections::BTreeMap<String, (String, String, String)>) -> String {
        let entries = entries.into_iter();
        let entries = entries.map(|(key, (a, value, b))| format!("{a}\"{key}\":{a}{value}{b}"));
        format!("{{{}}}", entries.collect::<Vec<_>>().join(","))
    }
}
