//! Each drop reason is named by a packet test.

use super::Outcome;
use super::files::Source;

const REASONS: &str = "datapath/abi/src/drop_reason.rs";
const TESTS: &str = "datapath/tests/root_packet";

pub(super) fn check(sources: &[Source]) -> Outcome {
    let mut outcome = Outcome::default();
    let reasons = sources.iter().find(|source| source.path == REASONS);
    let reasons = reasons
        .map(|source| variants(&source.text))
        .unwrap_or_default();
    if reasons.is_empty() {
        outcome
            .findings
            .push(format!("no drop reasons found in {REASONS}"));
    }
    let tests = sources
        .iter()
        .filter(|source| source.path.starts_with(TESTS));
    let tests: String = tests.map(|source| source.text.as_str()).collect();
    for reason in reasons {
        if !tests.contains(&format!("DropReason::{reason}")) {
            let finding = format!("no packet test ({TESTS}*) names DropReason::{reason}");
            outcome.findings.push(finding);
        }
    }
    outcome
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
        let tests = "assert_eq!(reason, DropReason::Policy);";
        let outcome = check(&[
            source(REASONS, reasons),
            source("datapath/tests/root_packets.rs", tests),
        ]);
        assert_eq!(outcome.findings.len(), 1);
        assert!(outcome.findings[0].contains("DropReason::Full"));
    }
}
