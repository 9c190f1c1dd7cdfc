//! Which rules are in force for an endpoint, and what happens where none matches.

use std::collections::HashMap;

use palisade_abi::Direction;
use palisade_identity::{LabelSet, Selector};

use super::index::Index;
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
    let places = (0..)
        .zip(rules)
        .filter(|(_, rule)| rule.subject.selects(labels));
    let places: Vec<u32> = places.map(|(place, _)| place).collect();
    of_selecting(labels, &places, rules, options)
}

/// The same for many endpoints at once, each with its labels.
pub(crate) fn all_sides(sets: &[&LabelSet], rules: &[&Rule], options: &Options) -> Vec<Both<Side>> {
    let selectors = rules.iter().map(|rule| rule.subject.selector());
    let index = Index::new(sets, selectors);
    let mut known: HashMap<&Selector, Vec<u32>> = HashMap::new();
    let mut selecting: Vec<Vec<u32>> = vec![Vec::new(); sets.len()];
    for (place, rule) in (0..).zip(rules) {
        let selector = rule.subject.selector();
        let selected = known
            .entry(selector)
            .or_insert_with(|| index.matching(selector));
        for at in selected {
            if let Some(places) = selecting.get_mut(*at as usize) {
                places.push(place);
            }
        }
    }
    let sides = sets.iter().zip(&selecting);
    sides
        .map(|(labels, places)| of_selecting(labels, places, rules, options))
        .collect()
}

/// What the rules at these places, which select the endpoint, come to.
fn of_selecting(
    labels: &LabelSet,
    places: &[u32],
    rules: &[&Rule],
    options: &Options,
) -> Both<Side> {
    let mut sides = Both::new(|_| Side::unenforced());
    if options.enforcement == Enforcement::Never || is_reserved(labels, "host") {
        return sides;
    }
    let always = options.enforcement == Enforcement::Always || is_reserved(labels, "init");
    for direction in Direction::BOTH {
        let side = sides.get_mut(direction);
        let in_force = places
            .iter()
            .filter_map(|place| Some((*place, *rules.get(*place as usize)?)));
        let in_force: Vec<(u32, &Rule)> = in_force
            .filter(|(_, rule)| rule.direction == direction)
            .collect();
        side.otherwise = match in_force.iter().find(|(_, rule)| rule.default_deny) {
            Some((place, _)) => Otherwise::DeniedBy(*place),
            None if always => Otherwise::Denied,
            None => Otherwise::Allowed,
        };
        side.localhost = direction == Direction::Ingress
            && side.otherwise != Otherwise::Allowed
            && options.allow_localhost == AllowLocalhost::Always;
        side.rules = in_force.into_iter().map(|(place, _)| place).collect();
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
