//! Rows: each cell decided once, by the plain walk over the rules that match.
//!
//! Levels, which are a tier and a priority in it, decide one after the other. At one level a deny
//! beats a redirect, and a redirect beats a plain allow. A pass leaves its tier. What no rule
//! decides falls to default deny, or passes where no rule switches that on.

mod best;
mod careful;
mod exact;
mod forms;
mod items;
mod level;
mod shared;

use std::hash::{BuildHasher as _, Hasher as _};

use palisade_abi::{Cookie, ProxyPort, Verdict};

pub(crate) use self::forms::Forms;
pub(crate) use self::items::Items;
pub(crate) use self::level::Levels;
pub(crate) use self::shared::{Peer, Selected};

use self::best::Candidate;
use self::exact::Hit;
use self::level::{Level, Rank};
use self::shared::Best;
use super::cookies::{Cookies, Given, Part, Stands};
use super::groups::Groups;
use super::hash::{Map, Seed};
use super::logical::{PortGroup, Row};
use super::subjects::{Otherwise, Side};
use crate::proxy_ports::{Proxy, ProxyPorts};
use crate::rule::{AuthMode, Peers, PortRule, Ports, Rule, Tier};

/// A rule that matches a peer: its place, and the place of the first of its peers that does.
pub(crate) type Matched = (u32, u32);

/// No rule: comes after every rule.
const NO_RULE: u32 = u32::MAX;

/// Who is on the other side.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Who {
    /// The node itself.
    Host,
    /// Somebody else.
    Peer,
}

/// What decides a cell.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
struct Decision {
    by: Decided,
    /// The authentication that is asked for; 0 for none.
    auth: u8,
}

/// By what a cell is decided.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum Decided {
    /// No rule, where none switches default deny on.
    Allowed,
    /// No rule; the one that switched default deny on, if it was a rule.
    Denied(Option<u32>),
    /// No rule: the node itself reaches its endpoints.
    Localhost,
    /// An item of a rule.
    Rule { rank: Rank, rule: u32, part: u32 },
    /// An item of a rule that may be about an identity that nobody knows.
    Unsure { rule: u32, part: u32 },
}

impl Decision {
    const fn plain(by: Decided) -> Self {
        Self { by, auth: 0 }
    }

    const fn is_denial(self) -> bool {
        matches!(
            self.by,
            Decided::Denied(_)
                | Decided::Unsure { .. }
                | Decided::Rule {
                    rank: Rank::Deny,
                    ..
                }
        )
    }

    const fn otherwise(otherwise: Otherwise) -> Self {
        Self::plain(match otherwise {
            Otherwise::Allowed => Decided::Allowed,
            Otherwise::Denied => Decided::Denied(None),
            Otherwise::DeniedBy(place) => Decided::Denied(Some(place)),
        })
    }
}

/// What the rows of a side have in common.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Context {
    otherwise: Otherwise,
    /// Where the node itself is let in.
    localhost: Option<Level>,
    /// How names of ports are read.
    form: u32,
    /// Whether rules must be told apart by how narrow they are.
    exact: bool,
}

/// What decides each group of ports.
struct Cells {
    general: Decision,
    specific: Vec<(PortGroup, Decision)>,
}

/// What is the same for all rows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sources<'a> {
    pub(crate) rules: &'a [Stands<'a>],
    pub(crate) context: Context,
    pub(crate) items: &'a Items,
    pub(crate) levels: &'a Levels,
    pub(crate) groups: &'a Groups,
    pub(crate) forms: &'a Forms,
    pub(crate) cookies: &'a Cookies,
    pub(crate) proxies: &'a ProxyPorts,
}

impl Sources<'_> {
    /// Where the proxy of an item listens.
    fn port_of(self, rule: &Rule, part: u32) -> Option<ProxyPort> {
        let Ports::Some(items) = &rule.ports else {
            return None;
        };
        let redirect = items.get(part as usize)?.redirect.as_deref()?;
        self.proxies.get(&Proxy::of(rule.direction, redirect))
    }
}

