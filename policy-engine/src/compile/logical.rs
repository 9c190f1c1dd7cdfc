//! What the tables must say, in numbers of its own that the kernel never sees.

use palisade_abi::Direction;

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

/// One verdict for each group of ports; `u32`s are places among the verdicts decided with it.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct Row {
    pub(crate) default: u32,
    /// Ascending; none of them says what the default says.
    pub(crate) exceptions: Vec<(PortGroup, u32)>,
}
