//! What is legal and was surely not meant.

use std::fmt;

use thiserror::Error;

use super::error::FieldPath;
use crate::span::Location;

/// Something in a document that is legal and probably not meant, with its place.
///
/// [`Strictness::Strict`](crate::Strictness::Strict) refuses the document instead.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Warning {
    /// Where it stands.
    pub location: Location,
    /// How many characters of that line it covers; 0 if it has no extent.
    pub length: u32,
    /// The field, from the root of the document.
    pub path: FieldPath,
    /// What is doubtful.
    pub doubt: Doubt,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}: ", self.location)?;
        if !self.path.is_root() {
            write!(f, "{}: ", self.path)?;
        }
        write!(f, "{} ({})", self.doubt, self.doubt.note())
    }
}

/// What is doubtful about a field.
///
/// The text is a title; [`Doubt::found`] and [`Doubt::advice`] are the two halves of the
/// explanation.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum Doubt {
    /// A range that ends before it starts stands for its first port alone.
    #[error("the range ends before it starts")]
    EndPort {
        /// The first port.
        first: u16,
        /// The last.
        last: u16,
    },
    /// An exception that holds its whole prefix, so that nothing is left of it.
    #[error("nothing is left of the prefix")]
    ExceptsEverything {
        /// The exception.
        except: String,
        /// The prefix.
        cidr: String,
    },
    /// A list of peers without items.
    #[error("an empty list of peers selects nobody")]
    NoPeers {
        /// The list.
        list: String,
    },
    /// A list of ports without items.
    #[error("an empty list of ports matches nothing")]
    NoPorts,
    /// A range whose first port has a name stands for that port alone.
    #[error("a named port starts no range")]
    EndPortOfName {
        /// The name.
        name: String,
    },
    /// The echo reply, of number 0, stands for every type.
    #[error("ICMP type 0 stands for every type")]
    EveryIcmpType,
    /// An ICMP type above 255.
    #[error("no message has this ICMP type")]
    NoIcmpType {
        /// The type.
        number: u16,
    },
    /// A namespace other than the policy's own in the selector of its subject.
    #[error("a policy speaks of its own namespace only")]
    Namespace {
        /// The namespace that the selector asks for.
        found: String,
        /// The policy's own.
        own: String,
    },
    /// A field that nobody has read for years.
    #[error("the field has no effect")]
    NoEffect {
        /// The field.
        field: &'static str,
    },
    /// A reference that names a service in two ways.
    #[error("a service is named and selected")]
    TwoServices,
    /// A selector of CIDR groups without requirements.
    #[error("an empty selector of CIDR groups stands for everybody")]
    EveryGroup,
}

impl Doubt {
    /// The stable number of the kind of warning.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::EndPort { .. } => "W001",
            Self::ExceptsEverything { .. } => "W002",
            Self::NoPeers { .. } => "W003",
            Self::NoPorts => "W004",
            Self::EndPortOfName { .. } => "W005",
            Self::EveryIcmpType => "W006",
            Self::NoIcmpType { .. } => "W007",
            Self::Namespace { .. } => "W008",
            Self::NoEffect { .. } => "W009",
            Self::TwoServices => "W010",
            Self::EveryGroup => "W011",
        }
    }

    /// What was found, in the document's words; empty where the place says it all.
    pub fn found(&self) -> String {
        match self {
            Self::EndPort { first, last } => format!("{last} is not above {first}"),
            Self::ExceptsEverything { except, cidr } => format!("{except} holds all of {cidr}"),
            Self::NoPeers { list } => format!("`{list}` has no items"),
            Self::EndPortOfName { name } => format!("{name:?} is one port"),
            Self::NoEffect { field } => format!("`{field}` is not read"),
            Self::NoIcmpType { number } => format!("found {number}"),
            Self::Namespace { found, own } => {
                format!("{found:?} is replaced by the policy's own {own:?}")
            }
            Self::EveryGroup | Self::EveryIcmpType | Self::NoPorts | Self::TwoServices => {
                String::new()
            }
        }
    }

    /// What to do about it.
    pub const fn advice(&self) -> &'static str {
        match self {
            Self::EndPort { .. } => "only the first port is meant then; mend or remove endPort",
            Self::ExceptsEverything { .. } => "the item selects nobody; mend the exception",
            Self::NoPeers { .. } => {
                "the rule allows nothing; name peers, or remove the list to mean everybody"
            }
            Self::NoPorts => "the rule allows nothing; name ports, or remove toPorts to mean all",
            Self::EndPortOfName { .. } => "remove endPort, or write the ports by number",
            Self::EveryIcmpType => {
                "the echo reply is let through with all the others; name the types that you mean"
            }
            Self::NoIcmpType { .. } => "a type is 0 to 255",
            Self::Namespace { .. } => "remove the label, or move the policy",
            Self::NoEffect { .. } => "remove it, and write what it demands into the peers",
            Self::TwoServices => "only the selector counts; remove k8sService",
            Self::EveryGroup => "name the labels of a group",
        }
    }

    /// What was found and what to do, in one sentence.
    pub fn note(&self) -> String {
        let found = self.found();
        if found.is_empty() {
            self.advice().to_owned()
        } else {
            format!("{found}: {}", self.advice())
        }
    }
}