/// The rows and verdicts that one change asks for, each once.
#[derive(Debug)]
pub(crate) struct Decisions {
    pub(crate) given: Given,
    pub(crate) verdicts: Vec<Verdict>,
    verdict_ids: Map<(u32, u16, u8, u8), u32>,
    pub(crate) rows: Vec<Row>,
    /// The first row of each hash, and after every row the next one.
    row_ids: Map<u64, u32>,
    next_row: Vec<Option<u32>>,
    seed: Seed,
    /// The best so far for each group, and the groups that have one.
    scratch: Vec<Option<Candidate>>,
    touched: Vec<PortGroup>,
    best: Best,
    exceptions: Vec<(PortGroup, u32)>,
}

impl Decisions {
    /// None so far.
    pub(crate) fn new(cookies: &Cookies, groups: &Groups) -> Self {
        Self {
            given: Given::new(cookies),
            verdicts: Vec::new(),
            verdict_ids: Map::default(),
            rows: Vec::new(),
            row_ids: Map::default(),
            next_row: Vec::new(),
            seed: Seed::default(),
            scratch: Vec::new(),
            touched: Vec::new(),
            best: Best::new(groups),
            exceptions: Vec::new(),
        }
    }

    /// The place of a row, which joins if it is new. The exceptions are ascending.
    fn intern(&mut self, default: u32, exceptions: &[(PortGroup, u32)]) -> u32 {
        let mut hasher = self.seed.build_hasher();
        hasher.write_u32(default);
        for (PortGroup(group), verdict) in exceptions {
            hasher.write_u64(u64::from(*group) << 32 | u64::from(*verdict));
        }
        let next = u32::try_from(self.rows.len()).unwrap_or(u32::MAX);
        let first = self.row_ids.entry(hasher.finish()).or_insert(next);
        let mut same_hash = (*first != next).then_some(*first);
        let mut last = None;
        while let Some(at) = same_hash {
            let row = self.rows.get(at as usize);
            if row.is_some_and(|row| row.default == default && row.exceptions == exceptions) {
                return at;
            }
            last = Some(at);
            same_hash = self.next_row.get(at as usize).copied().flatten();
        }
        if let Some(after) = last.and_then(|last| self.next_row.get_mut(last as usize)) {
            *after = Some(next);
        }
        self.next_row.push(None);
        self.rows.push(Row {
            default,
            exceptions: exceptions.to_vec(),
        });
        next
    }
}

/// Makes the rows of one side, each once.
pub(crate) struct Decider<'a> {
    of: Sources<'a>,
    all: &'a mut Decisions,
    decisions: Map<Decision, u32>,
    known: Map<(Who, Vec<Matched>), u32>,
    /// The verdict of every item, and after the last the one where none decides.
    verdicts: Vec<Option<u32>>,
}

impl<'a> Decider<'a> {
    pub(crate) fn new(of: Sources<'a>, all: &'a mut Decisions) -> Self {
        Self {
            of,
            all,
            decisions: Map::default(),
            known: Map::default(),
            verdicts: Vec::new(),
        }
    }

    /// Whether the items of the side have an order in which they decide, and so
    /// [`Decider::shared`] is enough.
    pub(crate) const fn is_ordered(&self) -> bool {
        !self.of.context.exact && self.of.items.is_ordered()
    }

    /// The row where these rules match, in ascending order.
    pub(crate) fn row(&mut self, who: Who, mut matched: Vec<Matched>) -> u32 {
        for (place, peer) in &mut matched {
            if self
                .rule(*place)
                .is_some_and(|rule| rule.ports != Ports::All)
            {
                // The port item decides whichever peer it was, so such rows are the same.
                *peer = NO_RULE;
            }
        }
        let context = self.of.context;
        let key = (who, matched);
        if let Some(row) = self.known.get(&key) {
            return *row;
        }
        let (_, matched) = &key;
        let cells = if context.exact {
            self.exact(context, who, matched)
        } else {
            self.best(context, who, matched)
        };
        let row = self.intern(cells);
        self.known.insert(key, row);
        row
    }

