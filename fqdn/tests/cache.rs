//! The cache beside a model that keeps a plain list and looks through all of it.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use palisade_abi::{Address, EndpointId};
use palisade_fqdn::{
    Answer, Bound, Cache, Changes, DnsName, Eviction, Limits, MatchPattern, Usage, journal,
};
use palisade_testkit::cases;
use proptest::prelude::*;

type Pair = (IpAddr, DnsName);

const LIMITS: Limits = Limits {
    addresses_per_name: 4,
    names_per_endpoint: 5,
    addresses_per_endpoint: 9,
    bytes_per_endpoint: 1200,
    addresses: 20,
    bytes: 2700,
    min_ttl: Duration::from_millis(1500),
    max_ttl: Duration::from_secs(20),
    grace: Duration::from_millis(500),
};

#[derive(Clone, Debug)]
struct Held {
    endpoint: u16,
    name: DnsName,
    address: IpAddr,
    expires: Duration,
    used: u64,
}

#[derive(Default)]
struct Model {
    held: Vec<Held>,
    /// When a name was last used, which is not always when one of its addresses was.
    used: BTreeMap<(u16, DnsName), u64>,
    turn: u64,
    evicted: Vec<Eviction>,
}

impl Model {
    fn pairs(&self) -> BTreeSet<Pair> {
        let pairs = self.held.iter();
        pairs
            .map(|held| (held.address, held.name.clone()))
            .collect()
    }

    fn update(&mut self, step: &Update, now: Duration, live: &Alive) {
        if step.addresses.is_empty() {
            return;
        }
        self.turn += 1;
        let ttl = step.ttl.max(LIMITS.min_ttl).min(LIMITS.max_ttl);
        let expires = now + ttl + LIMITS.grace;
        let key = (step.endpoint, step.name.clone());
        for address in step.addresses.iter().take(LIMITS.addresses_per_name) {
            let known = self.held.iter_mut().find(|held| {
                (held.endpoint, &held.name) == (key.0, &key.1) && held.address == *address
            });
            if let Some(held) = known {
                held.expires = held.expires.max(expires);
                held.used = self.turn;
            } else {
                let (endpoint, name) = key.clone();
                let (address, used) = (*address, self.turn);
                self.held.push(Held {
                    endpoint,
                    name,
                    address,
                    expires,
                    used,
                });
            }
        }
        self.used.insert(key.clone(), self.turn);
        self.trim_addresses(&key, live);
        while let Some(bound) = self.over_in(step.endpoint)
            && self.give_up(step.endpoint, &key, bound, live)
        {}
        while let Some(bound) = self.over()
            && let Some(largest) = self.largest(&key)
            && self.give_up(largest, &key, bound, live)
        {}
    }

    fn trim_addresses(&mut self, key: &(u16, DnsName), live: &Alive) {
        let of_name = |held: &&Held| (held.endpoint, &held.name) == (key.0, &key.1);
        let count = self.held.iter().filter(of_name).count();
        let mut older: Vec<Held> = self.held.iter().filter(of_name).cloned().collect();
        older.retain(|held| held.used < self.turn);
        older.sort_by_key(|held| (held.used, held.address));
        let excess = count.saturating_sub(LIMITS.addresses_per_name);
        let alive = |held: &&Held| live.contains(&(key.0, held.address));
        let dead: Vec<&Held> = older
            .iter()
            .filter(|held| !alive(held))
            .take(excess)
            .collect();
        let missing = excess - dead.len();
        let passed = older.iter().filter(|held| match dead.last() {
            Some(last) if missing == 0 => (held.used, held.address) < (last.used, last.address),
            _ => excess > 0,
        });
        let passed: Vec<&Held> = passed.filter(alive).collect();
        let (live_victims, spared) = passed.split_at(missing);
        let gone = |held: &Held| {
            let mut victims = dead.iter().chain(live_victims);
            of_name(&held) && victims.any(|victim| victim.address == held.address)
        };
        let spared: Vec<IpAddr> = spared.iter().map(|held| held.address).collect();
        let mut held = self.held.clone();
        held.retain(|held| !gone(held));
        for held in held.iter_mut().filter(|held| of_name(&&**held)) {
            if spared.contains(&held.address) {
                held.used = self.turn;
            }
        }
        self.held = held;
        if excess > 0 {
            let victims = dead.iter().chain(live_victims);
            let mut addresses: Vec<IpAddr> = victims.map(|victim| victim.address).collect();
            addresses.sort_unstable_by_key(|address| Address::from(*address));
            self.evicted.push(Eviction {
                endpoint: EndpointId::new(key.0),
                name: key.1.clone(),
                addresses,
                bound: Bound::AddressesPerName,
                live: !live_victims.is_empty(),
            });
        }
    }

