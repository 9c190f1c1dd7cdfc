//! What the tables must say, in numbers of its own that the kernel never sees.

use std::collections::BTreeMap;

use palisade_abi::{Direction, EndpointId, Identity, Verdict};

/// Ports that every rule in force treats alike.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct PortGroup(pub(crate) u32);

/// Identities that the selectors in force of one direction treat alike.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct Signature(pub(crate) u32);

impl Signature {
    /// The signature of an identity that is not known.
    pub(crate) const UNKNOWN: Self = Self(u32::MAX);
}

/// One value for each direction.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct Both<T> {
    pub(crate) ingress: T,
    pub(crate) egress: T,
}

impl<T> Both<T> {
    pub(crate) fn new(mut make: impl FnMut(Direction) -> T) -> Self {
        Self {
            ingress: make(Direction::Ingress),
            egress: make(Direction::Egress),
        }
    }

    pub(crate) const fn get(&self, direction: Direction) -> &T {
        match direction {
            Direction::Ingress => &self.ingress,
            Direction::Egress => &self.egress,
        }
    }

    pub(crate) const fn get_mut(&mut self, direction: Direction) -> &mut T {
        match direction {
            Direction::Ingress => &mut self.ingress,
            Direction::Egress => &mut self.egress,
        }
    }
}

/// One verdict for each group of ports; `u32`s are places in [`Logical::verdicts`].
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct Row {
    pub(crate) default: u32,
    /// Ascending; none of them says what the default says.
    pub(crate) exceptions: Vec<(PortGroup, u32)>,
}

/// One row for each signature; `u32`s are places in [`Logical::rows`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Content {
    pub(crate) direction: Direction,
    /// The row of known identities that no selector of the policy matches.
    pub(crate) default: u32,
    /// The row of unknown identities.
    pub(crate) unknown: u32,
    /// Ascending; none of them says what the default says.
    pub(crate) exceptions: Vec<(Signature, u32)>,
}

impl Content {
    /// The row for a signature.
    pub(crate) fn row(&self, signature: Signature) -> u32 {
        if signature == Signature::UNKNOWN {
            return self.unknown;
        }
        self.exceptions
            .binary_search_by_key(&signature, |(one, _)| *one)
            .ok()
            .and_then(|at| self.exceptions.get(at))
            .map_or(self.default, |(_, row)| *row)
    }
}

/// Everything that the decision tables must say.
#[derive(Clone, Debug)]
pub(crate) struct Logical {
    /// Each verdict once.
    pub(crate) verdicts: Vec<Verdict>,
    /// Each row once.
    pub(crate) rows: Vec<Row>,
    /// Each policy once.
    pub(crate) policies: Vec<Content>,
    /// Places in `policies`.
    pub(crate) endpoints: BTreeMap<EndpointId, Both<u32>>,
    /// The known identities.
    pub(crate) identities: BTreeMap<Identity, Both<Signature>>,
    /// First port index and group of each run, ascending from 0.
    pub(crate) ports: Vec<(u32, PortGroup)>,
}