    /// The row of unknown identities: what `sure` rules, those for any peer, allow, unless a rule
    /// that names peers could decide otherwise.
    pub(crate) fn unknown(&mut self, sure: &[Matched], maybe: &[Matched]) -> u32 {
        if self.is_ordered() && self.of.has_clear_ranks() {
            return self.shared_unknown(sure, maybe);
        }
        let context = self.of.context;
        let sure = self.hits(context, Who::Peer, sure);
        let maybe = self.hits(context, Who::Peer, maybe);
        let otherwise = Decision::otherwise(context.otherwise);
        let mut groups: Vec<PortGroup> = sure.groups().chain(maybe.groups()).collect();
        groups.sort_unstable();
        groups.dedup();
        let decide = |group: Option<PortGroup>| {
            careful::decide(&sure.of(group), &maybe.of(group), otherwise)
        };
        let cells = Cells {
            general: decide(None),
            specific: groups
                .into_iter()
                .map(|group| (group, decide(Some(group))))
                .collect(),
        };
        self.intern(cells)
    }

    /// Each cell by everything that matches it.
    fn exact(&self, context: Context, who: Who, matched: &[Matched]) -> Cells {
        let hits = self.hits(context, who, matched);
        let otherwise = Decision::otherwise(context.otherwise);
        let decide = |group: Option<PortGroup>| exact::decide(&hits.of(group)).unwrap_or(otherwise);
        Cells {
            general: decide(None),
            specific: hits
                .groups()
                .map(|group| (group, decide(Some(group))))
                .collect(),
        }
    }

    /// Everything that matches, group by group.
    fn hits(&self, context: Context, who: Who, matched: &[Matched]) -> Hits {
        let mut hits = Hits::default();
        hits.general
            .extend(context.localhost(who).map(Hit::localhost));
        for (place, peer) in matched {
            let Some(rule) = self.rule(*place) else {
                continue;
            };
            let level = self.of.levels.at(*place);
            let hit = |item: Option<&PortRule>, part, length| {
                let redirect = item.and_then(|item| item.redirect.as_deref());
                let proxy = redirect.map(|redirect| Proxy::of(rule.direction, redirect));
                let proxy = proxy.and_then(|proxy| self.of.proxies.get(&proxy));
                Hit {
                    level,
                    rank: Rank::of(rule, redirect),
                    rule: Some(*place),
                    part,
                    for_all: is_for_all(rule),
                    length,
                    auth: rule.auth.map(AuthMode::number),
                    proxy: proxy.map(ProxyPort::get),
                }
            };
            match &rule.ports {
                Ports::All => hits.general.push(hit(None, *peer, 0)),
                Ports::Some(items) => {
                    for piece in self.of.forms.pieces(context.form, *place) {
                        let one = hit(items.get(piece.part as usize), piece.part, piece.length);
                        for group in self.of.groups.of_span(piece.span) {
                            hits.specific.entry(group).or_default().push(one);
                        }
                    }
                }
            }
        }
        hits
    }

