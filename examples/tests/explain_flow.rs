//! The example that compiles a folder and explains a flow.

#![expect(
    clippy::unwrap_used,
    reason = "a test that meets something unexpected fails"
)]

use std::process::{Command, Output};

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_explain_flow"))
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap()
}

#[test]
fn a_denied_flow_leads_to_the_line_that_denies_it_and_to_what_would_allow_it() {
    let output = run(&["policies", "cart", "pay:8443"]);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).unwrap();
    for part in [
        "DENY  shop/cart → shop/pay 8443/TCP",
        "allowed   policies/cart.yaml:12   toEndpoints app=pay",
        "default deny, switched on by policies/pay.yaml:7 (ingress)",
        "label app is \"cart\", not \"web\"",
        "add `- matchLabels: {app: cart}` under policies/pay.yaml:8",
    ] {
        assert!(text.contains(part), "no {part:?} in\n{text}");
    }
}

#[test]
fn an_allowed_flow_leads_to_the_line_that_allows_it() {
    let output = run(&["policies", "web", "pay:8443"]);
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("policies/pay.yaml:12"), "{text}");
}

#[test]
fn a_refused_folder_is_explained_too() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("bad.yaml"),
        "kind: CiliumNetworkPolicy\nspce: {}\n",
    )
    .unwrap();
    let output = run(&[folder.path().to_str().unwrap(), "cart", "pay:8443"]);
    assert_eq!(output.status.code(), Some(2));
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(errors.contains("did you mean `spec`?"), "{errors}");
}
