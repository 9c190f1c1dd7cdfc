//! Many patterns, and which of them a name matches.

use std::collections::HashMap;

use crate::label_hash::LabelHash;
use crate::name::DnsName;
use crate::pattern::MatchPattern;
use crate::trie::Trie;

/// The number of a pattern within its [`PatternSet`]. Numbers of removed patterns are used again.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct PatternId(u32);

impl PatternId {
    /// The raw number.
    pub const fn get(self) -> u32 {
        self.0
    }
}

/// Patterns, each kept once and counted, with the quick answer to which of them match a name.
///
/// Finding out takes one walk along the name's labels, however many patterns there are. No
/// regular expression is involved, so that no name that a pod may think of makes it slow.
///
/// ```
/// use palisade_fqdn::{DnsName, PatternSet};
///
/// let mut patterns = PatternSet::default();
/// let star = patterns.insert(&"*.example.com".parse()?);
/// let deep = patterns.insert(&"**.com".parse()?);
/// let name = DnsName::parse("www.example.com")?;
/// assert_eq!(patterns.matching(&name), [star, deep]);
/// patterns.remove(star);
/// assert_eq!(patterns.matching(&name), [deep]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct PatternSet {
    trie: Trie,
    ids: HashMap<MatchPattern, PatternId, LabelHash>,
    entries: Vec<Option<Entry>>,
    free: Vec<PatternId>,
    match_all: Option<PatternId>,
}

#[derive(Clone, Debug)]
struct Entry {
    pattern: MatchPattern,
    users: usize,
}

impl PatternSet {
    /// Adds a pattern, or one more user to a pattern that is there.
    pub fn insert(&mut self, pattern: &MatchPattern) -> PatternId {
        let id = self.number_of(pattern);
        self.take(id);
        id
    }

    /// The number of a pattern; one that is new has no user until it is [taken](Self::take).
    pub(crate) fn number_of(&mut self, pattern: &MatchPattern) -> PatternId {
        if let Some(&id) = self.ids.get(pattern) {
            return id;
        }
        let id = self.number();
        if let Some(place) = self.entries.get_mut(id.0 as usize) {
            *place = Some(Entry {
                pattern: pattern.clone(),
                users: 0,
            });
        }
        self.ids.insert(pattern.clone(), id);
        if pattern.is_match_all() {
            self.match_all = Some(id);
        } else {
            self.trie.insert(pattern, id);
        }
        id
    }

    /// Adds a user to a pattern.
    pub(crate) fn take(&mut self, id: PatternId) {
        if let Some(entry) = self.entry_mut(id) {
            entry.users += 1;
        }
    }

    /// Takes one user from a pattern; with its last one the pattern goes.
    pub fn remove(&mut self, id: PatternId) {
        let Some(entry) = self.entry_mut(id) else {
            return;
        };
        entry.users -= 1;
        if entry.users > 0 {
            return;
        }
        let gone = self.entries.get_mut(id.0 as usize).and_then(Option::take);
        if let Some(Entry { pattern, .. }) = gone {
            self.ids.remove(&pattern);
            self.free.push(id);
            if pattern.is_match_all() {
                self.match_all = None;
            } else {
                self.trie.remove(&pattern);
            }
        }
    }

    /// The pattern of a number.
    pub fn get(&self, id: PatternId) -> Option<&MatchPattern> {
        let entry = self.entries.get(id.0 as usize)?.as_ref()?;
        Some(&entry.pattern)
    }

    /// The number of a pattern.
    pub fn id(&self, pattern: &MatchPattern) -> Option<PatternId> {
        self.ids.get(pattern).copied()
    }

    /// How many different patterns there are.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there is no pattern.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// The patterns with their numbers, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (PatternId, &MatchPattern)> {
        self.ids.iter().map(|(pattern, id)| (*id, pattern))
    }

    /// The patterns that match a name, sorted.
    pub fn matching(&self, name: &DnsName) -> Vec<PatternId> {
        let mut ids = Vec::new();
        self.matching_into(name, &mut ids);
        ids
    }

    /// As [`PatternSet::matching`], in place of what `ids` holds.
    pub fn matching_into(&self, name: &DnsName, ids: &mut Vec<PatternId>) {
        ids.clear();
        if self.trie.matching(name, ids) {
            ids.extend(self.match_all);
        }
        ids.sort_unstable();
    }

    fn entry_mut(&mut self, id: PatternId) -> Option<&mut Entry> {
        self.entries.get_mut(id.0 as usize)?.as_mut()
    }

    fn number(&mut self) -> PatternId {
        self.free.pop().unwrap_or_else(|| {
            let next = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
            self.entries.push(None);
            PatternId(next)
        })
    }
}
