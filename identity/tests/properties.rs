//! The fast forms against plain ones that share no code with them.
#![expect(clippy::unwrap_used, reason = "a helper that fails is a failed test")]

use std::collections::BTreeMap;
use std::net::IpAddr;

use palisade_identity::{
    Allocation, Allocator, Identity, Ipcache, Label, LabelSet, Prefix, Range, Release, Requirement,
    Selector,
};
use palisade_testkit::cases;
use proptest::collection::vec;
use proptest::prelude::*;

/// Source, key and value. Few of each, so that things meet.
type Parts = (&'static str, &'static str, &'static str);
/// Source, key, operator and values.
type Asked = (&'static str, &'static str, &'static str, Vec<&'static str>);

fn sources() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["k8s", "container", "reserved", "any"])
}

fn keys() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["a", "b", "c"])
}

fn values() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["", "x", "y", "z"])
}

fn networks() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "10.0.0.0/8",
        "10.1.0.0/16",
        "10.1.2.3/32",
        "11.0.0.0/8",
        "0.0.0.0/0",
        "fd00--0/8",
        "fd00--1/128",
        "0--0/0",
    ])
}

fn label() -> impl Strategy<Value = Parts> {
    prop_oneof![
        4 => (sources(), keys(), values()),
        1 => networks().prop_map(|network| ("cidr", network, "")),
    ]
}

fn asked() -> impl Strategy<Value = Asked> {
    let plain = prop_oneof![
        (Just("In"), vec(values(), 1..3)),
        (Just("NotIn"), vec(values(), 1..3)),
        (Just("Exists"), Just(Vec::new())),
        (Just("DoesNotExist"), Just(Vec::new())),
    ];
    let prefix = prop::sample::select(vec!["Exists", "DoesNotExist"]);
    prop_oneof![
        4 => (sources(), keys(), plain).prop_map(|(source, key, (op, values))| (source, key, op, values)),
        1 => (networks(), prefix).prop_map(|(network, op)| ("cidr", network, op, Vec::new())),
    ]
}

/// A requirement judged on the parts as they were drawn, label by label.
fn naive((source, key, operator, values): &Asked, labels: &BTreeMap<&str, Parts>) -> bool {
    let met: Vec<&Parts> = labels
        .values()
        .filter(|label| match *source {
            "cidr" => label.0 == "cidr" && bits_start_with(label.1, key),
            "any" => label.1 == *key,
            source => label.0 == source && label.1 == *key,
        })
        .collect();
    let has_value = met.iter().any(|label| values.contains(&label.2));
    match *operator {
        "In" => has_value,
        "NotIn" => !has_value,
        "Exists" => !met.is_empty(),
        _ => met.is_empty(),
    }
}

fn bits_start_with(inner: &str, outer: &str) -> bool {
    let bits = |text: &str| {
        let (address, length) = text.split_once('/').unwrap();
        let length: usize = length.parse().unwrap();
        let bits = match address.replace('-', ":").parse::<IpAddr>().unwrap() {
            IpAddr::V4(v4) => format!("4{:032b}", v4.to_bits()),
            IpAddr::V6(v6) => format!("6{:0128b}", v6.to_bits()),
        };
        bits[..=length].to_owned()
    };
    bits(inner).starts_with(&bits(outer))
}

fn prefixes() -> impl Strategy<Value = Prefix> {
    // Few address bits vary, at the top and at the bottom, so that prefixes nest.
    let v4 = (0u32..4, 0u32..4, 0u8..=32)
        .prop_map(|(top, low, length)| (IpAddr::from((top << 30 | low).to_be_bytes()), length));
    let v6 = (0u128..4, 0u128..4, 0u8..=128)
        .prop_map(|(top, low, length)| (IpAddr::from((top << 126 | low).to_be_bytes()), length));
    prop_oneof![v4, v6].prop_map(|(address, length)| Prefix::new(address, length).unwrap())
}

