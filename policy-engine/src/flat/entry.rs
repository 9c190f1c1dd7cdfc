//! What an entry says.

use std::fmt;

use palisade_abi::{Action, ProxyPort};

use super::key::Key;
use crate::rule::AuthMode;

/// Which of two entries decides: the higher one.
///
/// ```text
/// 31                       8 7        0
/// | 0xffffff - priority     | 255 deny, 127 - listener priority … |
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Precedence(u32);

/// Priorities have 24 bits.
const MAX_PRIORITY: u32 = 0x00ff_ffff;
/// The low byte of an entry that lets pass.
const ALLOW: u32 = 1;
/// The low byte of an entry that drops.
const DENY: u32 = 255;

impl Precedence {
    /// Of an entry that lets pass.
    pub const fn allow(priority: u32) -> Self {
        Self::new(priority, ALLOW)
    }

    /// Of an entry that drops.
    pub const fn deny(priority: u32) -> Self {
        Self::new(priority, DENY)
    }

    /// Of an entry that hands to a proxy; the lower `proxy` number serves, but 0 comes last.
    pub fn redirect(priority: u32, proxy: u8) -> Self {
        let low = match proxy {
            0 => ALLOW + 1,
            proxy => DENY - u32::from(proxy.min(126)),
        };
        Self::new(priority, low)
    }

    const fn new(priority: u32, low: u32) -> Self {
        let priority = if priority < MAX_PRIORITY {
            priority
        } else {
            MAX_PRIORITY
        };
        Self((MAX_PRIORITY - priority) << 8 | low)
    }

    /// The word that policy maps carry.
    pub const fn get(self) -> u32 {
        self.0
    }

    /// The priority that it was made from.
    pub const fn priority(self) -> u32 {
        MAX_PRIORITY - (self.0 >> 8)
    }

    /// Whether it is that of a deny.
    pub(super) const fn is_deny(self) -> bool {
        self.0 & 0xff == DENY
    }

    /// The same at another priority.
    pub(super) const fn at(self, priority: u32) -> Self {
        Self::new(priority, self.0 & 0xff)
    }
}

/// What the two sides must have proved to each other.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct AuthRequirement(u8);

impl AuthRequirement {
    /// Nothing, and no rule says so.
    pub const NONE: Self = Self(0);
    const EXPLICIT: u8 = 0x80;

    /// What a rule for just this traffic says.
    pub const fn explicit(mode: AuthMode) -> Self {
        Self(mode.number() | Self::EXPLICIT)
    }

    /// The byte that policy maps carry: bit 7 is set if a rule for just this traffic said it.
    pub const fn get(self) -> u8 {
        self.0
    }

    /// Whether a rule for just this traffic said it.
    pub const fn is_explicit(self) -> bool {
        self.0 & Self::EXPLICIT != 0
    }

    /// The kind of proof; 0 for none.
    pub const fn kind(self) -> u8 {
        self.0 & !Self::EXPLICIT
    }

    /// The same for traffic that it was not said about.
    pub(super) const fn derived(self) -> Self {
        Self(self.kind())
    }
}

impl From<Option<AuthMode>> for AuthRequirement {
    fn from(mode: Option<AuthMode>) -> Self {
        mode.map_or(Self::NONE, Self::explicit)
    }
}

/// The value of an entry in a policy map.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Entry {
    /// Which of two entries decides.
    pub precedence: Precedence,
    /// Where the proxy listens; `None` if traffic is not redirected.
    pub proxy_port: Option<ProxyPort>,
    /// What the two sides must have proved.
    pub auth: AuthRequirement,
    /// Whether traffic is dropped.
    pub(super) denies: bool,
}

impl Entry {
    /// Bytes of a value.
    pub const LEN: usize = 12;

    /// Lets pass.
    pub(super) const fn allow(priority: u32, auth: AuthRequirement) -> Self {
        Self {
            precedence: Precedence::allow(priority),
            proxy_port: None,
            auth,
            denies: false,
        }
    }

    /// Drops.
    pub(super) const fn deny(priority: u32) -> Self {
        Self {
            precedence: Precedence::deny(priority),
            proxy_port: None,
            auth: AuthRequirement::NONE,
            denies: true,
        }
    }

    /// Hands to a proxy. Where it does not listen traffic is dropped at the same precedence: what
    /// a proxy should have judged is not let past it.
    pub(super) fn redirect(
        priority: u32,
        proxy: u8,
        port: Option<ProxyPort>,
        auth: AuthRequirement,
    ) -> Self {
        Self {
            precedence: Precedence::redirect(priority, proxy),
            proxy_port: port,
            auth: if port.is_some() {
                auth
            } else {
                AuthRequirement::NONE
            },
            denies: port.is_none(),
        }
    }

    /// What is done.
    pub const fn action(&self) -> Action {
        match (self.denies, self.proxy_port) {
            (true, _) => Action::Deny,
            (false, Some(_)) => Action::Redirect,
            (false, None) => Action::Allow,
        }
    }

    /// The value as the map of an endpoint has it, for the entry of this key: the proxy's port in
    /// network order, flags, authentication, precedence and a cookie (none) in the order of this
    /// machine.
    pub fn to_bytes(self, key: Key) -> [u8; Self::LEN] {
        let [p0, p1] = self.proxy_port.map_or(0, ProxyPort::get).to_be_bytes();
        let flags = u8::from(self.denies) | key.ports.bits() << 3;
        let [w0, w1, w2, w3] = self.precedence.get().to_ne_bytes();
        let auth = self.auth.get();
        [p0, p1, flags, auth, w0, w1, w2, w3, 0, 0, 0, 0]
    }

    /// What two rules about the same key come to, of which `other` does not go first. At a later
    /// priority it has no say.
    pub(super) fn merge(&mut self, other: Self) {
        if other.precedence.priority() != self.precedence.priority() {
            return;
        }
        if self.denies || other.denies {
            // Of a deny and a redirect at one precedence the former is a proxy that is not there.
            if other.precedence == self.precedence && other.denies {
                *self = other;
            }
            return;
        }
        let lower_port = other.precedence == self.precedence && other.proxy_port < self.proxy_port;
        if lower_port {
            self.proxy_port = other.proxy_port;
        }
        self.auth = match (self.auth.is_explicit(), other.auth.is_explicit()) {
            (true, false) => self.auth,
            (false, true) => other.auth,
            (true, true) | (false, false) => self.auth.max(other.auth),
        };
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.action(), self.proxy_port) {
            (Action::Allow, _) => f.write_str("allow")?,
            (Action::Deny, _) => f.write_str("deny")?,
            (Action::Redirect, port) => {
                write!(f, "redirect to {}", port.map_or(0, ProxyPort::get))?;
            }
        }
        if self.auth.get() != 0 {
            write!(f, ", auth {}", self.auth.get())?;
        }
        write!(f, ", precedence {:#x}", self.precedence.get())
    }
}
