//! Filters and identities in, entries out.

use std::collections::HashMap;
use std::sync::Arc;

use palisade_abi::{Direction, Identity, Protocol};
use palisade_identity::Selector;

use super::entry::{AuthRequirement, Entry};
use super::key::PortPrefix;
use super::pass::{self, Candidate, Said};
use super::prune::prune;
use super::redirects::{Redirected, SelectorRedirect, distinct};
use super::side::{Enforced, FlatSide, Node};
use crate::filters::{Filter, FilterPorts, Filters, ProxyRules, SelectorPolicy};
use crate::named_ports::NamedPorts;
use crate::proxy_ports::ProxyPorts;
use crate::rule::{Effect, PortRule, Tier};

/// What the entries of one direction are made from.
pub(super) struct Building<'a> {
    pub(super) direction: Direction,
    pub(super) filters: &'a Filters<'a>,
    pub(super) selections: &'a HashMap<&'a Selector, Arc<[Identity]>>,
    /// The identities of the node itself.
    pub(super) hosts: &'a [Identity],
    pub(super) named_ports: &'a NamedPorts,
    pub(super) proxy_ports: &'a ProxyPorts,
}

/// A filter's ports with their names resolved.
struct Resolved {
    protocol: Option<Protocol>,
    first: u16,
    prefixes: Vec<PortPrefix>,
}

impl Candidate {
    /// An entry for every port, where its tier starts.
    fn whole(identity: Identity, tier: u8, entry: Entry) -> Self {
        let said = Said {
            ports: PortPrefix::ALL,
            tier,
            priority: entry.precedence.priority(),
            entry: Some(entry),
        };
        Self {
            identity: identity.get(),
            said,
        }
    }
}

impl Building<'_> {
    /// The entries. The node itself is let in where the tier `localhost` starts, if there is one.
    pub(super) fn side(&self, enforced: Enforced, localhost: Option<Tier>) -> FlatSide {
        let mut candidates = Vec::new();
        let mut redirects = Vec::new();
        for filter in &self.filters.list {
            if let Some(ports) = self.resolved(&filter.ports) {
                self.add_filter(filter, &ports, &mut candidates);
                redirects.extend(self.redirects_of(filter, &ports));
            }
        }
        if enforced == Enforced::No {
            let everybody = Entry::allow(0, AuthRequirement::NONE);
            candidates.push(Candidate::whole(Identity::UNKNOWN, 0, everybody));
        }
        let host = localhost.map(|tier| {
            let entry = Entry::allow(self.filters.base(tier), AuthRequirement::NONE);
            let hosts = self.hosts.iter();
            candidates.extend(hosts.map(|host| Candidate::whole(*host, tier as u8, entry)));
            entry
        });
        let nodes = if self.filters.passes {
            pass::walk(candidates, self.filters)
        } else {
            let pruned = prune(nodes(candidates), self.filters.asks_auth);
            match host {
                Some(entry) => with_hosts(pruned, self.hosts, entry),
                None => pruned,
            }
        };
        FlatSide {
            direction: self.direction,
            enforced,
            redirected: self.redirected(),
            redirects: distinct(redirects),
            nodes,
        }
    }

    fn resolved(&self, ports: &FilterPorts) -> Option<Resolved> {
        let (protocol, range) = match ports {
            FilterPorts::All => {
                return Some(Resolved {
                    protocol: None,
                    first: 0,
                    prefixes: vec![PortPrefix::ALL],
                });
            }
            FilterPorts::Named { name, protocol } => {
                // Port 0 is no port: a name that stands for it stands for nothing.
                let port = self
                    .named_ports
                    .get(name, *protocol)
                    .filter(|port| *port != 0)?;
                (*protocol, port..=port)
            }
            FilterPorts::Numbers { protocol, range } => (*protocol, range.clone()),
        };
        let prefixes = if range == PortRule::EVERY_PORT {
            vec![PortPrefix::new(protocol, 0, 0)]
        } else {
            PortPrefix::cover(protocol, &range)
        };
        Some(Resolved {
            protocol: Some(protocol),
            first: *range.start(),
            prefixes,
        })
    }

    fn add_filter(&self, filter: &Filter<'_>, ports: &Resolved, candidates: &mut Vec<Candidate>) {
        let everybody = filter
            .policies
            .iter()
            .find(|(selector, _)| selector.is_none());
        let everybody = everybody.and_then(|(_, policy)| self.entry(policy));
        for (selector, policy) in &filter.policies {
            let entry = self.entry(policy);
            // What holds for everybody need not be said again of somebody.
            if selector.is_some() && ports.first != 0 && entry.is_some() && entry == everybody {
                continue;
            }
            let identities = selector.map_or([Identity::UNKNOWN].as_slice(), |selector| {
                self.selections.get(selector).map_or(&[], |all| all)
            });
            for identity in identities {
                candidates.extend(ports.prefixes.iter().map(|prefix| Candidate {
                    identity: identity.get(),
                    said: Said {
                        ports: *prefix,
                        tier: filter.tier,
                        priority: policy.priority,
                        entry,
                    },
                }));
            }
        }
    }

    /// The entry of a policy; `None` for one that passes on.
    fn entry(&self, policy: &SelectorPolicy<'_>) -> Option<Entry> {
        let priority = policy.priority;
        let auth = AuthRequirement::from(policy.auth);
        match (policy.effect, &policy.proxy) {
            (Effect::Pass, _) => None,
            (Effect::Deny, _) => Some(Entry::deny(priority)),
            (Effect::Allow, None) => Some(Entry::allow(priority, auth)),
            (Effect::Allow, Some(proxy)) => {
                let port = self.proxy_ports.get(&proxy.proxy(self.direction));
                Some(Entry::redirect(priority, proxy.priority, port, auth))
            }
        }
    }

    fn redirects_of<'f>(
        &'f self,
        filter: &'f Filter<'_>,
        ports: &'f Resolved,
    ) -> impl Iterator<Item = Redirected> + 'f {
        proxies(filter).filter_map(|(_, _, proxy)| {
            Some(Redirected {
                protocol: ports.protocol?,
                port: ports.first,
                listener: proxy.listener.clone(),
                priority: proxy.priority,
                proxy_port: self.proxy_ports.get(&proxy.proxy(self.direction))?,
            })
        })
    }

    fn redirected(&self) -> Vec<SelectorRedirect> {
        let all = self.filters.list.iter().flat_map(|filter| {
            proxies(filter).map(move |(selector, priority, proxy)| SelectorRedirect {
                tier: filter.tier,
                ports: filter.ports.clone(),
                identities: selector.map(|selector| {
                    let selected = self.selections.get(selector);
                    selected.map_or_else(|| [].into(), Arc::clone)
                }),
                priority,
                proxy: proxy.clone(),
            })
        });
        all.collect()
    }
}

