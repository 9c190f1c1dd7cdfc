//! What an identity that nobody knows may do.
//!
//! Its labels may turn out to be anything, so it is judged from the rules, not from the identities
//! there are: a rule that names peers could be about it.

use std::cmp::Reverse;

use super::exact::{self, Hit};
use super::level::{Level, Rank};
use super::{Decided, Decision};

/// What decides where the items of `sure` match, and those of `maybe` might.
///
/// What the rules for everybody allow is denied if one of the others might decide otherwise.
pub(super) fn decide(sure: &[Hit], maybe: &[Hit], otherwise: Decision) -> Decision {
    let mut levels: Vec<Level> = sure.iter().chain(maybe).map(|hit| hit.level).collect();
    levels.sort_unstable();
    levels.dedup();
    let mut doubt: Option<&Hit> = None;
    let mut may_pass: Option<&Hit> = None;
    let mut passed: Option<Level> = None;
    for level in levels {
        if passed.is_some_and(|passed| passed.shares_tier(level)) {
            continue;
        }
        may_pass = may_pass.filter(|hit| hit.level.shares_tier(level));
        let here: Vec<Hit> = sure
            .iter()
            .filter(|hit| hit.level == level)
            .copied()
            .collect();
        let decided = exact::decide(&here);
        let might = || maybe.iter().filter(|hit| hit.level == level);
        doubt = doubt.or_else(|| first(might().filter(|hit| is_stricter(hit, &here))));
        match decided {
            Some(decided) if decided.is_denial() => return decided,
            Some(decided) => return doubt.or(may_pass).map_or(decided, unsure),
            None => {}
        }
        if here.iter().any(|hit| hit.rank == Rank::Pass) {
            passed = Some(level);
        }
        may_pass = may_pass.or_else(|| first(might().filter(|hit| hit.rank == Rank::Pass)));
    }
    if otherwise.is_denial() {
        return otherwise;
    }
    doubt.map_or(otherwise, unsure)
}

/// Whether an item that may match would do something stricter than what matches for sure.
fn is_stricter(hit: &Hit, sure: &[Hit]) -> bool {
    let with: Vec<Hit> = sure.iter().chain([hit]).copied().collect();
    let says = |hits: &[Hit]| {
        let decision = exact::decide(hits)?;
        let Decided::Rule { rank, rule, part } = decision.by else {
            return None;
        };
        let by = hits
            .iter()
            .find(|hit| (hit.rule, hit.part) == (Some(rule), part));
        let proxy = by.and_then(|hit| hit.proxy);
        let goes_to = matches!(rank, Rank::Redirect(_)).then_some(proxy);
        Some((rank == Rank::Deny, goes_to, decision.auth))
    };
    match (says(sure), says(&with)) {
        (_, None) => false,
        // Where nothing is sure, an allowance alone is no reason for doubt.
        (None, Some((denies, goes_to, auth))) => denies || goes_to.is_some() || auth > 0,
        (Some((denied, went_to, asked)), Some((denies, goes_to, auth))) => {
            denies != denied || goes_to != went_to || auth > asked
        }
    }
}

/// The item that would decide first.
fn first<'a>(hits: impl Iterator<Item = &'a Hit>) -> Option<&'a Hit> {
    hits.min_by_key(|hit| (Reverse(hit.rank), hit.rule, hit.part))
}

fn unsure(hit: &Hit) -> Decision {
    let rule = hit.rule.unwrap_or_default();
    Decision::plain(Decided::Unsure {
        rule,
        part: hit.part,
    })
}
