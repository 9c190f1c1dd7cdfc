//! Entries that can never decide are left out.

use super::entry::{Entry, Precedence};
use super::side::Node;

/// Leaves out what another entry decides before.
///
/// An entry is left out if an entry for as many ports or more, and for the same identity or for
/// everybody, has a higher precedence; a deny also if that one's is equal. What is left does not
/// depend on any order: whoever left out an entry leaves out all that the entry would have.
///
/// `nodes` come in ascending order, so that what covers comes first.
pub(super) fn prune(nodes: Vec<Node>, asks_auth: bool) -> Vec<Node> {
    let mut done: Vec<Node> = Vec::with_capacity(nodes.len());
    // The places in `done` of what covers the last node, and the highest precedence for everybody
    // there and above.
    let mut covering: Vec<(usize, Option<Precedence>)> = Vec::new();
    for mut node in nodes {
        while let Some((above, _)) = covering.last() {
            let covers = done
                .get(*above)
                .is_some_and(|above| above.ports.covers(node.ports));
            if covers {
                break;
            }
            covering.pop();
        }
        let above = Above {
            nodes: &done,
            covering: &covering,
        };
        let everybody = above.highest_for_everybody();
        let own = node.get(0).map(|entry| entry.precedence);
        node.entries.retain_mut(|(identity, entry)| {
            let highest = if *identity == 0 {
                everybody
            } else {
                everybody.max(own)
            };
            above.keeps(*identity, entry, highest, asks_auth)
        });
        if !node.entries.is_empty() {
            let own = node.get(0).map(|entry| entry.precedence);
            covering.push((done.len(), everybody.max(own)));
            done.push(node);
        }
    }
    done
}

/// What covers a node.
struct Above<'a> {
    nodes: &'a [Node],
    covering: &'a [(usize, Option<Precedence>)],
}

impl<'a> Above<'a> {
    fn highest_for_everybody(&self) -> Option<Precedence> {
        self.covering.last().and_then(|(_, highest)| *highest)
    }

    /// The entries of an identity, the narrowest first.
    fn of(&self, identity: u32) -> impl Iterator<Item = &'a Entry> {
        let nodes = self.nodes;
        let places = self.covering.iter().rev();
        places.filter_map(move |(at, _)| nodes.get(*at)?.get(identity))
    }

    /// Whether an entry can decide, beside the highest precedence for everybody.
    fn keeps(
        &self,
        identity: u32,
        entry: &mut Entry,
        everybody: Option<Precedence>,
        asks_auth: bool,
    ) -> bool {
        if asks_auth && !entry.denies {
            return self.keeps_with_auth(identity, entry, everybody);
        }
        let own = match identity {
            0 => None,
            known => self.of(known).map(|one| one.precedence).max(),
        };
        let highest = everybody.max(own);
        highest.is_none_or(|highest| {
            highest < entry.precedence || highest == entry.precedence && !entry.denies
        })
    }

    /// Where rules ask for authentication, what lets pass is not left out because of what lets
    /// everybody pass. An entry that asks is kept and takes the precedence of what goes before it
    /// at the same priority; one that does not say takes what the next wider entry of its identity
    /// asks.
    fn keeps_with_auth(
        &self,
        identity: u32,
        entry: &mut Entry,
        everybody: Option<Precedence>,
    ) -> bool {
        if everybody.is_some_and(|one| one > entry.precedence && one.is_deny()) {
            return false;
        }
        let explicit = entry.auth.is_explicit();
        let before = self
            .of(identity)
            .find(|one| one.precedence > entry.precedence);
        if let Some(before) = before {
            let is_later = before.precedence.priority() < entry.precedence.priority();
            if before.denies || !explicit || is_later {
                return false;
            }
            entry.proxy_port = before.proxy_port;
            entry.precedence = before.precedence;
        }
        if !explicit {
            let asks = self.of(identity).find(|one| {
                one.auth.is_explicit() && one.precedence.priority() <= entry.precedence.priority()
            });
            entry.auth = asks.map_or(entry.auth, |one| one.auth.derived());
        }
        true
    }
}
