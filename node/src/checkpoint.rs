//! What a restart needs to know, and how a node comes back.

use std::collections::BTreeMap;
use std::sync::Arc;

use palisade_abi::{EndpointId, Write};
use palisade_identity::{Identity, LabelSet};
use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::error::Error;
use crate::names::Names;
use crate::node::Node;

/// What a node must know to go on after a restart: numbers and names, which the tables refer to.
///
/// Made by [`Node::checkpoint`] and given back to [`Node::restore`], together with the journal of
/// names; everything else is handed in again as events.
///
/// It is needed anew only when a number is given out or an endpoint comes or goes. An answer from a
/// name server is told in the journal, in some tens of bytes, however much is known.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Checkpoint {
    /// The revision of the policies.
    revision: u64,
    /// Labels, as their canonical keys, by identity.
    identities: BTreeMap<u32, String>,
    /// Endpoint numbers by name.
    endpoints: BTreeMap<Arc<str>, u16>,
}

impl Node {
    /// What a restart needs to know now.
    pub fn checkpoint(&self) -> Checkpoint {
        Checkpoint {
            revision: self.revision,
            identities: self
                .identities
                .checkpoint()
                .map(|(identity, labels)| (identity.get(), labels.canonical_key()))
                .collect(),
            endpoints: self
                .endpoints
                .numbers()
                .map(|(name, id)| (name, id.get()))
                .collect(),
        }
    }

    /// Begins a journal of names: everything that is known, to which the journals of later
    /// [`Plan`](crate::Plan)s are appended.
    ///
    /// Begin a new one after a restart, and whenever the last has grown long beside what is known.
    pub fn start_journal(&mut self) -> Vec<u8> {
        self.names.start_journal()
    }

    /// A node that comes back over tables which are in force.
    ///
    /// `names` is a journal as far as it was stored; what follows a torn or corrupt entry is lost.
    /// `found` are the writes that would make these tables. Hand in everything there is as events;
    /// plans are made from [`Event::Restored`](crate::Event::Restored) on, which reconciles.
    ///
    /// # Errors
    /// [`Error`] for a checkpoint that contradicts itself.
    pub fn restore(
        config: Config,
        checkpoint: &Checkpoint,
        names: &[u8],
        found: Vec<Write>,
    ) -> Result<Self, Error> {
        let mut node = Self::new(config);
        node.revision = checkpoint.revision;
        for (identity, key) in &checkpoint.identities {
            let identity = Identity::new(*identity);
            let labels = LabelSet::from_canonical_key(key)
                .map_err(|source| Error::Checkpoint { identity, source })?;
            node.identities.expect(identity, &labels)?;
            // Held until what it is for has been handed in, or has not.
            node.in_advance.push(identity);
        }
        let endpoints = checkpoint.endpoints.iter();
        node.endpoints.expect(
            endpoints
                .map(|(name, id)| (name.clone(), EndpointId::new(*id)))
                .collect(),
        );
        node.names = Names::replay(node.config.names, names);
        node.found = Some(found.into());
        Ok(node)
    }
}
