//! The figures that this crate is held to, in a few seconds: `cargo run --release --example figures`.
//!
//! Long times are processor time, short ones the least of several runs: other work on the machine
//! disturbs these least. Memory is what the process gained.

#![expect(
    clippy::cast_precision_loss,
    clippy::print_stdout,
    reason = "figures for people"
)]

use std::error::Error;
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use palisade_abi::EndpointId;
use palisade_fqdn::{Answer, Cache, DnsName, Filter, Limits, MatchPattern, PatternSet};

fn main() -> Result<(), Box<dyn Error>> {
    // First, while no freed memory hides what it takes.
    install_rules()?;
    match_a_name()?;
    update_the_cache()?;
    expire_one_address()
}

fn match_a_name() -> Result<(), Box<dyn Error>> {
    for count in [100, 1_000, 10_000] {
        let mut set = PatternSet::default();
        let mut filter = Filter::new();
        let mut rules: Vec<(MatchPattern, u32)> = Vec::new();
        for i in 0..count {
            let pattern = match i % 2 {
                0 => format!("host{i}.example.com").parse()?,
                _ => format!("*.sub{i}.example.com").parse()?,
            };
            set.insert(&pattern);
            rules.push((pattern, i));
        }
        filter.set(7_u16, rules);
        let hit = DnsName::parse(&format!("w7.sub{}.example.com", (count / 2) | 1))?;
        let miss = DnsName::parse("www.notallowed.example.org")?;
        let mut found = Vec::new();
        for (kind, name) in [("hit", &hit), ("miss", &miss)] {
            let matching = least(20_000, || set.matching_into(black_box(name), &mut found));
            let deciding = least(20_000, || {
                black_box(filter.decide([&7], black_box(name)));
            });
            println!("{count} patterns, {kind}: match {matching:.0} ns, decide {deciding:.0} ns");
        }
    }
    Ok(())
}

fn update_the_cache() -> Result<(), Box<dyn Error>> {
    for count in [1_000_u32, 100_000, 500_000] {
        let names: Vec<DnsName> = (0..count)
            .map(|i| DnsName::parse(&format!("domain-{i}.com")))
            .collect::<Result<_, _>>()?;
        let mut cache = Cache::new(roomy());
        let before = resident()?;
        // A name that the cache holds has no other owner: count its bytes too.
        for (i, name) in (0..).zip(&names) {
            let own = DnsName::from_wire(name.as_wire())?;
            learn(&mut cache, &own, Ipv4Addr::from(0x0a00_0000 + i));
        }
        let bytes = (resident()? - before) as f64 / f64::from(count);
        let mut known: Vec<(u32, &DnsName)> = (0..).zip(&names).collect();
        let mut best = f64::INFINITY;
        for round in 0..5 {
            let turn = 7919 * round % known.len();
            known.rotate_left(turn);
            let updates = count.max(100_000);
            let start = worked()?;
            for (i, name) in known.iter().cycle().take(updates as usize) {
                learn(&mut cache, name, Ipv4Addr::from(0x0a00_0000 + i));
            }
            best = best.min(worked()?.saturating_sub(start).as_nanos() as f64 / f64::from(updates));
        }
        println!(
            "{count} names of one address: {bytes:.0} bytes each ({} counted), {best:.0} ns per update",
            cache.usage().bytes / names.len()
        );
    }
    Ok(())
}

fn expire_one_address() -> Result<(), Box<dyn Error>> {
    let mut best = Duration::MAX;
    for _ in 0..5 {
        let mut cache = Cache::new(roomy());
        for i in 0..20_000 {
            let name = DnsName::parse(&format!("{i}.example.com"))?;
            learn(&mut cache, &name, Ipv4Addr::new(192, 0, 2, 1));
        }
        let start = worked()?;
        let gone = cache.expire(Duration::from_secs(1 << 20), &|_, _| false);
        best = best.min(worked()?.saturating_sub(start));
        assert_eq!(gone.removed.len(), 20_000);
    }
    println!("20,000 names of one address expire in {best:.1?}");
    Ok(())
}

/// 10,000 endpoints, each with 30 patterns and 600 names in common with all others, 9 of 10 with
/// two of their own, every twentieth with `*`.
fn install_rules() -> Result<(), Box<dyn Error>> {
    let patterns = (0..30).map(|i| format!("*.bar{i}another.very.long.domain.here"));
    let names = (0..600).map(|i| format!("{i}very.long.domain.containing.a.lot.of.chars"));
    let common: Vec<String> = patterns.chain(names).collect();
    let parsed: Vec<MatchPattern> = common
        .iter()
        .map(|text| text.parse())
        .collect::<Result<_, _>>()?;
    for (how, parse_again) in [("parsed once", false), ("parsed for each", true)] {
        let before = resident()?;
        let mut filter = Filter::new();
        let start = worked()?;
        for endpoint in 0..10_000_u32 {
            let mut rules = Vec::with_capacity(633);
            for (text, pattern) in common.iter().zip(&parsed) {
                rules.push(if parse_again {
                    text.parse()?
                } else {
                    pattern.clone()
                });
            }
            if endpoint % 10 != 0 {
                rules.push(format!("custom{endpoint}.test").parse()?);
                rules.push(format!("*.custom{endpoint}.test").parse()?);
            }
            if endpoint % 20 == 0 {
                rules.push("*".parse()?);
            }
            filter.set(endpoint, rules.into_iter().zip(0_u32..));
        }
        let time = worked()?.saturating_sub(start);
        let bytes = resident()?.saturating_sub(before);
        println!(
            "10,000 endpoints of 632 rules, {how}: {time:.1?}, {} MB",
            bytes >> 20
        );
    }
    Ok(())
}

fn learn(cache: &mut Cache, name: &DnsName, address: Ipv4Addr) {
    let answer = Answer {
        endpoint: EndpointId::new(1),
        name,
        addresses: &[IpAddr::from(address)],
        ttl: Duration::from_secs(3600),
    };
    let changes = cache.update(&answer, Duration::ZERO, &|_, _| false);
    black_box(changes.is_empty());
}

fn roomy() -> Limits {
    Limits {
        names_per_endpoint: usize::MAX,
        addresses_per_endpoint: usize::MAX,
        bytes_per_endpoint: usize::MAX,
        addresses: usize::MAX,
        bytes: usize::MAX,
        ..Limits::default()
    }
}

/// The least time of one call over ten runs, in nanoseconds.
fn least(calls: u32, mut call: impl FnMut()) -> f64 {
    let runs = (0..10).map(|_| {
        let start = Instant::now();
        for _ in 0..calls {
            call();
        }
        start.elapsed().as_nanos() as f64 / f64::from(calls)
    });
    runs.fold(f64::INFINITY, f64::min)
}

/// How long this thread was at work, which others on the machine do not change.
fn worked() -> Result<Duration, Box<dyn Error>> {
    let times = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanos = times.split(' ').next().ok_or("no time")?;
    Ok(Duration::from_nanos(nanos.parse()?))
}

/// Bytes of memory that the process has.
fn resident() -> Result<u64, Box<dyn Error>> {
    let pages = std::fs::read_to_string("/proc/self/statm")?;
    let resident = pages.split(' ').nth(1).ok_or("no resident size")?;
    Ok(resident.parse::<u64>()? * 4096)
}
