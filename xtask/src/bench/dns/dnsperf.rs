//! Calls of dnsperf and what it reports.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use crate::cargo::output;
use crate::failure::Failure;
use crate::machine::find_program;

/// Queries per second of the paced load.
pub(super) const PACE: u32 = 5000;
/// The saturated load, for the reader.
pub(super) const LINE: &str = "dnsperf -T 1 -c 16 -q 32 -l 4";

/// One line of dnsperf but for the server.
pub(super) struct Load<'a> {
    words: Vec<String>,
    names: &'a Path,
}

/// What came of it; every query was answered with success.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Run {
    pub(super) completed: f64,
    /// Queries per second.
    pub(super) rate: f64,
    /// Seconds, in ascending order, where the load asks for them.
    pub(super) latencies: Vec<f64>,
}

impl<'a> Load<'a> {
    /// As much as there can be.
    pub(super) fn saturated(names: &'a Path) -> Self {
        let words = LINE.split(' ').skip(1).map(str::to_owned).collect();
        Self { words, names }
    }

    /// What leaves time between queries, with the latency of each.
    pub(super) fn paced(names: &'a Path) -> Self {
        let words = format!("-T 1 -c 16 -q 32 -l 4 -v -Q {PACE}");
        let words = words.split(' ').map(str::to_owned).collect();
        Self { words, names }
    }

    /// Each name once, the next after the answer.
    pub(super) fn one_by_one(names: &'a Path) -> Self {
        let words = "-T 1 -c 1 -q 1 -n 1".split(' ').map(str::to_owned);
        let words = words.collect();
        Self { words, names }
    }

    pub(super) fn run(&self, server: SocketAddr) -> Result<Run, Failure> {
        let program = find_program("dnsperf").unwrap_or_else(|| "dnsperf".into());
        let report = output(
            Command::new(program)
                .arg("-s")
                .arg(server.ip().to_string())
                .arg("-p")
                .arg(server.port().to_string())
                .arg("-d")
                .arg(self.names)
                .args(&self.words),
        )?;
        read(&report)
    }
}

/// Takes a report apart. A query without a good answer makes all its figures worthless.
fn read(report: &str) -> Result<Run, Failure> {
    let mut run = Run::default();
    let mut good = None;
    for line in report.lines().map(str::trim) {
        if let Some(rest) = line.strip_prefix("> NOERROR ") {
            run.latencies.extend(number(rest.split(' ').next_back()));
        } else if let Some((what, rest)) = line.split_once(':') {
            let mut words = rest.split_whitespace();
            match what {
                "Queries completed" => run.completed = number(words.next()).unwrap_or_default(),
                "Queries per second" => run.rate = number(words.next()).unwrap_or_default(),
                "Response codes" => good = number(words.nth(1)),
                "Queries lost" if words.next() != Some("0") => {
                    return Err(Failure::Finding(format!("dnsperf lost queries: {line}")));
                }
                _ => {}
            }
        }
    }
    run.latencies.sort_by(f64::total_cmp);
    if run.completed > 0.0 && run.rate > 0.0 && good == Some(run.completed) {
        return Ok(run);
    }
    Err(Failure::Finding(format!(
        "not every query was answered with success:\n{report}"
    )))
}

fn number(word: Option<&str>) -> Option<f64> {
    word?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = "\
> NOERROR www.example.com A 0.002500
> NOERROR www.example.com A 0.000500

Statistics:

  Queries sent:         2
  Queries completed:    2 (100.00%)
  Queries lost:         0 (0.00%)

  Response codes:       NOERROR 2 (100.00%)
  Queries per second:   3.960866
";

    #[test]
    fn a_report_is_taken_apart() {
        let run = read(REPORT).unwrap();
        let wanted = Run {
            completed: 2.0,
            rate: 3.960_866,
            latencies: vec![0.0005, 0.0025],
        };
        assert_eq!(run, wanted);
    }

    #[test]
    fn lost_or_refused_queries_are_no_measurement() {
        let lost = REPORT.replace("lost:         0", "lost:         1");
        assert!(read(&lost).is_err());
        let refused = REPORT.replace("NOERROR 2 (100.00%)", "NOERROR 1 (50.00%), REFUSED 1");
        assert!(read(&refused).is_err());
        assert!(read("").is_err());
    }
}
