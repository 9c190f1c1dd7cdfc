//! The rules of the sides that endpoints have.

use palisade_abi::Direction;

use super::super::cookies::Stands;
use super::super::logical::Signature;
use super::Logic;
use super::content::Named;

/// A rule of a side.
#[derive(Clone, Debug)]
pub(crate) struct InForce<'a> {
    pub(crate) side: u32,
    pub(crate) direction: Direction,
    pub(crate) stands: Stands<'a>,
    /// The selectors of its peers; `None` for a rule about everybody.
    pub(crate) selectors: Option<Vec<u32>>,
}

impl Logic {
    /// Every rule of every side.
    pub(crate) fn in_force(&self) -> impl Iterator<Item = InForce<'_>> {
        self.sides.iter().flat_map(move |(side, sided)| {
            let mut selectors = self.named.get(&side).map(Named::by_place);
            let stands = (0..).zip(&sided.rules);
            stands.filter_map(move |(place, number)| {
                let named = selectors.as_mut()?;
                let is_for_all = named.for_all.contains(&place);
                let of_place = named.selectors.remove(&place).unwrap_or_default();
                Some(InForce {
                    side,
                    direction: sided.direction,
                    stands: self.rules.stands(*number)?,
                    selectors: (!is_for_all).then_some(of_place),
                })
            })
        })
    }

    /// What identities look like that one of these selectors matches.
    pub(crate) fn matching(&self, direction: Direction, selectors: &[u32]) -> Vec<Signature> {
        let signatures = self.signatures.get(direction);
        signatures.touched(selectors.iter().copied())
    }

    /// How many identities are known.
    pub(crate) fn identity_count(&self) -> usize {
        self.numbers.len()
    }
}
