//! What must not stand in code.

use super::Outcome;
use super::files::Source;
use super::scan;

/// In code outside tests: never.
const NEVER: [(&str, &str); 3] = [
    (
        ".unwrap()",
        "handle the error, or say in `expect` why there is none",
    ),
    ("todo!", "finish it or leave it out"),
    ("unimplemented!", "finish it or leave it out"),
];

/// In code outside tests: only where the file expects the lint, with its reason. A text is a blank
/// to the reader, so that only the `expect` that takes one is meant.
const WITH_REASON: [(&str, &str); 3] = [
    (".expect( ", "clippy::expect_used"),
    ("panic!(", "clippy::panic"),
    ("unreachable!(", "clippy::unreachable"),
];

/// The only places for `unsafe`.
const UNSAFE: [&str; 2] = ["datapath/src/sys.rs", "proxy/src/sys.rs"];
/// The crates that these belong to.
const MAY_USE_UNSAFE: [&str; 2] = ["datapath/src/lib.rs", "proxy/src/lib.rs"];

const C_LICENCE: &str = "SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause";

pub(super) fn check(sources: &[Source]) -> Outcome {
    let mut outcome = Outcome::default();
    for source in sources {
        let findings = if source.is_c() {
            licence(source)
        } else {
            rust(source)
        };
        outcome.findings.extend(findings);
    }
    outcome
}

fn rust(source: &Source) -> Vec<String> {
    let mut findings = Vec::new();
    if source.is_test() {
        return findings;
    }
    for line in scan::lines(&source.text) {
        if line.in_test {
            continue;
        }
        let place = format!("{}:{}", source.path, line.number);
        for (word, instead) in NEVER {
            if line.code.contains(word) {
                findings.push(format!("{place}: `{word}`: {instead}"));
            }
        }
        for (word, lint) in WITH_REASON {
            if line.code.contains(word) && !source.text.contains(lint) {
                findings.push(format!("{place}: `{word}` without a reason for {lint}"));
            }
        }
        if line.code.contains("unsafe {") && !UNSAFE.contains(&source.path.as_str()) {
            findings.push(format!(
                "{place}: `unsafe` stands in {} only",
                UNSAFE.join(", ")
            ));
        }
    }
    let is_crate = source.path.ends_with("src/lib.rs") || source.path.ends_with("src/main.rs");
    let may_use_unsafe = MAY_USE_UNSAFE.contains(&source.path.as_str());
    if is_crate && !may_use_unsafe && !source.text.contains("#![forbid(unsafe_code)]") {
        findings.push(format!("{}: lacks #![forbid(unsafe_code)]", source.path));
    }
    findings
}

fn licence(source: &Source) -> Vec<String> {
    let first = source.text.lines().next().unwrap_or_default();
    if first.contains(C_LICENCE) {
        return Vec::new();
    }
    vec![format!("{}: the first line lacks {C_LICENCE}", source.path)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(path: &str, text: &str) -> usize {
        let source = Source {
            path: path.to_owned(),
            text: text.to_owned(),
        };
        check(&[source]).findings.len()
    }

    #[test]
    fn unwrap_is_found_in_code_only() {
        assert_eq!(findings("a/src/b.rs", "fn f() { g().unwrap(); }"), 1);
        assert_eq!(
            findings("a/src/b.rs", "/// `x.unwrap()`\nfn f() { \".unwrap()\"; }"),
            0
        );
        assert_eq!(findings("a/tests/b.rs", "fn f() { g().unwrap(); }"), 0);
        let test = "#[cfg(test)]\nmod tests {\n fn f() { g().unwrap(); }\n}\n";
        assert_eq!(findings("a/src/b.rs", test), 0);
    }

    #[test]
    fn expect_needs_a_reason() {
        assert_eq!(findings("a/src/b.rs", "fn f() { g().expect(\"x\"); }"), 1);
        let reasoned =
            "#[expect(clippy::expect_used, reason = \"proof\")]\nfn f() { g().expect(\"x\"); }";
        assert_eq!(findings("a/src/b.rs", reasoned), 0);
    }

    #[test]
    fn unsafe_has_one_room() {
        assert_eq!(findings("a/src/b.rs", "fn f() { unsafe { g() } }"), 1);
        assert_eq!(
            findings("datapath/src/sys.rs", "fn f() { unsafe { g() } }"),
            0
        );
        assert_eq!(findings("a/src/lib.rs", "//! A crate.\n"), 1);
    }

    #[test]
    fn programs_name_their_licence() {
        let good = format!("/* {C_LICENCE} */\n");
        assert_eq!(findings("datapath/bpf/a.h", &good), 0);
        assert_eq!(findings("datapath/bpf/a.h", "#pragma once\n"), 1);
    }
}
