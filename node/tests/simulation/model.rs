//! What is to be decided, by rules and addresses alone: no identities, no classes, no tables.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use palisade_abi::{Action, Direction, Port, Protocol};
use palisade_fqdn::DnsName;
use palisade_identity::{Identity, LabelSet, Prefix, reserved};
use palisade_node::{DnsAnswer, Event, Token};
use palisade_policy::{Effect, Peer, PeerKind, Peers, Policy, PortRule, Ports, Proxy, Rule};

use crate::world::{self, ENDPOINTS, HOSTS, Happening, NAMES, OUTSIDE};

/// One side of one flow.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Half {
    /// The endpoint's address.
    pub(crate) at: IpAddr,
    pub(crate) direction: Direction,
    /// The other side's address.
    pub(crate) peer: IpAddr,
    pub(crate) protocol: Protocol,
    pub(crate) port: u16,
}

/// What each of [`HALVES`] meets; nothing where there is no endpoint.
pub(crate) type Decisions = Vec<Option<Action>>;

/// Every half of every flow of the world.
pub(crate) static HALVES: LazyLock<Vec<Half>> = LazyLock::new(|| halves().collect());

fn halves() -> impl Iterator<Item = Half> {
    let outside = OUTSIDE.iter().chain(&HOSTS);
    let outside: Vec<IpAddr> = outside.map(|text| text.parse().unwrap()).collect();
    let pods = (0..ENDPOINTS).map(world::addresses);
    let ports = [
        (Protocol::TCP, 80),
        (Protocol::TCP, 443),
        (Protocol::UDP, 53),
        (Protocol::ICMP, 8),
    ];
    pods.flat_map(move |own| {
        let others = (0..ENDPOINTS)
            .flat_map(world::addresses)
            .chain(outside.clone());
        // What an endpoint sends to itself does not leave it.
        let mut peers: Vec<IpAddr> = others.filter(|peer| !own.contains(peer)).collect();
        peers.sort();
        peers.dedup();
        let peers = own.into_iter().flat_map(move |at| {
            let peers = peers.clone().into_iter();
            peers.map(move |peer| (at, peer))
        });
        peers.flat_map(move |(at, peer)| {
            let directions = Direction::BOTH.into_iter();
            directions.flat_map(move |direction| {
                ports.map(|(protocol, port)| Half {
                    at,
                    direction,
                    peer,
                    protocol,
                    port,
                })
            })
        })
    })
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    endpoints: BTreeMap<usize, Vec<IpAddr>>,
    hosts: BTreeSet<IpAddr>,
    policies: Vec<Arc<Policy>>,
    /// When each address of a name is over, by who asked.
    names: BTreeMap<(usize, DnsName, IpAddr), Duration>,
    proxied: bool,
}

impl Model {
    /// What the node is told of a happening; nothing if it cannot happen now.
    pub(crate) fn take(&mut self, happening: &Happening, now: Duration) -> Option<Event> {
        Some(match happening {
            Happening::Answer {
                client,
                name,
                address,
                ttl,
                ..
            } => {
                let own = self.endpoints.get(client)?;
                let name = DnsName::parse(NAMES[*name]).unwrap();
                let address: IpAddr = OUTSIDE[*address].parse().unwrap();
                let ttl = Duration::from_secs(*ttl);
                let key = (*client, name.clone(), address);
                let until = self.names.entry(key).or_default();
                *until = (*until).max(now + ttl);
                Event::DnsAnswer(DnsAnswer {
                    token: Token(7),
                    client: own[0],
                    name,
                    also: Vec::new(),
                    addresses: vec![address],
                    ttl,
                })
            }
            Happening::Hosts(hosts) => {
                self.hosts = hosts
                    .iter()
                    .map(|host| HOSTS[*host].parse().unwrap())
                    .collect();
                Event::HostAddresses(self.hosts.clone())
            }
            Happening::Join(number) => {
                self.endpoints.insert(*number, world::addresses(*number));
                Event::EndpointAdded(world::endpoint(*number))
            }
            Happening::Leave(number) => {
                self.endpoints.remove(number)?;
                self.names.retain(|(client, ..), _| client != number);
                Event::EndpointRemoved(world::name(*number))
            }
            Happening::Policies(numbers, _) => {
                let numbers: BTreeSet<usize> = numbers.iter().copied().collect();
                self.policies =
                    crate::shared(numbers.into_iter().flat_map(world::policy).collect());
                Event::Policies(self.policies.clone().into())
            }
            Happening::Tick(live, _) => {
                let live: BTreeSet<(usize, IpAddr)> = live
                    .iter()
                    .map(|(client, address)| (*client, OUTSIDE[*address].parse().unwrap()))
                    .collect();
                self.names.retain(|(client, _, address), until| {
                    *until > now || live.contains(&(*client, *address))
                });
                let own = |(client, address)| (world::addresses(client)[0], address);
                Event::Tick {
                    live: live.into_iter().map(own).collect(),
                }
            }
        })
    }

