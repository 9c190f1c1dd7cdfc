//! What a verdict's cookie leads to.

use std::collections::VecDeque;
use std::fmt;
use std::hash::Hash as _;
use std::sync::Arc;

use palisade_abi::{Cookie, Direction};
use palisade_fqdn::MatchPattern;

use super::describe;
use super::hash::{Map, Seed, Twin};
use crate::rule::{L7Rules, Peers, Policy, PortRule, Ports, Redirect, ResourceName, Rule};
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
        Self {
            resource: rule.resource.clone(),
            location: location(rule, part).clone(),
            direction: rule.direction,
            description: describe::part(rule, part).into(),
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

/// What makes an item the same one after its document has changed: what it says, not where. Two of
/// one resource that say the same may share a cookie, for the first of them always decides.
///
/// It stands for texts of any length, so it is wide and keyed: nobody can make two that are equal.
type Fingerprint = u128;

/// The cookies in use and what they lead to.
#[derive(Clone, Debug)]
pub(crate) struct Cookies {
    seeds: [Seed; 2],
    live: Map<Fingerprint, Cookie>,
    keys: Map<Cookie, Fingerprint>,
    items: Map<Cookie, Item>,
    retired: VecDeque<Cookie>,
    next: u32,
}

/// What a cookie leads to. It is put into words when somebody asks.
#[derive(Clone, Debug)]
enum Item {
    InForce(Place),
    Gone(Origin),
}

/// A part of a rule.
#[derive(Clone, Debug)]
struct Place {
    policy: Arc<Policy>,
    rule: usize,
    part: Part,
}

impl Item {
    fn origin(&self) -> Option<Origin> {
        match self {
            Self::InForce(place) => place.origin(),
            Self::Gone(origin) => Some(origin.clone()),
        }
    }
}

impl Place {
    fn origin(&self) -> Option<Origin> {
        let rule = self.policy.rules.get(self.rule)?;
        Some(Origin::of(rule, self.part))
    }
}

impl Cookies {
    /// Cookies from `next` on: lower ones may be known to somebody.
    pub(crate) fn starting_at(next: u32) -> Self {
        Self {
            seeds: [Seed::default(), Seed::default()],
            live: Map::default(),
            keys: Map::default(),
            items: Map::default(),
            retired: VecDeque::new(),
            next: next.max(1),
        }
    }

    /// What a cookie leads to, also for some time after its rule is gone.
    pub(crate) fn origin(&self, cookie: Cookie) -> Option<Origin> {
        self.items.get(&cookie)?.origin()
    }

    /// The rule in force that a cookie leads to.
    pub(crate) fn stands(&self, cookie: Cookie) -> Option<Stands<'_>> {
        match self.items.get(&cookie)? {
            Item::InForce(place) => Some(Stands {
                policy: &place.policy,
                at: place.rule,
            }),
            Item::Gone(_) => None,
        }
    }

    /// Puts the cookies of a change in force.
    pub(crate) fn commit(&mut self, given: Given) {
        for (key, (cookie, place)) in given.keys {
            self.keys.insert(cookie, key);
            self.live.insert(key, cookie);
            self.items.insert(cookie, Item::InForce(place));
        }
        self.next = given.next;
    }

    /// No verdict in force names a cookie any more.
    pub(crate) fn retire(&mut self, cookie: Cookie) {
        if let Some(key) = self.keys.remove(&cookie) {
            self.live.remove(&key);
            self.retired.push_back(cookie);
        }
        // The words are kept, not the document.
        if let Some(item) = self.items.get_mut(&cookie)
            && let Some(origin) = item.origin()
        {
            *item = Item::Gone(origin);
        }
        while self.retired.len() > REMEMBERED {
            if let Some(cookie) = self.retired.pop_front() {
                self.items.remove(&cookie);
            }
        }
    }
}

/// A rule and the policy that it stands in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stands<'a> {
    pub(crate) policy: &'a Arc<Policy>,
    pub(crate) at: usize,
}

impl<'a> Stands<'a> {
    pub(crate) fn rule(self) -> Option<&'a Rule> {
        self.policy.rules.get(self.at)
    }
}

