//! Directions in which rules pass traffic on to the next tier.
//!
//! What a pass leaves undecided is decided further down, differently for each set of peers and
//! ports that the pass is about. So every key of every identity is decided apart, by the plain walk
//! over the levels; what was decided after a pass gets a precedence from the room that is left for
//! it right after the pass, and so goes before what the pass skipped.

use std::collections::{BTreeMap, HashMap};

use super::entry::Entry;
use super::key::PortPrefix;
use super::side::Node;
use crate::filters::{Filters, TIERS};

/// What a rule says about a key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    pub(super) identity: u32,
    pub(super) said: Said,
}

/// What a rule says about ports.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) struct Said {
    pub(super) ports: PortPrefix,
    pub(super) tier: u8,
    pub(super) priority: u32,
    /// `None` passes on.
    pub(super) entry: Option<Entry>,
}

/// The entries of candidates some of which pass on.
pub(super) fn walk(candidates: Vec<Candidate>, filters: &Filters<'_>) -> Vec<Node> {
    let mut of_identity: BTreeMap<u32, Vec<Said>> = BTreeMap::new();
    for Candidate { identity, said } in candidates {
        of_identity.entry(identity).or_default().push(said);
    }
    let everybody = of_identity.remove(&0).unwrap_or_default();
    // Identities about which the same is said are decided once.
    let mut alike: HashMap<Vec<Said>, Vec<u32>> = HashMap::new();
    for (identity, mut said) in of_identity {
        said.extend(&everybody);
        alike.entry(said).or_default().push(identity);
    }
    let of_everybody = decide(everybody, filters);
    let mut nodes: BTreeMap<PortPrefix, Vec<(u32, Entry)>> = BTreeMap::new();
    for (ports, entry) in distinct(&of_everybody) {
        nodes.entry(ports).or_default().push((0, entry));
    }
    for (said, identities) in alike {
        let mut decided = decide(said, filters);
        raise(&mut decided, &of_everybody);
        for (ports, entry) in distinct(&decided) {
            let all = identities.iter().map(|identity| (*identity, entry));
            nodes.entry(ports).or_default().extend(all);
        }
    }
    let nodes = nodes.into_iter().map(|(ports, mut entries)| {
        entries.sort_unstable_by_key(|(identity, _)| *identity);
        Node { ports, entries }
    });
    nodes.collect()
}

/// What is decided for ports where somebody says something.
#[derive(Clone, Copy, Debug)]
struct Decided {
    ports: PortPrefix,
    /// `None` where no rule decides and none passed on.
    entry: Option<Entry>,
    /// The priority of the first rule that passed on.
    passed: Option<u32>,
}

/// What goes first in each tier.
type First = [Option<Said>; TIERS];

/// Decides each of the prefixes that are mentioned, in ascending order.
fn decide(mut said: Vec<Said>, filters: &Filters<'_>) -> Vec<Decided> {
    said.sort_by_key(|one| one.ports);
    let mut covering: Vec<(PortPrefix, First)> = Vec::new();
    let mut decided = Vec::new();
    for group in said.chunk_by(|a, b| a.ports == b.ports) {
        let Some(ports) = group.first().map(|one| one.ports) else {
            continue;
        };
        while covering
            .last()
            .is_some_and(|(above, _)| !above.covers(ports))
        {
            covering.pop();
        }
        let mut first = First::default();
        for one in group {
            if let Some(place) = first.get_mut(usize::from(one.tier)) {
                *place = Some(place.map_or(*one, |other| beside(other, *one)));
            }
        }
        if let Some((_, above)) = covering.last() {
            for (place, above) in first.iter_mut().zip(above) {
                *place = match (*place, *above) {
                    (Some(narrow), Some(wide)) => Some(inside(narrow, wide)),
                    (narrow, wide) => narrow.or(wide),
                };
            }
        }
        decided.push(level_by_level(ports, &first, filters));
        covering.push((ports, first));
    }
    decided
}

