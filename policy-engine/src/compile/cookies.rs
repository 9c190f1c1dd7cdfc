//! What a verdict's cookie leads to.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::Arc;

use palisade_abi::{Cookie, Direction, Protocol};
use palisade_fqdn::MatchPattern;
use palisade_identity::Selector;

use super::describe;
use super::hash::Map;
use crate::rule::{
    AuthMode, Effect, L7Rules, Peers, PortMatch, PortRule, Ports, Priority, Redirect, ResourceName,
    Rule, Subject, Tier,
};
use crate::span::Location;

/// How many origins of rules that are gone are still known, for events that are still on their way.
const REMEMBERED: usize = 65_536;

/// The item of a document that decided.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Origin {
    /// The resource.
    pub resource: Arc<ResourceName>,
    /// Where the item stands: the port item of a rule that names ports, else the peer, else the
    /// rule; for a default deny the list that switched it on.
    pub location: Location,
    /// The direction that the item is about.
    pub direction: Direction,
    /// What the item says, in one line: `toEndpoints app=pay, port 8443/TCP`.
    pub description: Arc<str>,
}

impl Origin {
    /// What a cookie for a part of this rule leads to.
    pub(crate) fn of(rule: &Rule, part: Part) -> Self {
        Self::described(rule, part, None)
    }

    fn described(rule: &Rule, part: Part, description: Option<Arc<str>>) -> Self {
        Self {
            resource: rule.resource.clone(),
            location: location(rule, part).clone(),
            direction: rule.direction,
            description: description.unwrap_or_else(|| describe::part(rule, part).into()),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}   {}", self.location, self.description)
    }
}

/// The part of a rule that decides.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) enum Part {
    /// Its list, which switched default deny on.
    DefaultDeny,
    /// The peer at this place.
    Peer(u32),
    /// The port item at this place.
    Port(u32),
    /// The rule as it stands.
    Whole,
}

/// What makes an item the same one after its document has changed: what it says, not where.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct Key {
    resource: Arc<ResourceName>,
    subject: Subject,
    direction: Direction,
    tier: Tier,
    priority: Priority,
    effect: Effect,
    auth: Option<AuthMode>,
    is_logged: bool,
    saying: Saying,
}

/// Equal keys of one resource may share a cookie: the first of the two always decides.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
enum Saying {
    DefaultDeny,
    Peer(Selector),
    Port {
        peers: Option<Vec<Selector>>,
        protocol: Protocol,
        ports: PortMatch,
        redirect: Option<Proxied>,
    },
    Whole,
}

/// What a proxy is asked to enforce, wherever that stands.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
enum Proxied {
    Dns(Vec<MatchPattern>),
    Other(Arc<Redirect>),
}

/// The cookies in use and what they lead to.
#[derive(Clone, Debug)]
pub(crate) struct Cookies {
    live: Map<Arc<Key>, Cookie>,
    keys: Map<Cookie, Arc<Key>>,
    origins: BTreeMap<Cookie, Origin>,
    retired: VecDeque<Cookie>,
    next: u32,
}

impl Cookies {
    /// Cookies from `next` on: lower ones may be known to somebody.
    pub(crate) fn starting_at(next: u32) -> Self {
        Self {
            live: Map::default(),
            keys: Map::default(),
            origins: BTreeMap::new(),
            retired: VecDeque::new(),
            next: next.max(1),
        }
    }

    /// What a cookie leads to, also for some time after its rule is gone.
    pub(crate) fn origin(&self, cookie: Cookie) -> Option<&Origin> {
        self.origins.get(&cookie)
    }

    /// Puts the cookies of a change in force.
    pub(crate) fn commit(&mut self, given: Given) {
        for (key, cookie) in given.keys {
            self.keys.entry(cookie).or_insert_with(|| key.clone());
            self.live.insert(key, cookie);
        }
        self.origins.extend(given.origins);
        self.next = given.next;
    }

    /// No verdict in force names a cookie any more.
    pub(crate) fn retire(&mut self, cookie: Cookie) {
        if let Some(key) = self.keys.remove(&cookie) {
            self.live.remove(&key);
            self.retired.push_back(cookie);
        }
        while self.retired.len() > REMEMBERED {
            if let Some(cookie) = self.retired.pop_front() {
                self.origins.remove(&cookie);
            }
        }
    }
}

