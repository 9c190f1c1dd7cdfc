//! The filter that decides a query: which names may be asked for, by rule set.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use crate::name::DnsName;
use crate::pattern::MatchPattern;
use crate::pattern_set::{PatternId, PatternSet};

/// Rule sets by key, over one set of patterns.
///
/// A key `K` stands for what a query has to come from and go to for its rules to count: an
/// endpoint, a protocol and a port, a group of servers. A rule `R` is whatever leads back to the
/// rule: a cookie, a place in a file. Of several rules that allow a name the least is reported.
///
/// A rule `*` allows every query, whatever bytes its name holds; any other rule allows only names
/// made of `[-a-zA-Z0-9_]`.
///
/// ```
/// use palisade_fqdn::{Decision, DnsName, Filter};
///
/// let mut filter = Filter::new();
/// let (pod, rule) = ("shop/cart", "policies/dns.yaml:9");
/// filter.set(pod, [("*.domain.com".parse()?, rule)]);
///
/// let allowed = filter.decide([&pod], &DnsName::parse("ok.domain.com")?);
/// assert_eq!(allowed, Decision::Allow { rule: &rule });
/// let refused = filter.decide([&pod], &DnsName::parse("evil.test")?);
/// assert_eq!(refused, Decision::Refuse);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Filter<K, R> {
    patterns: PatternSet,
    by_key: HashMap<K, Arc<RuleSet<R>>>,
    /// Equal sets are kept once; the number says how many keys have it.
    sets: HashMap<Arc<RuleSet<R>>, usize>,
}

/// What becomes of a query.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Decision<'a, R> {
    /// The query may pass.
    Allow {
        /// The least of the rules that allow it.
        rule: &'a R,
    },
    /// No rule allows it.
    Refuse,
}

/// Rules by pattern, sorted; of several rules with one pattern only the least.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct RuleSet<R> {
    /// The rule `*`, which no pattern is needed for.
    everything: Option<R>,
    rules: Box<[(PatternId, R)]>,
}

impl<K, R> Default for Filter<K, R> {
    fn default() -> Self {
        Self {
            patterns: PatternSet::default(),
            by_key: HashMap::new(),
            sets: HashMap::new(),
        }
    }
}

impl<K: Eq + Hash, R: Eq + Hash + Ord> Filter<K, R> {
    /// A filter that refuses everything.
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives a key these rules in place of those it had. Without any rule it refuses everything.
    pub fn set(&mut self, key: K, rules: impl IntoIterator<Item = (MatchPattern, R)>) {
        let set = self.intern(rules);
        if let Some(before) = self.by_key.insert(key, set) {
            self.release(&before);
        }
    }

    /// Takes a key's rules away. Says whether it had any.
    pub fn remove(&mut self, key: &K) -> bool {
        let before = self.by_key.remove(key);
        let had = before.is_some();
        if let Some(set) = before {
            self.release(&set);
        }
        had
    }

    /// Keeps the rules of those keys only that `keep` is true of.
    pub fn retain(&mut self, mut keep: impl FnMut(&K) -> bool) {
        let gone: Vec<_> = self.by_key.extract_if(|key, _| !keep(key)).collect();
        for (_, set) in gone {
            self.release(&set);
        }
    }

    /// Decides a query that the rules of any of these keys may allow.
    pub fn decide<'a, 'k>(
        &'a self,
        keys: impl IntoIterator<Item = &'k K>,
        name: &DnsName,
    ) -> Decision<'a, R>
    where
        K: 'k,
    {
        let mut ids = Vec::new();
        self.patterns.matching_into(name, &mut ids);
        let sets = keys.into_iter().filter_map(|key| self.by_key.get(key));
        match sets.filter_map(|set| set.allows(&ids)).min() {
            Some(rule) => Decision::Allow { rule },
            None => Decision::Refuse,
        }
    }

    /// The keys that have rules.
    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.by_key.keys()
    }

    /// The patterns of all rules.
    pub const fn patterns(&self) -> &PatternSet {
        &self.patterns
    }

    fn intern(&mut self, rules: impl IntoIterator<Item = (MatchPattern, R)>) -> Arc<RuleSet<R>> {
        let mut everything = None;
        let mut listed = Vec::new();
        for (pattern, rule) in rules {
            if pattern.is_match_all() {
                everything = Some(match everything {
                    Some(least) => rule.min(least),
                    None => rule,
                });
            } else {
                listed.push((self.patterns.insert(&pattern), rule));
            }
        }
        listed.sort_unstable();
        listed.dedup_by(|next, kept| {
            let double = next.0 == kept.0;
            if double {
                self.patterns.remove(next.0);
            }
            double
        });
        let set = RuleSet {
            everything,
            rules: listed.into(),
        };
        let known = self.sets.get_key_value(&set);
        if let Some((shared, keys)) = known.map(|(shared, keys)| (Arc::clone(shared), *keys)) {
            // Its patterns were counted when the set was first seen.
            for (id, _) in &set.rules {
                self.patterns.remove(*id);
            }
            self.sets.insert(Arc::clone(&shared), keys + 1);
            return shared;
        }
        let set = Arc::new(set);
        self.sets.insert(Arc::clone(&set), 1);
        set
    }

    fn release(&mut self, set: &RuleSet<R>) {
        let Some(keys) = self.sets.get_mut(set) else {
            return;
        };
        *keys -= 1;
        if *keys == 0 {
            self.sets.remove(set);
            for (id, _) in &set.rules {
                self.patterns.remove(*id);
            }
        }
    }
}

impl<R: Ord> RuleSet<R> {
    /// The least rule that allows a name that these patterns match.
    fn allows(&self, matching: &[PatternId]) -> Option<&R> {
        let found = matching.iter().filter_map(|id| {
            let place = self.rules.binary_search_by_key(id, |(id, _)| *id).ok()?;
            self.rules.get(place).map(|(_, rule)| rule)
        });
        found.chain(&self.everything).min()
    }
}
