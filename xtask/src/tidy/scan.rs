//! A rough reader of Rust and C: what is code, what is test code, where functions begin and end.

/// One line with its comments left out and the insides of its texts blanked.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Line {
    pub(super) number: usize,
    pub(super) code: String,
    pub(super) in_test: bool,
}

/// A function with the number of its first line and how many lines it takes.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Function {
    pub(super) name: String,
    pub(super) line: usize,
    pub(super) length: usize,
}

/// Reads a file.
pub(super) fn lines(text: &str) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for (index, code) in strip(text).lines().enumerate() {
        lines.push(Line {
            number: index + 1,
            code: code.to_owned(),
            in_test: false,
        });
    }
    mark_tests(&mut lines);
    lines
}

/// The functions of a file that have a body.
pub(super) fn functions(lines: &[Line]) -> Vec<Function> {
    let mut functions = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let Some(name) = function_name(&line.code) else {
            continue;
        };
        if let Some(length) = length_of_block(lines.get(index..).unwrap_or_default()) {
            functions.push(Function {
                name: name.to_owned(),
                line: line.number,
                length,
            });
        }
    }
    functions
}

fn function_name(code: &str) -> Option<&str> {
    let at = code.find("fn ")?;
    let before = code.get(..at)?;
    if before
        .chars()
        .next_back()
        .is_some_and(|c| c.is_alphanumeric() || c == '_')
    {
        return None;
    }
    let name = code.get(at + 3..)?;
    let end = name.find(|c: char| !c.is_alphanumeric() && c != '_')?;
    name.get(..end).filter(|name| !name.is_empty())
}

/// How many lines the block that opens first takes; nothing if a `;` comes before it.
fn length_of_block(lines: &[Line]) -> Option<usize> {
    let (mut depth, mut brackets, mut opened) = (0_usize, 0_usize, false);
    for (index, line) in lines.iter().enumerate() {
        for c in line.code.chars() {
            match c {
                '(' | '[' => brackets += 1,
                ')' | ']' => brackets = brackets.saturating_sub(1),
                ';' if !opened && brackets == 0 => return None,
                '{' => {
                    opened = true;
                    depth += 1;
                }
                '}' => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
        if opened && depth == 0 {
            return Some(index + 1);
        }
    }
    None
}

/// Marks what stands under `#[cfg(test)]`.
fn mark_tests(lines: &mut [Line]) {
    let mut index = 0;
    while index < lines.len() {
        let rest = lines.get(index..).unwrap_or_default();
        let is_test = rest
            .first()
            .is_some_and(|line| line.code.contains("#[cfg(test)]"));
        let length = if is_test {
            length_of_block(rest).unwrap_or(1)
        } else {
            0
        };
        for line in lines.iter_mut().skip(index).take(length) {
            line.in_test = true;
        }
        index += length.max(1);
    }
}

/// Leaves comments out and blanks texts and characters; lines stay where they are.
fn strip(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (length, kept) = token(rest, first);
        let (taken, after) = rest.split_at(length);
        if kept {
            code.push_str(taken);
        } else {
            code.push(' ');
            code.extend(taken.chars().filter(|c| *c == '\n'));
        }
        rest = after;
    }
    code
}

/// The length of what stands first, and whether it is code.
fn token(rest: &str, first: char) -> (usize, bool) {
    if rest.starts_with("//") {
        return (rest.find('\n').unwrap_or(rest.len()), false);
    }
    if rest.starts_with("/*") {
        return (rest.find("*/").map_or(rest.len(), |at| at + 2), false);
    }
    if let Some(length) = raw_text(rest) {
        return (length, false);
    }
    match first {
        '"' => (quoted(rest, '"'), false),
        '\'' if is_character(rest) => (quoted(rest, '\''), false),
        // Whole words, so that the `r` of `for` begins no raw text.
        c if c.is_alphanumeric() || c == '_' => {
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_');
            (end.unwrap_or(rest.len()), true)
        }
        c => (c.len_utf8(), true),
    }
}

/// The length of a raw text, `r"…"` or `r##"…"##`, if one stands here.
fn raw_text(rest: &str) -> Option<usize> {
    let start = rest.strip_prefix("br").or_else(|| rest.strip_prefix('r'))?;
    let body = start.trim_start_matches('#');
    let hashes = start.len() - body.len();
    let inner = body.strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let length = inner.find(&end).map_or(inner.len(), |at| at + end.len());
    Some(rest.len() - inner.len() + length)
}

/// Whether a quote begins a character and not a lifetime.
fn is_character(rest: &str) -> bool {
    let mut chars = rest.chars().skip(1);
    matches!(
        (chars.next(), chars.next()),
        (Some('\\'), _) | (Some(_), Some('\''))
    )
}

fn quoted(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + c.len_utf8(),
            _ => {}
        }
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_texts_are_no_code() {
        let code = strip("let a = \"x.unwrap()\"; // .unwrap()\nlet b = 'x'; /* {\n{ */ r#\"{\"#");
        assert!(!code.contains("unwrap") && !code.contains('{'), "{code}");
        assert_eq!(code.lines().count(), 3);
        assert!(strip("fn f<'a>(x: &'a str) { '\\'' }").ends_with(" }"));
        assert!(strip("for x in y {\"}\"}").ends_with(" }"));
    }

    #[test]
    fn what_stands_under_cfg_test_is_test_code() {
        let lines = lines("fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\nfn c() {}");
        let tests: Vec<bool> = lines.iter().map(|line| line.in_test).collect();
        assert_eq!(tests, [false, true, true, true, true, false]);
    }

    #[test]
    fn functions_are_measured_from_their_name_to_their_end() {
        let text =
            "trait T {\n    fn none(x: [u8; 2]);\n}\npub fn two(\n) -> bool {\n    true\n}\n";
        let found = functions(&lines(text));
        assert_eq!(found.len(), 1);
        assert_eq!(
            (found[0].name.as_str(), found[0].line, found[0].length),
            ("two", 4, 4)
        );
    }
}
