//! Patterns by their labels from right to left.

mod globs;

use std::collections::HashMap;

use self::globs::Globs;
use crate::glob;
use crate::label_hash::LabelHash;
use crate::name::DnsName;
use crate::pattern::{Depth, MatchPattern};
use crate::pattern_set::PatternId;

/// A tree whose path to a pattern is the pattern's labels, the last one first.
///
/// A name is looked up by walking every path that its labels can take. A node is met at most once,
/// and only where all labels to its right match, so the walk costs no more than the patterns that
/// share the name's end can branch.
#[derive(Clone, Debug)]
pub(crate) struct Trie {
    nodes: Vec<Node>,
    free: Vec<Index>,
}

type Index = u32;
const ROOT: Index = 0;

/// What can follow to the left of the labels that lead here.
#[derive(Clone, Debug, Default)]
struct Node {
    /// A label of these very bytes.
    literals: HashMap<Box<[u8]>, Index, LabelHash>,
    /// Any label.
    star: Option<Index>,
    /// A label that a pattern with stars among other characters fits.
    globs: Globs,
    /// The pattern that ends here.
    exact: Option<PatternId>,
    /// The pattern that takes one or more further labels from here.
    deep: Option<PatternId>,
}

impl Default for Trie {
    fn default() -> Self {
        Self {
            nodes: vec![Node::default()],
            free: Vec::new(),
        }
    }
}

impl Trie {
    /// Adds a pattern that is not there, and is not the one that matches all.
    pub(crate) fn insert(&mut self, pattern: &MatchPattern, id: PatternId) {
        let (labels, depth) = pattern.labels();
        let mut node = ROOT;
        for label in labels.rev() {
            node = match self.child(node, label) {
                Some(child) => child,
                None => self.add_child(node, label),
            };
        }
        self.set_end(node, depth, Some(id));
    }

    /// Takes a pattern away that is there.
    pub(crate) fn remove(&mut self, pattern: &MatchPattern) {
        let (labels, depth) = pattern.labels();
        let mut path = Vec::new();
        let mut node = ROOT;
        for label in labels.rev() {
            let Some(child) = self.child(node, label) else {
                return;
            };
            path.push((node, label));
            node = child;
        }
        self.set_end(node, depth, None);
        while let Some((parent, label)) = path.pop() {
            if !self.node(node).is_some_and(Node::is_empty) {
                return;
            }
            self.remove_child(parent, label);
            self.free.push(node);
            node = parent;
        }
    }

    /// Adds the patterns that match a name to `ids`. Says whether the name is one that patterns
    /// can match at all: made of the characters that a star stands for.
    pub(crate) fn matching(&self, name: &DnsName, ids: &mut Vec<PatternId>) -> bool {
        let mut labels = Reversed::new(name);
        for label in name.labels() {
            if !glob::is_plain(label) {
                return false;
            }
            labels.push(label);
        }
        self.walk(ROOT, &labels, labels.count, ids);
        true
    }

    /// Goes on from a node with the first `left` labels of the name.
    fn walk(&self, node: Index, labels: &Reversed<'_>, left: usize, ids: &mut Vec<PatternId>) {
        let Some(node) = self.node(node) else {
            return;
        };
        let Some((rest, label)) = labels.last_of(left) else {
            ids.extend(node.exact);
            return;
        };
        ids.extend(node.deep);
        if let Some(&child) = node.literals.get(label) {
            self.walk(child, labels, rest, ids);
        }
        if let Some(child) = node.star {
            self.walk(child, labels, rest, ids);
        }
        node.globs
            .matching(label, |child| self.walk(child, labels, rest, ids));
    }

    fn node(&self, node: Index) -> Option<&Node> {
        self.nodes.get(node as usize)
    }

    fn set_end(&mut self, node: Index, depth: Depth, id: Option<PatternId>) {
        if let Some(node) = self.nodes.get_mut(node as usize) {
            match depth {
                Depth::Exact => node.exact = id,
                Depth::OneOrMore => node.deep = id,
            }
        }
    }

    fn child(&self, node: Index, label: &str) -> Option<Index> {
        let node = self.node(node)?;
        match Step::of(label) {
            Step::Literal => node.literals.get(label.as_bytes()).copied(),
            Step::Star => node.star,
            Step::Glob => node.globs.get(label.as_bytes()),
        }
    }

    fn add_child(&mut self, parent: Index, label: &str) -> Index {
        let child = self.free.pop().unwrap_or_else(|| {
            self.nodes.push(Node::default());
            // A node takes over 100 bytes: memory ends long before the numbers do.
            u32::try_from(self.nodes.len() - 1).unwrap_or(u32::MAX)
        });
        if let Some(node) = self.nodes.get_mut(parent as usize) {
            match Step::of(label) {
                Step::Literal => {
                    node.literals.insert(label.as_bytes().into(), child);
                }
                Step::Star => node.star = Some(child),
                Step::Glob => node.globs.insert(label.as_bytes(), child),
            }
        }
        child
    }

    fn remove_child(&mut self, parent: Index, label: &str) {
        if let Some(node) = self.nodes.get_mut(parent as usize) {
            match Step::of(label) {
                Step::Literal => {
                    node.literals.remove(label.as_bytes());
                }
                Step::Star => node.star = None,
                Step::Glob => node.globs.remove(label.as_bytes()),
            }
        }
    }
}

impl Node {
    fn is_empty(&self) -> bool {
        self.literals.is_empty()
            && self.star.is_none()
            && self.globs.is_empty()
            && self.exact.is_none()
            && self.deep.is_none()
    }
}

/// What one label of a pattern asks for.
enum Step {
    Literal,
    Star,
    Glob,
}

impl Step {
    fn of(label: &str) -> Self {
        match label {
            "*" => Self::Star,
            _ if label.contains('*') => Self::Glob,
            _ => Self::Literal,
        }
    }
}

/// The labels of a name, ready to be read from the last one on.
struct Reversed<'a> {
    wire: &'a [u8],
    /// Where each label ends; a name of 255 bytes has at most 127.
    ends: [u8; 128],
    count: usize,
}

impl<'a> Reversed<'a> {
    fn new(name: &'a DnsName) -> Self {
        Self {
            wire: name.as_wire(),
            ends: [0; 128],
            count: 0,
        }
    }

    fn push(&mut self, label: &[u8]) {
        let start = self.end(self.count);
        let end = start + 1 + label.len();
        self.count += 1;
        if let (Some(place), Ok(end)) = (self.ends.get_mut(self.count), u8::try_from(end)) {
            *place = end;
        }
    }

    /// Where the `count`-th label ends, counted from 1.
    fn end(&self, count: usize) -> usize {
        self.ends.get(count).copied().unwrap_or_default().into()
    }

    /// The last of the first `left` labels, and how many are left without it.
    fn last_of(&self, left: usize) -> Option<(usize, &'a [u8])> {
        let rest = left.checked_sub(1)?;
        let label = self.wire.get(self.end(rest) + 1..self.end(left))?;
        Some((rest, label))
    }
}
