//! A node in memory, made of files.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use palisade_abi::{NumberError, Port};
use palisade_node::{DnsAnswer, Endpoint, Event, Link, Node, PolicySet, Token};
use palisade_policy::ingest::{Cause, Resource};
use palisade_policy::resolve::{self, Resolver, ServiceTable, StaticGroups};
use palisade_policy::{Options, Strictness, ingest};
use thiserror::Error;

use super::manifests::{KINDS, ManifestError, Manifests};
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
    /// A pod or a namespace is wrong.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
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
pub(crate) fn check(paths: &[PathBuf], strictness: Strictness) -> Result<(), OfflineError> {
    let texts = read_all(paths)?;
    let options = Options {
        strictness,
        ..Options::default()
    };
    let found = accept(&texts, &options)?;
    let policies = &found.set.policies;
    let rules: usize = policies.iter().map(|policy| policy.rules.len()).sum();
    let text = format!(
        "{}, {}, {}: {}",
        print::count(texts.len(), "file", "files"),
        print::count(policies.len(), "policy", "policies"),
        print::count(rules, "rule", "rules"),
        match found.warnings {
            0 => "no complaint".to_owned(),
            warnings => print::count(warnings, "warning", "warnings"),
        },
    );
    print::line(&text).map_err(OfflineError::Print)
}

/// A node of the endpoints of a description and the pods of these files and folders, under the
/// policies in them.
pub(super) fn node(config: Option<&Config>, files: &[PathBuf]) -> Result<Node, OfflineError> {
    let folder: Vec<PathBuf> = config
        .map(|config| config.policies.clone())
        .into_iter()
        .collect();
    let files = if files.is_empty() { &folder } else { files };
    let setup = config.map_or_else(palisade_node::Config::default, |config| {
        palisade_node::Config::new(config.options.clone(), config.tables, config.dns.limits)
    });
    let found = accept(&read_all(files)?, &setup.options)?;
    let pods = found.manifests.endpoints(&setup.options.cluster_name)?;
    let described = config.map(|config| &config.endpoints).into_iter().flatten();
    let described = described.map(|endpoint| Endpoint {
        name: endpoint.name.clone(),
        labels: endpoint.labels.clone(),
        addresses: endpoint.addresses.clone(),
        named_ports: endpoint.named_ports.clone(),
        link: Link::default(),
    });
    let set = resolved(found.set, &found.manifests.services()?, &setup.options);
    let mut node = Node::new(setup);
    // Any port: what counts is that the verdict is a redirect.
    let port = Port::new(1)?;
    let proxies = set.policies.iter().flat_map(|policy| policy.proxies());
    let ports = proxies.map(|proxy| (proxy, port)).collect();
    let _plan = node.handle(Event::Proxy(ports), Duration::ZERO)?;
    let _plan = node.handle(Event::Policies(set), Duration::ZERO)?;
    for endpoint in described.chain(pods) {
        let _plan = node.handle(Event::EndpointAdded(endpoint), Duration::ZERO)?;
    }
    Ok(node)
}

/// The policies with the peers that services have; groups of a cloud nobody knows here.
fn resolved(set: PolicySet, services: &ServiceTable, options: &Options) -> PolicySet {
    let resolver = Resolver {
        services,
        groups: &StaticGroups::default(),
        options,
    };
    let policies = set.policies.into_iter();
    let resolved = policies.map(|policy| {
        if resolve::is_needed(&policy) {
            Arc::new(resolver.policy(&policy))
        } else {
            policy
        }
    });
    PolicySet {
        policies: resolved.collect(),
        ..set
    }
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
        also: Vec::new(),
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

/// What files hold.
struct Found {
    set: PolicySet,
    manifests: Manifests,
    warnings: usize,
}

/// What all texts hold, or every complaint printed.
fn accept(texts: &Texts, options: &Options) -> Result<Found, OfflineError> {
    let mut found = Found {
        set: PolicySet::default(),
        manifests: Manifests::default(),
        warnings: 0,
    };
    let mut refused = 0;
    for (name, text) in texts {
        let mut errors = Vec::new();
        let mut has_pods = false;
        for document in ingest::read_documents(name, text, options) {
            found.warnings += document.warnings.len();
            for warning in &document.warnings {
                print::complaint(&warning.render(text));
            }
            match document.outcome {
                Ok(Resource::CidrGroup(group)) => found.set.cidr_groups.push(Arc::new(group)),
                Ok(Resource::Policy(policy)) => found.set.policies.push(Arc::new(policy)),
                Ok(_) => print::complaint(&format!(
                    "warning: {}: this command knows nothing of such a resource",
                    document.location
                )),
                Err(reasons) if reasons.iter().all(is_manifest) => has_pods = true,
                Err(reasons) => errors.extend(reasons),
            }
        }
        refused += usize::from(!errors.is_empty());
        for error in errors {
            print::complaint(&error.render(text));
        }
        if has_pods {
            found.manifests.take(name, text)?;
        }
    }
    if refused == 0 {
        Ok(found)
    } else {
        Err(OfflineError::Refused {
            count: refused,
            files: texts.len(),
        })
    }
}

/// Whether a document is refused only because it is no policy but says who there is.
fn is_manifest(error: &ingest::Error) -> bool {
    matches!(&error.cause, Cause::OtherKind { kind } if KINDS.contains(&kind.as_str()))
}
