//! Rules of application protocols, united.

use std::collections::{BTreeMap, HashSet};
use std::hash::Hash;
use std::sync::Arc;

use palisade_fqdn::{Level, MatchPattern};

use crate::rule::{DnsRule, HttpRule, KafkaRule, L7Rules};
use crate::span::Location;

/// Whether there are no rules, so that a proxy lets everything pass.
pub(super) fn is_empty(rules: &L7Rules) -> bool {
    match rules {
        L7Rules::None => true,
        L7Rules::Dns(list) => list.is_empty(),
        L7Rules::Http(list) => list.is_empty(),
        L7Rules::Kafka(list) => list.is_empty(),
        L7Rules::Other { rules, .. } => rules.is_empty(),
    }
}

/// Adds a rule that everything meets, unless there are none or one such is there.
pub(super) fn allow_rest(rules: &mut L7Rules, location: &Location) {
    let any_topic = |rule: &KafkaRule| rule.topic.is_none();
    match rules {
        L7Rules::Kafka(list) if list.iter().any(any_topic) => {}
        _ => add_open(rules, location),
    }
}

/// Adds the rule that says nothing, unless there are none or it is there.
pub(super) fn add_open(rules: &mut L7Rules, location: &Location) {
    let open = match rules {
        L7Rules::Dns(_) => MatchPattern::parse("*", Level::Agent).ok().map(|pattern| {
            let location = location.clone();
            L7Rules::Dns([DnsRule { pattern, location }].into())
        }),
        L7Rules::Http(_) => Some(L7Rules::Http([HttpRule::default()].into())),
        L7Rules::Kafka(_) => Some(L7Rules::Kafka([KafkaRule::default()].into())),
        L7Rules::None => None,
        L7Rules::Other { protocol, .. } => Some(L7Rules::Other {
            protocol: Arc::clone(protocol),
            rules: [BTreeMap::new()].into(),
        }),
    };
    if let Some(open) = open.filter(|_| !is_empty(rules)) {
        unite(rules, &[open]);
    }
}

/// Adds the rules of `more` that are not there yet. Rules of another protocol are not added: those
/// have been found to conflict.
pub(super) fn unite(rules: &mut L7Rules, more: &[L7Rules]) {
    if more.is_empty() {
        return;
    }
    match rules {
        L7Rules::None => {}
        L7Rules::Dns(list) => {
            let of = |rules: &L7Rules| match rules {
                L7Rules::Dns(list) => Arc::clone(list),
                _ => Arc::default(),
            };
            // Where a rule stands does not tell it from another.
            add(list, more.iter().map(of), |rule| rule.pattern.clone());
        }
        L7Rules::Http(list) => {
            let of = |rules: &L7Rules| match rules {
                L7Rules::Http(list) => Arc::clone(list),
                _ => Arc::default(),
            };
            add(list, more.iter().map(of), HttpRule::clone);
        }
        L7Rules::Kafka(list) => {
            let of = |rules: &L7Rules| match rules {
                L7Rules::Kafka(list) => Arc::clone(list),
                _ => Arc::default(),
            };
            add(list, more.iter().map(of), KafkaRule::clone);
        }
        L7Rules::Other { rules: list, .. } => {
            let of = |rules: &L7Rules| match rules {
                L7Rules::Other { rules, .. } => Arc::clone(rules),
                _ => Arc::default(),
            };
            add(list, more.iter().map(of), BTreeMap::clone);
        }
    }
}

fn add<T: Clone, K: Eq + Hash>(
    list: &mut Arc<[T]>,
    more: impl Iterator<Item = Arc<[T]>>,
    key: impl Fn(&T) -> K,
) {
    let mut known: HashSet<K> = list.iter().map(&key).collect();
    let mut all = list.to_vec();
    for rules in more {
        let new = rules.iter().filter(|rule| known.insert(key(rule)));
        all.extend(new.cloned());
    }
    *list = all.into();
}