    /// Names, addresses and bytes of an endpoint, or of all.
    fn sums(&self, endpoint: Option<u16>) -> (usize, usize, usize) {
        let mine = |of: u16| endpoint.is_none_or(|endpoint| endpoint == of);
        let names: Vec<_> = self.used.keys().filter(|(of, _)| mine(*of)).collect();
        let addresses = self.held.iter().filter(|held| mine(held.endpoint)).count();
        let lengths = names.iter().map(|(_, name)| 120 + name.as_wire().len());
        (
            names.len(),
            addresses,
            lengths.sum::<usize>() + 80 * addresses,
        )
    }

    fn over_in(&self, endpoint: u16) -> Option<Bound> {
        let (names, addresses, bytes) = self.sums(Some(endpoint));
        let over = [
            (names > LIMITS.names_per_endpoint, Bound::NamesPerEndpoint),
            (
                addresses > LIMITS.addresses_per_endpoint,
                Bound::AddressesPerEndpoint,
            ),
            (bytes > LIMITS.bytes_per_endpoint, Bound::BytesPerEndpoint),
        ];
        over.iter().find(|(over, _)| *over).map(|(_, bound)| *bound)
    }

    fn over(&self) -> Option<Bound> {
        let (_, addresses, bytes) = self.sums(None);
        let over = [
            (addresses > LIMITS.addresses, Bound::Addresses),
            (bytes > LIMITS.bytes, Bound::Bytes),
        ];
        over.iter().find(|(over, _)| *over).map(|(_, bound)| *bound)
    }

    /// Who uses most and has another name than the newest.
    fn largest(&self, newest: &(u16, DnsName)) -> Option<u16> {
        let endpoints: BTreeSet<u16> = self
            .used
            .keys()
            .filter(|key| *key != newest)
            .map(|key| key.0)
            .collect();
        endpoints
            .into_iter()
            .max_by_key(|endpoint| (self.sums(Some(*endpoint)).2, *endpoint))
    }

    fn give_up(
        &mut self,
        endpoint: u16,
        newest: &(u16, DnsName),
        bound: Bound,
        live: &Alive,
    ) -> bool {
        let mut names: Vec<_> = self
            .used
            .iter()
            .filter(|(key, _)| key.0 == endpoint && *key != newest)
            .collect();
        names.sort_by_key(|(_, used)| **used);
        let dead = |key: &&(u16, DnsName)| {
            let mut held = self.held.iter().filter(|held| held.name == key.1);
            !held.any(|held| held.endpoint == endpoint && live.contains(&(endpoint, held.address)))
        };
        let keys = names.into_iter().map(|(key, _)| key);
        let (dead, alive): (Vec<_>, Vec<_>) = keys.partition(dead);
        let victim = dead.first().or(alive.first()).copied().cloned();
        let Some(victim) = victim else {
            return false;
        };
        let is_live = dead.is_empty();
        // Live names are passed over up to the victim, or all of them if every name is live.
        let used = |key: &(u16, DnsName)| self.used.get(key).copied();
        let passed = alive
            .into_iter()
            .filter(|key| is_live || used(key) < used(&victim));
        let spared: Vec<_> = passed.filter(|key| **key != victim).cloned().collect();
        for key in spared {
            self.turn += 1;
            self.used.insert(key, self.turn);
        }
        let of_victim = |held: &&Held| (held.endpoint, &held.name) == (victim.0, &victim.1);
        let mut addresses: Vec<IpAddr> = self
            .held
            .iter()
            .filter(of_victim)
            .map(|held| held.address)
            .collect();
        addresses.sort_unstable_by_key(|address| Address::from(*address));
        self.evicted.push(Eviction {
            endpoint: EndpointId::new(victim.0),
            name: victim.1.clone(),
            addresses,
            bound,
            live: is_live,
        });
        self.forget(|held| (held.endpoint, &held.name) == (victim.0, &victim.1));
        true
    }

