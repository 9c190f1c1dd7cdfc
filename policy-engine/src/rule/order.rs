//! What decides first, and what a rule asks of a connection.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

use thiserror::Error;

/// Tiers decide one after the other; what none decides falls to default deny.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Tier {
    /// Before everybody else's rules.
    Admin,
    /// The rules of those who own the workloads.
    #[default]
    Normal,
    /// What holds where nobody said anything.
    Baseline,
}

impl Tier {
    /// Every tier in the order they decide in.
    pub const ALL: [Self; 3] = [Self::Admin, Self::Normal, Self::Baseline];

    /// The tier as it is called in messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Normal => "normal",
            Self::Baseline => "baseline",
        }
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The place of a rule in its tier: the lower number decides first.
#[derive(Clone, Copy, Debug, Default)]
pub struct Priority(f64);

/// A priority that has no place.
#[derive(Clone, Copy, Debug, Error, PartialEq)]
#[error("priority {0} is not a finite number")]
pub struct PriorityError(pub f64);

impl Priority {
    /// The priority of rules that say none.
    pub const ZERO: Self = Self(0.0);

    /// A priority.
    ///
    /// # Errors
    /// [`PriorityError`] if the number is infinite or not a number.
    pub fn new(number: f64) -> Result<Self, PriorityError> {
        // -0 and 0 are one place.
        let number = if number == 0.0 { 0.0 } else { number };
        number
            .is_finite()
            .then_some(Self(number))
            .ok_or(PriorityError(number))
    }

    /// A whole number.
    pub const fn whole(number: u16) -> Self {
        Self(number as f64)
    }

    /// The place of the `nth` rule of a policy of this priority, between it and the next whole one.
    ///
    /// So do the rules of one policy keep their order. Policies of one priority take turns: the
    /// first rules of all of them, then the second ones. Steps of 1/256 are exact.
    pub const fn nth(number: u16, nth: u8) -> Self {
        Self(number as f64 + nth as f64 / 256.0)
    }

    /// The number.
    pub const fn get(self) -> f64 {
        self.0
    }
}

impl PartialEq for Priority {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Priority {}

impl PartialOrd for Priority {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Priority {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl Hash for Priority {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.to_bits().hash(state);
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What the two sides of a connection must have proved to each other (`authentication.mode`).
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum AuthMode {
    /// Nothing.
    Disabled,
    /// Their identity, by the certificates of a SPIRE server.
    Required,
    /// What nobody can: for tests.
    AlwaysFail,
}

impl AuthMode {
    /// The mode as documents name it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Disabled => "disabled",
            Self::Required => "required",
            Self::AlwaysFail => "test-always-fail",
        }
    }

    /// The number that policy maps carry.
    pub const fn number(self) -> u8 {
        match self {
            Self::Disabled => 0,
            Self::Required => 1,
            Self::AlwaysFail => 2,
        }
    }
}

impl fmt::Display for AuthMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