/// The priority, and at one level deny before redirect, allow and pass.
fn order(said: &Said) -> impl Ord {
    let precedence = said.entry.map(|entry| entry.precedence);
    (said.priority, std::cmp::Reverse(precedence))
}

/// Which of two goes first that are about the same ports.
fn beside(one: Said, other: Said) -> Said {
    let (mut first, second) = if order(&other) < order(&one) {
        (other, one)
    } else {
        (one, other)
    };
    if let (Some(entry), Some(second)) = (&mut first.entry, second.entry) {
        entry.merge(second);
    }
    first
}

/// Which of two goes first where one is about some of the other's ports. At one priority what does
/// not say which authentication it asks for takes that of the wider.
fn inside(mut narrow: Said, wide: Said) -> Said {
    if order(&wide) < order(&narrow) {
        return wide;
    }
    if let (Some(entry), Some(wider)) = (&mut narrow.entry, wide.entry)
        && narrow.priority == wide.priority
        && !(entry.denies || wider.denies || entry.auth.is_explicit())
    {
        entry.auth = wider.auth.derived();
    }
    narrow
}

/// The plain walk.
fn level_by_level(ports: PortPrefix, first: &First, filters: &Filters<'_>) -> Decided {
    // The priority of the first pass, and what is left of the room after it.
    let mut room: Option<(u32, u32, u32)> = None;
    for (tier, said) in (0..).zip(first) {
        let Some(said) = said else {
            continue;
        };
        let priority = room.map_or(said.priority, |(_, start, end)| {
            let offset = said.priority.saturating_sub(filters.base_of(tier));
            start.saturating_add(offset).min(end)
        });
        let passed = room.map(|(passed, ..)| passed);
        if let Some(mut entry) = said.entry {
            entry.precedence = entry.precedence.at(priority);
            let entry = Some(entry);
            return Decided {
                ports,
                entry,
                passed,
            };
        }
        let (passed, end) = room.map_or_else(
            || (priority, priority.saturating_add(filters.room_below(tier))),
            |(passed, _, end)| (passed, end),
        );
        room = Some((passed, priority.saturating_add(1).min(end), end));
    }
    Decided {
        ports,
        // Behind everything that is decided for anybody.
        entry: room.map(|_| Entry::deny(u32::MAX)),
        passed: room.map(|(passed, ..)| passed),
    }
}

/// Lets what is decided for an identity after a pass go before what is decided for everybody.
fn raise(decided: &mut [Decided], of_everybody: &[Decided]) {
    let mut covering: Vec<Decided> = Vec::new();
    let mut of_everybody = of_everybody.iter().peekable();
    for one in decided {
        while let Some(next) = of_everybody.next_if(|next| next.ports <= one.ports) {
            while covering
                .last()
                .is_some_and(|above| !above.ports.covers(next.ports))
            {
                covering.pop();
            }
            covering.push(*next);
        }
        let above = covering
            .iter()
            .rev()
            .find(|above| above.ports.covers(one.ports));
        let (Some(entry), Some(passed)) = (&mut one.entry, one.passed) else {
            continue;
        };
        let Some(any) = above.and_then(|above| above.entry) else {
            continue;
        };
        if *entry != any && entry.precedence <= any.precedence {
            entry.precedence = entry.precedence.at(passed);
        }
    }
}

/// What is decided, where it is not what the next wider prefix says.
fn distinct(decided: &[Decided]) -> Vec<(PortPrefix, Entry)> {
    let mut covering: Vec<&Decided> = Vec::new();
    let mut all = Vec::new();
    for one in decided {
        while covering
            .last()
            .is_some_and(|above| !above.ports.covers(one.ports))
        {
            covering.pop();
        }
        let above = covering.last().and_then(|above| above.entry);
        if let Some(entry) = one.entry.filter(|entry| Some(*entry) != above) {
            all.push((one.ports, entry));
        }
        covering.push(one);
    }
    all
}
