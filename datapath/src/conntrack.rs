use std::net::SocketAddr;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use palisade_abi::{
    Address, CtEntry, CtKey, FLOW_CLOSING_ORIGINAL, FLOW_CLOSING_REPLY, FLOW_ORIGINAL_IS_HIGH,
    Protocol,
};

use crate::maps::{Error, Maps};

/// A flow that conntrack knows, in its original direction.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Connection {
    /// Who sent the first packet.
    pub source: SocketAddr,
    /// Who it was sent to; for ICMP the port is the message's type.
    pub destination: SocketAddr,
    /// IP protocol.
    pub protocol: Protocol,
    /// The entry as the map holds it.
    pub entry: CtEntry,
}

impl Connection {
    fn new(key: &CtKey, entry: CtEntry) -> Self {
        let low = SocketAddr::new(key.low.ip(), key.low_port.get());
        let high = SocketAddr::new(key.high.ip(), key.high_port.get());
        let (source, destination) = if entry.flags & FLOW_ORIGINAL_IS_HIGH == 0 {
            (low, high)
        } else {
            (high, low)
        };
        Self {
            source,
            destination,
            protocol: Protocol::new(key.protocol),
            entry,
        }
    }

    /// Whether either end has begun to close a TCP connection.
    pub fn is_closing(&self) -> bool {
        self.entry.flags & (FLOW_CLOSING_ORIGINAL | FLOW_CLOSING_REPLY) != 0
    }
}

impl Maps {
    /// The connections that have not run out.
    ///
    /// # Errors
    /// [`Error::Read`].
    pub fn connections(&self) -> Result<Vec<Connection>, Error> {
        let now = u32::try_from(uptime().as_secs()).unwrap_or(u32::MAX);
        let entries = self.conntrack.entries()?.into_iter();
        let live = entries.filter(|(_, entry)| entry.expires > now);
        Ok(live
            .map(|(key, entry)| Connection::new(&key, entry))
            .collect())
    }

    /// Forgets the connections of an address that is an endpoint's no longer; how many they were.
    ///
    /// # Errors
    /// [`Error::Read`] or [`Error::Write`].
    pub fn forget_connections(&self, address: Address) -> Result<usize, Error> {
        let mut forgotten = 0;
        for (key, _) in self.conntrack.entries()? {
            if (key.low == address || key.high == address) && self.conntrack.remove(&key)? {
                forgotten += 1;
            }
        }
        Ok(forgotten)
    }
}

/// The clock that entries and events are stamped with: `CLOCK_MONOTONIC`.
pub fn uptime() -> Duration {
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from)
}
