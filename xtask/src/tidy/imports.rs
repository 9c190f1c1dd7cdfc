//! Who imports whom.

use serde_json::Value;

use super::Outcome;

/// The crates that decide and never do I/O.
const PURE: [&str; 4] = [
    "palisade-identity",
    "palisade-policy",
    "palisade-fqdn",
    "palisade-node",
];

/// What each crate may import of ours, and nothing else.
const RULES: [(&str, &[&str]); 9] = [
    ("palisade-abi", &[]),
    ("palisade-identity", &["palisade-abi"]),
    ("palisade-fqdn", &["palisade-abi"]),
    ("palisade-datapath", &["palisade-abi"]),
    (
        "palisade-policy",
        &["palisade-abi", "palisade-identity", "palisade-fqdn"],
    ),
    (
        "palisade-node",
        &[
            "palisade-abi",
            "palisade-identity",
            "palisade-fqdn",
            "palisade-policy",
        ],
    ),
    (
        "palisade-proxy",
        &["palisade-abi", PURE[0], PURE[1], PURE[2], PURE[3]],
    ),
    (
        "palisade-observe",
        &["palisade-abi", PURE[0], PURE[1], PURE[2], PURE[3]],
    ),
    ("xtask", &[]),
];

/// What any crate's tests may use beside.
const FOR_TESTS: &str = "palisade-testkit";

pub(super) fn check(metadata: &Value) -> Outcome {
    let mut outcome = Outcome::default();
    for package in list(metadata, "packages") {
        let name = text(package, "name");
        let rule = RULES.iter().find(|(crate_name, _)| *crate_name == name);
        for dependency in list(package, "dependencies") {
            let imported = text(dependency, "name");
            let for_tests = text(dependency, "kind") == "dev";
            let ours = imported.starts_with("palisade");
            let allowed = match rule {
                _ if !ours || imported == name => true,
                _ if for_tests && imported == FOR_TESTS => true,
                Some((_, allowed)) => {
                    allowed.contains(&imported) || (for_tests && fits_tests(imported))
                }
                None => for_tests || imported != FOR_TESTS || may_use_testkit(name),
            };
            if !allowed {
                let finding =
                    format!("{name} must not import {imported} (design: who imports whom)");
                outcome.findings.push(finding);
            }
        }
    }
    outcome
}

/// Tests compare: a crate's with pure crates beside it, the datapath's with the pure side's verdict.
/// The datapath is never a pure crate's, not even in tests.
fn fits_tests(imported: &str) -> bool {
    PURE.contains(&imported)
}

fn may_use_testkit(name: &str) -> bool {
    ["palisade-examples", "palisade-benches"].contains(&name)
}

fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value
        .get(key)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn findings(name: &str, imported: &str, kind: &Value) -> Vec<String> {
        let dependencies = json!([{"name": imported, "kind": kind}]);
        check(&json!({"packages": [{"name": name, "dependencies": dependencies}]})).findings
    }

    #[test]
    fn imports_go_down_only() {
        let normal = Value::Null;
        assert!(findings("palisade-policy", "palisade-identity", &normal).is_empty());
        assert!(findings("palisade", "palisade-datapath", &normal).is_empty());
        assert!(findings("palisade-policy", "thiserror", &normal).is_empty());
        assert_eq!(
            findings("palisade-identity", "palisade-policy", &normal).len(),
            1
        );
        assert_eq!(
            findings("palisade-datapath", "palisade-policy", &normal).len(),
            1
        );
        assert_eq!(
            findings("palisade-node", "palisade-datapath", &normal).len(),
            1
        );
    }

    #[test]
    fn the_testkit_is_for_tests() {
        assert!(findings("palisade-datapath", "palisade-testkit", &json!("dev")).is_empty());
        assert_eq!(
            findings("palisade-datapath", "palisade-testkit", &Value::Null).len(),
            1
        );
        assert_eq!(
            findings("palisade", "palisade-testkit", &Value::Null).len(),
            1
        );
        assert!(findings("palisade-datapath", "palisade-policy", &json!("dev")).is_empty());
        assert_eq!(
            findings("palisade-policy", "palisade-datapath", &json!("dev")).len(),
            1
        );
    }
}
