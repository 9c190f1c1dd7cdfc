//! The entries of one direction.

use palisade_abi::{Direction, EndpointId, Identity, Protocol, ProxyPort};

use super::entry::Entry;
use super::key::{Key, PortPrefix};
use super::redirects::{ProxyId, Redirected, SelectorRedirect};

/// Whether rules decide what happens in a direction.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Enforced {
    /// No: everything passes.
    No,
    /// Yes.
    Yes,
}

/// The entries of one direction.
#[derive(Clone, Debug)]
pub struct FlatSide {
    /// The direction.
    pub direction: Direction,
    /// Whether rules decide what happens.
    pub enforced: Enforced,
    /// Whom each proxy serves, and by which rules.
    pub redirected: Vec<SelectorRedirect>,
    pub(super) redirects: Vec<Redirected>,
    /// Ascending.
    pub(super) nodes: Vec<Node>,
}

/// The entries of one prefix of ports.
///
/// Identities are no part of what is searched for by prefix: with them each would add its own
/// branches.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) ports: PortPrefix,
    /// Ascending; identity 0 is everybody.
    pub(super) entries: Vec<(u32, Entry)>,
}

impl Node {
    pub(super) fn get(&self, identity: u32) -> Option<&Entry> {
        let at = self
            .entries
            .binary_search_by_key(&identity, |(identity, _)| *identity);
        let (_, entry) = self.entries.get(at.ok()?)?;
        Some(entry)
    }
}

impl FlatSide {
    /// Everything is dropped.
    pub(super) const fn closed(direction: Direction) -> Self {
        Self {
            direction,
            enforced: Enforced::Yes,
            redirected: Vec::new(),
            redirects: Vec::new(),
            nodes: Vec::new(),
        }
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.nodes.iter().map(|node| node.entries.len()).sum()
    }

    /// Whether there are none, so that everything is dropped.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The entries, in the order of their keys.
    pub fn entries(&self) -> impl Iterator<Item = (Key, Entry)> {
        let direction = self.direction;
        self.nodes.iter().flat_map(move |node| {
            let ports = node.ports;
            node.entries.iter().map(move |(identity, entry)| {
                let identity = Identity::new(*identity);
                let key = Key {
                    direction,
                    ports,
                    identity,
                };
                (key, *entry)
            })
        })
    }

    /// The entry that decides a packet, as the program of the map would find it; `None` if it is
    /// dropped because there is none. `port` is the destination port or the type of an ICMP
    /// message.
    ///
    /// Its authentication may come from the entry that lost.
    pub fn lookup(
        &self,
        identity: Identity,
        protocol: Protocol,
        port: u16,
    ) -> Option<(Key, Entry)> {
        let of_identity = match identity {
            Identity::UNKNOWN => None,
            known => self.longest(known, protocol, port),
        };
        let of_any = self.longest(Identity::UNKNOWN, protocol, port);
        let ((key, entry), other) = match (of_identity, of_any) {
            (Some(one), Some(any)) if beats(&any, &one) => (any, Some(one)),
            (Some(one), any) => (one, any),
            (None, Some(any)) => (any, None),
            (None, None) => return None,
        };
        Some((key, with_auth(entry, other.map(|(_, entry)| entry))))
    }

    fn longest(&self, identity: Identity, protocol: Protocol, port: u16) -> Option<(Key, Entry)> {
        PortPrefix::covering(protocol, port).find_map(|ports| {
            let at = self.nodes.binary_search_by_key(&ports, |node| node.ports);
            let entry = *self.nodes.get(at.ok()?)?.get(identity.get())?;
            let key = Key {
                direction: self.direction,
                ports,
                identity,
            };
            Some((key, entry))
        })
    }

    /// The redirects of an endpoint that has this side.
    pub(super) fn redirects_of(
        &self,
        endpoint: EndpointId,
    ) -> impl Iterator<Item = (ProxyId, ProxyPort)> {
        let redirects = self.redirects.iter();
        redirects.map(move |one| (one.id(endpoint, self.direction), one.proxy_port))
    }
}

/// Whether the entry for everybody decides, not that of the identity.
fn beats((any_key, any): &(Key, Entry), (key, entry): &(Key, Entry)) -> bool {
    any.precedence > entry.precedence
        || any.precedence == entry.precedence
            && !entry.denies
            && any_key.prefix_length() > key.prefix_length()
}

/// Of two entries at one level that let pass, what one leaves open the other may ask for.
fn with_auth(entry: Entry, other: Option<Entry>) -> Entry {
    let stricter = other.filter(|other| {
        other.precedence == entry.precedence
            && !entry.denies
            && !entry.auth.is_explicit()
            && other.auth.kind() > entry.auth.kind()
    });
    let auth = stricter.map_or(entry.auth, |other| other.auth.derived());
    Entry { auth, ..entry }
}
