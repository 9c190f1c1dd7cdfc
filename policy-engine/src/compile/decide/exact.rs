//! One cell, decided by everything that matches it.
//!
//! Where rules ask for authentication, or listeners are of equal priority, the rule that decides is
//! not enough: what others say of the same packet counts too. Cilium keeps the rules for everybody
//! apart from those for somebody; in each of the two the narrower key takes from the broader, and
//! the better of the two decides.

use std::cmp::Reverse;

use super::level::{Level, Rank};
use super::{Decided, Decision};

/// An item of a rule that matches a cell.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Hit {
    pub(super) level: Level,
    pub(super) rank: Rank,
    /// The rule; `None` for the node itself, which is let in without one.
    pub(super) rule: Option<u32>,
    /// The item of the rule.
    pub(super) part: u32,
    /// Whether the rule is for everybody.
    pub(super) for_all: bool,
    /// How narrow the item is.
    pub(super) length: u8,
    /// The authentication that the rule asks for.
    pub(super) auth: Option<u8>,
    /// Where the proxy listens.
    pub(super) proxy: Option<u16>,
}

impl Hit {
    /// The node itself, which is let in at this level.
    pub(super) const fn localhost(level: Level) -> Self {
        Self {
            level,
            rank: Rank::Allow,
            rule: None,
            part: 0,
            for_all: false,
            length: 0,
            auth: None,
            proxy: None,
        }
    }
}

/// What decides a cell that these items match; `None` if none of them does.
pub(super) fn decide(hits: &[Hit]) -> Option<Decision> {
    let mut passed: Option<Level> = None;
    let mut level = hits.iter().map(|hit| hit.level).min();
    while let Some(here) = level {
        let of_level = || hits.iter().filter(|hit| hit.level == here);
        let skipped = passed.is_some_and(|passed| passed.shares_tier(here));
        let best = of_level().map(|hit| hit.rank).max();
        match best.filter(|_| !skipped) {
            Some(Rank::Pass) => passed = Some(here),
            Some(Rank::Deny) => return first(of_level().filter(|hit| hit.rank == Rank::Deny), 0),
            Some(Rank::Allow | Rank::Redirect(_)) => return allowed(hits, here),
            None => {}
        }
        let later = hits
            .iter()
            .map(|hit| hit.level)
            .filter(|level| *level > here);
        level = later.min();
    }
    None
}

/// What lets a packet through at a level that does.
fn allowed(hits: &[Hit], level: Level) -> Option<Decision> {
    let of_level = || {
        let at = hits.iter().filter(move |hit| hit.level == level);
        at.filter(|hit| hit.rank != Rank::Pass)
    };
    let everybody = found(&of_level().filter(|hit| hit.for_all));
    let somebody = found(&of_level().filter(|hit| !hit.for_all));
    let found = match (somebody, everybody) {
        (Some(one), Some(other)) if one.rank == other.rank => {
            if other.length > one.length {
                other.beside(one)
            } else {
                one.beside(other)
            }
        }
        (Some(one), Some(other)) if one.rank < other.rank => other,
        (Some(one), _) => one,
        (None, Some(other)) => other,
        (None, None) => return None,
    };
    let decisive = of_level().filter(|hit| hit.rank == found.rank && hit.proxy == found.proxy);
    let asking = decisive
        .clone()
        .filter(|hit| hit.auth == Some(found.auth) && found.auth > 0);
    first(asking, found.auth).or_else(|| first(decisive, found.auth))
}

/// The first rule of these, and in it the first item.
fn first<'a>(hits: impl Iterator<Item = &'a Hit>, auth: u8) -> Option<Decision> {
    let first = hits.min_by_key(|hit| (hit.rule.is_none(), hit.rule, hit.part))?;
    let by = first.rule.map_or(Decided::Localhost, |rule| Decided::Rule {
        rank: first.rank,
        rule,
        part: first.part,
    });
    Some(Decision { by, auth })
}

/// The narrowest of the keys that are left of these items, and what it took from the broader ones.
#[derive(Clone, Copy, Debug)]
struct Found {
    rank: Rank,
    proxy: Option<u16>,
    length: u8,
    auth: u8,
    /// Whether a rule of this very key asks for the authentication.
    explicit: bool,
}

impl Found {
    /// Of two keys of the same rank the other still has a say in authentication.
    fn beside(self, other: Self) -> Self {
        let auth = if self.explicit {
            self.auth
        } else {
            self.auth.max(other.auth)
        };
        Self { auth, ..self }
    }
}

fn found<'a>(hits: &(impl Iterator<Item = &'a Hit> + Clone)) -> Option<Found> {
    let mut lengths: Vec<u8> = hits.clone().map(|hit| hit.length).collect();
    lengths.sort_unstable();
    lengths.dedup();
    let mut found: Option<Found> = None;
    for length in lengths {
        let of_key = hits.clone().filter(|hit| hit.length == length);
        let Some((rank, Reverse(proxy))) = of_key
            .clone()
            .map(|hit| (hit.rank, Reverse(hit.proxy)))
            .max()
        else {
            continue;
        };
        let asked = of_key.filter_map(|hit| hit.auth).max();
        found = Some(match found {
            None => Found {
                rank,
                proxy,
                length,
                auth: asked.unwrap_or_default(),
                explicit: asked.is_some(),
            },
            // A key that a broader one beats is not kept, unless it asks for authentication.
            Some(broader) if rank < broader.rank && asked.is_none() => broader,
            Some(broader) => {
                let wins = rank >= broader.rank;
                Found {
                    rank: rank.max(broader.rank),
                    proxy: if wins { proxy } else { broader.proxy },
                    length,
                    auth: asked.unwrap_or(broader.auth),
                    explicit: asked.is_some(),
                }
            }
        });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::decide::level::Levels;

    /// A plain allow of one level.
    fn allow(rule: u32, for_all: bool, length: u8, auth: Option<u8>) -> Hit {
        Hit {
            for_all,
            length,
            auth,
            rule: Some(rule),
            ..Hit::localhost(Levels::of(&[]).at(0))
        }
    }

    fn auth(hits: &[Hit]) -> Option<u8> {
        decide(hits).map(|decision| decision.auth)
    }

    #[test]
    fn what_asks_for_nothing_takes_the_authentication_of_the_other_key() {
        let somebody = allow(0, false, 0, Some(1));
        assert_eq!(auth(&[somebody, allow(1, true, 24, None)]), Some(1));
        assert_eq!(auth(&[somebody, allow(1, true, 24, Some(0))]), Some(0));
        assert_eq!(auth(&[somebody, allow(1, false, 24, None)]), Some(1));
    }

    #[test]
    fn of_two_keys_of_one_length_the_one_for_somebody_decides() {
        let everybody = allow(0, true, 24, Some(2));
        assert_eq!(auth(&[everybody, allow(1, false, 24, Some(1))]), Some(1));
        assert_eq!(auth(&[everybody, allow(1, false, 8, Some(1))]), Some(2));
    }
}