/// The cookies that one change gives; nothing is changed until they are committed.
#[derive(Debug)]
pub(crate) struct Given {
    keys: Map<Fingerprint, (Cookie, Place)>,
    /// By where the rule lies in memory: rules stay where they are during a change.
    parts: Map<(usize, Part), Cookie>,
    rules: Map<usize, OfRule>,
    next: u32,
}

/// What the parts of a rule have in common: without and with its peers.
#[derive(Clone, Copy, Debug)]
struct OfRule {
    alone: Fingerprint,
    with_peers: Fingerprint,
}

impl Given {
    pub(crate) fn new(cookies: &Cookies) -> Self {
        Self {
            keys: Map::default(),
            parts: Map::default(),
            rules: Map::default(),
            next: cookies.next,
        }
    }

    /// The cookie of a part of a rule.
    pub(crate) fn cookie(&mut self, cookies: &Cookies, stands: Stands<'_>, part: Part) -> Cookie {
        let Some(of) = stands.rule() else {
            return Cookie::default();
        };
        let place = std::ptr::from_ref(of).addr();
        if let Some(cookie) = self.parts.get(&(place, part)) {
            return *cookie;
        }
        let of_rule = self.rules.entry(place);
        let of_rule = of_rule.or_insert_with(|| OfRule::new(of, cookies.seeds));
        let key = of_rule.part(of, part, cookies.seeds);
        let known = self.keys.get(&key).map(|(cookie, _)| *cookie);
        let known = known.or_else(|| cookies.live.get(&key).copied());
        let cookie = known.unwrap_or_else(|| self.fresh());
        self.parts.insert((place, part), cookie);
        self.keys.entry(key).or_insert_with(|| {
            let policy = stands.policy.clone();
            let rule = stands.at;
            (cookie, Place { policy, rule, part })
        });
        cookie
    }

    /// Numbers only go up; after four billion of them the events that name the first are long gone.
    fn fresh(&mut self) -> Cookie {
        let cookie = Cookie::new(self.next);
        self.next = self.next.checked_add(1).unwrap_or(1);
        cookie
    }
}

impl OfRule {
    fn new(rule: &Rule, seeds: [Seed; 2]) -> Self {
        let mut alone = Twin::new(seeds);
        rule.resource.hash(&mut alone);
        rule.subject.hash(&mut alone);
        let Rule {
            direction,
            tier,
            priority,
            effect,
            auth,
            log,
            ..
        } = rule;
        (direction, tier, priority, effect, auth, log.is_some()).hash(&mut alone);
        let mut with_peers = alone;
        if let Peers::Some { list, .. } = &rule.peers {
            list.len().hash(&mut with_peers);
            for peer in list {
                peer.selector.hash(&mut with_peers);
            }
        }
        Self {
            alone: alone.wide(),
            with_peers: with_peers.wide(),
        }
    }

    fn part(self, rule: &Rule, part: Part, seeds: [Seed; 2]) -> Fingerprint {
        let mut key = Twin::new(seeds);
        match part {
            Part::DefaultDeny => (0_u8, self.alone).hash(&mut key),
            Part::Whole => (1_u8, self.alone).hash(&mut key),
            Part::Peer(place) => {
                let peer = rule.peers.list().get(place as usize);
                (2_u8, self.alone, peer.map(|peer| &peer.selector)).hash(&mut key);
            }
            Part::Port(place) => {
                (3_u8, self.with_peers).hash(&mut key);
                if let Some(item) = port(rule, place) {
                    (item.protocol, &item.ports).hash(&mut key);
                    item.redirect.as_deref().map(Proxied::new).hash(&mut key);
                }
            }
        }
        key.wide()
    }
}

/// What a proxy is asked to enforce, wherever that stands.
#[derive(Hash)]
enum Proxied<'a> {
    Dns(Vec<&'a MatchPattern>),
    Other(&'a Redirect),
}

impl<'a> Proxied<'a> {
    fn new(redirect: &'a Redirect) -> Self {
        match &redirect.rules {
            L7Rules::Dns(names) => Self::Dns(names.iter().map(|name| &name.pattern).collect()),
            L7Rules::Http(_) | L7Rules::Kafka(_) | L7Rules::None | L7Rules::Other { .. } => {
                Self::Other(redirect)
            }
        }
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
