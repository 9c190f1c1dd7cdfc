//! Rows: each cell decided once, by the plain walk over the rules that match.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

use palisade_abi::{Cookie, Verdict};

use super::cookies::{Cookies, Given, Part};
use super::groups::Groups;
use super::logical::{PortGroup, Row};
use super::subjects::Otherwise;
use crate::proxy_ports::{Proxy, ProxyPorts};
use crate::rule::{Effect, Peers, Ports, Redirect, Rule};

/// A rule that matches a peer: its place, and the place of the first of its peers that does.
pub(crate) type Matched = (u32, u32);

/// At one level a deny beats a redirect, and a redirect beats a plain allow.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Rank {
    DefaultDeny,
    Allow,
    Redirect,
    Deny,
}

/// What could decide a cell. Of two of one rank the first rule decides, and in it the first item.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Candidate {
    rank: Rank,
    rule: Reverse<u32>,
    part: Reverse<u32>,
}

/// No rule: comes after every rule.
const NO_RULE: u32 = u32::MAX;

/// The best candidates: for all ports, and for the groups that rules name.
struct Best {
    general: Candidate,
    specific: Vec<(PortGroup, Candidate)>,
}

/// Makes rows, each once.
pub(crate) struct Decider<'a> {
    rules: &'a [&'a Rule],
    groups: &'a Groups,
    /// The spans of each rule's port items.
    spans: &'a HashMap<u32, Vec<u32>>,
    cookies: &'a Cookies,
    proxies: &'a ProxyPorts,
    pub(crate) given: Given,
    pub(crate) verdicts: Vec<Verdict>,
    verdict_ids: HashMap<(u32, u16, u8, u8), u32>,
    pub(crate) rows: Vec<Row>,
    row_ids: HashMap<Row, u32>,
    known: HashMap<(Otherwise, Vec<Matched>), u32>,
    /// The best so far for each group, and the groups that have one.
    scratch: Vec<Option<Candidate>>,
    touched: Vec<PortGroup>,
}

