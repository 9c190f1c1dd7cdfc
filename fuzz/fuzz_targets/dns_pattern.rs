//! Texts of patterns and of names: a pattern alone, in a set and read again selects the same names.
#![no_main]

use libfuzzer_sys::fuzz_target;
use palisade_fqdn::{DnsName, Level, MatchPattern, PatternSet};

fuzz_target!(|input: (&str, &str, &str)| {
    let (first, second, name) = input;
    let name = DnsName::parse(name);
    if let Ok(name) = &name {
        assert_eq!(DnsName::parse(&name.to_string()).as_ref(), Ok(name));
        assert_eq!(DnsName::from_wire(name.as_wire()).as_ref(), Ok(name));
    }
    let mut set = PatternSet::default();
    let mut alone = Vec::new();
    for text in [first, second] {
        let pattern = match MatchPattern::parse(text, Level::Agent) {
            Ok(pattern) => pattern,
            Err(error) => {
                assert!(error.offset() <= text.len());
                assert!(MatchPattern::parse(text, Level::Cluster).is_err());
                continue;
            }
        };
        let again = MatchPattern::parse(pattern.as_str(), Level::Agent);
        assert_eq!(again.as_ref(), Ok(&pattern));
        let id = set.insert(&pattern);
        alone.extend(name.iter().filter(|name| pattern.matches(name)).map(|_| id));
    }
    alone.sort_unstable();
    alone.dedup();
    if let Ok(name) = &name {
        assert_eq!(set.matching(name), alone);
    }
    let ids: Vec<_> = set.iter().map(|(id, _)| id).collect();
    for id in [ids.clone(), ids].concat() {
        set.remove(id);
    }
    assert!(set.is_empty());
});
