//! The filter that decides a query: which names may be asked for, by rule set.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use crate::label_hash::LabelHash;
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
    by_key: HashMap<K, RuleSet<R>>,
    /// Equal pages are kept once; the number says how many sets have it.
    pages: HashMap<Page<R>, usize, LabelHash>,
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

/// Rules by pattern, in pages.
///
/// Patterns of one policy have numbers that lie together, so that sets which differ by a few rules
/// share nearly all their pages.
#[derive(Clone, Debug)]
struct RuleSet<R> {
    /// The rule `*`, which no pattern is needed for.
    everything: Option<R>,
    pages: Box<[Page<R>]>,
}

/// Rules whose patterns have the same number but for its last bits, sorted; of several rules with
/// one pattern only the least. None is empty.
type Page<R> = Arc<[(PatternId, R)]>;

impl<K, R> Default for Filter<K, R> {
    fn default() -> Self {
        Self {
            patterns: PatternSet::default(),
            by_key: HashMap::new(),
            pages: HashMap::default(),
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

    fn intern(&mut self, rules: impl IntoIterator<Item = (MatchPattern, R)>) -> RuleSet<R> {
        let mut everything = None;
        let mut listed = Vec::new();
        for (pattern, rule) in rules {
            if pattern.is_match_all() {
                everything = Some(match everything {
                    Some(least) => rule.min(least),
                    None => rule,
                });
            } else {
                listed.push((self.patterns.number_of(&pattern), rule));
            }
        }
        listed.sort_unstable();
        listed.dedup_by(|next, kept| next.0 == kept.0);
        let mut pages = Vec::new();
        let mut rest = listed.into_iter().peekable();
        while let Some(first) = rest.next() {
            let number = page_of(first.0);
            let more = std::iter::from_fn(|| rest.next_if(|(id, _)| page_of(*id) == number));
            pages.push(std::iter::once(first).chain(more).collect());
        }
        let pages = pages.into_iter().map(|page| self.share(page)).collect();
        RuleSet { everything, pages }
    }

    /// The page that is kept, of those equal to this one.
    fn share(&mut self, page: Vec<(PatternId, R)>) -> Page<R> {
        if let Some((known, _)) = self.pages.get_key_value(page.as_slice()) {
            let known = Arc::clone(known);
            if let Some(sets) = self.pages.get_mut(&known) {
                *sets += 1;
            }
            return known;
        }
        for (id, _) in &page {
            self.patterns.take(*id);
        }
        let page: Page<R> = page.into();
        self.pages.insert(Arc::clone(&page), 1);
        page
    }

    fn release(&mut self, set: &RuleSet<R>) {
        for page in &set.pages {
            let Some(sets) = self.pages.get_mut(page) else {
                continue;
            };
            *sets -= 1;
            if *sets == 0 {
                self.pages.remove(page);
                for (id, _) in page.iter() {
                    self.patterns.remove(*id);
                }
            }
        }
    }
}

impl<R: Ord> RuleSet<R> {
    /// The least rule that allows a name that these patterns match.
    fn allows(&self, matching: &[PatternId]) -> Option<&R> {
        let found = matching.iter().filter_map(|id| {
            let number = |page: &Page<R>| page.first().map(|(id, _)| page_of(*id));
            let page = self
                .pages
                .binary_search_by_key(&Some(page_of(*id)), number)
                .ok()?;
            let page = self.pages.get(page)?;
            let place = page.binary_search_by_key(id, |(id, _)| *id).ok()?;
            page.get(place).map(|(_, rule)| rule)
        });
        found.chain(&self.everything).min()
    }
}

/// The page that a pattern belongs to.
const fn page_of(id: PatternId) -> u32 {
    id.get() / PAGE
}

/// Patterns of one page.
const PAGE: u32 = 64;
