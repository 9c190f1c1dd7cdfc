//! What Cilium's agent knew: the JSON that its option `tofqdns-pre-cache` takes.

use std::net::IpAddr;
use std::time::Duration;

use palisade_abi::EndpointId;
use serde::Deserialize;
use thiserror::Error;

use crate::cache::Record;
use crate::name::{DnsName, NameError};

/// Names and addresses from the JSON list that `cilium-dbg fqdn cache list -o json` prints and
/// the option `tofqdns-pre-cache` takes. To be deserialized, by `serde_json` for one.
///
/// ```
/// use std::time::Duration;
/// use palisade_abi::EndpointId;
/// use palisade_fqdn::PreCache;
///
/// let text = r#"[{
///     "fqdn": "api.example.com.",
///     "ips": ["192.0.2.1"],
///     "lookup-time": "2026-01-30T12:00:00.5Z",
///     "expiration-time": "2026-01-30T13:00:00.5+01:00",
///     "ttl": 3600
/// }]"#;
/// let pre_cache: PreCache = serde_json::from_str(text)?;
/// let records = pre_cache.records(EndpointId::new(1), Duration::ZERO);
/// assert_eq!(records[0].name.to_string(), "api.example.com");
/// assert_eq!(records[0].addresses[0].1, Duration::from_millis(1_769_774_400_500));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(try_from = "Vec<Wire>")]
pub struct PreCache {
    lookups: Vec<PreLookup>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
struct PreLookup {
    endpoint: Option<EndpointId>,
    name: DnsName,
    addresses: Vec<IpAddr>,
    /// Since 1970.
    expires: Duration,
}

impl PreCache {
    /// As records for [`Cache::admit`](crate::Cache::admit), the first to expire first.
    ///
    /// What the list gives to no endpoint goes to `endpoint`. `epoch` is the time of day at which
    /// the cache's time was zero, since 1970.
    pub fn records(&self, endpoint: EndpointId, epoch: Duration) -> Vec<Record> {
        let mut lookups: Vec<&PreLookup> = self.lookups.iter().collect();
        lookups.sort_by_key(|lookup| lookup.expires);
        let records = lookups.into_iter().map(|lookup| {
            let expires = lookup.expires.saturating_sub(epoch);
            let addresses = lookup.addresses.iter();
            Record {
                endpoint: lookup.endpoint.unwrap_or(endpoint),
                name: lookup.name.clone(),
                addresses: addresses.map(|address| (*address, expires)).collect(),
            }
        });
        records.collect()
    }
}

/// An element as it is written.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Wire {
    fqdn: String,
    #[serde(default)]
    ips: Vec<IpAddr>,
    #[serde(rename = "lookup-time")]
    _lookup_time: Option<String>,
    expiration_time: String,
    #[serde(rename = "ttl")]
    _ttl: Option<i64>,
    endpoint_id: Option<u16>,
    #[serde(rename = "source")]
    _source: Option<String>,
}

/// Why an element of a list means nothing.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
enum PreCacheError {
    #[error("element {place}: {text:?} is no name: {source}")]
    Name {
        place: usize,
        text: String,
        source: NameError,
    },
    #[error("element {place}: {text:?} is no time of the form 2026-01-30T12:00:00Z")]
    Time { place: usize, text: String },
}

impl TryFrom<Vec<Wire>> for PreCache {
    type Error = PreCacheError;

    fn try_from(list: Vec<Wire>) -> Result<Self, PreCacheError> {
        let lookups = list.into_iter().enumerate().map(|(place, wire)| {
            let name = DnsName::parse(&wire.fqdn).map_err(|source| PreCacheError::Name {
                place,
                text: wire.fqdn,
                source,
            })?;
            let text = wire.expiration_time;
            let expires = since_1970(&text).ok_or(PreCacheError::Time { place, text })?;
            Ok(PreLookup {
                endpoint: wire.endpoint_id.map(EndpointId::new),
                name,
                addresses: wire.ips,
                expires,
            })
        });
        let lookups = lookups.collect::<Result<_, _>>()?;
        Ok(Self { lookups })
    }
}

/// Reads a time as RFC 3339 writes it; one before 1970 is 1970.
fn since_1970(text: &str) -> Option<Duration> {
    let (date, rest) = text.split_once(['T', 't'])?;
    let mut date = date.splitn(3, '-').map(number);
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let zone = rest.find(['Z', 'z', '+', '-'])?;
    let (time, zone) = rest.split_at_checked(zone)?;
    let (time, fraction) = time.split_once('.').unwrap_or((time, ""));
    let mut time = time.splitn(3, ':').map(number);
    let (hour, minute, second) = (time.next()??, time.next()??, time.next()??);
    let fine = (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60;
    if !fine {
        return None;
    }
    let seconds = days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    let seconds = u64::try_from(seconds - offset(zone)?).unwrap_or_default();
    Some(Duration::new(seconds, nanos(fraction)?))
}

/// Days from 1970 to a date of the Gregorian calendar. The year begins in March here, so that the
/// odd day is its last.
const fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// Seconds by which a zone's clocks are ahead.
fn offset(zone: &str) -> Option<i64> {
    let (sign, time) = match zone.split_at_checked(1)? {
        ("Z" | "z", "") => return Some(0),
        ("+", time) => (1, time),
        ("-", time) => (-1, time),
        _ => return None,
    };
    let (hours, minutes) = time.split_once(':')?;
    Some(sign * (number(hours)? * 3600 + number(minutes)? * 60))
}

fn nanos(fraction: &str) -> Option<u32> {
    let digits: String = fraction
        .chars()
        .chain("000000000".chars())
        .take(9)
        .collect();
    number(&digits).and_then(|nanos| u32::try_from(nanos).ok())
}

/// A number of digits only.
fn number(text: &str) -> Option<i64> {
    let digits = (1..=9).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_the_calendar_has_them() {
        let seconds = |text: &str| since_1970(text).map(|time| time.as_secs());
        assert_eq!(seconds("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(seconds("2000-02-29T00:00:00Z"), Some(951_782_400));
        assert_eq!(seconds("2000-03-01T00:00:00Z"), Some(951_868_800));
        assert_eq!(seconds("2026-01-30T12:00:00-01:30"), Some(1_769_779_800));
        assert_eq!(seconds("1960-01-01T00:00:00Z"), Some(0));
        let nanos = since_1970("1970-01-01T00:00:01.000000123Z");
        assert_eq!(nanos, Some(Duration::new(1, 123)));
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "2026-01-30",
            "2026-13-01T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:00:00",
            "a-b-cT0:0:0Z",
        ] {
            assert_eq!(since_1970(text), None, "{text}");
        }
    }

    #[test]
    fn a_wrong_element_is_named() {
        let wrong = serde_json::from_str::<PreCache>(
            r#"[{"fqdn": "a..b", "expiration-time": "2026-01-30T12:00:00Z"}]"#,
        );
        assert!(
            wrong
                .unwrap_err()
                .to_string()
                .starts_with("element 0: \"a..b\" is no name")
        );
        let unknown = serde_json::from_str::<PreCache>(r#"[{"name": "a"}]"#);
        assert!(
            unknown
                .unwrap_err()
                .to_string()
                .contains("unknown field `name`")
        );
    }
}
