//! The conformance runner over the vectors that the project keeps.

#![expect(
    clippy::unwrap_used,
    reason = "a test that meets something unexpected fails"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use palisade_examples::conformance::{self, CompiledTables, DIFFERENCES};
use serde_json::json;

#[test]
fn every_vector_passes_or_differs_for_a_listed_reason() {
    let mut files: Vec<PathBuf> = fs::read_dir(corpus())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    let output = run(&files);
    let text = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{text}{errors}");
    assert_eq!(text.lines().count(), 20, "{text}");
    assert_eq!(errors, "");
    let sum = |word| -> usize { text.lines().map(|line| figure(line, word)).sum() };
    let [passed, differs] = ["passed ", "differs "].map(sum);
    assert_eq!((passed, differs), (2_365, 2), "{text}");
}

#[test]
fn a_wrong_verdict_fails_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let right = scenario("right", "deny");
    let wrong = scenario("wrong", "allow");
    let file = folder.path().join("two.jsonl");
    fs::write(&file, format!("{right}\n{wrong}\n")).unwrap();
    let output = run(&[file]);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.ends_with("passed 1, differs 0, failed 1, unmodelled 0\n"),
        "{text}"
    );
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(errors.contains("wrong: ingress of 10"), "{errors}");
}

#[test]
fn a_listed_difference_that_passes_fails_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("one.jsonl");
    fs::write(&file, scenario(DIFFERENCES[0].id, "deny").to_string()).unwrap();
    let report = conformance::run_file::<CompiledTables>(&file).unwrap();
    assert_eq!(report.failed.len(), 1, "{report}");
}

#[test]
fn what_is_no_scenario_is_named_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bad.jsonl");
    fs::write(&file, format!("{}\n{{}}\n", scenario("right", "deny"))).unwrap();
    let output = run(&[file]);
    assert_eq!(output.status.code(), Some(2));
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(errors.contains("bad.jsonl:2: not a scenario"), "{errors}");
}

#[test]
fn the_documentation_prints_every_difference() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/differences.md");
    let page = words(&fs::read_to_string(page).unwrap());
    for difference in DIFFERENCES {
        assert!(page.contains(difference.id), "{}", difference.id);
        assert!(
            page.contains(&words(difference.reason)),
            "{}",
            difference.id
        );
    }
}

fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/policy")
}

fn run(files: &[PathBuf]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_conformance"))
        .args(files)
        .output()
        .unwrap()
}

/// The number after a word of a report.
fn figure(line: &str, word: &str) -> usize {
    let (_, rest) = line.split_once(word).unwrap();
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap()
}

/// A pod that only `app=b` may reach is asked about by somebody else.
fn scenario(id: &str, expected: &str) -> serde_json::Value {
    let labels = |app: &str| {
        json!([
            format!("k8s:app={app}"),
            "k8s:io.kubernetes.pod.namespace=default"
        ])
    };
    json!({
        "id": id,
        "config": {},
        "identities": [{"id": 1000, "labels": labels("a")}, {"id": 1001, "labels": labels("c")}],
        "endpoints": [{"id": 10, "identity": 1000}],
        "policies": [{
            "apiVersion": "cilium.io/v2",
            "kind": "CiliumNetworkPolicy",
            "metadata": {"name": "p"},
            "spec": {
                "endpointSelector": {"matchLabels": {"app": "a"}},
                "ingress": [{"fromEndpoints": [{"matchLabels": {"app": "b"}}]}],
            },
        }],
        "queries": [{"ep": 10, "dir": "ingress", "peer": 1001, "proto": "TCP", "port": 80}],
        "expected": {
            "verdicts": [{"verdict": expected, "peer": 1001}],
            "endpoints": [{
                "ep": 10,
                "ingressEnforced": true,
                "egressEnforced": false,
                "entries": [{
                    "dir": "egress",
                    "id": 0,
                    "proto": 0,
                    "port": 0,
                    "portPrefix": 0,
                    "lpmPrefix": 40,
                    "deny": false,
                    "proxyPort": 0,
                    "precedence": 0xffff_ff01_u32,
                    "auth": 0,
                }],
            }],
        },
    })
}
