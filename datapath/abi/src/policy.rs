//! The decision tables (D1). Twin of `bpf/abi/policy.h`.
//!
//! ```text
//! policy  = policy_of[endpoint].{ingress, egress}
//! port    = port_class[PortIndex]
//! peer    = identity_page[identity >> 16][identity & 0xffff].{ingress, egress}, 0 if there is no page
//! row     = line(policy_lines[policy], row_slots, peer)
//! cell    = cell(row_lines[row], port)
//! verdict = verdicts[cell]
//! line({base, default}, slots, i) = slots[base + i].owner == base ? slots[base + i].value : default
//! cell(row, i) = row is wide and s = cell_slots[base + i / 16] has owner base and speaks for i ? s
//!                : row is wide ? line(row, cell_slots, 4096 + i) : line(row, cell_slots, i)
//! ```
//! Of a cell the low 16 bits count. An index past an array reads as the default. Every record is one
//! aligned 8-byte word, read and stored whole. All-zero tables deny everything.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{Cookie, PeerClass, ProxyPort, RowId, VerdictIndex};

/// Elements of the port class array: 3 × 65,536 ports, 2 × 256 ICMP types, 256 protocols.
pub const PORT_INDEXES: u32 = 3 * 65_536 + 2 * 256 + 256;
/// Slots of the outer array of identity pages; a larger identity is unknown.
pub const IDENTITY_PAGES: u32 = 1_024;
/// Identities on one page.
pub const IDENTITY_PAGE_LEN: u32 = 65_536;
/// Set in the default of a wide row: its first slots speak for blocks of port classes.
pub const ROW_WIDE: u32 = 1 << 16;
/// Port classes in a block; a slot of a wide row has a bit for each, from [`ROW_WIDE`] on.
pub const ROW_BLOCK: u32 = 16;
/// Blocks; after as many slots a wide row goes on as a narrow one does.
pub const ROW_BLOCKS: u32 = 65_536 / ROW_BLOCK;

/// A word of an identity page: the classes of one identity. 0 is the unknown class.
#[derive(
    Clone, Copy, Debug, Default, Eq, FromBytes, Hash, Immutable, IntoBytes, KnownLayout, PartialEq,
)]
#[repr(C)]
pub struct PeerClasses {
    /// The class that ingress policies use.
    pub ingress: u32,
    /// The class that egress policies use.
    pub egress: u32,
}

impl PeerClasses {
    /// The classes of one identity.
    pub const fn new(ingress: PeerClass, egress: PeerClass) -> Self {
        Self {
            ingress: ingress.get(),
            egress: egress.get(),
        }
    }
}

/// A line: a policy's rows by peer class, or a row's verdicts by port class.
#[derive(
    Clone, Copy, Debug, Default, Eq, FromBytes, Hash, Immutable, IntoBytes, KnownLayout, PartialEq,
)]
#[repr(C)]
pub struct Line {
    /// Where the line's exceptions start in the slot array; also the owner its slots name.
    pub base: u32,
    /// What the line holds where it has no exception.
    pub default: u32,
}

impl Line {
    /// The base of a line without exceptions: past any slot array, so that only defaults are read.
    pub const NO_EXCEPTIONS: u32 = u32::MAX;
}

/// A slot of the two slot arrays.
#[derive(
    Clone, Copy, Debug, Default, Eq, FromBytes, Hash, Immutable, IntoBytes, KnownLayout, PartialEq,
)]
#[repr(C)]
pub struct Slot {
    /// The base of the line that the slot belongs to. 0 is a free slot: no line has base 0.
    pub owner: u32,
    /// A [`RowId`] in `row_slot_v1`, a [`VerdictIndex`] in `cell_slot_v1`; in the slot of a block also
    /// a bit for each class that it speaks for, above the verdict.
    pub value: u32,
}

impl Slot {
    /// A slot of a policy's line.
    pub const fn row(base: u32, row: RowId) -> Self {
        Self {
            owner: base,
            value: row.get(),
        }
    }

    /// A slot of a row's line.
    pub const fn cell(base: u32, verdict: VerdictIndex) -> Self {
        Self {
            owner: base,
            value: verdict.get() as u32,
        }
    }

