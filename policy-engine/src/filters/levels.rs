//! Priorities of rules as whole numbers.

use crate::rule::{Effect, Priority, Rule};

/// What the tiers are in order, and one after the last.
pub(crate) const TIERS: usize = 4;
/// A new tier starts at the next multiple of this, so that a new level leaves the others alone.
const TIER_STEP: u64 = 1_000;
/// The levels of a tier are counted in steps of this, for the same reason.
const LEVEL_STEP: u64 = 10;
/// Precedence has 24 bits for priorities.
const MAX_PRIORITY: u64 = (1 << 24) - 1;

/// Where a rule stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Level {
    pub(super) tier: u8,
    priority: Priority,
    passes: bool,
}

impl Level {
    pub(super) fn of(rule: &Rule) -> Self {
        Self {
            tier: rule.tier as u8,
            priority: rule.priority,
            passes: rule.effect == Effect::Pass,
        }
    }

    /// The level of what is allowed because no rule asks for default deny, if this is the last one.
    /// Where there is but the one level that documents without priorities have, it shares it.
    pub(super) fn after(self) -> Self {
        let alone = self.tier == 0 && self.priority == Priority::ZERO;
        Self {
            tier: if alone { 0 } else { self.tier + 1 },
            priority: Priority::ZERO,
            passes: false,
        }
    }
}

/// The priorities of rules as whole numbers, lower first.
#[derive(Clone, Debug, Default)]
pub(super) struct Levels {
    of_rule: Vec<u32>,
    base: [u32; TIERS],
    needed: [u64; TIERS + 1],
}

impl Levels {
    /// Numbers levels, which must come in ascending order.
    ///
    /// Levels get consecutive numbers, but for a gap after one that passes: in it is room for every
    /// level of the tiers below, so that what is passed on can come right after the pass.
    ///
    /// # Errors
    /// The place of the first level that does not fit.
    pub(super) fn flatten(levels: &[Level]) -> Result<Self, usize> {
        let needed = needed(levels);
        let last_tier = levels.last().map_or(0, |level| level.tier);
        let mut flat = Self {
            needed,
            ..Self::default()
        };
        let (mut now, mut step) = (0_u64, 1_u64);
        let mut before: Option<&Level> = None;
        let mut tier = 0;
        for (at, level) in levels.iter().enumerate() {
            if level.tier != tier {
                // A tier without levels is put right before the next one, for what has its place
                // there without a rule.
                let between = u64::from(level.tier - tier - 1).min(1);
                let start = up(now + 1 + between, TIER_STEP);
                while tier < level.tier {
                    tier += 1;
                    let is_empty = u64::from(tier < level.tier);
                    flat.set_base(tier, start - is_empty);
                }
                (now, step) = (start, 1);
            } else if before.is_some_and(|before| before.priority != level.priority) {
                (now, step) = (now + step, 1);
            }
            if now > MAX_PRIORITY {
                return Err(at);
            }
            flat.of_rule.push(narrow(now));
            if level.passes && level.tier < last_tier {
                step = needed.get(usize::from(level.tier) + 1).unwrap_or(&0) + 1;
            }
            before = Some(level);
        }
        for tier in tier + 1..u8::try_from(TIERS).unwrap_or(u8::MAX) {
            flat.set_base(tier, up(now + 1, TIER_STEP));
        }
        Ok(flat)
    }

    /// The numbers, in the order of the levels.
    pub(super) fn priorities(&self) -> impl Iterator<Item = u32> {
        self.of_rule.iter().copied()
    }

    /// The first number of a tier, or what it would be.
    pub(super) fn base(&self, tier: u8) -> u32 {
        let base = self.base.get(usize::from(tier)).copied();
        base.unwrap_or_else(|| narrow(MAX_PRIORITY))
    }

    /// How many numbers are left free after a pass of a tier.
    pub(super) fn room_below(&self, tier: u8) -> u32 {
        let needed = self.needed.get(usize::from(tier) + 1).copied();
        narrow(needed.unwrap_or_default())
    }

    fn set_base(&mut self, tier: u8, base: u64) {
        if let Some(slot) = self.base.get_mut(usize::from(tier)) {
            *slot = narrow(base);
        }
    }
}

/// How many numbers each tier needs, those for what its passes hand on included.
fn needed(levels: &[Level]) -> [u64; TIERS + 1] {
    let mut needed = [0_u64; TIERS + 1];
    let mut passes = [0_u64; TIERS + 1];
    for tier in levels.chunk_by(|a, b| a.tier == b.tier) {
        let at = tier.first().map_or(0, |level| usize::from(level.tier));
        let distinct = tier.chunk_by(|a, b| a.priority == b.priority).count();
        if let (Some(needed), Some(passes)) = (needed.get_mut(at), passes.get_mut(at)) {
            *needed = up(widen(distinct), LEVEL_STEP);
            *passes = widen(tier.iter().filter(|level| level.passes).count());
        }
    }
    let mut below = 0;
    for (needed, passes) in needed.iter_mut().zip(passes).rev() {
        *needed = needed.saturating_add(passes.saturating_mul(below));
        below = *needed;
    }
    needed
}

const fn up(number: u64, step: u64) -> u64 {
    number.div_ceil(step) * step
}

fn widen(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

fn narrow(priority: u64) -> u32 {
    u32::try_from(priority.min(MAX_PRIORITY)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flat(levels: &[(u8, f64, bool)]) -> Vec<u32> {
        let level = |(tier, priority, passes)| Level {
            tier,
            priority: Priority::new(priority).unwrap(),
            passes,
        };
        let levels: Vec<Level> = levels.iter().copied().map(level).collect();
        Levels::flatten(&levels).unwrap().of_rule
    }

    #[test]
    fn levels_are_numbered_in_a_row_and_tiers_start_at_a_round_number() {
        let levels = [
            (0, 1.5, false),
            (0, 1.5, false),
            (0, 2.0, false),
            (1, 0.0, false),
            (1, 7.0, false),
            (2, 1.0, false),
        ];
        assert_eq!(flat(&levels), [0, 0, 1, 1000, 1001, 2000]);
        assert_eq!(flat(&[(1, 5.0, false)]), [1000]);
        assert_eq!(flat(&[(2, 5.0, false)]), [1000]);
    }

    #[test]
    fn a_pass_leaves_room_for_the_tiers_below() {
        // Eleven levels of the next tier are counted as twenty, and one is for the pass itself.
        let mut levels = vec![(0, 0.0, true), (0, 1.0, false)];
        levels.extend((0..11).map(|at| (1, f64::from(at), false)));
        assert_eq!(flat(&levels)[..2], [0, 21]);
        // Nothing is below the last tier.
        assert_eq!(flat(&[(0, 0.0, true), (0, 1.0, false)]), [0, 1]);
    }

    #[test]
    fn a_level_too_many_is_said_to_be_one() {
        let mut levels: Vec<Level> = Vec::new();
        for tier in 0..2 {
            levels.extend((0..5_000_u16).map(|at| Level {
                tier,
                priority: Priority::whole(at),
                passes: true,
            }));
        }
        assert!(matches!(Levels::flatten(&levels), Err(at) if at < 5_000));
    }
}
