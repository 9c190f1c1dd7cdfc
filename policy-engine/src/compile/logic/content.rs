//! What one side says to whom.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use palisade_abi::Direction;
use palisade_identity::Selector;

use super::super::cookies::{Cookies, Stands};
use super::super::decide::{
    Context, Decider, Decisions, Forms, Items, Levels, Matched, Peer, Selected, Sources, Who,
};
use super::super::groups::Groups;
use super::super::hash::Map;
use super::super::index::Index;
use super::super::logical::Signature;
use super::super::signatures::Signatures;
use super::{Logic, Sided};
use crate::proxy_ports::ProxyPorts;
use crate::rule::{Peers, Rule, Tier};

/// A side's rules by whom they name.
#[derive(Clone, Debug)]
pub(super) struct Named {
    direction: Direction,
    /// The rules for any peer.
    any: Vec<Matched>,
    /// The first peer of every rule that names some.
    maybe: Vec<Matched>,
    /// The rules and peers that each selector stands for.
    by_selector: Map<u32, Vec<Matched>>,
    /// The selector of the node itself, if it is let in where no rule matches.
    host: Option<u32>,
    levels: Levels,
    forms: Forms,
    context: Context,
    items: Items,
}

/// Whom each rule of a side names, by its place in the side.
#[derive(Debug, Default)]
pub(super) struct ByPlace {
    /// The rules for any peer.
    pub(super) for_all: BTreeSet<u32>,
    /// The selectors of the others.
    pub(super) selectors: BTreeMap<u32, Vec<u32>>,
}

/// One row for each signature; the numbers are places in [`Decisions::rows`].
#[derive(Clone, Debug)]
pub(crate) struct Content {
    /// The row of known identities that no selector of the side matches.
    pub(crate) default: u32,
    /// The row of unknown identities.
    pub(crate) unknown: u32,
    /// Ascending; none of them says what the default says.
    pub(crate) exceptions: Vec<(Signature, u32)>,
}

impl Content {
    /// The row for a signature.
    pub(crate) fn row(&self, signature: Signature) -> u32 {
        if signature == Signature::UNKNOWN {
            return self.unknown;
        }
        self.exceptions
            .binary_search_by_key(&signature, |(one, _)| *one)
            .ok()
            .and_then(|at| self.exceptions.get(at))
            .map_or(self.default, |(_, row)| *row)
    }
}

/// What a decision needs besides the rules.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Basis<'a> {
    pub(crate) cookies: &'a Cookies,
    pub(crate) proxies: &'a ProxyPorts,
}

impl Logic {
    /// What a side says to everybody.
    ///
    /// Signatures that `is_alive` does not know are left out.
    pub(crate) fn content(
        &self,
        side: u32,
        is_alive: impl Fn(Signature) -> bool,
        basis: Basis<'_>,
        decisions: &mut Decisions,
    ) -> Option<Content> {
        let named = self.named.get(&side)?;
        let sided = self.sides.get(side)?;
        let rules = self.rules_of(sided);
        let mut decider = Decider::new(named.sources(&rules, &self.groups, basis), decisions);
        let unknown = decider.unknown(&named.any, &named.maybe);
        let signatures = self.signatures.get(sided.direction);
        let (default, rows) = if decider.is_ordered() {
            named.ordered(signatures, is_alive, &mut decider)
        } else {
            let default = decider.row(Who::Peer, named.any.clone());
            let touched = signatures.touched(named.selectors());
            let alive = touched.into_iter().filter(|one| is_alive(*one));
            let row = |one| (one, named.row(signatures.content(one), &mut decider));
            (default, alive.map(row).collect())
        };
        let mut exceptions = rows;
        exceptions.retain(|(_, row)| *row != default);
        exceptions.sort_unstable_by_key(|(signature, _)| *signature);
        Some(Content {
            default,
            unknown,
            exceptions,
        })
    }

    /// What the sides that are meant say to a signature, where it is not what they say to everybody.
    pub(crate) fn column(
        &self,
        direction: Direction,
        signature: Signature,
        is_meant: impl Fn(u32) -> bool,
        basis: Basis<'_>,
        decisions: &mut Decisions,
    ) -> Vec<(u32, u32)> {
        let content = self.signatures.get(direction).content(signature);
        let askers = self.askers.get(direction);
        let mut sides: Vec<u32> = content
            .iter()
            .filter_map(|selector| askers.get(*selector as usize))
            .flatten()
            .copied()
            .filter(|side| is_meant(*side))
            .collect();
        sides.sort_unstable();
        sides.dedup();
        let decide = |side: u32| {
            let named = self.named.get(&side)?;
            let sided = self.sides.get(side)?;
            let rules = self.rules_of(sided);
            let sources = named.sources(&rules, &self.groups, basis);
            let mut decider = Decider::new(sources, decisions);
            if decider.is_ordered() {
                let peers = vec![Peer {
                    of: side,
                    selectors: content,
                }];
                let selected = |selector| named.selected(selector);
                return decider.shared(&named.any, peers, selected).1.pop();
            }
            Some((side, named.row(content, &mut decider)))
        };
        sides.into_iter().filter_map(decide).collect()
    }

    fn rules_of(&self, sided: &Sided) -> Vec<Stands<'_>> {
        let rules = sided.rules.iter();
        rules.filter_map(|one| self.rules.stands(*one)).collect()
    }
}

