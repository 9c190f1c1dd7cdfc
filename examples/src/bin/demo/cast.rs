//! Who plays: pods, hosts on the internet, and the names that kube-dns knows.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A pod of the node.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Pod {
    pub(crate) name: &'static str,
    pub(crate) labels: &'static str,
    /// The last part of its addresses.
    number: u8,
}

/// A host outside.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Host {
    pub(crate) label: &'static str,
    /// The name that kube-dns knows it by, and for how many seconds the answer holds.
    pub(crate) name: Option<(&'static str, u32)>,
    v4: Ipv4Addr,
    v6: Ipv6Addr,
}

pub(crate) const WEB: Pod = pod("shop/web", "app: web", 11);
pub(crate) const CART: Pod = pod("shop/cart", "app: cart", 12);
pub(crate) const PAY: Pod = pod("shop/pay", "app: pay", 13);
pub(crate) const DB: Pod = pod("shop/db", "app: db", 14);
pub(crate) const MY_SERVICE: Pod = pod("default/myservice", "app: myService", 21);
pub(crate) const MONITOR: Pod = pod("ops/monitor", "app: monitor", 31);
pub(crate) const KUBE_DNS: Pod = pod("kube-system/kube-dns", "k8s-app: kube-dns", 53);

pub(crate) const PODS: [Pod; 7] = [WEB, CART, PAY, DB, MY_SERVICE, MONITOR, KUBE_DNS];

/// Allowed by its name.
pub(crate) const OK: Host = host("ok", Some(("ok.domain.com", 300)), [198, 51, 100, 7], 0x51);
/// Allowed by its name, for a short time.
pub(crate) const SHORT: Host = host(
    "short",
    Some(("short.domain.com", 2)),
    [198, 51, 100, 8],
    0x51,
);
/// Its name would be allowed, but nobody asks for it.
pub(crate) const QUIET: Host = host(
    "quiet",
    Some(("quiet.domain.com", 300)),
    [198, 51, 100, 9],
    0x51,
);
/// Its name is in a zone that is forbidden.
pub(crate) const EVIL: Host = host("evil", Some(("evil.test", 300)), [203, 0, 113, 66], 0x66);

pub(crate) const HOSTS: [Host; 4] = [OK, SHORT, QUIET, EVIL];

const fn pod(name: &'static str, labels: &'static str, number: u8) -> Pod {
    Pod {
        name,
        labels,
        number,
    }
}

const fn host(
    label: &'static str,
    name: Option<(&'static str, u32)>,
    v4: [u8; 4],
    net: u16,
) -> Host {
    let [a, b, c, d] = v4;
    Host {
        label,
        name,
        v4: Ipv4Addr::new(a, b, c, d),
        v6: Ipv6Addr::new(0x2001, 0xdb8, net, 0, 0, 0, 0, d as u16),
    }
}

/// An address family.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Family {
    V4,
    V6,
}

impl Family {
    pub(crate) const BOTH: [Self; 2] = [Self::V4, Self::V6];
}

impl Pod {
    /// What stands after the slash of its name.
    pub(crate) fn short_name(&self) -> &'static str {
        self.name
            .split_once('/')
            .map_or(self.name, |(_, short)| short)
    }

    pub(crate) fn address(&self, family: Family) -> IpAddr {
        match family {
            Family::V4 => Ipv4Addr::new(10, 0, 0, self.number).into(),
            Family::V6 => Ipv6Addr::new(0xfd00, 0x10, 0, 0, 0, 0, 0, u16::from(self.number)).into(),
        }
    }
}

impl Host {
    pub(crate) fn address(&self, family: Family) -> IpAddr {
        match family {
            Family::V4 => self.v4.into(),
            Family::V6 => self.v6.into(),
        }
    }
}

/// A pod or a host.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Party {
    Pod(Pod),
    Host(Host),
}

impl Party {
    pub(crate) fn address(&self, family: Family) -> IpAddr {
        match self {
            Self::Pod(pod) => pod.address(family),
            Self::Host(host) => host.address(family),
        }
    }

    /// As people call it.
    pub(crate) fn label(&self) -> &'static str {
        match self {
            Self::Pod(pod) => pod.short_name(),
            Self::Host(host) => host.label,
        }
    }

    /// As the offline verdict is asked for it: a pod by name, a host by address.
    pub(crate) fn asked_as(&self, family: Family) -> String {
        match self {
            Self::Pod(pod) => pod.name.to_owned(),
            Self::Host(host) => host.address(family).to_string(),
        }
    }
}
