//! The demo's JSON report, as CI reads it.

use serde_json::Value;

use crate::failure::Failure;

/// Fewer probes than this say too little.
const PROBES: u64 = 100;
/// The demo is to end within this time.
const SECONDS: f64 = 90.0;

/// Checks that the report tells of a demo that did all it promises.
pub(crate) fn check(text: &str) -> Result<(), Failure> {
    let report: Value = serde_json::from_str(text).map_err(|source| Failure::Json {
        what: "the demo's report",
        source,
    })?;
    let findings = findings(&report);
    if findings.is_empty() {
        return Ok(());
    }
    Err(Failure::Finding(format!(
        "the demo's report: {}",
        findings.join("; ")
    )))
}

fn findings(report: &Value) -> Vec<String> {
    let number = |path: &str| report.pointer(path).and_then(Value::as_u64).unwrap_or(0);
    let (total, agree, denied) = (
        number("/probes/total"),
        number("/probes/agree"),
        number("/probes/denied"),
    );
    let seconds = report
        .pointer("/seconds")
        .and_then(Value::as_f64)
        .unwrap_or(f64::MAX);
    let lost = report.pointer("/restart/lost").and_then(Value::as_u64);
    let checks = report.get("checks").and_then(Value::as_array);
    let failed = checks
        .into_iter()
        .flatten()
        .filter(|check| check.get("passed").and_then(Value::as_bool) != Some(true));
    let mut findings: Vec<String> = failed
        .map(|check| {
            format!(
                "failed: {}",
                check.get("name").and_then(Value::as_str).unwrap_or("?")
            )
        })
        .collect();
    let mut expect = |holds: bool, text: String| {
        if !holds {
            findings.push(text);
        }
    };
    expect(
        checks.is_some_and(|checks| !checks.is_empty()),
        "no checks".to_owned(),
    );
    expect(
        total >= PROBES,
        format!("{total} probes, {PROBES} at least"),
    );
    expect(agree == total, format!("{agree} of {total} probes agree"));
    expect(
        denied * 3 >= total,
        format!("{denied} of {total} probes denied, a third at least"),
    );
    expect(
        lost == Some(0),
        format!("{lost:?} connections lost in the restart"),
    );
    expect(
        seconds < SECONDS,
        format!("{seconds:.0} s, {SECONDS} at most"),
    );
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"probes": {"total": 120, "agree": 120, "denied": 50}, "seconds": 38.5,
        "restart": {"lost": 0}, "checks": [{"name": "names", "passed": true}]}"#;

    #[test]
    fn a_good_report_passes() {
        assert!(check(GOOD).is_ok());
    }

    #[test]
    fn each_promise_is_looked_at() {
        for (from, to, finding) in [
            (
                "\"agree\": 120",
                "\"agree\": 119",
                "119 of 120 probes agree",
            ),
            (
                "\"denied\": 50",
                "\"denied\": 30",
                "30 of 120 probes denied",
            ),
            (
                "\"total\": 120, \"agree\": 120",
                "\"total\": 12, \"agree\": 12",
                "12 probes",
            ),
            ("\"lost\": 0", "\"lost\": 1", "lost in the restart"),
            ("38.5", "91", "91 s"),
            ("true", "false", "failed: names"),
            ("\"checks\"", "\"other\"", "no checks"),
        ] {
            let text = GOOD.replace(from, to);
            let failure = check(&text).unwrap_err().to_string();
            assert!(failure.contains(finding), "{failure}");
        }
    }
}