impl<'a> Decider<'a> {
    pub(crate) fn new(
        rules: &'a [&'a Rule],
        groups: &'a Groups,
        spans: &'a HashMap<u32, Vec<u32>>,
        cookies: &'a Cookies,
        proxies: &'a ProxyPorts,
    ) -> Self {
        Self {
            rules,
            groups,
            spans,
            cookies,
            proxies,
            given: Given::new(cookies),
            verdicts: Vec::new(),
            verdict_ids: HashMap::new(),
            rows: Vec::new(),
            row_ids: HashMap::new(),
            known: HashMap::new(),
            scratch: vec![None; groups.count() as usize],
            touched: Vec::new(),
        }
    }

    /// The row where these rules match, in ascending order.
    pub(crate) fn row(&mut self, otherwise: Otherwise, mut matched: Vec<Matched>) -> u32 {
        for (rule, peer) in &mut matched {
            if self
                .rules
                .get(*rule as usize)
                .is_some_and(|rule| rule.ports != Ports::All)
            {
                // The port item decides whichever peer it was, so such rows are the same.
                *peer = NO_RULE;
            }
        }
        let key = (otherwise, matched);
        if let Some(row) = self.known.get(&key) {
            return *row;
        }
        let best = self.best(otherwise, &key.1);
        let default = self.verdict(best.general);
        let cells = best
            .specific
            .into_iter()
            .map(|(group, candidate)| (group, self.verdict(candidate.max(best.general))))
            .collect();
        let row = self.intern(default, cells);
        self.known.insert(key, row);
        row
    }

    /// The row of unknown identities: what `sure` rules, those for any peer, allow, unless a rule
    /// that names peers could decide otherwise.
    pub(crate) fn unknown(
        &mut self,
        otherwise: Otherwise,
        sure: &[Matched],
        maybe: &[Matched],
    ) -> u32 {
        let sure = self.best(otherwise, sure);
        let maybe = self.best(Otherwise::Denied, maybe);
        let default = self.careful(sure.general, maybe.general);
        let mut groups: BTreeMap<PortGroup, (Candidate, Candidate)> = BTreeMap::new();
        for (group, candidate) in &sure.specific {
            let best = (*candidate).max(sure.general);
            groups.insert(*group, (best, maybe.general));
        }
        for (group, candidate) in &maybe.specific {
            let cell = groups
                .entry(*group)
                .or_insert((sure.general, maybe.general));
            cell.1 = cell.1.max(*candidate);
        }
        let cells = groups
            .into_iter()
            .map(|(group, (sure, maybe))| (group, self.careful(sure, maybe)))
            .collect();
        self.intern(default, cells)
    }

    fn best(&mut self, otherwise: Otherwise, matched: &[Matched]) -> Best {
        let mut general = Candidate::otherwise(otherwise);
        let groups = self.groups;
        for (place, peer) in matched {
            let Some(rule) = self.rules.get(*place as usize) else {
                continue;
            };
            let Ports::Some(items) = &rule.ports else {
                general = general.max(Candidate::new(rank(rule, None), *place, *peer));
                continue;
            };
            let spans = self.spans.get(place).into_iter().flatten();
            for ((part, item), span) in (0..).zip(items).zip(spans) {
                let rank = rank(rule, item.redirect.as_deref());
                let candidate = Candidate::new(rank, *place, part);
                for group in groups.of_span(*span) {
                    self.consider(*group, candidate);
                }
            }
        }
        let mut specific = Vec::with_capacity(self.touched.len());
        for group in self.touched.drain(..) {
            let best = self
                .scratch
                .get_mut(group.0 as usize)
                .and_then(Option::take);
            specific.extend(best.map(|candidate| (group, candidate)));
        }
        specific.sort_unstable_by_key(|(group, _)| *group);
        Best { general, specific }
    }

    fn consider(&mut self, group: PortGroup, candidate: Candidate) {
        if let Some(best) = self.scratch.get_mut(group.0 as usize) {
            if best.is_none() {
                self.touched.push(group);
            }
            *best = (*best).max(Some(candidate));
        }
    }

    fn intern(&mut self, default: u32, mut cells: Vec<(PortGroup, u32)>) -> u32 {
        cells.retain(|(_, verdict)| *verdict != default);
        let row = Row {
            default,
            exceptions: cells,
        };
        let next = u32::try_from(self.rows.len()).unwrap_or(u32::MAX);
        if let Some(id) = self.row_ids.get(&row) {
            return *id;
        }
        self.rows.push(row.clone());
        self.row_ids.insert(row, next);
        next
    }

    /// The verdict for an unknown identity.
    fn careful(&mut self, sure: Candidate, maybe: Candidate) -> u32 {
        let passes = matches!(sure.rank, Rank::Allow | Rank::Redirect);
        let may_decide_otherwise = matches!(maybe.rank, Rank::Redirect | Rank::Deny);
        if passes && may_decide_otherwise {
            let cookie = self.cookie(maybe);
            return self.intern_verdict(Verdict::deny(cookie));
        }
        self.verdict(sure)
    }

    fn verdict(&mut self, candidate: Candidate) -> u32 {
        let cookie = self.cookie(candidate);
        let verdict = match candidate.rank {
            Rank::Allow => Verdict::allow(cookie),
            Rank::DefaultDeny => Verdict::default_deny(cookie),
            Rank::Deny => Verdict::deny(cookie),
            Rank::Redirect => self.proxies.get(&Proxy::Dns).map_or_else(
                || Verdict::deny(cookie),
                |port| Verdict::redirect(cookie, port),
            ),
        };
        self.intern_verdict(verdict)
    }

    fn intern_verdict(&mut self, verdict: Verdict) -> u32 {
        let key = (
            verdict.cookie,
            verdict.proxy_port,
            verdict.action,
            verdict.flags,
        );
        let next = u32::try_from(self.verdicts.len()).unwrap_or(u32::MAX);
        let id = *self.verdict_ids.entry(key).or_insert(next);
        if id == next {
            self.verdicts.push(verdict);
        }
        id
    }

    fn cookie(&mut self, candidate: Candidate) -> Cookie {
        let Candidate {
            rank,
            rule: Reverse(place),
            part: Reverse(part),
        } = candidate;
        let Some(rule) = self.rules.get(place as usize) else {
            return Cookie::default();
        };
        let part = match (rank, &rule.ports, &rule.peers) {
            (Rank::DefaultDeny, ..) => Part::DefaultDeny,
            (_, Ports::Some(_), _) => Part::Port(part),
            (_, Ports::All, Peers::Some { .. }) => Part::Peer(part),
            (_, Ports::All, Peers::Any { .. }) => Part::Whole,
        };
        self.given.cookie(self.cookies, place, rule, part)
    }
}

impl Candidate {
    const fn new(rank: Rank, rule: u32, part: u32) -> Self {
        Self {
            rank,
            rule: Reverse(rule),
            part: Reverse(part),
        }
    }

    const fn otherwise(otherwise: Otherwise) -> Self {
        match otherwise {
            Otherwise::Allowed => Self::new(Rank::Allow, NO_RULE, 0),
            Otherwise::Denied => Self::new(Rank::DefaultDeny, NO_RULE, 0),
            Otherwise::DeniedBy(place) => Self::new(Rank::DefaultDeny, place, 0),
        }
    }
}

const fn rank(rule: &Rule, redirect: Option<&Redirect>) -> Rank {
    match (rule.effect, redirect) {
        (Effect::Deny | Effect::Pass, _) => Rank::Deny,
        (Effect::Allow, Some(_)) => Rank::Redirect,
        (Effect::Allow, None) => Rank::Allow,
    }
}
