//! Named steps with their timings; all run, whatever fails.

use std::time::{Duration, Instant};

use crate::failure::Failure;

pub(crate) struct Steps {
    done: Vec<Step>,
}

struct Step {
    name: String,
    time: Duration,
    passed: bool,
}

impl Steps {
    pub(crate) fn new() -> Self {
        Self { done: Vec::new() }
    }

    /// Runs a step and keeps how it ended.
    pub(crate) fn run(&mut self, name: &str, work: impl FnOnce() -> Result<(), Failure>) {
        println!("\n==> {name}");
        let start = Instant::now();
        let result = work();
        if let Err(failure) = &result {
            println!("==> {name} failed: {failure}");
        }
        self.done.push(Step {
            name: name.to_owned(),
            time: start.elapsed(),
            passed: result.is_ok(),
        });
    }

    /// Prints every step with its time, closing on the count.
    pub(crate) fn finish(self) -> Result<(), Failure> {
        println!("\n{}", self.summary());
        self.finish_quietly()
    }

    /// Says only which steps failed; for steps inside a step.
    pub(crate) fn finish_quietly(self) -> Result<(), Failure> {
        let failed: Vec<String> = self.failed().map(|step| step.name.clone()).collect();
        if failed.is_empty() {
            Ok(())
        } else {
            Err(Failure::Steps(failed))
        }
    }

    fn summary(&self) -> String {
        let steps = self.done.iter().map(|step| {
            let mark = if step.passed { "passed" } else { "FAILED" };
            format!(
                "{mark}  {:>7.1} s  {}\n",
                step.time.as_secs_f64(),
                step.name
            )
        });
        let total: Duration = self.done.iter().map(|step| step.time).sum();
        let failed = self.failed().count();
        let closing = [
            format!("        {:>7.1} s  in all\n", total.as_secs_f64()),
            format!("{} passed, {failed} failed", self.done.len() - failed),
        ];
        steps.chain(closing).collect()
    }

    fn failed(&self) -> impl Iterator<Item = &Step> {
        self.done.iter().filter(|step| !step.passed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_step_is_named_and_does_not_stop_the_next() {
        let mut steps = Steps::new();
        steps.run("first", || Err(Failure::Finding("found".to_owned())));
        steps.run("second", || Ok(()));
        assert!(
            steps.summary().ends_with("\n1 passed, 1 failed"),
            "{}",
            steps.summary()
        );
        let Err(Failure::Steps(names)) = steps.finish() else {
            panic!("one step failed");
        };
        assert_eq!(names, ["first"]);
    }
}
