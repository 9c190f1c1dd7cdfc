//! How long files and functions are; tests are not counted.

use super::Outcome;
use super::files::Source;
use super::scan;

/// What files aim at.
const AIM: usize = 150;
/// What no file may exceed.
const STOP: usize = 600;
/// What functions aim at.
const FUNCTION: usize = 60;
/// How many of the longest files are named.
const NAMED: usize = 8;

pub(super) fn check(sources: &[Source]) -> Outcome {
    let mut outcome = Outcome::default();
    let mut long = Vec::new();
    for source in sources.iter().filter(|source| !source.is_test()) {
        let lines = scan::lines(&source.text);
        let length = lines.iter().filter(|line| !line.in_test).count();
        if length > STOP {
            let finding = format!("{} has {length} lines, {STOP} at most", source.path);
            outcome.findings.push(finding);
        } else if length > AIM {
            long.push((length, source.path.as_str()));
        }
        for function in scan::functions(&lines) {
            if function.length > FUNCTION && !is_in_test(&lines, function.line) {
                outcome.notes.push(format!(
                    "{}:{}: function {} has {} lines, {FUNCTION} is the aim",
                    source.path, function.line, function.name, function.length
                ));
            }
        }
    }
    long.sort_unstable_by(|one, other| other.cmp(one));
    if !long.is_empty() {
        let named = long
            .iter()
            .take(NAMED)
            .map(|(length, path)| format!("{path} {length}"));
        let named = named.collect::<Vec<_>>().join(", ");
        outcome.notes.push(format!(
            "{} files have more than {AIM} lines, the longest: {named}",
            long.len()
        ));
    }
    outcome
}

fn is_in_test(lines: &[scan::Line], number: usize) -> bool {
    lines
        .iter()
        .any(|line| line.number == number && line.in_test)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &str, text: String) -> Source {
        Source {
            path: path.to_owned(),
            text,
        }
    }

    #[test]
    fn a_file_over_the_stop_fails_unless_it_is_a_test() {
        let text = "\n".repeat(STOP + 1);
        assert_eq!(
            check(&[source("a/src/b.rs", text.clone())]).findings.len(),
            1
        );
        assert!(
            check(&[source("a/tests/b.rs", text.clone())])
                .findings
                .is_empty()
        );
        let inside = format!("#[cfg(test)]\nmod tests {{\n{text}}}\n");
        assert!(check(&[source("a/src/b.rs", inside)]).findings.is_empty());
    }

    #[test]
    fn a_long_function_is_reported() {
        let text = format!("fn long() {{\n{}}}\n", "    x();\n".repeat(FUNCTION));
        let notes = check(&[source("a/src/b.rs", text)]).notes;
        assert!(
            notes.iter().any(|note| note.contains("function long")),
            "{notes:?}"
        );
    }
}
