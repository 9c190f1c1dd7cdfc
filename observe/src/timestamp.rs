use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A moment in wall-clock time, UTC, to the nanosecond.
///
/// ```
/// use palisade_observe::Timestamp;
///
/// let time: Timestamp = "2026-11-21T04:00:01.123Z".parse()?;
/// assert_eq!(time.to_string(), "2026-11-21T04:00:01.123Z");
/// assert_eq!(time.stamp().to_string(), "Nov 21 04:00:01.123");
/// # Ok::<(), palisade_observe::TimestampError>(())
/// ```
#[derive(
    Clone, Copy, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize,
)]
#[serde(try_from = "String", into = "String")]
pub struct Timestamp(Duration);

/// A text that is no time.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("`{text}` is not a time such as 2026-11-21T04:00:01.123Z")]
pub struct TimestampError {
    /// The text that was given.
    pub text: String,
}

impl Timestamp {
    /// A moment as the time since 1970.
    pub const fn from_unix(since_1970: Duration) -> Self {
        Self(since_1970)
    }

    /// A moment of the kernel's monotonic clock, given the wall-clock time at which it began.
    pub const fn from_boot(boot: Duration, monotonic: Duration) -> Self {
        Self(boot.saturating_add(monotonic))
    }

    /// The time since 1970.
    pub const fn unix(self) -> Duration {
        self.0
    }

    /// The form of log lines: month, day and time to the millisecond.
    pub const fn stamp(self) -> Stamp {
        Stamp(self)
    }
}

/// A moment in the form of log lines: `Nov 21 04:00:01.123`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Stamp(Timestamp);

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Civil {
            month,
            day,
            hour,
            minute,
            second,
            ..
        } = Civil::of(self.0);
        let millis = self.0.0.subsec_millis();
        let name = MONTHS
            .into_iter()
            .zip(1..)
            .find(|(_, number)| *number == month);
        let name = name.map_or("", |(name, _)| name);
        write!(
            f,
            "{name} {day:>2} {hour:02}:{minute:02}:{second:02}.{millis:03}"
        )
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339, in UTC, with as many digits of the second as it needs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Civil {
            year,
            month,
            day,
            hour,
            minute,
            second,
        } = Civil::of(*self);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"
        )?;
        let nanos = self.0.subsec_nanos();
        if nanos > 0 {
            let digits = format!("{nanos:09}");
            write!(f, ".{}", digits.trim_end_matches('0'))?;
        }
        f.write_str("Z")
    }
}

impl FromStr for Timestamp {
    type Err = TimestampError;

    /// Reads RFC 3339 in UTC (`Z`), from 1970 on.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text).ok_or_else(|| TimestampError { text: text.into() })
    }
}

impl TryFrom<String> for Timestamp {
    type Error = TimestampError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Timestamp> for String {
    fn from(time: Timestamp) -> Self {
        time.to_string()
    }
}

/// Date and time of day in UTC.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Civil {
    year: u64,
    month: u64,
    day: u64,
    hour: u64,
    minute: u64,
    second: u64,
}

impl Civil {
    fn of(time: Timestamp) -> Self {
        let seconds = time.0.as_secs();
        // Counted from 1 March of year 0, so that the leap day ends a year (Hinnant's
        // `civil_from_days`).
        let days = seconds / DAY + DAYS_TO_1970;
        let era = days / ERA;
        let of_era = days % ERA;
        let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted = (5 * of_year + 2) / 153;
        let month = if shifted < 10 {
            shifted + 3
        } else {
            shifted - 9
        };
        let of_day = seconds % DAY;
        Self {
            year: year_of_era + era * 400 + u64::from(month <= 2),
            month,
            day: of_year - (153 * shifted + 2) / 5 + 1,
            hour: of_day / 3_600,
            minute: of_day / 60 % 60,
            second: of_day % 60,
        }
    }

