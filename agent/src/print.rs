//! Lists and figures for people.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::time::Duration;

mod names;

pub(crate) use self::names::{cleaned, name_report, names, selectors};
use crate::protocol::{EndpointRow, IdentityRow, PolicyReport, Status};

/// Prints a line, and says when nobody reads any more.
pub(crate) fn line(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}

/// Says on standard error what is wrong. Nothing is left to do if nobody reads that.
pub(crate) fn complaint(text: &str) {
    drop(writeln!(io::stderr().lock(), "{}", text.trim_end()));
}

/// How the agent is.
pub(crate) fn status(status: &Status, out: &mut String) {
    let rows = [
        (
            "palisade",
            format!(
                "{} · node {} · up {} · policy revision {} in force on {} of {} endpoints",
                status.version,
                status.node,
                span(Duration::from_secs(status.up_seconds)),
                number(status.policy.revision),
                status.endpoints.in_force,
                status.endpoints.configured,
            ),
        ),
        (
            "datapath",
            format!(
                "{} · kernel {} · {:?} · {} at {}",
                status.datapath.attached,
                status.datapath.kernel,
                status.mode,
                status.datapath.found,
                status.datapath.pinned
            )
            .to_lowercase(),
        ),
        ("policies", policies(status)),
        ("maps", maps(status)),
        ("dns", dns(status)),
        (
            "events",
            format!(
                "{} seen, {} lost",
                number(status.events.seen),
                number(status.events.lost)
            ),
        ),
    ];
    for (index, (name, text)) in rows.iter().enumerate() {
        let width = if index == 0 { 0 } else { 11 };
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{name:width$} {text}");
    }
    let mut lines = status.trouble.iter().flat_map(|trouble| trouble.lines());
    let _ = writeln!(out, "{:11} {}", "trouble", lines.next().unwrap_or("none"));
    for line in lines {
        let _ = writeln!(out, "{:11} {line}", "");
    }
}

fn policies(status: &Status) -> String {
    format!(
        "{} files, {} rules; last change {} writes in {}",
        number(status.policy.files as u64),
        number(status.policy.rules as u64),
        number(status.policy.last_change_writes as u64),
        span(Duration::from_micros(
            status.policy.last_change_microseconds
        )),
    )
}

fn maps(status: &Status) -> String {
    let mut text: Vec<String> = Vec::new();
    for map in &status.maps {
        let percent = map.used * 100 / map.size.max(1);
        text.push(format!("{} {percent} %", map.name));
    }
    text.join("  ")
}

fn dns(status: &Status) -> String {
    match status.dns.port {
        Some(port) => format!(
            "{} names, {} addresses, {} given up to limits, {} answers waiting, held {} \
             (longest {}), proxy on port {port}",
            number(status.dns.names as u64),
            number(status.dns.addresses as u64),
            number(status.dns.evicted as u64),
            number(status.dns.waiting as u64),
            span(Duration::from_micros(status.dns.last_held_microseconds)),
            span(Duration::from_micros(status.dns.longest_held_microseconds)),
        ),
        None => "no proxy".into(),
    }
}

/// The endpoints.
pub(crate) fn endpoints(rows: &Vec<EndpointRow>, out: &mut String) {
    let mut cells = vec![["ID", "ENDPOINT", "IDENTITY", "ADDRESSES", "INTERFACE"].map(Into::into)];
    for row in rows {
        let addresses: Vec<String> = row.addresses.iter().map(ToString::to_string).collect();
        cells.push([
            row.id.to_string(),
            row.name.clone(),
            row.identity.to_string(),
            addresses.join(" "),
            row.interface.clone(),
        ]);
    }
    table(&cells, out);
}

/// The identities.
pub(crate) fn identities(rows: &Vec<IdentityRow>, out: &mut String) {
    let mut cells = vec![["IDENTITY", "LABELS"].map(Into::into)];
    for row in rows {
        let mut labels = row.labels.iter();
        let first = labels.next().cloned().unwrap_or_default();
        cells.push([row.identity.to_string(), first]);
        cells.extend(labels.map(|label| [String::new(), label.clone()]));
    }
    table(&cells, out);
}

/// The policies in force, and the files that are not.
pub(crate) fn policy_report(report: &PolicyReport, out: &mut String) {
    let _ = writeln!(out, "revision {}", number(report.revision));
    let mut cells = vec![["POLICY", "FROM", "RULES"].map(Into::into)];
    for row in &report.policies {
        cells.push([
            row.resource.clone(),
            row.location.clone(),
            row.rules.to_string(),
        ]);
    }
    table(&cells, out);
    for refused in &report.refused {
        let _ = writeln!(out, "\nrefused: {}\n{}", refused.file, refused.reasons);
    }
}

/// Columns as wide as their widest cell.
pub(crate) fn table<const N: usize>(rows: &[[String; N]], out: &mut String) {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    for row in rows {
        let cells = row.iter().zip(widths);
        let cells: Vec<String> = cells
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        let _ = writeln!(out, "{}", cells.join("  ").trim_end());
    }
}

/// A number with thousands separators.
pub(crate) fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// How many of something there are: `1 file`, `2 files`.
pub(crate) fn count(count: usize, one: &str, many: &str) -> String {
    let what = if count == 1 { one } else { many };
    format!("{} {what}", number(count as u64))
}

/// A time in the unit that suits it.
pub(crate) fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    match seconds {
        0 if span.is_zero() => "0 s".into(),
        0 if span.subsec_millis() == 0 => format!("{} µs", span.subsec_micros()),
        0 => format!(
            "{}.{} ms",
            span.subsec_millis(),
            span.subsec_micros() / 100 % 10
        ),
        1..120 => format!("{seconds} s"),
        120..7_200 => format!("{} m", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_separators_and_times_have_units() {
        assert_eq!(number(1_204), "1,204");
        assert_eq!(number(999), "999");
        assert_eq!(number(1_000_000), "1,000,000");
        assert_eq!(span(Duration::from_micros(210)), "210 µs");
        assert_eq!(span(Duration::from_micros(6_130)), "6.1 ms");
        assert_eq!(span(Duration::from_secs(3 * 86_400)), "3 d");
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut out = String::new();
        let rows = [["ID", "NAME"], ["1", "shop/web"], ["12345", "a"]];
        table(&rows.map(|row| row.map(String::from)), &mut out);
        assert_eq!(out, "ID     NAME\n1      shop/web\n12345  a\n");
    }
}