/// The cookies that one change gives; nothing is changed until they are committed.
#[derive(Debug)]
pub(crate) struct Given {
    keys: Map<Arc<Key>, Cookie>,
    origins: BTreeMap<Cookie, Origin>,
    /// By where the rule lies in memory: rules stay where they are during a change.
    parts: Map<(usize, Part), Cookie>,
    next: u32,
}

impl Given {
    pub(crate) fn new(cookies: &Cookies) -> Self {
        Self {
            keys: Map::default(),
            origins: BTreeMap::new(),
            parts: Map::default(),
            next: cookies.next,
        }
    }

    /// The cookie of a part of a rule.
    pub(crate) fn cookie(&mut self, cookies: &Cookies, rule: &Rule, part: Part) -> Cookie {
        let place = std::ptr::from_ref(rule).addr();
        if let Some(cookie) = self.parts.get(&(place, part)) {
            return *cookie;
        }
        let key = Arc::new(Key::new(rule, part));
        let known = self
            .keys
            .get(&key)
            .or_else(|| cookies.live.get(&key))
            .copied();
        let cookie = known.unwrap_or_else(|| self.fresh());
        self.parts.insert((place, part), cookie);
        self.origins.entry(cookie).or_insert_with(|| {
            let before = cookies
                .origin(cookie)
                .map(|origin| origin.description.clone());
            Origin::described(rule, part, before)
        });
        self.keys.insert(key, cookie);
        cookie
    }

    /// Numbers only go up; after four billion of them the events that name the first are long gone.
    fn fresh(&mut self) -> Cookie {
        let cookie = Cookie::new(self.next);
        self.next = self.next.checked_add(1).unwrap_or(1);
        cookie
    }
}

impl Key {
    fn new(rule: &Rule, part: Part) -> Self {
        Self {
            resource: rule.resource.clone(),
            subject: rule.subject.clone(),
            direction: rule.direction,
            tier: rule.tier,
            priority: rule.priority,
            effect: rule.effect,
            auth: rule.auth,
            is_logged: rule.log.is_some(),
            saying: Saying::new(rule, part),
        }
    }
}

impl Saying {
    fn new(rule: &Rule, part: Part) -> Self {
        match part {
            Part::DefaultDeny => Self::DefaultDeny,
            Part::Peer(place) => rule
                .peers
                .list()
                .get(place as usize)
                .map_or(Self::Whole, |peer| Self::Peer(peer.selector.clone())),
            Part::Port(place) => port(rule, place).map_or(Self::Whole, |item| Self::Port {
                peers: selectors(rule),
                protocol: item.protocol,
                ports: item.ports.clone(),
                redirect: item.redirect.as_ref().map(Proxied::new),
            }),
            Part::Whole => Self::Whole,
        }
    }
}

impl Proxied {
    fn new(redirect: &Arc<Redirect>) -> Self {
        match &redirect.rules {
            L7Rules::Dns(names) => {
                Self::Dns(names.iter().map(|name| name.pattern.clone()).collect())
            }
            L7Rules::Http(_) | L7Rules::Kafka(_) | L7Rules::None | L7Rules::Other { .. } => {
                Self::Other(redirect.clone())
            }
        }
    }
}

/// The peers of a rule; `None` for any.
fn selectors(rule: &Rule) -> Option<Vec<Selector>> {
    match &rule.peers {
        Peers::Any { .. } => None,
        Peers::Some { list, .. } => Some(list.iter().map(|peer| peer.selector.clone()).collect()),
    }
}

fn port(rule: &Rule, place: u32) -> Option<&PortRule> {
    match &rule.ports {
        Ports::All => None,
        Ports::Some(list) => list.get(place as usize),
    }
}

fn location(rule: &Rule, part: Part) -> &Location {
    match part {
        Part::DefaultDeny => &rule.section,
        Part::Peer(place) => {
            let peer = rule.peers.list().get(place as usize);
            peer.map_or(&rule.location, |peer| &peer.location)
        }
        Part::Port(place) => port(rule, place).map_or(&rule.location, |item| &item.location),
        Part::Whole => &rule.location,
    }
}