    /// The time of this date; `None` before 1970 or where there is no such date.
    fn timestamp(self) -> Option<Timestamp> {
        let year = self.year.checked_sub(u64::from(self.month <= 2))?;
        let (era, year_of_era) = (year / 400, year % 400);
        let shifted = (self.month + 9) % 12;
        let of_year = (153 * shifted + 2) / 5 + self.day.checked_sub(1)?;
        let of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year;
        let days = (era * ERA + of_era).checked_sub(DAYS_TO_1970)?;
        let of_day = self.hour * 3_600 + self.minute * 60 + self.second;
        let time = Timestamp(Duration::from_secs(days * DAY + of_day));
        // A date that is none, such as 30 February, comes back as another one.
        (Self::of(time) == self).then_some(time)
    }
}

fn parse(text: &str) -> Option<Timestamp> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let (time, fraction) = match time.split_once('.') {
        Some((time, fraction)) => (time, fraction),
        None => (time, "0"),
    };
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let [hour, minute, second] = numbers(time, ':', [2, 2, 2])?;
    let civil = Civil {
        year,
        month,
        day,
        hour,
        minute,
        second,
    };
    let digits = (1..=9).contains(&fraction.len()) && fraction.bytes().all(|b| b.is_ascii_digit());
    let nanos: u64 = format!("{fraction:0<9}").parse().ok().filter(|_| digits)?;
    let whole = civil.timestamp()?;
    Some(Timestamp(whole.0 + Duration::from_nanos(nanos)))
}

/// Three numbers of these many digits.
fn numbers(text: &str, separator: char, widths: [usize; 3]) -> Option<[u64; 3]> {
    let mut parts = text.split(separator);
    let mut numbers = [0; 3];
    for (number, width) in numbers.iter_mut().zip(widths) {
        let digits = parts
            .next()
            .filter(|part| part.len() == width && part.bytes().all(|b| b.is_ascii_digit()))?;
        *number = digits.parse().ok()?;
    }
    parts.next().is_none().then_some(numbers)
}

const DAY: u64 = 86_400;
/// Days of 400 years.
const ERA: u64 = 146_097;
const DAYS_TO_1970: u64 = 719_468;
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn unix(seconds: u64) -> Timestamp {
        Timestamp::from_unix(Duration::from_secs(seconds))
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        let cases = [
            (0, "1970-01-01T00:00:00Z", "Jan  1 00:00:00.000"),
            (951_782_399, "2000-02-28T23:59:59Z", "Feb 28 23:59:59.000"),
            (951_782_400, "2000-02-29T00:00:00Z", "Feb 29 00:00:00.000"),
            (951_868_800, "2000-03-01T00:00:00Z", "Mar  1 00:00:00.000"),
            (1_709_164_800, "2024-02-29T00:00:00Z", "Feb 29 00:00:00.000"),
            (4_107_542_400, "2100-03-01T00:00:00Z", "Mar  1 00:00:00.000"),
            (1_795_233_601, "2026-11-21T04:00:01Z", "Nov 21 04:00:01.000"),
            (1_798_761_599, "2026-12-31T23:59:59Z", "Dec 31 23:59:59.000"),
        ];
        for (seconds, text, stamp) in cases {
            assert_eq!(unix(seconds).to_string(), text);
            assert_eq!(unix(seconds).stamp().to_string(), stamp);
            assert_eq!(text.parse::<Timestamp>().unwrap(), unix(seconds));
        }
    }

    #[test]
    fn the_kernel_counts_from_the_boot() {
        let boot = Duration::from_secs(1_795_233_600);
        let time = Timestamp::from_boot(boot, Duration::from_nanos(1_123_456_789));
        assert_eq!(time.to_string(), "2026-11-21T04:00:01.123456789Z");
        assert_eq!(time.stamp().to_string(), "Nov 21 04:00:01.123");
    }

    #[test]
    fn the_far_future_does_not_overflow() {
        let last = Timestamp::from_boot(Duration::MAX, Duration::MAX);
        assert!(last.to_string().ends_with('Z'));
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "now",
            "2026-11-21",
            "2026-11-21T04:00:01",
            "2026-11-21T04:00:01+01:00",
            "2026-02-30T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-01-00T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:60:00Z",
            "1969-12-31T23:59:59Z",
            "2026-1-1T0:0:0Z",
            "2026-01-01T00:00:00.Z",
            "2026-01-01T00:00:00.1234567890Z",
            "2026-01-01T00:00:+1Z",
        ] {
            assert!(text.parse::<Timestamp>().is_err(), "{text}");
        }
    }
}
