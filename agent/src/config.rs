//! The agent's configuration: one YAML file that describes the node.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use palisade_abi::{DenyAnswer, Mode, Protocol, TableSizes};
use palisade_identity::{Label, LabelSet, Source};
use palisade_policy::{AllowLocalhost, HostFirewall, NamedPorts, Options};
use thiserror::Error;

mod dns;
mod wire;

pub(crate) use self::dns::{Dns, DnsError};
#[cfg(feature = "kernel")]
pub(crate) use self::dns::{OnLate, Rejection};

/// What the agent does with the datapath when it is asked to stop.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum OnExit {
    /// Takes the programs, the pinned maps and the interfaces it made away.
    Detach,
    /// Leaves everything in force; the next start adopts it.
    Keep,
}

/// Which addresses are the node's own.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum HostAddresses {
    /// Those that its interfaces have.
    Auto,
    /// These.
    List(Vec<IpAddr>),
}

/// An endpoint as the file describes it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct EndpointConfig {
    /// `namespace/pod`.
    pub(crate) name: Arc<str>,
    /// The file that stands for its network namespace.
    pub(crate) netns: Option<PathBuf>,
    /// Its labels, those that follow from its name included.
    pub(crate) labels: LabelSet,
    /// Its addresses; empty if they are read from its interface.
    pub(crate) addresses: Vec<IpAddr>,
    /// The names of its ports.
    pub(crate) named_ports: NamedPorts,
    /// The host-side interface, if somebody else makes it.
    pub(crate) interface: Option<String>,
}

/// The whole file.
#[cfg_attr(
    not(feature = "kernel"),
    expect(
        dead_code,
        reason = "offline commands read endpoints and policies only"
    )
)]
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// The name of the node.
    pub(crate) node: Arc<str>,
    /// Where maps and links are pinned.
    pub(crate) bpffs: PathBuf,
    /// Where the command line reaches the agent.
    pub(crate) socket: PathBuf,
    /// The folder of policies.
    pub(crate) policies: PathBuf,
    /// Where the agent keeps what a restart needs.
    pub(crate) state: PathBuf,
    /// Whether policy is enforced or only reported.
    pub(crate) mode: Mode,
    /// What the sender of a packet that policy denies is told.
    pub(crate) deny_answer: DenyAnswer,
    /// The interfaces that lead to other machines.
    pub(crate) devices: Vec<String>,
    /// Whether endpoints speak to the world with the node's address.
    pub(crate) masquerade: bool,
    /// The node's own labels.
    pub(crate) node_labels: LabelSet,
    /// What happens at the end.
    pub(crate) on_exit: OnExit,
    /// The node's own addresses.
    pub(crate) host_addresses: HostAddresses,
    /// How policies are read and decide.
    pub(crate) options: Options,
    /// How large the maps are.
    pub(crate) tables: TableSizes,
    /// How names are resolved and remembered.
    pub(crate) dns: Dns,
    /// The endpoints, in the order of the file.
    pub(crate) endpoints: Vec<EndpointConfig>,
}

/// What is wrong with the configuration.
#[derive(Debug, Error)]
#[non_exhaustive]
pub(crate) enum ConfigError {
    /// The file cannot be read.
    #[error("{}: cannot read the configuration", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The file is no configuration.
    #[error("{}: {source}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// What the parser says, with the position.
        source: Box<serde_saphyr::Error>,
    },
    /// The section on DNS has something that cannot be.
    #[error("{}: dns: {reason}", path.display())]
    Dns {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: Box<DnsError>,
    },
    /// What acts on the devices towards other machines, without any.
    #[error("{}: `masquerade` and `host-firewall` need `devices`", path.display())]
    NoDevices {
        /// The file.
        path: PathBuf,
    },
    /// A label of the node that cannot be.
    #[error("{}: `node-labels`: {source}", path.display())]
    NodeLabel {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: Box<EndpointError>,
    },
    /// An endpoint has something that cannot be.
    #[error("{}: endpoint `{endpoint}`: {reason}", path.display())]
    Endpoint {
        /// The file.
        path: PathBuf,
        /// The name of the endpoint as the file has it.
        endpoint: String,
        /// What is wrong.
        reason: Box<EndpointError>,
    },
}

