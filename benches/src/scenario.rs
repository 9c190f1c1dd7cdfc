//! The documents of the policy benches.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fmt, io};

use flate2::read::GzDecoder;
use palisade_abi::{EndpointId, TableSizes};
use palisade_identity::{Identity, LabelSet, Prefix, reserved};
use palisade_policy::{
    AllowLocalhost, Desired, Level, LocalEndpoint, NamedPorts, Options, Policy, ProxyPorts, ingest,
};
use serde_json::Value;

/// A node and the policies that it is to compile.
#[derive(Debug)]
pub struct Scenario {
    /// What the scenario is called.
    pub name: String,
    /// The known identities: reserved ones, pods, and one for each prefix that a policy names.
    pub identities: BTreeMap<Identity, LabelSet>,
    /// The endpoints of the node.
    pub endpoints: Vec<LocalEndpoint>,
    /// The policies.
    pub policies: Vec<Arc<Policy>>,
    /// How policies decide.
    pub options: Options,
}

/// Why a scenario cannot be read.
#[derive(Debug)]
pub enum ReadError {
    /// The file cannot be read.
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The document is not what the benches expect.
    Document {
        /// The file.
        path: PathBuf,
        /// What is missing or wrong.
        what: String,
    },
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, .. } => write!(f, "{} cannot be read", path.display()),
            Self::Document { path, what } => write!(f, "{}: {what}", path.display()),
        }
    }
}

impl std::error::Error for ReadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::File { source, .. } => Some(source),
            Self::Document { .. } => None,
        }
    }
}

/// Room for the largest of the scenarios.
pub(crate) const SIZES: TableSizes = TableSizes {
    policies: 16_384,
    row_slots: 1 << 20,
    rows: 1 << 18,
    cell_slots: 1 << 20,
    verdicts: 65_536,
    endpoints: 65_536,
    ipcache: 131_072,
    conntrack: 131_072,
    events: 4 << 20,
};

impl Scenario {
    /// Reads the first scenario of a `.jsonl.gz` file.
    ///
    /// # Errors
    /// [`ReadError`] if the file is missing or holds something else.
    pub fn read(path: &Path) -> Result<Self, ReadError> {
        let file = |source| ReadError::File {
            path: path.to_owned(),
            source,
        };
        let mut text = String::new();
        let compressed = File::open(path).map_err(file)?;
        GzDecoder::new(compressed)
            .read_to_string(&mut text)
            .map_err(file)?;
        let line = text.lines().next().unwrap_or_default();
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name
            .and_then(|name| name.split('.').next())
            .unwrap_or_default();
        let document = |what| ReadError::Document {
            path: path.to_owned(),
            what,
        };
        let value: Value =
            serde_json::from_str(line).map_err(|error| document(error.to_string()))?;
        Self::from_json(name, &value).map_err(document)
    }

    /// What the tables are to say.
    pub fn desired(&self) -> Desired<'_> {
        Desired {
            identities: &self.identities,
            endpoints: &self.endpoints,
            policies: &self.policies,
            options: &self.options,
            named_ports: NamedPorts::NONE,
            proxy_ports: ProxyPorts::NONE,
        }
    }

    /// Tables with room for the scenario.
    pub const fn sizes() -> TableSizes {
        SIZES
    }

    fn from_json(name: &str, value: &Value) -> Result<Self, String> {
        let options = Options {
            allow_localhost: AllowLocalhost::ByPolicy,
            policy_cluster: None,
            level: Level::Agent,
            ..Options::default()
        };
        let mut policies = Vec::new();
        for policy in list(value, "policies") {
            let text = modelled(policy).to_string();
            let read = ingest::read(name, &text, &options);
            let render = |errors: Vec<ingest::Error>| {
                errors
                    .iter()
                    .map(|error| error.render(&text))
                    .collect::<String>()
            };
            policies.extend(read.map_err(render)?.policies.into_iter().map(Arc::new));
        }
        let identities = identities(value, &policies)?;
        let endpoint = |value: &Value| -> Option<LocalEndpoint> {
            let id = u16::try_from(value.get("id")?.as_u64()?).ok()?;
            let labels = identities.get(&number(value, "identity")?)?.clone();
            Some(LocalEndpoint::new(EndpointId::new(id), labels))
        };
        let endpoints = list(value, "endpoints").iter().map(endpoint);
        let endpoints: Option<_> = endpoints.collect();
        Ok(Self {
            name: name.to_owned(),
            endpoints: endpoints.ok_or("an endpoint without an identity")?,
            identities,
            policies,
            options,
        })
    }
}

/// The policy with the `apiVersion` of its kind, which the documents leave out, and without HTTP
/// rules, which are not modelled yet: their ports are allowed as a whole.
fn modelled(policy: &Value) -> Value {
    let mut policy = policy.clone();
    let version = match policy.get("kind").and_then(Value::as_str) {
        Some("NetworkPolicy") => "networking.k8s.io/v1",
        _ => "cilium.io/v2",
    };
    if let Some(fields) = policy.as_object_mut() {
        let field = fields.entry("apiVersion");
        field.or_insert_with(|| version.into());
    }
    remove_http(&mut policy);
    policy
}

fn remove_http(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(remove_http),
        Value::Object(fields) => {
            let rules = fields.get("rules");
            if rules.is_some_and(|rules| rules.get("http").is_some()) {
                fields.remove("rules");
            }
            fields.values_mut().for_each(remove_http);
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn identities(
    value: &Value,
    policies: &[Arc<Policy>],
) -> Result<BTreeMap<Identity, LabelSet>, String> {
    let reserved = reserved::ALL.into_iter();
    let mut identities: BTreeMap<Identity, LabelSet> = reserved
        .filter_map(|(identity, _)| Some((identity, reserved::labels(identity)?)))
        .collect();
    for one in list(value, "identities") {
        let id = number(one, "id").ok_or("an identity without a number")?;
        let texts = list(one, "labels").iter().filter_map(Value::as_str);
        let labels = LabelSet::parse(texts).map_err(|error| error.to_string())?;
        identities.insert(id, labels);
    }
    let prefixes: BTreeSet<Prefix> = policies.iter().flat_map(|one| one.prefixes()).collect();
    let local = (Identity::FIRST_LOCAL.get()..).map(Identity::new);
    identities.extend(local.zip(prefixes.into_iter().map(LabelSet::of_prefix)));
    Ok(identities)
}

fn number(value: &Value, key: &str) -> Option<Identity> {
    let number = value.get(key)?.as_u64()?;
    u32::try_from(number).ok().map(Identity::new)
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value
        .get(key)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}
