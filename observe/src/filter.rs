use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use palisade_abi::Identity;
use serde::{Deserialize, Serialize};

use crate::flow::{Flow, FlowVerdict};
use crate::resolve::EndpointName;
use crate::timestamp::Timestamp;

/// Which flows somebody wants to see: one value of every field that is not empty must fit. Pods,
/// identities and ports fit at either end.
///
/// ```
/// use palisade_observe::{Filter, FlowVerdict};
///
/// let drops_of_cart = Filter {
///     verdicts: vec![FlowVerdict::Dropped],
///     pods: vec!["shop/cart".into()],
///     ..Filter::default()
/// };
/// assert_ne!(drops_of_cart, Filter::default());
/// ```
#[derive(Clone, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Filter {
    /// What became of the packet.
    pub verdicts: Vec<FlowVerdict>,
    /// Endpoints.
    pub pods: Vec<PodFilter>,
    /// Security identities.
    pub identities: Vec<Identity>,
    /// TCP, UDP and SCTP ports.
    pub ports: Vec<u16>,
    /// The earliest time.
    pub since: Option<Timestamp>,
}

impl Filter {
    /// Whether a flow fits.
    pub fn matches(&self, flow: &Flow) -> bool {
        let ports = flow.transport.ports();
        fits(&self.verdicts, |verdict| *verdict == flow.verdict())
            && fits(&self.identities, |identity| {
                flow.peers().iter().any(|peer| peer.identity == *identity)
            })
            && fits(&self.ports, |port| {
                ports.is_some_and(|(source, destination)| [source, destination].contains(port))
            })
            && fits(&self.pods, |pod| {
                let mut names = flow
                    .peers()
                    .into_iter()
                    .filter_map(|peer| peer.endpoint.as_ref());
                names.any(|name| pod.matches(name))
            })
            && self.since.is_none_or(|since| flow.time >= since)
    }
}

fn fits<T>(wanted: &[T], test: impl Fn(&T) -> bool) -> bool {
    wanted.is_empty() || wanted.iter().any(test)
}

/// Pods by namespace and the beginning of their name, as `hubble observe --pod` reads it:
/// `namespace/prefix`, `namespace/` for all of it, `prefix` in namespace `default`.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(from = "String", into = "String")]
pub struct PodFilter {
    namespace: String,
    prefix: String,
}

impl PodFilter {
    /// Whether a pod's namespace is the one and its name begins with the prefix.
    pub fn matches(&self, name: &EndpointName) -> bool {
        name.namespace == self.namespace && name.name.starts_with(&self.prefix)
    }
}

impl From<&str> for PodFilter {
    fn from(text: &str) -> Self {
        let (namespace, prefix) = text.split_once('/').unwrap_or(("default", text));
        Self {
            namespace: namespace.into(),
            prefix: prefix.into(),
        }
    }
}

impl From<String> for PodFilter {
    fn from(text: String) -> Self {
        text.as_str().into()
    }
}

impl FromStr for PodFilter {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(text.into())
    }
}

impl From<PodFilter> for String {
    fn from(filter: PodFilter) -> Self {
        filter.to_string()
    }
}

impl fmt::Display for PodFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.prefix)
    }
}