/// The policies of a filter that redirect: the selector, the priority and the proxy.
fn proxies<'f>(
    filter: &'f Filter<'_>,
) -> impl Iterator<Item = (Option<&'f Selector>, u32, &'f ProxyRules)> {
    filter.policies.iter().filter_map(|(selector, policy)| {
        let proxy = policy.proxy.as_ref()?;
        Some((*selector, policy.priority, proxy))
    })
}

/// Lets the node itself in beside what holds for everybody, as Cilium does even where everybody is
/// denied and the entry decides nothing.
fn with_hosts(mut nodes: Vec<Node>, hosts: &[Identity], entry: Entry) -> Vec<Node> {
    if nodes
        .first()
        .is_none_or(|node| node.ports != PortPrefix::ALL)
    {
        let ports = PortPrefix::ALL;
        nodes.insert(
            0,
            Node {
                ports,
                entries: Vec::new(),
            },
        );
    }
    if let Some(Node { entries, .. }) = nodes.first_mut() {
        for host in hosts.iter().map(|host| host.get()) {
            let place = entries.binary_search_by_key(&host, |(identity, _)| *identity);
            if let Err(at) = place {
                entries.insert(at, (host, entry));
            }
        }
    }
    nodes
}

/// The candidates by their ports, of each key what goes first.
fn nodes(candidates: Vec<Candidate>) -> Vec<Node> {
    let mut by_ports: HashMap<PortPrefix, Vec<(u32, Entry)>> = HashMap::new();
    for candidate in candidates {
        if let Some(entry) = candidate.said.entry {
            let entries = by_ports.entry(candidate.said.ports).or_default();
            entries.push((candidate.identity, entry));
        }
    }
    let mut nodes: Vec<Node> = by_ports
        .into_iter()
        .map(|(ports, entries)| Node {
            ports,
            entries: merged(entries),
        })
        .collect();
    nodes.sort_unstable_by_key(|node| node.ports);
    nodes
}

fn merged(mut entries: Vec<(u32, Entry)>) -> Vec<(u32, Entry)> {
    entries.sort_by(|(a, one), (b, other)| a.cmp(b).then(other.precedence.cmp(&one.precedence)));
    entries.dedup_by(|(later, other), (first, entry)| {
        let same = later == first;
        if same {
            entry.merge(*other);
        }
        same
    });
    entries
}