    /// Whether the slot of a block speaks for a port class of that block.
    pub const fn speaks_for(self, class: u32) -> bool {
        self.value >> (16 + class % ROW_BLOCK) & 1 == 1
    }
}

/// What is done with a packet.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "lowercase"))]
#[repr(u8)]
pub enum Action {
    /// Dropped.
    Deny = 0,
    /// Passed.
    Allow = 1,
    /// Handed to the proxy that listens on the verdict's proxy port.
    Redirect = 2,
}

/// The log flag of a verdict.
pub const VERDICT_LOG: u8 = 1;
/// Set on a deny that no rule asked for: the default deny of a direction.
pub const VERDICT_DEFAULT: u8 = 2;
/// Where the number of the authentication that a verdict asks for starts in its flags.
pub const VERDICT_AUTH_SHIFT: u8 = 4;

/// A record of the verdict table, and each half of a conntrack entry's decision.
#[derive(
    Clone, Copy, Debug, Default, Eq, FromBytes, Hash, Immutable, IntoBytes, KnownLayout, PartialEq,
)]
#[repr(C)]
pub struct Verdict {
    /// The rule that decided; see [`Cookie`].
    pub cookie: u32,
    /// The proxy's port in host order; 0 unless the action is redirect.
    pub proxy_port: u16,
    /// An [`Action`].
    pub action: u8,
    /// [`VERDICT_LOG`], [`VERDICT_DEFAULT`], and from [`VERDICT_AUTH_SHIFT`] on what
    /// [`Verdict::auth`] says.
    pub flags: u8,
}

impl Verdict {
    /// A verdict to pass.
    pub const fn allow(cookie: Cookie) -> Self {
        Self {
            cookie: cookie.get(),
            proxy_port: 0,
            action: Action::Allow as u8,
            flags: 0,
        }
    }

    /// A verdict to drop by a deny rule.
    pub const fn deny(cookie: Cookie) -> Self {
        Self {
            cookie: cookie.get(),
            proxy_port: 0,
            action: Action::Deny as u8,
            flags: 0,
        }
    }

    /// A verdict to drop because no rule allows; the cookie names what switched default deny on.
    pub const fn default_deny(cookie: Cookie) -> Self {
        Self {
            cookie: cookie.get(),
            proxy_port: 0,
            action: Action::Deny as u8,
            flags: VERDICT_DEFAULT,
        }
    }

    /// A verdict to hand the packet to a proxy.
    pub const fn redirect(cookie: Cookie, port: ProxyPort) -> Self {
        Self {
            cookie: cookie.get(),
            proxy_port: port.get(),
            action: Action::Redirect as u8,
            flags: 0,
        }
    }

    /// What is done with the packet; an unknown action counts as deny.
    pub const fn action(self) -> Action {
        match self.action {
            1 => Action::Allow,
            2 => Action::Redirect,
            _ => Action::Deny,
        }
    }

    /// The rule that decided.
    pub const fn cookie(self) -> Cookie {
        Cookie::new(self.cookie)
    }

    /// This verdict for connections that have been authenticated in this way, 0 for any.
    ///
    /// Only the numbers up to 15 fit; the greater are the greatest.
    pub const fn with_auth(self, auth: u8) -> Self {
        let auth = if auth > 15 { 15 } else { auth };
        let flags = self.flags & ((1 << VERDICT_AUTH_SHIFT) - 1) | auth << VERDICT_AUTH_SHIFT;
        Self { flags, ..self }
    }

    /// This verdict, with every packet it is about to be logged.
    pub const fn with_log(self) -> Self {
        Self {
            flags: self.flags | VERDICT_LOG,
            ..self
        }
    }

    /// The authentication that it asks for; 0 for none. Programs drop what asks for any, with
    /// [`crate::DropReason::AuthRequired`], as long as nothing tells them who has authenticated.
    pub const fn auth(self) -> u8 {
        self.flags >> VERDICT_AUTH_SHIFT
    }

    /// Whether every packet it is about is to be logged.
    pub const fn is_logged(self) -> bool {
        self.flags & VERDICT_LOG != 0
    }

    /// Whether this is a default deny.
    pub const fn is_default_deny(self) -> bool {
        self.action == Action::Deny as u8 && self.flags & VERDICT_DEFAULT != 0
    }
}
