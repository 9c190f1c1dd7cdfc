use std::collections::BTreeMap;
use std::net::IpAddr;

use palisade_abi::Prefix;

/// What is known of addresses: a map from prefixes in which the longest match wins.
///
/// IPv4 and IPv6 are apart: `::/0` says nothing of an IPv4 address.
///
/// ```
/// use palisade_identity::{Ipcache, Prefix};
///
/// let mut ipcache = Ipcache::new();
/// ipcache.insert("10.0.0.0/8".parse::<Prefix>()?, "site");
/// ipcache.insert("10.1.0.0/16".parse::<Prefix>()?, "hall");
/// let (prefix, value) = ipcache.lookup("10.1.2.3".parse()?).ok_or("no entry")?;
/// assert_eq!((prefix.length(), *value), (16, "hall"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Ipcache<V> {
    entries: BTreeMap<Prefix, V>,
    ipv4: Lengths,
    ipv6: Lengths,
}

/// How many entries there are of each length, so that a lookup probes no length in vain.
type Lengths = BTreeMap<u8, usize>;

impl<V> Ipcache<V> {
    /// A map without entries.
    pub const fn new() -> Self {
        Self {
            entries: BTreeMap::new(),
            ipv4: Lengths::new(),
            ipv6: Lengths::new(),
        }
    }

    /// Sets the value of a prefix and returns the one before.
    pub fn insert(&mut self, prefix: Prefix, value: V) -> Option<V> {
        let before = self.entries.insert(prefix, value);
        if before.is_none() {
            *self.lengths_mut(prefix).entry(prefix.length()).or_default() += 1;
        }
        before
    }

    /// Removes a prefix and returns its value.
    pub fn remove(&mut self, prefix: Prefix) -> Option<V> {
        let before = self.entries.remove(&prefix)?;
        let lengths = self.lengths_mut(prefix);
        if let Some(count) = lengths.get_mut(&prefix.length()) {
            *count -= 1;
            if *count == 0 {
                lengths.remove(&prefix.length());
            }
        }
        Some(before)
    }

    /// The value of this very prefix.
    pub fn get(&self, prefix: Prefix) -> Option<&V> {
        self.entries.get(&prefix)
    }

    /// The value of this very prefix, to change in place.
    pub fn get_mut(&mut self, prefix: Prefix) -> Option<&mut V> {
        self.entries.get_mut(&prefix)
    }

    /// The value of this very prefix, to change in place; made if there is none.
    pub fn get_or_default(&mut self, prefix: Prefix) -> &mut V
    where
        V: Default,
    {
        if !self.entries.contains_key(&prefix) {
            *self.lengths_mut(prefix).entry(prefix.length()).or_default() += 1;
        }
        self.entries.entry(prefix).or_default()
    }

    /// The longest prefix that holds an address, and its value.
    pub fn lookup(&self, address: IpAddr) -> Option<(Prefix, &V)> {
        self.covering(Prefix::exact(address.to_canonical())).next()
    }

    /// The entries that hold all of a prefix, itself included, from the longest to the shortest.
    pub fn covering(&self, prefix: Prefix) -> impl Iterator<Item = (Prefix, &V)> {
        let address = prefix.address().ip();
        self.lengths(prefix)
            .range(..=prefix.length())
            .rev()
            .filter_map(move |(&length, _)| {
                let outer = Prefix::new(address, length).ok()?;
                Some((outer, self.entries.get(&outer)?))
            })
    }

    /// The entries inside a prefix, itself included, in the order of their addresses.
    pub fn inside(&self, prefix: Prefix) -> impl Iterator<Item = (Prefix, &V)> {
        // An entry inside sorts at or after the prefix, and all of them stand together, except
        // that IPv4 lies within the range of a short IPv6 prefix.
        self.entries
            .range(prefix..)
            .take_while(move |(inner, _)| inner.address() <= prefix.last())
            .filter(move |(inner, _)| prefix.covers(**inner))
            .map(|(inner, value)| (*inner, value))
    }

    /// Every entry, in the order of the addresses.
    pub fn iter(&self) -> impl Iterator<Item = (Prefix, &V)> {
        self.entries.iter().map(|(prefix, value)| (*prefix, value))
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn lengths(&self, prefix: Prefix) -> &Lengths {
        if prefix.address().is_ipv4() {
            &self.ipv4
        } else {
            &self.ipv6
        }
    }

    fn lengths_mut(&mut self, prefix: Prefix) -> &mut Lengths {
        if prefix.address().is_ipv4() {
            &mut self.ipv4
        } else {
            &mut self.ipv6
        }
    }
}

impl<V> Default for Ipcache<V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<V> FromIterator<(Prefix, V)> for Ipcache<V> {
    fn from_iter<I: IntoIterator<Item = (Prefix, V)>>(entries: I) -> Self {
        let mut ipcache = Self::new();
        for (prefix, value) in entries {
            ipcache.insert(prefix, value);
        }
        ipcache
    }
}
