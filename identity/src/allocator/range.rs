use palisade_abi::Identity;

/// The numbers that an allocator gives out, both ends included.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Range {
    first: u32,
    last: u32,
}

impl Range {
    /// Workloads of a cluster that is alone: 256 to 65,535.
    pub const CLUSTER: Self = Self {
        first: 256,
        last: 0xffff,
    };
    /// What only this node knows (CIDR and FQDN identities): 16,777,217 to 33,554,431.
    pub const LOCAL: Self = Self {
        first: Identity::FIRST_LOCAL.get(),
        last: 0x01ff_ffff,
    };

    /// Nodes that policy tells apart: 33,554,433 to 50,331,647.
    pub const REMOTE_NODE: Self = Self {
        first: 0x0200_0001,
        last: 0x02ff_ffff,
    };

    /// The range of these ends; `None` if the first lies after the last.
    pub const fn new(first: Identity, last: Identity) -> Option<Self> {
        if first.get() > last.get() {
            return None;
        }
        Some(Self {
            first: first.get(),
            last: last.get(),
        })
    }

    /// As [`Range::new`], for ends whose order is plain.
    pub(crate) const fn between(first: u32, last: u32) -> Self {
        Self { first, last }
    }

    /// The first number.
    pub const fn first(self) -> Identity {
        Identity::new(self.first)
    }

    /// The last number.
    pub const fn last(self) -> Identity {
        Identity::new(self.last)
    }

    /// Whether a number lies in the range.
    pub const fn contains(self, identity: Identity) -> bool {
        self.first <= identity.get() && identity.get() <= self.last
    }

    /// How many numbers there are.
    pub const fn count(self) -> u64 {
        self.last as u64 - self.first as u64 + 1
    }
}
