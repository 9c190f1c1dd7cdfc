//! What is known of names, for people.

use std::fmt::Write as _;
use std::time::Duration;

use super::{count, span, table};
use crate::protocol::{CleanReport, NameReport, NameRow, SelectorRow};

/// What is known of names.
pub(crate) fn names(rows: &[NameRow], out: &mut String) {
    let mut cells = vec![["ENDPOINT", "NAME", "ADDRESS", "IDENTITY", "REMAINS"].map(Into::into)];
    for row in rows {
        let remains = match row.remaining_seconds {
            0 => "while connected".into(),
            seconds => span(Duration::from_secs(seconds)),
        };
        let identity = row.identity.map_or("-".into(), |id| id.to_string());
        cells.push([
            row.endpoint.clone(),
            row.name.clone(),
            row.address.to_string(),
            identity,
            remains,
        ]);
    }
    table(&cells, out);
}

/// The patterns that rules select addresses by.
pub(crate) fn selectors(rows: &[SelectorRow], out: &mut String) {
    let mut cells = vec![["PATTERN", "ADDRESSES"].map(Into::into)];
    cells.extend(
        rows.iter()
            .map(|row| [row.pattern.clone(), row.addresses.to_string()]),
    );
    table(&cells, out);
}

/// What was forgotten.
pub(crate) fn cleaned(report: &CleanReport, out: &mut String) {
    out.push_str(&count(report.forgotten, "address", "addresses"));
    out.push_str(" forgotten");
}

/// Why a name or an address is reachable by name, or not.
pub(crate) fn name_report(report: &NameReport, out: &mut String) {
    let mut line = |what: &str, text: &str| {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{what:<12} {text}");
    };
    line("subject", &report.subject);
    if let Some(identity) = report.identity {
        line(
            "identity",
            &format!("{identity}  {}", report.labels.join(" ")),
        );
    }
    for pattern in &report.patterns {
        line("selected by", &format!("toFQDNs {pattern}"));
    }
    for query in &report.queries {
        let what = if query.allowed {
            "may ask"
        } else {
            "may not ask"
        };
        let rule = query.rule.as_deref().unwrap_or("no rule");
        line(what, &format!("{}, {}: {rule}", query.endpoint, query.port));
    }
    for note in &report.notes {
        line("note", note);
    }
    if !report.known.is_empty() {
        out.push('\n');
        names(&report.known, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_names_the_rules_and_what_is_missing() {
        let report = NameReport {
            subject: "www.example.com".into(),
            patterns: vec!["*.example.com".into()],
            queries: vec![crate::protocol::QueryRow {
                endpoint: "shop/web".into(),
                port: "53/UDP".into(),
                allowed: false,
                rule: Some("policies/web.yaml:9".into()),
            }],
            known: vec![],
            identity: None,
            labels: vec![],
            notes: vec!["nobody may ask for it".into()],
        };
        let mut out = String::new();
        name_report(&report, &mut out);
        let wanted = "\
subject      www.example.com
selected by  toFQDNs *.example.com
may not ask  shop/web, 53/UDP: policies/web.yaml:9
note         nobody may ask for it
";
        assert_eq!(out, wanted);
    }
}
