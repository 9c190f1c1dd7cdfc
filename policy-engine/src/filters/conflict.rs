//! Rules that cannot be in force together.

use std::fmt;
use std::sync::Arc;

use palisade_abi::Direction;
use thiserror::Error;

use crate::rule::{AuthMode, PortRule, ResourceName, Rule};
use crate::span::Location;

/// Two rules that ask different things of the same traffic, so that neither can be enforced.
///
/// Both name the same port and the same selector. The policy of every endpoint that both select is
/// void, in both directions.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("{first} and {second} cannot both be in force for {direction}: {cause}")]
pub struct Conflict {
    /// Which direction they are about.
    pub direction: Direction,
    /// What they do not agree on.
    pub cause: Cause,
    /// The rule that would go first.
    pub first: Place,
    /// The other one.
    pub second: Place,
}

/// A rule, and the item of it that matters.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Place {
    /// The resource that the rule belongs to.
    pub resource: Arc<ResourceName>,
    /// Where the item stands.
    pub location: Location,
}

/// What two rules do not agree on.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum Cause {
    /// What the two sides must have proved.
    #[error("authentication {first} and {second}")]
    Auth {
        /// What the first rule asks for.
        first: AuthMode,
        /// What the second rule asks for.
        second: AuthMode,
    },
    /// Rules at more levels than a precedence can tell apart.
    #[error("there are more than 2^24 levels between them")]
    Levels,
    /// Two listeners of the same priority.
    #[error("listeners {first} and {second} have the same priority, {priority}")]
    Listeners {
        /// The listener of the first rule.
        first: Arc<str>,
        /// The listener of the second rule.
        second: Arc<str>,
        /// The priority of both.
        priority: u8,
    },
    /// How the proxy speaks TLS to the server.
    #[error("different originating TLS contexts")]
    OriginatingTls,
    /// Two parsers of which one connection can have but one.
    #[error("parsers {first} and {second}")]
    Parsers {
        /// The parser of the first rule.
        first: Arc<str>,
        /// The parser of the second rule.
        second: Arc<str>,
    },
    /// Server names beside rules that need TLS to be ended first, which no rule asks for.
    #[error("server names and application rules without a terminating TLS context")]
    ServerNames,
    /// How the proxy ends the client's TLS.
    #[error("different terminating TLS contexts")]
    TerminatingTls,
}

impl Conflict {
    /// Too many levels between these rules.
    pub(super) fn levels(direction: Direction, first: &Rule, last: &Rule) -> Self {
        Self {
            direction,
            cause: Cause::Levels,
            first: Place::of(first, None),
            second: Place::of(last, None),
        }
    }
}

impl Place {
    /// A rule, at its port item if that is what matters.
    pub(super) fn of(rule: &Rule, item: Option<&PortRule>) -> Self {
        Self {
            resource: Arc::clone(&rule.resource),
            location: item.map_or(&rule.location, |item| &item.location).clone(),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.resource, self.location)
    }
}
