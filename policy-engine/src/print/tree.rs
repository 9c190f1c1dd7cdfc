//! YAML in its plainest form.

use std::fmt::Write;

/// A node of a document.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Tree {
    List(Vec<Self>),
    Map(Vec<(String, Self)>),
    /// What is no text to YAML: a number or a boolean.
    Raw(String),
    Text(String),
}

impl Tree {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    pub(super) fn map<K: Into<String>>(entries: impl IntoIterator<Item = (K, Self)>) -> Self {
        let entries = entries.into_iter().map(|(key, value)| (key.into(), value));
        Self::Map(entries.collect())
    }

    /// The document of this node.
    pub(super) fn print(&self) -> String {
        let mut out = String::new();
        self.write(&mut out, 0);
        out
    }

    /// Writes the node where a line starts, `indent` characters in.
    fn write(&self, out: &mut String, indent: usize) {
        match self {
            Self::Map(entries) if !entries.is_empty() => {
                for (nth, (key, value)) in entries.iter().enumerate() {
                    pad(out, indent, nth);
                    write_text(out, key);
                    out.push(':');
                    value.write_after(out, indent + 2);
                }
            }
            Self::List(items) if !items.is_empty() => {
                for (nth, item) in items.iter().enumerate() {
                    pad(out, indent, nth);
                    out.push('-');
                    match item {
                        Self::Map(entries) if !entries.is_empty() => {
                            out.push(' ');
                            item.write(out, indent + 2);
                        }
                        Self::List(_) | Self::Map(_) | Self::Raw(_) | Self::Text(_) => {
                            item.write_after(out, indent + 4);
                        }
                    }
                }
            }
            Self::List(_) | Self::Map(_) | Self::Raw(_) | Self::Text(_) => {
                self.write_leaf(out);
                out.push('\n');
            }
        }
    }

    /// Writes the node behind its key or dash.
    fn write_after(&self, out: &mut String, indent: usize) {
        match self {
            Self::Map(entries) if !entries.is_empty() => {
                out.push('\n');
                pad(out, indent, 1);
                self.write(out, indent);
            }
            Self::List(items) if !items.is_empty() => {
                // The items of a list may stand where its key does.
                out.push('\n');
                let indent = indent.saturating_sub(2);
                pad(out, indent, 1);
                self.write(out, indent);
            }
            Self::List(_) | Self::Map(_) | Self::Raw(_) | Self::Text(_) => {
                out.push(' ');
                self.write_leaf(out);
                out.push('\n');
            }
        }
    }

    fn write_leaf(&self, out: &mut String) {
        match self {
            Self::List(_) => out.push_str("[]"),
            Self::Map(_) => out.push_str("{}"),
            Self::Raw(text) => out.push_str(text),
            Self::Text(text) => write_text(out, text),
        }
    }
}

/// Starts a line; the first entry stands on the line of its parent.
fn pad(out: &mut String, indent: usize, nth: usize) {
    if nth > 0 {
        out.extend(std::iter::repeat_n(' ', indent));
    }
}

/// A text without quotes where nobody could take it for something else.
fn write_text(out: &mut String, text: &str) {
    if is_plain(text) {
        out.push_str(text);
        return;
    }
    out.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => {
                out.push('\\');
                out.push(character);
            }
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() || matches!(c, '\u{feff}' | '\u{2028}' | '\u{2029}') => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

fn is_plain(text: &str) -> bool {
    const WORDS: [&str; 10] = [
        "false", "n", "no", "null", "off", "on", "true", "y", "yes", "none",
    ];
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'/');
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(allowed)
        && !WORDS.iter().any(|word| word.eq_ignore_ascii_case(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nesting_is_indented_and_doubtful_texts_are_quoted() {
        let tree = Tree::map([
            ("kind", Tree::text("List")),
            ("empty", Tree::map::<String>([])),
            (
                "items",
                Tree::List(vec![
                    Tree::map([
                        ("port", Tree::text("80")),
                        (
                            "of",
                            Tree::List(vec![Tree::text("no"), Tree::Raw("7".to_owned())]),
                        ),
                    ]),
                    Tree::List(vec![Tree::text("a: \"b\"\n")]),
                ]),
            ),
            ("k8s:app", Tree::map([("x", Tree::text(""))])),
        ]);
        assert_eq!(
            tree.print(),
            "kind: List\nempty: {}\nitems:\n- port: \"80\"\n  of:\n  - \"no\"\n  - 7\n-\n  - \
             \"a: \\\"b\\\"\\n\"\n\"k8s:app\":\n  x: \"\"\n"
        );
    }
}
