//! The probes: from every pod to a few ports of everybody, over both families.

use serde_json::{Value, json};

use crate::cast::{
    CART, DB, EVIL, Family, KUBE_DNS, MONITOR, MY_SERVICE, OK, PAY, Party, Pod, WEB,
};

/// What is sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    /// A connection, a line, its echo.
    Tcp(u16),
    /// A datagram and its echo.
    Udp(u16),
    /// An echo request.
    Ping,
    /// A question for this name.
    Dns(&'static str),
}

/// A column of the grid.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    pub(crate) to: Party,
    pub(crate) kind: Kind,
}

/// One probe.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Probe {
    pub(crate) from: Party,
    pub(crate) to: Party,
    pub(crate) kind: Kind,
    pub(crate) family: Family,
}

/// The rows of the grid.
pub(crate) const SOURCES: [Party; 7] = [
    Party::Pod(WEB),
    Party::Pod(CART),
    Party::Pod(PAY),
    Party::Pod(DB),
    Party::Pod(MY_SERVICE),
    Party::Pod(MONITOR),
    Party::Host(EVIL),
];

/// A name that everybody may ask for; nobody connects to its address.
pub(crate) const STATUS: &str = "status.domain.com";

/// The columns of the grid.
pub(crate) const TARGETS: [Target; 11] = [
    to(WEB, Kind::Tcp(8080)),
    to(CART, Kind::Tcp(8080)),
    to(CART, Kind::Ping),
    to(PAY, Kind::Tcp(8443)),
    to(PAY, Kind::Ping),
    to(DB, Kind::Tcp(5432)),
    to(DB, Kind::Udp(5433)),
    to(KUBE_DNS, Kind::Dns(STATUS)),
    Target {
        to: Party::Host(OK),
        kind: Kind::Tcp(443),
    },
    Target {
        to: Party::Host(OK),
        kind: Kind::Udp(8000),
    },
    Target {
        to: Party::Host(EVIL),
        kind: Kind::Tcp(443),
    },
];

const fn to(pod: Pod, kind: Kind) -> Target {
    Target {
        to: Party::Pod(pod),
        kind,
    }
}

impl Kind {
    pub(crate) fn protocol(self, family: Family) -> &'static str {
        match (self, family) {
            (Self::Tcp(_), _) => "TCP",
            (Self::Udp(_) | Self::Dns(_), _) => "UDP",
            (Self::Ping, Family::V4) => "ICMP",
            (Self::Ping, Family::V6) => "ICMPv6",
        }
    }

    /// The port; for an echo request its type.
    pub(crate) fn port(self, family: Family) -> u16 {
        match (self, family) {
            (Self::Tcp(port) | Self::Udp(port), _) => port,
            (Self::Dns(_), _) => 53,
            (Self::Ping, Family::V4) => 8,
            (Self::Ping, Family::V6) => 128,
        }
    }

    /// As the head of a column.
    pub(crate) fn label(self) -> String {
        match self {
            Self::Tcp(port) => port.to_string(),
            Self::Udp(port) => format!("{port}u"),
            Self::Ping => "ping".to_owned(),
            Self::Dns(_) => "53".to_owned(),
        }
    }
}

impl Probe {
    /// The probes of a cell: one per family; none from a party to itself, none between hosts.
    pub(crate) fn of_cell(from: Party, target: Target) -> Vec<Self> {
        let outside = matches!((from, target.to), (Party::Host(_), Party::Host(_)));
        if from == target.to || outside {
            return Vec::new();
        }
        let probe = |family| Self {
            from,
            to: target.to,
            kind: target.kind,
            family,
        };
        Family::BOTH.map(probe).into()
    }

    /// The probe as the offline verdict is asked for it.
    pub(crate) fn question(&self) -> Value {
        let mut question = json!({
            "src": self.from.asked_as(self.family),
            "dst": self.to.asked_as(self.family),
            "proto": self.kind.protocol(self.family),
            "port": self.kind.port(self.family),
            "address": self.to.address(self.family),
        });
        if let (Kind::Dns(name), Some(question)) = (self.kind, question.as_object_mut()) {
            question.insert("query".to_owned(), name.into());
        }
        question
    }
}

/// All probes, row by row.
pub(crate) fn all() -> Vec<Probe> {
    let cells = SOURCES
        .iter()
        .flat_map(|from| TARGETS.iter().map(move |target| (*from, *target)));
    cells
        .flat_map(|(from, target)| Probe::of_cell(from, target))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_enough_probes_of_every_kind() {
        let probes = all();
        assert!(probes.len() >= 120, "{}", probes.len());
        let count = |protocol| {
            let of = probes
                .iter()
                .filter(|p| p.kind.protocol(p.family) == protocol);
            of.count()
        };
        for protocol in ["TCP", "UDP", "ICMP", "ICMPv6"] {
            assert!(count(protocol) >= 10, "{protocol}: {}", count(protocol));
        }
    }

    #[test]
    fn nobody_probes_himself() {
        assert!(all().iter().all(|probe| probe.from != probe.to));
    }
}