    /// What is handed in after a restart.
    pub(crate) fn everything(&self) -> Vec<Event> {
        let mut events = vec![
            Event::Proxy(
                self.proxied
                    .then(|| (Proxy::Dns, Port::new(53).unwrap()))
                    .into_iter()
                    .collect(),
            ),
            Event::HostAddresses(self.hosts.clone()),
            Event::Policies(self.policies.clone().into()),
        ];
        let endpoints = self.endpoints.keys();
        events.extend(endpoints.map(|number| Event::EndpointAdded(world::endpoint(*number))));
        events
    }

    pub(crate) fn endpoint_names(&self) -> Vec<usize> {
        self.endpoints.keys().copied().collect()
    }

    pub(crate) fn decisions(&self) -> Decisions {
        HALVES.iter().map(|half| self.decide(half)).collect()
    }

    fn decide(&self, half: &Half) -> Option<Action> {
        let labels = self.pod(half.at)?;
        let rules: Vec<&Rule> = self
            .policies
            .iter()
            .flat_map(|policy| &policy.rules)
            .filter(|rule| rule.direction == half.direction && rule.subject.selects(&labels))
            .collect();
        let matching: Vec<(&Rule, Option<&PortRule>)> = rules
            .iter()
            .filter(|rule| self.is_peer(&rule.peers, half.peer))
            .flat_map(|rule| ports(rule, half).into_iter().map(|port| (*rule, port)))
            .collect();
        let mut effects = matching.iter().map(|(rule, _)| rule.effect);
        if effects.any(|effect| effect == Effect::Deny) {
            return Some(Action::Deny);
        }
        let mut ports = matching.iter().filter_map(|(_, port)| *port);
        if ports.any(|port| port.redirect.is_some()) {
            // Where no proxy listens nothing may pass.
            return Some(if self.proxied {
                Action::Redirect
            } else {
                Action::Deny
            });
        }
        let from_host = half.direction == Direction::Ingress && self.is_host(half.peer);
        let denied = rules.iter().any(|rule| rule.default_deny) && !from_host;
        Some(if denied && matching.is_empty() {
            Action::Deny
        } else {
            Action::Allow
        })
    }

    fn pod(&self, address: IpAddr) -> Option<LabelSet> {
        let mut owners = self.endpoints.iter();
        let (number, _) = owners.find(|(_, addresses)| addresses.contains(&address))?;
        Some(world::endpoint(*number).labels)
    }

    fn is_host(&self, address: IpAddr) -> bool {
        self.hosts.contains(&address) && self.pod(address).is_none()
    }

    fn is_peer(&self, peers: &Peers, address: IpAddr) -> bool {
        match peers {
            Peers::Any { .. } => true,
            Peers::Some { list, .. } => list.iter().any(|peer| self.matches(peer, address)),
        }
    }

    fn matches(&self, peer: &Peer, address: IpAddr) -> bool {
        let pod = self.pod(address);
        let outside = pod.is_none() && !self.is_host(address);
        match &peer.kind {
            PeerKind::Cidr { prefix, except } => {
                let inside = |prefix: &Prefix| prefix.covers(Prefix::exact(address));
                outside && inside(prefix) && !except.iter().any(inside)
            }
            PeerKind::Fqdn(pattern) => {
                let mut names = self.names.keys();
                outside && names.any(|(_, name, of)| *of == address && pattern.matches(name))
            }
            _ => {
                let world = if address.is_ipv4() {
                    Identity::WORLD_IPV4
                } else {
                    Identity::WORLD_IPV6
                };
                let known = if outside { world } else { Identity::HOST };
                let labels = pod.or_else(|| reserved::labels(known)).unwrap();
                peer.selector.matches(&labels)
            }
        }
    }
}

/// The items of a rule that match a port: none, or nothing in particular for a rule without ports.
fn ports<'a>(rule: &'a Rule, half: &Half) -> Vec<Option<&'a PortRule>> {
    match &rule.ports {
        Ports::All => vec![None],
        Ports::Some(items) => items
            .iter()
            .filter(|item| {
                item.protocol == half.protocol
                    && item
                        .numbers()
                        .is_some_and(|ports| ports.contains(&half.port))
            })
            .map(Some)
            .collect(),
    }
}
