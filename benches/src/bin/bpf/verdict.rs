//! What a run fails for: ratios and counts, which do not depend on the machine.

use std::process::ExitCode;

/// The limits that were looked at, and those that did not hold.
#[derive(Debug, Default)]
pub(crate) struct Verdicts {
    looked_at: usize,
    broken: Vec<String>,
}

impl Verdicts {
    /// Notes whether a figure keeps its limit.
    pub(crate) fn at_most(&mut self, what: &str, found: f64, limit: f64) {
        self.looked_at += 1;
        if found > limit {
            self.broken
                .push(format!("{what}: {found:.2}, at most {limit}"));
        }
    }

    /// Says what did not hold.
    pub(crate) fn tell(&self) -> ExitCode {
        for broken in &self.broken {
            println!("TOO MUCH {broken}");
        }
        let (kept, all) = (self.looked_at - self.broken.len(), self.looked_at);
        println!("\n{kept} of {all} ratios and counts keep their limits");
        if self.broken.is_empty() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }
}