    fn expire(&mut self, now: Duration, live: &Alive) {
        self.turn += 1;
        let mut kept = BTreeSet::new();
        for held in &mut self.held {
            let alive = live.contains(&(held.endpoint, held.address));
            if held.expires <= now && alive {
                held.used = self.turn;
                let key = (held.endpoint, held.name.clone());
                kept.insert((self.used.get(&key).copied(), key));
            }
        }
        for (_, key) in kept {
            self.turn += 1;
            self.used.insert(key, self.turn);
        }
        self.forget(|held| held.expires <= now && !live.contains(&(held.endpoint, held.address)));
    }

    fn forget(&mut self, gone: impl Fn(&Held) -> bool) {
        self.held.retain(|held| !gone(held));
        let held = &self.held;
        self.used.retain(|(endpoint, name), _| {
            held.iter()
                .any(|held| held.endpoint == *endpoint && held.name == *name)
        });
    }
}

type Alive = BTreeSet<(u16, IpAddr)>;

#[derive(Clone, Debug)]
struct Update {
    endpoint: u16,
    name: DnsName,
    addresses: Vec<IpAddr>,
    ttl: Duration,
}

#[derive(Clone, Debug)]
enum Step {
    Update(Update),
    Expire,
    Live(Alive),
    RemoveEndpoint(u16),
    Forget(DnsName),
    Restart,
}

fn endpoint() -> impl Strategy<Value = u16> {
    1_u16..4
}

fn address() -> impl Strategy<Value = IpAddr> {
    (1_u8..9).prop_map(|last| IpAddr::from([192, 0, 2, last]))
}

fn name() -> impl Strategy<Value = DnsName> {
    "[a-f]".prop_map(|label| DnsName::parse(&label).unwrap_or(DnsName::root()))
}

fn update() -> impl Strategy<Value = Update> {
    let addresses = prop::collection::vec(address(), 0..6);
    (endpoint(), name(), addresses, 0_u64..6000).prop_map(|(endpoint, name, addresses, ttl)| {
        let ttl = Duration::from_millis(ttl);
        Update {
            endpoint,
            name,
            addresses,
            ttl,
        }
    })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => update().prop_map(Step::Update),
        4 => Just(Step::Expire),
        3 => prop::collection::btree_set((endpoint(), address()), 0..8).prop_map(Step::Live),
        1 => endpoint().prop_map(Step::RemoveEndpoint),
        1 => name().prop_map(Step::Forget),
        1 => Just(Step::Restart),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(256)))]

    #[test]
    fn the_cache_does_what_the_list_does(steps in prop::collection::vec((step(), 0_u64..2500), 1..80)) {
        let (mut cache, mut model) = (Cache::new(LIMITS), Model::default());
        let (mut now, mut alive) = (Duration::ZERO, Alive::new());
        let mut journal = cache.start_journal();
        for (number, (step, pause)) in steps.into_iter().enumerate() {
            now += Duration::from_millis(pause);
            let before = model.pairs();
            let live = |endpoint: EndpointId, address| alive.contains(&(endpoint.get(), address));
            let mut changes = match step {
                Step::Update(update) => {
                    model.update(&update, now, &alive);
                    let Update { endpoint, name, addresses, ttl } = &update;
                    let endpoint = EndpointId::new(*endpoint);
                    let (ttl, name) = (*ttl, name);
                    cache.update(&Answer { endpoint, name, addresses, ttl }, now, &live)
                }
                Step::Expire => {
                    model.expire(now, &alive);
                    cache.expire(now, &live)
                }
                Step::Live(now_alive) => {
                    alive = now_alive;
                    continue;
                }
                Step::RemoveEndpoint(endpoint) => {
                    model.forget(|held| held.endpoint == endpoint);
                    cache.remove_endpoint(EndpointId::new(endpoint))
                }
                Step::Forget(name) => {
                    model.forget(|held| held.name == name);
                    cache.forget(&MatchPattern::parse_name(&name.to_string(), palisade_fqdn::Level::Agent)?)
                }
                Step::Restart => {
                    journal.extend(cache.take_journal());
                    cut_anywhere(&journal, now)?;
                    cache = Cache::restore(LIMITS, &cache.snapshot());
                    journal = cache.start_journal();
                    Changes::default()
                }
            };
            let evicted = std::mem::take(&mut changes.evicted);
            prop_assert_eq!(evicted, std::mem::take(&mut model.evicted));
            compare(&cache, &model, &before, changes)?;
            let due = cache.next_expiry();
            let first = model.held.iter().map(|held| held.expires).min();
            prop_assert!(due <= first.map(|first| first.max(now)) && due.is_some() == first.is_some());
            journal.extend(cache.take_journal());
            if number % 8 > 0 {
                continue;
            }
            let replayed = Cache::replay(LIMITS, &journal);
            prop_assert_eq!((replayed.length, replayed.cut), (journal.len(), None));
            prop_assert_eq!(unordered(&replayed.cache), unordered(&cache));
            prop_assert_eq!(replayed.cache.usage(), cache.usage());
        }
        let gone = cache.expire(Duration::MAX, &|_, _| false);
        prop_assert_eq!(gone.removed.into_iter().collect::<BTreeSet<_>>(), model.pairs());
        prop_assert!(cache.lookups().next().is_none() && cache.pair_count() == 0);
        prop_assert_eq!(cache.usage(), Usage::default());
    }

    #[test]
    fn a_changed_byte_cuts_a_journal(
        updates in prop::collection::vec(update(), 1..20),
        place in any::<prop::sample::Index>(),
        flip in 1_u8..,
    ) {
        let mut cache = Cache::new(LIMITS);
        let mut journal = cache.start_journal();
        for Update { endpoint, name, addresses, ttl } in &updates {
            let (endpoint, ttl) = (EndpointId::new(*endpoint), *ttl);
            let _changes = cache.update(&Answer { endpoint, name, addresses, ttl }, SECOND, &|_, _| false);
        }
        journal.extend(cache.take_journal());
        let whole = Cache::replay(LIMITS, &journal);
        prop_assert_eq!(whole.cut, None);
        let place = place.index(journal.len());
        journal[place] ^= flip;
        let cut = Cache::replay(LIMITS, &journal);
        prop_assert!(cut.cut.is_some_and(|cut| cut.offset <= place) && cut.length <= place);
        prop_assert_eq!(unordered(&Cache::replay(LIMITS, journal.get(..cut.length).unwrap_or_default()).cache), unordered(&cut.cache));
    }
}

