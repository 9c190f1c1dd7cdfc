//! What is in force, as user space remembers it.

use std::collections::{BTreeMap, BTreeSet};

use palisade_abi::{Direction, EndpointId, IDENTITY_PAGE_LEN, IDENTITY_PAGES, PolicyPair};

use super::error::Limited;
use super::image::{Image, class};
use super::numbers::Numbers;
use super::overlay::{Level, Overlay};
use super::ports::Ports;
use super::records::Records;
use crate::compile::{Both, PortGroup, Signature};

/// Everything in force but the words of ports and identities, which the image holds.
#[derive(Clone, Debug)]
pub(super) struct State {
    pub(super) policies: Overlay,
    pub(super) rows: Overlay,
    pub(super) records: Records,
    pub(super) ports: Ports,
    pub(super) peers: Both<Peers>,
    pub(super) endpoints: BTreeMap<EndpointId, PolicyPair>,
    /// The classes of each group of the last compile.
    pub(super) port_groups: BTreeMap<PortGroup, Vec<u32>>,
}

/// The classes of identities of one direction.
#[derive(Clone, Debug)]
pub(super) struct Peers {
    pub(super) numbers: Numbers,
    /// The classes that are given.
    pub(super) live: BTreeSet<u32>,
    /// The classes of each signature of the last compile.
    pub(super) of: BTreeMap<Signature, Vec<u32>>,
}

impl State {
    /// What an image found in the kernel has in force.
    pub(super) fn adopt(image: &Image) -> Self {
        let endpoints: BTreeMap<EndpointId, PolicyPair> = image.enforced().collect();
        let ports = Ports::adopt(image);
        let peers = Both::new(|direction| Peers::adopt(image, direction));
        let policies = Overlay::adopt(Level::Policies, image, &in_use(&endpoints));
        let live = |policy: u32, column: u32| {
            let used = |direction| {
                endpoints
                    .values()
                    .any(|pair| policy_of(*pair, direction) == policy)
                    && peers.get(direction).live.contains(&column)
            };
            used(Direction::Ingress) || used(Direction::Egress)
        };
        let row_numbers = policies.values_in_use(live);
        let rows = Overlay::adopt(Level::Rows, image, &row_numbers);
        let port_classes = ports.live();
        let verdicts = rows.values_in_use(|_, column| port_classes.contains(&column));
        Self {
            policies,
            rows,
            records: Records::adopt(image, &verdicts),
            ports,
            peers,
            endpoints,
            port_groups: BTreeMap::new(),
        }
    }

    /// The endpoints of each policy of one direction.
    pub(super) fn users(&self, direction: Direction) -> BTreeMap<u32, BTreeSet<EndpointId>> {
        let mut users: BTreeMap<u32, BTreeSet<EndpointId>> = BTreeMap::new();
        for (endpoint, pair) in &self.endpoints {
            let policy = policy_of(*pair, direction);
            if policy != 0 {
                users.entry(policy).or_default().insert(*endpoint);
            }
        }
        users
    }

    /// Gives up whatever no endpoint leads to any more.
    pub(super) fn sweep(&mut self) {
        let policies = in_use(&self.endpoints);
        self.policies.retain(|policy| policies.contains(&policy));
        let directions = Both::new(|direction| {
            let users = self.users(direction);
            users.into_keys().collect::<BTreeSet<u32>>()
        });
        let rows = self.policies.values_in_use(|policy, column| {
            Direction::BOTH.into_iter().any(|direction| {
                directions.get(direction).contains(&policy)
                    && self.peers.get(direction).live.contains(&column)
            })
        });
        self.rows.retain(|row| rows.contains(&row));
        let classes = self.ports.live();
        let verdicts = self
            .rows
            .values_in_use(|_, column| classes.contains(&column));
        self.records.retain(&verdicts);
    }

    /// Whether something waits for a grace period.
    pub(super) fn waits(&self) -> bool {
        self.policies.waits()
            || self.rows.waits()
            || self.records.waits()
            || self.ports.waits()
            || self.peers.ingress.numbers.waits()
            || self.peers.egress.numbers.waits()
    }

    /// A grace period is over.
    pub(super) fn grace(&mut self) {
        self.policies.grace();
        self.rows.grace();
        self.records.grace();
        self.ports.grace();
        self.peers.ingress.numbers.grace();
        self.peers.egress.numbers.grace();
    }
}

impl Peers {
    fn adopt(image: &Image, direction: Direction) -> Self {
        let live: BTreeSet<u32> = image
            .classified()
            .map(|(_, classes)| class(classes, direction))
            .chain([0])
            .collect();
        Self {
            numbers: Numbers::with_used(Limited::PeerClasses, CLASSES, &live),
            live,
            of: BTreeMap::new(),
        }
    }

    /// Replaces the live classes; the numbers of those that are gone come back after a grace
    /// period.
    pub(super) fn replace_live(&mut self, live: BTreeSet<u32>) {
        for gone in self.live.difference(&live) {
            self.numbers.retire(*gone);
        }
        self.live = live;
    }
}

/// There cannot be more classes than identities, and no column past the slots is ever written.
const CLASSES: u32 = IDENTITY_PAGES * IDENTITY_PAGE_LEN;

/// The policy of one direction.
pub(super) const fn policy_of(pair: PolicyPair, direction: Direction) -> u32 {
    match direction {
        Direction::Ingress => pair.ingress,
        Direction::Egress => pair.egress,
    }
}

fn in_use(endpoints: &BTreeMap<EndpointId, PolicyPair>) -> BTreeSet<u32> {
    endpoints
        .values()
        .flat_map(|pair| [pair.ingress, pair.egress])
        .filter(|policy| *policy != 0)
        .collect()
}