fn contains(prefix: Prefix, address: IpAddr) -> bool {
    let (network, length) = (prefix.address().ip(), u32::from(prefix.length()));
    match (network, address) {
        (IpAddr::V4(a), IpAddr::V4(b)) => {
            length == 0 || (a.to_bits() ^ b.to_bits()) >> (32 - length) == 0
        }
        (IpAddr::V6(a), IpAddr::V6(b)) => {
            length == 0 || (a.to_bits() ^ b.to_bits()) >> (128 - length) == 0
        }
        _ => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(2_000)))]

    #[test]
    fn a_selector_matches_as_its_requirements_read(labels in vec(label(), 0..6), asked in vec(asked(), 0..4)) {
        // The last label of a key stays, as in Cilium's map.
        let by_key: BTreeMap<&str, Parts> = labels.iter().map(|label| (label.1, *label)).collect();
        let set: LabelSet = labels
            .iter()
            .map(|(source, key, value)| Label::new(source.parse().unwrap(), key, value).unwrap())
            .collect();
        let requirements: Vec<Requirement> = asked
            .iter()
            .map(|(source, key, op, values)| Requirement::parse(&format!("{source}:{key}"), op, values).unwrap())
            .collect();
        let selector = Selector::new(requirements.iter().cloned());
        let expected = asked.iter().all(|one| naive(one, &by_key));
        prop_assert_eq!(selector.matches(&set), expected, "{} on {}", selector, set);
        prop_assert_eq!(selector.unmet(&set).is_none(), expected);
        // Order and repetition do not matter.
        let shuffled = Selector::new(requirements.iter().rev().chain(&requirements).cloned());
        prop_assert_eq!(&shuffled, &selector);
        prop_assert_eq!(shuffled.to_string(), selector.to_string());
    }

    #[test]
    fn selectors_are_equal_exactly_if_their_texts_are(a in vec(asked(), 0..3), b in vec(asked(), 0..3)) {
        let selector = |asked: &[Asked]| Selector::new(asked.iter().map(|(source, key, op, values)| {
            Requirement::parse(&format!("{source}:{key}"), op, values).unwrap()
        }));
        let (a, b) = (selector(&a), selector(&b));
        prop_assert_eq!(a == b, a.to_string() == b.to_string());
    }

    #[test]
    fn label_sets_survive_their_canonical_key(labels in vec(label(), 0..6)) {
        let set: LabelSet = labels
            .iter()
            .map(|(source, key, value)| Label::new(source.parse().unwrap(), key, value).unwrap())
            .collect();
        prop_assert_eq!(&LabelSet::from_canonical_key(&set.canonical_key()).unwrap(), &set);
        prop_assert_eq!(LabelSet::parse(set.iter().map(ToString::to_string)).unwrap(), set);
    }

    #[test]
    fn the_ipcache_finds_what_a_scan_finds(
        inserted in vec(prefixes(), 0..20), removed in vec(any::<prop::sample::Index>(), 0..6),
        probes in vec(prefixes(), 1..10),
    ) {
        let mut ipcache = Ipcache::new();
        let mut plain = BTreeMap::new();
        for (number, prefix) in inserted.iter().enumerate() {
            prop_assert_eq!(ipcache.insert(*prefix, number), plain.insert(*prefix, number));
        }
        for index in removed.iter().filter(|_| !inserted.is_empty()) {
            let prefix = *index.get(&inserted);
            prop_assert_eq!(ipcache.remove(prefix), plain.remove(&prefix));
        }
        prop_assert_eq!(ipcache.len(), plain.len());
        for probe in probes.iter().chain(&inserted) {
            let address = probe.address().ip();
            let best = plain
                .iter()
                .filter(|(prefix, _)| contains(**prefix, address))
                .max_by_key(|(prefix, _)| prefix.length());
            prop_assert_eq!(ipcache.lookup(address), best.map(|(prefix, value)| (*prefix, value)));

            let outer = |prefix: Prefix| contains(prefix, address) && prefix.length() <= probe.length();
            let mut covering: Vec<Prefix> = plain.keys().copied().filter(|one| outer(*one)).collect();
            covering.sort_by_key(|prefix| std::cmp::Reverse(prefix.length()));
            prop_assert_eq!(ipcache.covering(*probe).map(|(prefix, _)| prefix).collect::<Vec<_>>(), covering);

            let inside: Vec<Prefix> = plain
                .keys()
                .copied()
                .filter(|one| contains(*probe, one.address().ip()) && one.length() >= probe.length())
                .collect();
            prop_assert_eq!(ipcache.inside(*probe).map(|(prefix, _)| prefix).collect::<Vec<_>>(), inside);
        }
    }

    #[test]
    fn the_allocator_counts_as_a_list_of_holders_does(steps in vec((any::<bool>(), 0u32..6), 0..60)) {
        let range = Range::new(Identity::new(10), Identity::new(13)).unwrap();
        let mut allocator = Allocator::new(range);
        // One element per reference.
        let mut holders: Vec<(u32, Identity)> = Vec::new();
        for (allocate, name) in steps {
            let labels = LabelSet::parse([format!("k8s:app=n{name}")]).unwrap();
            let held = holders.iter().position(|holder| holder.0 == name);
            let distinct = |holders: &[(u32, Identity)]| {
                holders.iter().map(|holder| holder.1).collect::<std::collections::BTreeSet<_>>().len()
            };
            match (allocate, held) {
                (true, Some(at)) => {
                    let identity = holders[at].1;
                    prop_assert_eq!(allocator.allocate(&labels).unwrap(), (identity, Allocation::Existing));
                    holders.push((name, identity));
                }
                (true, None) if distinct(&holders) == 4 => {
                    prop_assert!(allocator.allocate(&labels).is_err());
                }
                (true, None) => {
                    let (identity, allocation) = allocator.allocate(&labels).unwrap();
                    prop_assert_eq!(allocation, Allocation::New);
                    prop_assert!(range.contains(identity));
                    prop_assert!(holders.iter().all(|holder| holder.1 != identity));
                    holders.push((name, identity));
                }
                (false, Some(at)) => {
                    let (_, identity) = holders.remove(at);
                    let left = holders.iter().any(|holder| holder.0 == name);
                    let expected = if left { Release::StillUsed } else { Release::Released };
                    prop_assert_eq!(allocator.release(identity), expected);
                }
                (false, None) => prop_assert_eq!(allocator.get(&labels), None),
            }
            prop_assert_eq!(allocator.len(), distinct(&holders));
            for (name, identity) in &holders {
                let labels = LabelSet::parse([format!("k8s:app=n{name}")]).unwrap();
                prop_assert_eq!(allocator.labels(*identity), Some(&labels));
                let references = holders.iter().filter(|holder| holder.0 == *name).count() as u64;
                prop_assert_eq!(allocator.references(*identity), references);
            }
        }
    }
}
