//! Cilium's entries against the tables.

#![expect(
    clippy::unwrap_used,
    dead_code,
    reason = "a test that meets something unexpected fails, and uses a part of what is shared"
)]

#[path = "support/world.rs"]
mod world;

use palisade_abi::{Action, Direction, Identity, Protocol, ProxyPort, TableSizes};
use palisade_policy::flat::{Entry, FlatPolicy, Key, PortPrefix, count, policies};
use palisade_policy::{Desired, Tables};
use palisade_testkit::cases;
use proptest::prelude::*;

use self::world::World;

const SIZES: TableSizes = TableSizes {
    policies: 64,
    row_slots: 4_096,
    rows: 1_024,
    cell_slots: 65_536,
    verdicts: 4_096,
    endpoints: 16,
    ipcache: 16,
    conntrack: 16,
    events: 4_096,
};

fn config(usual: u32) -> ProptestConfig {
    ProptestConfig {
        cases: cases(usual),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config(150))]

    #[test]
    fn the_lookup_says_what_the_tables_say(worlds in world::worlds(1)) {
        for world in &worlds {
            let mut tables = Tables::new(SIZES);
            tables.update(&world.desired()).unwrap();
            for (endpoint, policy) in world.endpoints.iter().zip(policies(&world.desired())) {
                let is_void = tables.conflicts().contains_key(&endpoint.id);
                prop_assert_eq!(policy.is_err(), is_void);
                if let Ok(policy) = policy {
                    same(world, &tables, &policy)?;
                }
            }
        }
    }

    #[test]
    fn the_order_of_policies_and_identities_does_not_matter(worlds in world::worlds(1)) {
        for world in worlds {
            let mut backwards = world.policies.clone();
            backwards.reverse();
            let desired = world.desired();
            let other = Desired { policies: &backwards, ..desired };
            for (one, other) in policies(&desired).into_iter().zip(policies(&other)) {
                prop_assert_eq!(entries(one), entries(other));
            }
        }
    }

    #[test]
    fn an_entry_is_laid_out_as_the_map_has_it(worlds in world::worlds(1)) {
        for (key, entry) in worlds.iter().flat_map(every_entry) {
            let bytes = entry.to_bytes(key);
            let proxy = entry.proxy_port.map_or(0, ProxyPort::get);
            prop_assert_eq!(&bytes[..2], &proxy.to_be_bytes());
            // Bits 1 and 2 are reserved.
            let denies = u8::from(entry.action() == Action::Deny);
            prop_assert_eq!(bytes[2] & 0b111, denies);
            prop_assert_eq!(u32::from(bytes[2] >> 3) + 40, u32::from(key.prefix_length()));
            prop_assert_eq!((bytes[3] & 0x7f, bytes[3] >> 7 == 1), (entry.auth.kind(), entry.auth.is_explicit()));
            prop_assert_eq!(&bytes[4..8], &entry.precedence.get().to_ne_bytes());
            prop_assert_eq!(&bytes[8..], &[0; 4]);
        }
    }

    #[test]
    fn entries_are_counted_as_they_are_made(worlds in world::worlds(1)) {
        for world in &worlds {
            let all: usize = policies(&world.desired()).iter().flatten().map(FlatPolicy::len).sum();
            prop_assert_eq!(count(&world.desired()), u64::try_from(all).unwrap());
            let mut tables = Tables::new(SIZES);
            tables.update(&world.desired()).unwrap();
            prop_assert_eq!(tables.flat_entries(), count(&world.desired()));
        }
    }

    #[test]
    fn a_key_is_laid_out_as_the_map_has_it(
        identity: u32, egress: bool, protocol in 1_u8.., port: u16, length in 0_u8..=16,
    ) {
        let direction = if egress { Direction::Egress } else { Direction::Ingress };
        let ports = PortPrefix::new(Protocol::new(protocol), port, length);
        let key = Key { direction, ports, identity: Identity::new(identity) };
        let bytes = key.to_bytes();
        prop_assert_eq!(&bytes[..4], &(48 + u32::from(length)).to_ne_bytes());
        prop_assert_eq!(&bytes[4..8], &identity.to_ne_bytes());
        prop_assert_eq!((bytes[8], bytes[9]), (u8::from(egress), protocol));
        prop_assert_eq!(&bytes[10..], &ports.port().to_be_bytes());
        prop_assert!(ports.covers(PortPrefix::exact(Protocol::new(protocol), port)));
    }
}

fn every_entry(world: &World) -> Vec<(Key, Entry)> {
    let policies = policies(&world.desired()).into_iter().flatten();
    policies
        .flat_map(|policy| policy.entries().collect::<Vec<_>>())
        .collect()
}

fn entries<E>(policy: Result<FlatPolicy, E>) -> Option<Vec<(Key, Entry)>> {
    policy.ok().map(|policy| policy.entries().collect())
}

fn same(world: &World, tables: &Tables, policy: &FlatPolicy) -> Result<(), TestCaseError> {
    for direction in Direction::BOTH {
        for identity in world.identities.keys() {
            for (protocol, port) in world::ports() {
                let verdict = tables.verdict(policy.endpoint, direction, *identity, protocol, port);
                let found = policy.side(direction).lookup(*identity, protocol, port);
                let (action, proxy, auth) = found.map_or((Action::Deny, 0, 0), |(_, one)| {
                    let proxy = one.proxy_port.map_or(0, ProxyPort::get);
                    (one.action(), proxy, one.auth.kind())
                });
                let wanted = (verdict.action(), verdict.proxy_port, verdict.auth());
                prop_assert_eq!(
                    (action, proxy, auth),
                    wanted,
                    "{} of {}, peer {}, {}/{}: {:?}",
                    direction,
                    policy.endpoint,
                    identity,
                    port,
                    protocol,
                    found
                );
            }
        }
    }
    Ok(())
}
