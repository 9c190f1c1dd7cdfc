//! Which rules are in force for an endpoint, and what happens where none matches.

use palisade_abi::Direction;
use palisade_identity::LabelSet;

use super::is_reserved;
use super::logical::Both;
use crate::options::{AllowLocalhost, Enforcement, Options};
use crate::rule::Rule;

/// What happens to traffic that no rule matches.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) enum Otherwise {
    /// It passes: the direction is not enforced, or no rule switches default deny on.
    Allowed,
    /// It is dropped because the options say so.
    Denied,
    /// It is dropped because the rule at this place switched default deny on.
    DeniedBy(u32),
}

/// The rules of one direction of an endpoint. Endpoints with equal ones share a policy.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct Side {
    /// Places in the list of all rules, ascending.
    pub(crate) rules: Vec<u32>,
    pub(crate) otherwise: Otherwise,
    /// Whether the node itself is let in where no rule matches.
    pub(crate) localhost: bool,
}

/// The rules in force for an endpoint with these labels. `rules` is sorted by name and index.
pub(crate) fn sides(labels: &LabelSet, rules: &[&Rule], options: &Options) -> Both<Side> {
    if options.enforcement == Enforcement::Never || is_reserved(labels, "host") {
        return Both::new(|_| Side::unenforced());
    }
    let mut sides = Both::new(|_| Side::unenforced());
    for (place, rule) in (0..).zip(rules) {
        if rule.subject.selects(labels) {
            sides.get_mut(rule.direction).rules.push(place);
        }
    }
    let always = options.enforcement == Enforcement::Always || is_reserved(labels, "init");
    for direction in Direction::BOTH {
        let side = sides.get_mut(direction);
        let mut selecting = side.rules.iter().copied();
        let denying = selecting.find(|place| {
            let rule = rules.get(*place as usize);
            rule.is_some_and(|rule| rule.default_deny)
        });
        side.otherwise = match denying {
            Some(place) => Otherwise::DeniedBy(place),
            None if always => Otherwise::Denied,
            None => Otherwise::Allowed,
        };
        side.localhost = direction == Direction::Ingress
            && side.otherwise != Otherwise::Allowed
            && options.allow_localhost == AllowLocalhost::Always;
    }
    sides
}

impl Side {
    /// A direction in which nothing is asked.
    const fn unenforced() -> Self {
        Self {
            rules: Vec::new(),
            otherwise: Otherwise::Allowed,
            localhost: false,
        }
    }
}
