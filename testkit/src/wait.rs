use std::thread;
use std::time::{Duration, Instant};

use thiserror::Error;

/// Between two looks at a condition; short beside anything a kernel or a server does.
const PAUSE: Duration = Duration::from_millis(2);

/// A condition did not hold within its deadline.
#[derive(Clone, Debug, Eq, PartialEq, Error)]
#[error("waited {deadline:?} in vain for {what}")]
pub struct Timeout {
    /// What was waited for.
    pub what: String,
    /// How long.
    pub deadline: Duration,
}

/// Waits until `condition` holds, at most for `deadline`.
///
/// # Errors
/// [`Timeout`] naming `what` if it never held; it is asked once more at the very end.
pub fn wait_for(
    what: &str,
    deadline: Duration,
    mut condition: impl FnMut() -> bool,
) -> Result<(), Timeout> {
    wait_some(what, deadline, || condition().then_some(()))
}

/// Waits until `condition` yields a value, at most for `deadline`.
///
/// # Errors
/// [`Timeout`] naming `what` if it never did; it is asked once more at the very end.
pub fn wait_some<T>(
    what: &str,
    deadline: Duration,
    mut condition: impl FnMut() -> Option<T>,
) -> Result<T, Timeout> {
    let start = Instant::now();
    loop {
        let last = start.elapsed() >= deadline;
        if let Some(value) = condition() {
            return Ok(value);
        }
        if last {
            return Err(Timeout {
                what: what.to_owned(),
                deadline,
            });
        }
        thread::sleep(PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_that_never_holds_times_out_by_name() {
        let timeout = wait_for("rain", Duration::from_millis(5), || false).unwrap_err();
        assert_eq!(timeout.what, "rain");
    }

    #[test]
    fn a_value_is_handed_back_as_soon_as_it_is_there() {
        let mut looks = 0;
        let value = wait_some("three", Duration::from_secs(5), || {
            looks += 1;
            (looks == 3).then_some(looks)
        });
        assert_eq!(value, Ok(3));
    }
}