/// What is held, whatever was used when.
fn unordered(cache: &Cache) -> BTreeSet<(u16, DnsName, IpAddr, Duration)> {
    let lookups = cache.lookups();
    lookups
        .map(|at| (at.endpoint.get(), at.name.clone(), at.address, at.expires))
        .collect()
}

/// A journal cut at any byte is good up to the last whole entry.
fn cut_anywhere(journal: &[u8], now: Duration) -> Result<(), TestCaseError> {
    let mut ends = BTreeSet::from([0]);
    let mut entries = journal::Entries::new(journal);
    prop_assert!(journal.len() >= 16);
    ends.insert(16);
    while let Some(entry) = entries.next() {
        prop_assert!(entry.is_ok());
        ends.insert(entries.length());
    }
    for end in (0..=journal.len()).step_by(1 + journal.len() / 37) {
        let replayed = Cache::replay(LIMITS, journal.get(..end).unwrap_or_default());
        prop_assert_eq!(Some(&replayed.length), ends.range(..=end).next_back());
        prop_assert_eq!(
            replayed.cut.is_some(),
            replayed.length < end,
            "{:?} {:?}",
            replayed.cut,
            now
        );
    }
    Ok(())
}

fn compare(
    cache: &Cache,
    model: &Model,
    before: &BTreeSet<Pair>,
    changes: Changes,
) -> Result<(), TestCaseError> {
    let after = model.pairs();
    let lookups = cache
        .lookups()
        .map(|at| (at.endpoint.get(), at.name, at.address, at.expires));
    let lookups: BTreeSet<_> = lookups.collect();
    let held = model
        .held
        .iter()
        .map(|at| (at.endpoint, &at.name, at.address, at.expires));
    prop_assert_eq!(lookups, held.collect::<BTreeSet<_>>());
    let (added, removed) = (changes.added.len(), changes.removed.len());
    let added_set: BTreeSet<Pair> = changes.added.into_iter().collect();
    let removed_set: BTreeSet<Pair> = changes.removed.into_iter().collect();
    prop_assert_eq!(
        (added_set.len(), removed_set.len()),
        (added, removed),
        "told twice"
    );
    prop_assert_eq!(
        added_set,
        after.difference(before).cloned().collect::<BTreeSet<_>>()
    );
    prop_assert_eq!(
        removed_set,
        before.difference(&after).cloned().collect::<BTreeSet<_>>()
    );
    prop_assert_eq!(cache.pair_count(), after.len());
    let names: BTreeSet<_> = after.iter().map(|(_, name)| name).collect();
    prop_assert_eq!(cache.name_count(), names.len());
    for (address, _) in &after {
        let names: BTreeSet<_> = cache.names_of(*address).collect();
        let expected = after
            .iter()
            .filter(|(other, _)| other == address)
            .map(|(_, name)| name);
        prop_assert_eq!(names, expected.collect::<BTreeSet<_>>());
    }
    Ok(())
}

