//! Names against patterns, answers into the cache, bytes into a message.
//!
//! Recorded of Cilium 1.20-dev (Go 1.26, this kind of machine), one name against N rules, hit and
//! miss: 25 and 23 µs at 100, 460 and 396 µs at 1,000, 11.3 and 15.8 ms at 10,000; deriving the
//! labels of a name: 24.5 µs, 384 µs, 17.6 ms; updating a name with one address: 1.2 µs among
//! 1,000 names, 2.0 µs among 100,000; unpacking an answer with a CNAME, 1 or 8 addresses and OPT:
//! 5.6 and 17.9 µs. What this project allows itself: 120 ns per match, 300 ns per update.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use palisade_abi::EndpointId;
use palisade_fqdn::wire::Message;
use palisade_fqdn::{Answer, Cache, DnsName, Filter, Limits, MatchPattern, PatternSet};

/// Makes the text of a number.
type Text = fn(u32) -> String;

fn match_a_name(criterion: &mut Criterion) {
    let shapes: [(&str, Text, Text); 3] = [
        (
            "half",
            |i| match i % 2 {
                0 => format!("host{i}.example.com"),
                _ => format!("*.sub{i}.example.com"),
            },
            |half| format!("w7.sub{}.example.com", half | 1),
        ),
        (
            "deep",
            |i| format!("**.zone{i}.example.com"),
            |half| format!("a.b.zone{half}.example.com"),
        ),
        (
            "glob",
            |i| format!("svc{i}-*-prod.example.com"),
            |half| format!("svc{half}-x-prod.example.com"),
        ),
    ];
    let mut group = criterion.benchmark_group("match");
    for (shape, pattern, hit) in shapes {
        for count in [100, 1_000, 10_000] {
            let mut set = PatternSet::default();
            for i in 0..count {
                set.insert(&parse(&pattern(i)));
            }
            let mut found = Vec::new();
            for (kind, name) in [
                ("hit", hit(count / 2)),
                ("miss", "www.notallowed.example.org".into()),
            ] {
                let name = DnsName::parse(&name).unwrap_or(DnsName::root());
                group.bench_function(
                    BenchmarkId::new(format!("{shape} {kind}"), count),
                    |bencher| {
                        bencher.iter(|| {
                            set.matching_into(black_box(&name), &mut found);
                            found.len()
                        });
                    },
                );
                assert_eq!(found.len(), usize::from(kind == "hit"));
            }
        }
    }
    group.finish();
}

fn decide_a_query(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decide");
    for count in [100, 10_000] {
        let mut filter = Filter::new();
        let rules = (0..count).map(|i| (parse(&format!("*.sub{i}.example.com")), i));
        filter.set("pod", rules);
        let name = DnsName::parse("w7.sub51.example.com").unwrap_or(DnsName::root());
        group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
            bencher.iter(|| filter.decide([&"pod"], black_box(&name)));
        });
    }
    group.finish();
}

fn install_rules(criterion: &mut Criterion) {
    criterion.bench_function(
        "set 600 names and 30 patterns for one of 60 endpoints",
        |bencher| {
            let mut filter = Filter::new();
            let mut endpoint = 0_u32;
            bencher.iter(|| {
                let patterns = (0..30).map(|i| format!("*.bar{i}another.very.long.domain.here"));
                let names =
                    (0..600).map(|i| format!("{i}very.long.domain.containing.a.lot.of.chars"));
                let own = [format!("custom{endpoint}.test")];
                let rules = patterns.chain(names).chain(own).zip(0_u32..);
                filter.set(endpoint, rules.map(|(text, rule)| (parse(&text), rule)));
                filter.remove(&endpoint.wrapping_sub(60));
                endpoint += 1;
            });
        },
    );
}

fn update_the_cache(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("cache update");
    for count in [1_000, 100_000] {
        let limits = Limits {
            names_per_endpoint: count,
            addresses_per_endpoint: count,
            bytes_per_endpoint: usize::MAX,
            ..Limits::default()
        };
        let mut cache = Cache::new(limits);
        let names: Vec<DnsName> = (0..count)
            .filter_map(|i| DnsName::parse(&format!("domain-{i}.com")).ok())
            .collect();
        let mut now = Duration::ZERO;
        let mut update = |name: &DnsName| {
            now += Duration::from_millis(1);
            let addresses = [IpAddr::from(Ipv4Addr::new(192, 0, 2, 1))];
            let (endpoint, ttl) = (EndpointId::new(1), Duration::from_secs(86_400));
            let answer = Answer {
                endpoint,
                name,
                addresses: &addresses,
                ttl,
            };
            cache.update(&answer, now, &|_, _| false)
        };
        for name in &names {
            assert_eq!(update(name).added.len(), 1);
        }
        let mut next = names.iter().cycle();
        group.bench_function(BenchmarkId::new("known name among", count), |bencher| {
            bencher.iter(|| next.next().map(&mut update));
        });
    }
    group.finish();
}

fn read_a_message(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("read an answer");
    for addresses in [1, 8] {
        let bytes = answer(addresses);
        group.bench_function(BenchmarkId::new("addresses", addresses), |bencher| {
            bencher.iter(|| {
                let message = Message::parse(black_box(&bytes)).ok()?;
                message.resolution().ok()
            });
        });
        group.bench_function(BenchmarkId::new("question only", addresses), |bencher| {
            bencher.iter(|| Message::parse(black_box(&bytes)).is_ok());
        });
    }
    group.finish();
}

/// A response with a CNAME, so many addresses, and OPT.
fn answer(addresses: u8) -> Vec<u8> {
    let mut bytes = vec![0, 1, 0x81, 0x80, 0, 1, 0, 1 + addresses, 0, 0, 0, 1];
    bytes.extend(b"\x03www\x07example\x03com\0\0\x01\0\x01");
    bytes.extend(b"\xc0\x0c\0\x05\0\x01\0\0\x01\0\0\x06\x03cdn\xc0\x10");
    for last in 0..addresses {
        bytes.extend(b"\xc0\x2d\0\x01\0\x01\0\0\0\x1e\0\x04\xc0\0\x02");
        bytes.push(last);
    }
    bytes.extend(b"\0\0\x29\x04\xd0\0\0\0\0\0\0");
    bytes
}

fn parse(text: &str) -> MatchPattern {
    text.parse()
        .unwrap_or_else(|error| unreachable!("{text}: {error}"))
}

criterion_group!(
    benches,
    match_a_name,
    decide_a_query,
    install_rules,
    update_the_cache,
    read_a_message
);
criterion_main!(benches);
