use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use palisade_abi::{Cookie, EndpointId, Identity};
use palisade_identity::{LabelSet, reserved};
use serde::{Deserialize, Serialize};

/// Who knows the names behind an event's numbers. Every method may know nothing.
pub trait Resolver {
    /// The labels of an identity.
    fn labels(&self, identity: Identity) -> Option<LabelSet> {
        reserved::labels(identity)
    }

    /// The endpoint that has an address.
    fn endpoint(&self, address: IpAddr) -> Option<EndpointName> {
        let _ = address;
        None
    }

    /// The endpoint of this node with a number.
    fn endpoint_by_id(&self, id: EndpointId) -> Option<EndpointName> {
        let _ = id;
        None
    }

    /// The DNS names that led to an address.
    fn dns_names(&self, address: IpAddr) -> Vec<String> {
        let _ = address;
        Vec::new()
    }

    /// The rule that a cookie leads to.
    fn origin(&self, cookie: Cookie) -> Option<Origin> {
        let _ = cookie;
        None
    }
}

/// Nobody knows: flows then show addresses and numbers.
impl Resolver for () {}

/// The name of an endpoint: `namespace/name`.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct EndpointName {
    /// The namespace; empty if it has none.
    pub namespace: String,
    /// The name of the pod.
    pub name: String,
}

impl EndpointName {
    /// The name of an endpoint.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
        }
    }
}

impl From<&str> for EndpointName {
    /// Splits at the first `/`; without one there is no namespace.
    fn from(text: &str) -> Self {
        match text.split_once('/') {
            Some((namespace, name)) => Self::new(namespace, name),
            None => Self::new("", text),
        }
    }
}

impl FromStr for EndpointName {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(text.into())
    }
}

impl fmt::Display for EndpointName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            f.write_str(&self.name)
        } else {
            write!(f, "{}/{}", self.namespace, self.name)
        }
    }
}

/// The rule that decided, for people.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Origin {
    /// Where it stands: `policies/pay.yaml:9`.
    pub location: String,
    /// What it says.
    pub description: String,
}

impl Origin {
    /// A rule at a place.
    pub fn new(location: impl Into<String>, description: impl Into<String>) -> Self {
        Self {
            location: location.into(),
            description: description.into(),
        }
    }
}
