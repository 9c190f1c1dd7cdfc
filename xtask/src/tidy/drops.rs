//! Each drop reason is named by a packet test.

use super::Outcome;
use super::files::Source;
use super::scan;

const REASONS: &str = "datapath/abi/src/drop_reason.rs";
const TESTS: &str = "datapath/tests/root_";

pub(super) fn check(sources: &[Source]) -> Outcome {
    let mut outcome = Outcome::default();
    let reasons = sources.iter().find(|source| source.path == REASONS);
    let reasons = reasons
        .map(|source| variants(&source.text))
        .unwrap_or_default();
    if reasons.is_empty() {
        let finding = format!("no drop reasons found in {REASONS}");
        outcome.findings.push(finding);
    }
    let tests = sources
        .iter()
        .filter(|source| source.path.starts_with(TESTS) && source.text.contains("DropReason"));
    let tests: Vec<String> = tests.map(|source| code_but_imports(&source.text)).collect();
    for reason in reasons {
        if !tests.iter().any(|code| has_word(code, reason)) {
            let finding = format!("no packet test ({TESTS}*) names DropReason::{reason}");
            outcome.findings.push(finding);
        }
    }
    outcome
}

/// The code of a test without its comments, texts and imports: a reason counts where it is used.
fn code_but_imports(text: &str) -> String {
    let lines = scan::lines(text);
    let code: Vec<&str> = lines.iter().map(|line| line.code.as_str()).collect();
    let code = code.join("\n");
    let mut kept = String::new();
    let mut rest = code.as_str();
    while let Some((before, import)) = rest.split_once("\nuse ") {
        kept += before;
        rest = import.split_once(';').map_or("", |(_, after)| after);
    }
    kept + rest
}

fn has_word(code: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word).any(|(at, _)| {
        let before = code.get(..at).and_then(|text| text.chars().next_back());
        let after = code
            .get(at + word.len()..)
            .and_then(|text| text.chars().next());
        !before.is_some_and(is_part) && !after.is_some_and(is_part)
    })
}

/// The names in lines of the form `Name = 1, "DROP_NAME", "text";`.
fn variants(text: &str) -> Vec<&str> {
    let lines = text.lines().map(str::trim);
    let reasons = lines.filter(|line| line.contains("\"DROP_") && !line.starts_with("//"));
    reasons
        .filter_map(|line| Some(line.split_once(" = ")?.0))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_that_no_test_names_is_found() {
        let source = |path: &str, text: &str| Source {
            path: path.to_owned(),
            text: text.to_owned(),
        };
        let reasons =
            "/// Doc.\n  Policy = 5, \"DROP_POLICY\", \"x\";\n  Full = 8, \"DROP_FULL\", \"y\";";
        let tests = "//! Full\nuse DropReason::{Full, Policy};\nassert_eq!(reason, Policy);";
        let outcome = check(&[
            source(REASONS, reasons),
            source("datapath/tests/root_packets.rs", tests),
        ]);
        assert_eq!(outcome.findings.len(), 1);
        assert!(outcome.findings[0].contains("DropReason::Full"));
    }
}