impl Named {
    pub(super) fn new(
        sided: &Sided,
        rules: &[&Rule],
        host: Option<&Selector>,
        tier: Tier,
        peers: &mut Index,
        groups: &mut Groups,
    ) -> Self {
        let levels = Levels::of(rules);
        let mut forms = Forms::new();
        forms.add(&sided.side, rules, groups);
        let context = Context::new(&sided.side, rules, &levels, &forms, tier);
        let items = Items::new(&sided.side, rules, &levels, &forms, context);
        let mut named = Self {
            direction: sided.direction,
            any: Vec::new(),
            maybe: Vec::new(),
            by_selector: Map::default(),
            host: host.map(|selector| peers.intern(selector)),
            levels,
            forms,
            context,
            items,
        };
        for place in &sided.side.rules {
            if let Some(rule) = rules.get(*place as usize) {
                named.add(*place, rule, peers);
            }
        }
        named
    }

    fn add(&mut self, place: u32, rule: &Rule, peers: &mut Index) {
        let Peers::Some { list, .. } = &rule.peers else {
            self.any.push((place, 0));
            return;
        };
        let mut for_all = None;
        for (peer, one) in (0..).zip(list) {
            if one.selector.is_everything() {
                for_all = for_all.or(Some((place, peer)));
            } else {
                let selector = peers.intern(&one.selector);
                let matched = self.by_selector.entry(selector).or_default();
                matched.push((place, peer));
            }
        }
        match for_all {
            Some(matched) => self.any.push(matched),
            None if list.is_empty() => {}
            None => self.maybe.push((place, 0)),
        }
    }

    fn sources<'a>(
        &'a self,
        rules: &'a [Stands<'a>],
        groups: &'a Groups,
        basis: Basis<'a>,
    ) -> Sources<'a> {
        Sources {
            rules,
            context: self.context,
            items: &self.items,
            levels: &self.levels,
            groups,
            forms: &self.forms,
            cookies: basis.cookies,
            proxies: basis.proxies,
        }
    }

    pub(super) const fn direction(&self) -> Direction {
        self.direction
    }

    /// Whom each rule names.
    pub(super) fn by_place(&self) -> ByPlace {
        let mut selectors: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for (selector, matched) in &self.by_selector {
            for (place, _) in matched {
                selectors.entry(*place).or_default().push(*selector);
            }
        }
        ByPlace {
            for_all: self.any.iter().map(|(place, _)| *place).collect(),
            selectors,
        }
    }

    /// Every selector that the side asks for, ascending.
    pub(super) fn selectors(&self) -> impl Iterator<Item = u32> + use<> {
        let mut all: Vec<u32> = self.by_selector.keys().copied().chain(self.host).collect();
        all.sort_unstable();
        all.dedup();
        all.into_iter()
    }

    /// The row for whoever these selectors match.
    fn row(&self, content: &[u32], decider: &mut Decider<'_>) -> u32 {
        let is_host = |host: u32| content.binary_search(&host).is_ok();
        let who = if self.host.is_some_and(is_host) {
            Who::Host
        } else {
            Who::Peer
        };
        decider.row(who, self.matched(content))
    }

    /// The row of whoever no selector matches, and those of the signatures that one does.
    fn ordered(
        &self,
        signatures: &Signatures,
        is_alive: impl Fn(Signature) -> bool,
        decider: &mut Decider<'_>,
    ) -> (u32, Vec<(Signature, u32)>) {
        let mut selectors: Vec<u32> = self.selectors().collect();
        // What matches most is common to most, and comes first.
        selectors.sort_by_key(|one| Reverse(signatures.having(*one).len()));
        let pairs = (0_u32..).zip(&selectors).flat_map(|(place, selector)| {
            let having = signatures.having(*selector).iter();
            having.map(move |signature| (*signature, place))
        });
        let mut pairs: Vec<(Signature, u32)> = pairs.filter(|(one, _)| is_alive(*one)).collect();
        pairs.sort_by_key(|(signature, _)| *signature);
        let places: Vec<u32> = pairs.iter().map(|(_, place)| *place).collect();
        let mut rest = places.as_slice();
        let peers = pairs.chunk_by(|a, b| a.0 == b.0).filter_map(|pairs| {
            let (selectors, after) = rest.split_at_checked(pairs.len())?;
            rest = after;
            let (of, _) = *pairs.first()?;
            Some(Peer { of, selectors })
        });
        let peers = peers.collect();
        let selected = |place: u32| {
            let selector = selectors.get(place as usize).copied();
            self.selected(selector.unwrap_or(u32::MAX))
        };
        decider.shared(&self.any, peers, selected)
    }

    /// What a selector stands for here.
    fn selected(&self, selector: u32) -> Selected<'_> {
        let rules = self.by_selector.get(&selector);
        Selected {
            rules: rules.map_or(&[], Vec::as_slice),
            is_host: self.host == Some(selector),
        }
    }

    /// The rules that match whoever these selectors match, each with its first matching peer.
    fn matched(&self, selectors: &[u32]) -> Vec<Matched> {
        let mut matched = self.any.clone();
        // Whichever is shorter is gone through.
        if selectors.len() <= self.by_selector.len() {
            for id in selectors {
                matched.extend(self.by_selector.get(id).into_iter().flatten());
            }
        } else {
            let asked = self.by_selector.iter();
            let asked = asked.filter(|(id, _)| selectors.binary_search(id).is_ok());
            matched.extend(asked.flat_map(|(_, list)| list));
        }
        matched.sort_unstable();
        matched.dedup_by_key(|(place, _)| *place);
        matched
    }
}