    fn rule(&self, place: u32) -> Option<&'a Rule> {
        self.of.rules.get(place as usize)?.rule()
    }

    fn intern(&mut self, cells: Cells) -> u32 {
        let default = self.verdict(cells.general);
        let cells = cells.specific.into_iter();
        let mut exceptions: Vec<(PortGroup, u32)> = cells
            .map(|(group, decision)| (group, self.verdict(decision)))
            .filter(|(_, verdict)| *verdict != default)
            .collect();
        exceptions.sort_unstable_by_key(|(group, _)| *group);
        self.all.intern(default, &exceptions)
    }

    fn verdict(&mut self, decision: Decision) -> u32 {
        if let Some(id) = self.decisions.get(&decision) {
            return *id;
        }
        let verdict = self.make_verdict(decision);
        let key = (
            verdict.cookie,
            verdict.proxy_port,
            verdict.action,
            verdict.flags,
        );
        let next = u32::try_from(self.all.verdicts.len()).unwrap_or(u32::MAX);
        let id = *self.all.verdict_ids.entry(key).or_insert(next);
        if id == next {
            self.all.verdicts.push(verdict);
        }
        self.decisions.insert(decision, id);
        id
    }

    fn make_verdict(&mut self, decision: Decision) -> Verdict {
        let (place, part, rank) = match decision.by {
            Decided::Allowed | Decided::Localhost | Decided::Denied(None) => {
                let nobody = Cookie::default();
                return if decision.by == Decided::Denied(None) {
                    Verdict::default_deny(nobody)
                } else {
                    Verdict::allow(nobody)
                };
            }
            Decided::Denied(Some(place)) => {
                return Verdict::default_deny(self.cookie(place, Part::DefaultDeny));
            }
            Decided::Rule { rank, rule, part } => (rule, part, rank),
            Decided::Unsure { rule, part } => (rule, part, Rank::Deny),
        };
        let Some(rule) = self.rule(place) else {
            return Verdict::deny(Cookie::default());
        };
        let cookie = self.cookie(place, deciding_part(rule, part));
        let verdict = match rank {
            Rank::Allow => Verdict::allow(cookie).with_auth(decision.auth),
            Rank::Redirect(_) => self.of.port_of(rule, part).map_or_else(
                // Traffic for a proxy that does not listen must not pass it by.
                || Verdict::deny(cookie),
                |port| Verdict::redirect(cookie, port).with_auth(decision.auth),
            ),
            Rank::Deny | Rank::Pass => Verdict::deny(cookie),
        };
        if rule.log.is_some() {
            verdict.with_log()
        } else {
            verdict
        }
    }

    fn cookie(&mut self, place: u32, part: Part) -> Cookie {
        let Some(stands) = self.of.rules.get(place as usize) else {
            return Cookie::default();
        };
        self.all.given.cookie(self.of.cookies, *stands, part)
    }
}

impl Context {
    /// What the rows of a side have in common, which lets the node itself in in this tier.
    pub(crate) fn new(
        side: &Side,
        rules: &[&Rule],
        levels: &Levels,
        forms: &Forms,
        tier: Tier,
    ) -> Self {
        let (form, exact) = forms.form(side, rules);
        Self {
            otherwise: side.otherwise,
            localhost: levels.localhost(side, tier),
            form,
            exact,
        }
    }

    fn localhost(self, who: Who) -> Option<Level> {
        self.localhost.filter(|_| who == Who::Host)
    }
}

/// What matches, for all ports and for groups of them.
#[derive(Default)]
struct Hits {
    general: Vec<Hit>,
    specific: Map<PortGroup, Vec<Hit>>,
}

impl Hits {
    fn groups(&self) -> impl Iterator<Item = PortGroup> {
        self.specific.keys().copied()
    }

    /// What matches a group, or the ports that no rule names.
    fn of(&self, group: Option<PortGroup>) -> Vec<Hit> {
        let specific = group.and_then(|group| self.specific.get(&group));
        let specific = specific.into_iter().flatten();
        self.general.iter().chain(specific).copied().collect()
    }
}

/// Whether a rule is for whoever it may be.
pub(crate) fn is_for_all(rule: &Rule) -> bool {
    match &rule.peers {
        Peers::Any { .. } => true,
        Peers::Some { list, .. } => list.iter().any(|peer| peer.selector.is_everything()),
    }
}

/// The part of a rule that a verdict leads to.
const fn deciding_part(rule: &Rule, part: u32) -> Part {
    match (&rule.ports, &rule.peers) {
        (Ports::Some(_), _) => Part::Port(part),
        (Ports::All, Peers::Some { .. }) => Part::Peer(part),
        (Ports::All, Peers::Any { .. }) => Part::Whole,
    }
}
