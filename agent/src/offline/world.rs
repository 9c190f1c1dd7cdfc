//! A node in memory, made of files.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use palisade_abi::{NumberError, Port};
use palisade_node::{DnsAnswer, Endpoint, Event, Link, Node, Token};
use palisade_policy::{Options, Policy, Proxy, ProxyPorts, ingest};
use thiserror::Error;

use crate::config::{Config, ConfigError};
use crate::policies::{self, ReadError, Texts};
use crate::print;

/// Why there is no answer.
#[derive(Debug, Error)]
#[non_exhaustive]
pub(crate) enum OfflineError {
    /// The description of the node is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Something else was decided than expected.
    #[error("{found}, not {expected} as expected")]
    Expectation {
        /// What is decided.
        found: &'static str,
        /// What was expected.
        expected: &'static str,
    },
    /// Text that is no name of an endpoint, nor an address, nor a port.
    #[error("`{text}` is none of: {allowed}")]
    Flow {
        /// The text.
        text: String,
        /// What it can be.
        allowed: &'static str,
    },
    /// No proxy port; never with the number that is used here.
    #[error(transparent)]
    Number(#[from] NumberError),
    /// The node does not take it.
    #[error(transparent)]
    Node(#[from] palisade_node::Error),
    /// Nobody reads what is printed.
    #[error("cannot print")]
    Print(#[source] std::io::Error),
    /// A probe is no probe.
    #[error("probe {line}: {source}")]
    Probe {
        /// The line.
        line: usize,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The probes cannot be read.
    #[error("{}: cannot read the probes", path.display())]
    Probes {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The policies cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Policies are refused; the reasons have been printed.
    #[error("{count} of {files} files are refused")]
    Refused {
        /// How many.
        count: usize,
        /// Of how many.
        files: usize,
    },
}

/// Reads files and folders and says what is wrong with them.
pub(crate) fn check(paths: &[PathBuf]) -> Result<(), OfflineError> {
    let texts = read_all(paths)?;
    let policies = accept(&texts, &Options::default())?;
    let rules: usize = policies.iter().map(|policy| policy.rules.len()).sum();
    let counts = [texts.len(), policies.len(), rules].map(|count| print::number(count as u64));
    let [files, policies, rules] = counts;
    let text = format!("{files} files, {policies} policies, {rules} rules: no complaint");
    print::line(&text).map_err(OfflineError::Print)
}

/// A node with the endpoints of a description, under policies of these files and folders.
pub(super) fn node(config: &Config, files: &[PathBuf]) -> Result<Node, OfflineError> {
    let folder = [config.policies.clone()];
    let files = if files.is_empty() { &folder } else { files };
    let policies = accept(&read_all(files)?, &config.options)?;
    let mut node = Node::new(palisade_node::Config::new(
        config.options.clone(),
        config.tables,
        config.names,
    ));
    // Any port: what counts is that the verdict is a redirect.
    let proxy = ProxyPorts::from_iter([(Proxy::Dns, Port::new(53)?)]);
    let _plan = node.handle(Event::Proxy(proxy), Duration::ZERO)?;
    let _plan = node.handle(Event::Policies(policies), Duration::ZERO)?;
    for endpoint in &config.endpoints {
        let endpoint = Endpoint {
            name: endpoint.name.clone(),
            labels: endpoint.labels.clone(),
            addresses: endpoint.addresses.clone(),
            link: Link::default(),
        };
        let _plan = node.handle(Event::EndpointAdded(endpoint), Duration::ZERO)?;
    }
    Ok(node)
}

/// The node once an address was learnt for a name.
pub(super) fn having_learnt(
    node: &Node,
    name: &palisade_fqdn::DnsName,
    address: std::net::IpAddr,
) -> Result<Node, OfflineError> {
    let mut learnt = node.clone();
    let members = node.endpoints();
    let mut clients = members.flat_map(|member| &member.endpoint.addresses);
    // What one endpoint has learnt holds for all of them.
    let Some(&client) = clients.next() else {
        return Ok(learnt);
    };
    let answer = DnsAnswer {
        token: Token(0),
        client,
        name: name.clone(),
        addresses: vec![address],
        ttl: Duration::from_secs(60),
    };
    let _plan = learnt.handle(Event::DnsAnswer(answer), Duration::ZERO)?;
    Ok(learnt)
}

fn read_all(paths: &[PathBuf]) -> Result<Texts, OfflineError> {
    let mut texts = Texts::new();
    for path in paths {
        texts.extend(policies::read(Path::new(path))?);
    }
    Ok(texts)
}

/// The policies of all texts, or every complaint printed.
fn accept(texts: &Texts, options: &Options) -> Result<Vec<Arc<Policy>>, OfflineError> {
    let mut accepted = Vec::new();
    let mut count = 0;
    for (name, text) in texts {
        match ingest::read(name, text, options) {
            Ok(read) => {
                for group in &read.cidr_groups {
                    let (place, name) = (&group.location, &group.name);
                    print::complaint(&format!(
                        "warning: {place}: CIDR group {name} is not held here yet: rules that \
                         name it select nobody"
                    ));
                }
                for warning in &read.warnings {
                    print::complaint(&warning.render(text));
                }
                accepted.extend(read.policies.into_iter().map(Arc::new));
            }
            Err(errors) => {
                count += 1;
                for error in errors {
                    print::complaint(&error.render(text));
                }
            }
        }
    }
    if count == 0 {
        Ok(accepted)
    } else {
        Err(OfflineError::Refused {
            count,
            files: texts.len(),
        })
    }
}
