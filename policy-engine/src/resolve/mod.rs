//! Services and security groups made peers.
//!
//! `toServices`, `toGroups` and `fromGroups` name what only others know. A policy as it is read
//! selects nobody there; resolved, it has the peers that the providers know. When services or
//! groups change, resolve the policy as it was read once more.
//!
//! ```
//! use palisade_policy::resolve::{Resolver, Service, ServiceTable, StaticGroups};
//! use palisade_policy::{Options, ingest};
//!
//! let text = "\
//! apiVersion: cilium.io/v2
//! kind: CiliumNetworkPolicy
//! metadata: {name: cart, namespace: shop}
//! spec:
//!   endpointSelector: {matchLabels: {app: cart}}
//!   egress:
//!   - toServices: [{k8sService: {serviceName: legacy, namespace: shop}}]
//! ";
//! let policy = &ingest::read("cart.yaml", text, &Options::default()).unwrap().policies[0];
//! let mut services = ServiceTable::new();
//! services.insert(Service {
//!     backends: vec!["192.0.2.7".parse()?],
//!     ..Service::new("shop", "legacy")
//! });
//! let resolver = Resolver {
//!     services: &services,
//!     groups: &StaticGroups::default(),
//!     options: &Options::default(),
//! };
//! let prefixes: Vec<_> = resolver.policy(policy).prefixes().map(|p| p.to_string()).collect();
//! assert_eq!(prefixes, ["192.0.2.7/32"]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod groups;
mod services;

use std::net::IpAddr;

use palisade_identity::{LabelKey, SelectorError};
use palisade_identity::{Prefix, Requirement, Selector, Source};

pub use self::groups::{Group, Groups, StaticGroups};
pub use self::services::{Service, ServiceTable, Services};
use crate::options::Options;
use crate::rule::{Peer, PeerKind, Peers, Policy, Rule};

/// Who knows the services and the groups.
#[derive(Clone, Copy)]
pub struct Resolver<'a> {
    /// Who knows the services.
    pub services: &'a dyn Services,
    /// Who knows the security groups.
    pub groups: &'a dyn Groups,
    /// The options that the policies were read with.
    pub options: &'a Options,
}

impl std::fmt::Debug for Resolver<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resolver").finish_non_exhaustive()
    }
}

/// Whether a policy names services or groups at all.
pub fn is_needed(policy: &Policy) -> bool {
    policy.rules.iter().any(is_needed_by)
}

fn is_needed_by(rule: &Rule) -> bool {
    rule.peers
        .list()
        .iter()
        .any(|peer| matches!(peer.kind, PeerKind::Group(_) | PeerKind::Service(_)))
}

impl Resolver<'_> {
    /// The policy with the peers that its services and groups have now.
    ///
    /// What nobody knows stays as it is and selects nobody. Peers keep the place of the item that
    /// named them.
    pub fn policy(&self, policy: &Policy) -> Policy {
        let mut resolved = policy.clone();
        for rule in resolved.rules.iter_mut().filter(|rule| is_needed_by(rule)) {
            if let Peers::Some { list, .. } = &mut rule.peers {
                *list = list.iter().flat_map(|peer| self.peer(peer)).collect();
            }
        }
        resolved
    }

    fn peer(&self, peer: &Peer) -> Vec<Peer> {
        let mut found = match &peer.kind {
            PeerKind::Group(reference) => addresses(self.groups.addresses(reference), peer),
            PeerKind::Service(reference) => {
                let services = self.services.services(reference);
                services
                    .iter()
                    .flat_map(|service| self.service(service, peer))
                    .collect()
            }
            PeerKind::Cidr { .. }
            | PeerKind::CidrGroup { .. }
            | PeerKind::Endpoints
            | PeerKind::Entity(_)
            | PeerKind::Fqdn(_)
            | PeerKind::Nodes => Vec::new(),
        };
        if found.is_empty() {
            found.push(peer.clone());
        }
        found
    }

    /// The pods that a service selects, else the addresses that stand behind it.
    fn service(&self, service: &Service, peer: &Peer) -> Vec<Peer> {
        if service.selector.is_empty() {
            return addresses(service.backends.clone(), peer);
        }
        // Labels that no pod can have select nobody.
        let Ok(selector) = self.pods(service) else {
            return Vec::new();
        };
        vec![Peer {
            selector,
            kind: PeerKind::Endpoints,
            location: peer.location.clone(),
        }]
    }

    fn pods(&self, service: &Service) -> Result<Selector, SelectorError> {
        let k8s =
            |key: &str, value: &str| Requirement::equals(LabelKey::new(Source::K8s, key)?, value);
        let labels = service.selector.iter();
        let mut all = labels
            .map(|(key, value)| k8s(key, value))
            .collect::<Result<Vec<_>, _>>()?;
        all.push(k8s("io.kubernetes.pod.namespace", &service.namespace)?);
        if let Some(cluster) = &self.options.policy_cluster {
            all.push(k8s("io.cilium.k8s.policy.cluster", cluster)?);
        }
        Ok(Selector::new(all))
    }
}

/// A peer for each address, in order and once.
fn addresses(mut addresses: Vec<IpAddr>, peer: &Peer) -> Vec<Peer> {
    addresses.sort_unstable();
    addresses.dedup();
    let peer = |address: IpAddr| {
        let prefix = Prefix::exact(address);
        Peer {
            selector: Selector::cidr(prefix, []),
            kind: PeerKind::Cidr {
                prefix,
                except: Vec::new(),
            },
            location: peer.location.clone(),
        }
    };
    addresses.into_iter().map(peer).collect()
}
