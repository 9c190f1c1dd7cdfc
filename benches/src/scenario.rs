//! The documents of the policy benches.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fmt, io};

use flate2::read::GzDecoder;
use palisade_abi::TableSizes;
use palisade_identity::{Identity, LabelSet};
use palisade_policy::{Desired, LocalEndpoint, NamedPorts, Options, Policy, ProxyPorts, ingest};

use crate::timed::{self, Times};

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

impl Scenario {
    /// Reads a policy that is to be added.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn read_policy(&self, text: &str) -> Result<Arc<Policy>, String> {
        let read = ingest::read("added.yaml", text, &self.options).map_err(|errors| {
            let texts = errors.iter().map(|error| error.render(text));
            texts.collect::<String>()
        })?;
        let policy = read.policies.into_iter().next().ok_or("no policy")?;
        Ok(Arc::new(policy))
    }

    /// Reads the first scenario of a `.jsonl.gz` file.
    ///
    /// # Errors
    /// [`ReadError`] if the file is missing or holds something else.
    pub fn read(path: &Path) -> Result<Self, ReadError> {
        let text = Self::text(path)?;
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name
            .and_then(|name| name.split('.').next())
            .unwrap_or_default();
        let document = |what| ReadError::Document {
            path: path.to_owned(),
            what,
        };
        timed::load(name, &text, &mut Times::default()).map_err(document)
    }

    /// The text of the first scenario of a `.jsonl.gz` file.
    ///
    /// # Errors
    /// [`ReadError`] if the file is missing.
    pub fn text(path: &Path) -> Result<String, ReadError> {
        let file = |source| ReadError::File {
            path: path.to_owned(),
            source,
        };
        let compressed = File::open(path).map_err(file)?;
        let mut reader = BufReader::new(GzDecoder::new(compressed));
        let mut text = String::new();
        reader.read_line(&mut text).map_err(file)?;
        text.shrink_to_fit();
        Ok(text)
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

    /// Tables with room for the scenario: what a node has unless it says otherwise.
    pub fn sizes() -> TableSizes {
        TableSizes::default()
    }
}
