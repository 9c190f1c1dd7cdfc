//! Patterns of one label with stars among other characters, found without trying each.

use std::collections::HashMap;

use super::Index;
use crate::glob;
use crate::label_hash::LabelHash;
use crate::name::MAX_LABEL;

/// Label patterns by their frame: what stands before the first star and after the last.
///
/// A label is cut to each pair of lengths that occurs and looked up, so siblings such as
/// `svc1-*-prod`, `svc2-*-prod` cost one look together. Only patterns that differ in nothing but
/// what stands between their stars are tried one by one.
#[derive(Clone, Debug, Default)]
pub(super) struct Globs {
    by_frame: HashMap<Box<[u8]>, Alike, LabelHash>,
    /// The pairs of lengths, each with the number of frames that have it.
    lengths: Vec<(Lengths, usize)>,
}

/// The patterns of one frame, each with where it leads.
type Alike = Vec<(Box<[u8]>, Index)>;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Lengths {
    before: usize,
    after: usize,
}

impl Globs {
    pub(super) fn is_empty(&self) -> bool {
        self.by_frame.is_empty()
    }

    pub(super) fn get(&self, pattern: &[u8]) -> Option<Index> {
        let alike = self.by_frame.get(&*frame(pattern))?;
        let found = alike.iter().find(|(other, _)| **other == *pattern);
        found.map(|(_, index)| *index)
    }

    pub(super) fn insert(&mut self, pattern: &[u8], index: Index) {
        let alike = self.by_frame.entry(frame(pattern)).or_default();
        alike.push((pattern.into(), index));
        if alike.len() == 1 {
            let lengths = Lengths::of(pattern);
            match self.lengths.iter_mut().find(|(other, _)| *other == lengths) {
                Some((_, frames)) => *frames += 1,
                None => self.lengths.push((lengths, 1)),
            }
        }
    }

    pub(super) fn remove(&mut self, pattern: &[u8]) {
        let frame = frame(pattern);
        let Some(alike) = self.by_frame.get_mut(&frame) else {
            return;
        };
        alike.retain(|(other, _)| **other != *pattern);
        if alike.is_empty() {
            self.by_frame.remove(&frame);
            let lengths = Lengths::of(pattern);
            if let Some((_, frames)) = self.lengths.iter_mut().find(|(other, _)| *other == lengths)
            {
                *frames -= 1;
            }
            self.lengths.retain(|(_, frames)| *frames > 0);
        }
    }

    /// Calls `found` for each pattern that a label of plain bytes fits.
    pub(super) fn matching(&self, label: &[u8], mut found: impl FnMut(Index)) {
        let mut buffer = [0; MAX_LABEL + 1];
        for (lengths, _) in &self.lengths {
            let frame = lengths.cut(label, &mut buffer);
            let alike = frame.and_then(|frame| self.by_frame.get(frame));
            for (pattern, index) in alike.into_iter().flatten() {
                if glob::matches(pattern, label) {
                    found(*index);
                }
            }
        }
    }
}

impl Lengths {
    fn of(pattern: &[u8]) -> Self {
        let star = |&byte: &u8| byte == b'*';
        Self {
            before: pattern.iter().position(star).unwrap_or_default(),
            after: pattern.iter().rev().position(star).unwrap_or_default(),
        }
    }

    /// The frame that a pattern of these lengths has if the label fits it.
    fn cut<'a>(self, label: &[u8], buffer: &'a mut [u8; MAX_LABEL + 1]) -> Option<&'a [u8]> {
        let inner = label.len().checked_sub(self.before + self.after)?;
        let (before, rest) = label.split_at_checked(self.before)?;
        let after = rest.get(inner..)?;
        let frame = buffer.get_mut(..self.before + 1 + self.after)?;
        let (head, tail) = frame.split_at_mut_checked(self.before)?;
        let (star, tail) = tail.split_first_mut()?;
        head.copy_from_slice(before);
        *star = b'*';
        tail.copy_from_slice(after);
        Some(frame)
    }
}

/// A pattern without what stands between its first and its last star.
fn frame(pattern: &[u8]) -> Box<[u8]> {
    let lengths = Lengths::of(pattern);
    let before = pattern.iter().take(lengths.before);
    let after = pattern.iter().skip(pattern.len() - lengths.after);
    before.chain(b"*").chain(after).copied().collect()
}