/// What is wrong with an endpoint.
#[derive(Debug, Error)]
#[non_exhaustive]
pub(crate) enum EndpointError {
    /// Two endpoints have one address.
    #[error("address {0} belongs to another endpoint too")]
    AddressTaken(IpAddr),
    /// A label that cannot be.
    #[error(transparent)]
    Label(#[from] palisade_identity::LabelError),
    /// Labels that cannot stand together.
    #[error(transparent)]
    LabelSet(#[from] palisade_identity::LabelSetError),
    /// A name that is not `namespace/pod`.
    #[error("a name is NAMESPACE/POD")]
    Name,
    /// Two endpoints have one name.
    #[error("the name is taken by another endpoint")]
    NameTaken,
    /// A named port of no protocol.
    #[error(transparent)]
    Protocol(#[from] palisade_abi::NumberError),
    /// The agent would make the interface but does not know the addresses.
    #[error("without `interface` the agent makes it, and needs `addresses`")]
    NoAddresses,
}

impl Config {
    /// Reads a file. Relative paths in it start at the folder of the file.
    pub(crate) fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = fs::read_to_string(path).map_err(|source| ConfigError::Read {
            path: path.to_owned(),
            source,
        })?;
        Self::parse(path, &text)
    }

    /// Reads the text of a file.
    pub(crate) fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let wire: wire::Config =
            serde_saphyr::from_str(text).map_err(|source| ConfigError::Parse {
                path: path.to_owned(),
                source: Box::new(source),
            })?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let run = PathBuf::from(format!("/run/palisade/{}", wire.node));
        let place = |given: Option<PathBuf>, default: &str| match given {
            Some(given) => folder.join(given),
            None => run.join(default),
        };
        let endpoints = endpoints(path, folder, wire.endpoints)?;
        let dns = Dns::try_from(wire.dns).map_err(|reason| ConfigError::Dns {
            path: path.to_owned(),
            reason: Box::new(reason),
        })?;
        let options = Options {
            allow_localhost: match wire.allow_localhost {
                wire::AllowLocalhost::Always => AllowLocalhost::Always,
                wire::AllowLocalhost::Policy => AllowLocalhost::ByPolicy,
            },
            host_firewall: if wire.host_firewall {
                HostFirewall::Enabled
            } else {
                HostFirewall::Disabled
            },
            ..Options::default()
        };
        if wire.devices.is_empty() && (wire.masquerade || wire.host_firewall) {
            return Err(ConfigError::NoDevices {
                path: path.to_owned(),
            });
        }
        let node_labels = node_labels(&wire.node_labels);
        let node_labels = node_labels.map_err(|source| ConfigError::NodeLabel {
            path: path.to_owned(),
            source,
        })?;
        Ok(Self {
            bpffs: place(wire.bpffs, "bpf"),
            socket: place(wire.socket, "palisade.sock"),
            policies: folder.join(wire.policies),
            state: place(wire.state, "state"),
            mode: wire.mode,
            deny_answer: wire.deny_answer,
            devices: wire.devices,
            masquerade: wire.masquerade,
            node_labels,
            on_exit: match wire.on_exit {
                wire::OnExit::Detach => OnExit::Detach,
                wire::OnExit::Keep => OnExit::Keep,
            },
            host_addresses: match wire.host_addresses {
                wire::HostAddresses::Auto(wire::Auto::Auto) => HostAddresses::Auto,
                wire::HostAddresses::List(list) => HostAddresses::List(list),
            },
            options,
            tables: wire.tables,
            dns,
            endpoints,
            node: wire.node.into(),
        })
    }
}

fn node_labels(wire: &BTreeMap<String, String>) -> Result<LabelSet, Box<EndpointError>> {
    let labels = wire
        .iter()
        .map(|(key, value)| Label::new(Source::K8s, key, value).map_err(EndpointError::from))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(LabelSet::try_from(labels).map_err(EndpointError::from)?)
}

fn endpoints(
    path: &Path,
    folder: &Path,
    list: Vec<wire::Endpoint>,
) -> Result<Vec<EndpointConfig>, ConfigError> {
    let mut names = BTreeSet::new();
    let mut addresses = BTreeSet::new();
    let mut endpoints = Vec::with_capacity(list.len());
    for wire in list {
        let name = wire.name.clone();
        let wrong = |reason| ConfigError::Endpoint {
            path: path.to_owned(),
            endpoint: name.clone(),
            reason: Box::new(reason),
        };
        let endpoint = endpoint(folder, wire).map_err(wrong)?;
        if !names.insert(endpoint.name.clone()) {
            return Err(wrong(EndpointError::NameTaken));
        }
        if let Some(&taken) = endpoint.addresses.iter().find(|a| !addresses.insert(**a)) {
            return Err(wrong(EndpointError::AddressTaken(taken)));
        }
        endpoints.push(endpoint);
    }
    Ok(endpoints)
}

fn endpoint(folder: &Path, wire: wire::Endpoint) -> Result<EndpointConfig, EndpointError> {
    let (namespace, pod) = wire.name.split_once('/').ok_or(EndpointError::Name)?;
    if namespace.is_empty() || pod.is_empty() || pod.contains('/') {
        return Err(EndpointError::Name);
    }
    if wire.interface.is_none() && wire.addresses.is_empty() {
        return Err(EndpointError::NoAddresses);
    }
    let mut labels: Vec<Label> = match wire.labels {
        wire::Labels::List(list) => list
            .iter()
            .map(|text| text.parse())
            .collect::<Result<_, _>>()?,
        wire::Labels::Map(map) => map
            .iter()
            .map(|(key, value)| Label::new(Source::K8s, key, value))
            .collect::<Result<_, _>>()?,
    };
    // What a cluster says of every pod without being asked.
    let implied = [
        ("io.kubernetes.pod.namespace", namespace),
        ("io.cilium.k8s.policy.cluster", "default"),
    ];
    for (key, value) in implied {
        if !labels.iter().any(|label| label.key() == key) {
            labels.push(Label::new(Source::K8s, key, value)?);
        }
    }
    let mut named_ports = NamedPorts::new();
    for port in &wire.ports {
        let protocol = match &port.protocol {
            Some(text) => text.parse()?,
            None => Protocol::TCP,
        };
        named_ports.insert(&port.name, protocol, port.port);
    }
    Ok(EndpointConfig {
        labels: LabelSet::try_from(labels)?,
        netns: wire.netns.map(|netns| folder.join(netns)),
        addresses: wire.addresses,
        named_ports,
        interface: wire.interface,
        name: wire.name.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "
node: n1
policies: policies
on-exit: keep
deny-answer: reset
endpoints:
- name: shop/web
  netns: /run/netns/web
  labels: {app: web}
  addresses: [10.0.0.2, fd00::2]
- name: shop/pay
  netns: /run/netns/pay
  labels: ['k8s:app=pay', 'k8s:tier=back']
  interface: veth-pay
";

    fn parse(text: &str) -> Result<Config, ConfigError> {
        Config::parse(Path::new("/etc/palisade/n1.yaml"), text)
    }

    #[test]
    fn a_file_becomes_a_node() {
        let config = parse(TEXT).unwrap();
        assert_eq!(config.policies, Path::new("/etc/palisade/policies"));
        assert_eq!(config.socket, Path::new("/run/palisade/n1/palisade.sock"));
        assert_eq!(config.on_exit, OnExit::Keep);
        assert_eq!(config.deny_answer, DenyAnswer::Reset);
        let mut endpoints = config.endpoints.iter();
        let web = endpoints.find(|one| &*one.name == "shop/web").unwrap();
        assert_eq!(
            web.labels.to_string(),
            LabelSet::parse([
                "k8s:app=web",
                "k8s:io.kubernetes.pod.namespace=shop",
                "k8s:io.cilium.k8s.policy.cluster=default",
            ])
            .unwrap()
            .to_string()
        );
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_line() {
        let error = parse(&format!("{TEXT}  colour: red\n")).unwrap_err();
        assert!(error.to_string().contains("colour"), "{error}");
        assert!(error.to_string().contains("line 15"), "{error}");
    }

    #[test]
    fn the_section_on_dns_sets_what_it_names_and_leaves_the_rest() {
        let section = "dns: {names-per-endpoint: 7, hold-milliseconds: 50, on-late: release, \
             aliases: true, search: [svc.cluster.local]}\n";
        let dns = parse(&format!("{TEXT}{section}")).unwrap().dns;
        let plain = parse(TEXT).unwrap().dns;
        assert_eq!(dns.limits.names_per_endpoint, 7);
        assert_eq!(dns.limits.bytes, plain.limits.bytes);
        assert_eq!(dns.hold.as_millis(), 50);
        assert_ne!(dns.on_late, plain.on_late);
        assert!(dns.binding.chain && !plain.binding.chain);
        assert_eq!(dns.binding.search.len(), 1);
    }

    #[test]
    fn the_page_on_dns_shows_every_key_with_its_default() {
        let page = include_str!("../../docs/dns.md");
        let (_, rest) = page.split_once("```yaml\n").unwrap();
        let (section, _) = rest.split_once("```").unwrap();
        let shown = parse(&format!("{TEXT}{section}")).unwrap().dns;
        assert_eq!(
            format!("{shown:?}"),
            format!("{:?}", parse(TEXT).unwrap().dns)
        );
        let keys = section.lines().filter(|line| {
            let key = line.trim_start();
            line.len() - key.len() == 2 && !key.starts_with('#')
        });
        let fields = include_str!("config/dns.rs");
        let (_, fields) = fields.split_once("pub(super) struct Wire {\n").unwrap();
        let (fields, _) = fields.split_once('}').unwrap();
        assert_eq!(keys.count(), fields.lines().count());
    }

    #[test]
    fn a_wrong_pattern_of_the_section_on_dns_is_told() {
        let error = parse(&format!("{TEXT}dns: {{nxdomain: ['a b']}}\n")).unwrap_err();
        assert!(error.to_string().contains("pattern `a b`"), "{error}");
    }

    #[test]
    fn what_acts_towards_other_machines_needs_devices() {
        let text = TEXT.replace("on-exit: keep", "masquerade: true\nhost-firewall: true");
        let error = parse(&text).unwrap_err();
        assert!(error.to_string().contains("need `devices`"), "{error}");
        let config = parse(&text.replace("node: n1", "node: n1\ndevices: [eth0]")).unwrap();
        assert_eq!(config.devices, ["eth0"]);
        assert!(config.masquerade);
        assert_eq!(config.options.host_firewall, HostFirewall::Enabled);
    }

    #[test]
    fn an_address_belongs_to_one_endpoint() {
        let text = TEXT.replace("interface: veth-pay", "addresses: [fd00::2]");
        let error = parse(&text).unwrap_err();
        assert!(error.to_string().contains("fd00::2"), "{error}");
    }

    #[test]
    fn an_endpoint_to_be_made_needs_addresses() {
        let error = parse(&TEXT.replace("addresses: [10.0.0.2, fd00::2]", "addresses: []"));
        assert!(error.is_err_and(|error| error.to_string().contains("shop/web")));
    }
}