const SECOND: Duration = Duration::from_secs(1);

fn learn(cache: &mut Cache, name: &DnsName, addresses: &[IpAddr]) -> Changes {
    let (endpoint, ttl, now) = (EndpointId::new(1), 5 * SECOND, SECOND);
    cache.update(
        &Answer {
            endpoint,
            name,
            addresses,
            ttl,
        },
        now,
        &|_, _| false,
    )
}

#[test]
fn an_ipv4_address_in_ipv6_form_is_the_same_address() -> Result<(), Box<dyn Error>> {
    let mut cache = Cache::new(Limits::default());
    let name = DnsName::parse("a.test")?;
    let plain: IpAddr = "192.0.2.1".parse()?;
    let added = learn(&mut cache, &name, &["::ffff:192.0.2.1".parse()?, plain]).added;
    assert_eq!(added, [(plain, name)]);
    Ok(())
}

#[test]
fn the_next_expiry_is_never_too_late() -> Result<(), Box<dyn Error>> {
    let mut cache = Cache::new(Limits {
        grace: Duration::ZERO,
        ..Limits::default()
    });
    assert_eq!(cache.next_expiry(), None);
    let address: IpAddr = "192.0.2.1".parse()?;
    let added = learn(&mut cache, &DnsName::parse("a.test")?, &[address]).added;
    assert_eq!(added.len(), 1);
    assert_eq!(cache.next_expiry(), Some(6 * SECOND));
    assert!(cache.expire(6 * SECOND, &|_, _| true).is_empty());
    assert!(cache.next_expiry() <= Some(6 * SECOND));
    Ok(())
}

#[test]
fn twenty_thousand_names_of_one_address_go_at_once() -> Result<(), Box<dyn Error>> {
    let mut cache = Cache::new(Limits {
        names_per_endpoint: 20_000,
        bytes_per_endpoint: 8 << 20,
        ..Limits::default()
    });
    let address: IpAddr = "192.0.2.1".parse()?;
    for number in 0..20_000 {
        let name = DnsName::parse(&format!("{number}.test"))?;
        assert_eq!(learn(&mut cache, &name, &[address]).added.len(), 1);
    }
    assert_eq!(cache.matching(&"1*.test".parse()?).len(), 11_111);
    assert!(cache.expire(9 * SECOND, &|_, _| false).is_empty());
    assert_eq!(
        cache.expire(11 * SECOND, &|_, _| false).removed.len(),
        20_000
    );
    assert_eq!(cache.pair_count(), 0);
    Ok(())
}

/// A name of an object store: 8 of 4,096 addresses an answer, a TTL of 5 s, and connections that
/// stay open for minutes.
#[test]
fn an_hour_of_changing_addresses_cuts_no_connection() -> Result<(), Box<dyn Error>> {
    let limits = Limits {
        addresses_per_name: 1000,
        ..Limits::default()
    };
    let mut cache = Cache::new(limits);
    let name = DnsName::parse("bucket.s3.test")?;
    let mut open: BTreeMap<IpAddr, u32> = BTreeMap::new();
    for answer in 0..720_u32 {
        let now = answer * 5 * SECOND;
        let pick =
            |nth: u32| (answer.wrapping_mul(2_654_435_761) >> 16).wrapping_add(nth * 509) % 4096;
        let addresses: Vec<IpAddr> = (0..8)
            .map(|nth| Ipv4Addr::from(0x0a00_0000 + pick(nth)).into())
            .collect();
        open.insert(addresses[0], answer + 60);
        open.retain(|_, until| *until > answer);
        let live = |_, address| open.contains_key(&address);
        let (endpoint, ttl) = (EndpointId::new(1), 5 * SECOND);
        let answer = Answer {
            endpoint,
            name: &name,
            addresses: &addresses,
            ttl,
        };
        let mut gone = cache.update(&answer, now, &live).removed;
        gone.extend(cache.expire(now, &live).removed);
        assert!(gone.iter().all(|(address, _)| !open.contains_key(address)));
        assert!(
            open.keys()
                .all(|address| cache.names_of(*address).any(|known| *known == name))
        );
        assert!(cache.pair_count() <= 100);
    }
    Ok(())
}
