//! The decision tables of a node: what is in force, and the writes that change it.

mod by_rule;
mod classes;
mod compact;
mod difference;
mod engine;
mod entry;
mod error;
mod image;
mod numbers;
mod overlay;
mod paged;
mod plan;
mod ports;
mod records;
mod slots;
mod state;

use std::collections::BTreeMap;
use std::sync::Arc;

use palisade_abi::{
    Cookie, Direction, EndpointId, Identity, PeerClass, PeerClasses, PortIndex, Protocol,
    TableSizes, Verdict, Write,
};
use palisade_identity::LabelSet;

pub use self::error::{Error, Limited};
pub use self::image::{Image, OutsideTable};

use self::engine::Engine;
use self::state::State;
use crate::budget::Fill;
use crate::compile::{self, Basis, Changes, Cookies, Desired, LocalEndpoint, Origin};
use crate::filters::Conflict;
use crate::named_ports::NamedPorts;
use crate::options::Options;
use crate::proxy_ports::ProxyPorts;
use crate::rule::{Policy, ResourceName};

/// In which order programs see their own loads.
///
/// Where a machine may reorder them, a plan lets a grace period pass between the moves and the
/// switches that must not be seen the other way round.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LoadOrder {
    /// Only dependent loads are in order (arm64).
    Any,
    /// In the order of the program (x86).
    InOrder,
}

impl LoadOrder {
    /// The order of the machine that this is compiled for.
    pub const NATIVE: Self = if cfg!(any(target_arch = "x86", target_arch = "x86_64")) {
        Self::InOrder
    } else {
        Self::Any
    };
}

/// The decision tables of a node.
///
/// [`Tables::update`] compares what is in force with what is [`Desired`] and returns the writes that
/// lead from one to the other, such that a reader between any two of them sees the old verdict or
/// the new one, never a third. The caller applies them in order, to the kernel's tables or to an
/// [`Image`]; all of them, before the next call.
#[derive(Clone, Debug)]
pub struct Tables {
    order: LoadOrder,
    state: State,
    image: Image,
    cookies: Cookies,
    engine: Engine,
    inputs: Inputs,
}

/// What the tables were last made from.
#[derive(Clone, Debug, Default)]
pub(crate) struct Inputs {
    pub(crate) identities: BTreeMap<Identity, LabelSet>,
    pub(crate) endpoints: Vec<LocalEndpoint>,
    pub(crate) policies: Vec<Arc<Policy>>,
    pub(crate) options: Options,
    pub(crate) named_ports: NamedPorts,
    pub(crate) proxy_ports: ProxyPorts,
}

impl Inputs {
    pub(crate) fn desired(&self) -> Desired<'_> {
        Desired {
            identities: &self.identities,
            endpoints: &self.endpoints,
            policies: &self.policies,
            options: &self.options,
            named_ports: &self.named_ports,
            proxy_ports: &self.proxy_ports,
        }
    }
}

impl Tables {
    /// Empty tables, which deny everything.
    pub fn new(sizes: TableSizes) -> Self {
        Self::adopt(Image::new(sizes))
    }

    /// Tables of which the kernel holds these contents already.
    ///
    /// Nobody remembers what the classes found there meant. They stay in force as they are until the
    /// next [`Tables::update`], which splits them and switches over like any other change.
    pub fn adopt(image: Image) -> Self {
        let state = State::adopt(&image);
        let cookies = Cookies::starting_at(image.last_cookie().get().saturating_add(1));
        let mut engine = Engine::found(&image);
        engine.found = image.enforced().next().is_some() || image.classified().next().is_some();
        Self {
            order: LoadOrder::NATIVE,
            state,
            image,
            cookies,
            engine,
            inputs: Inputs::default(),
        }
    }

    /// These tables for readers of another order than this machine's.
    pub const fn for_readers(mut self, order: LoadOrder) -> Self {
        self.order = order;
        self
    }

    /// Makes the tables say what is desired and returns the writes, in order.
    ///
    /// The plan ends with [`Write::Generation`] if the verdict of a known flow may have changed, and
    /// with [`Write::Grace`] if something was replaced; after that its place is used again. If
    /// nothing changes there are no writes at all.
    ///
    /// # Errors
    /// [`Error::Full`] if old and new do not fit into a table side by side; nothing has changed then.
    pub fn update(&mut self, desired: &Desired<'_>) -> Result<Vec<Write>, Error> {
        if self.engine.found || self.inputs.decide_otherwise(desired) {
            return self.start_over(desired);
        }
        let changes = self.inputs.changes(desired);
        if changes.is_empty() {
            return Ok(Vec::new());
        }
        let writes = self.apply(&changes)?;
        self.inputs.take(&changes);
        self.inputs.policies = desired.policies.to_vec();
        Ok(writes)
    }

    /// Adds an identity that was learnt between two updates, or changes the labels of one.
    ///
    /// If its labels look to the policies in force like those of an identity seen before, that is
    /// one write. The generation is bumped only if the identity was known: what a program decided
    /// about an unknown one was a drop, which is not cached, or something that holds for everybody.
    ///
    /// # Errors
    /// [`Error::Full`] if the tables have no room for one more class; nothing has changed then.
    pub fn add_identity(
        &mut self,
        identity: Identity,
        labels: &LabelSet,
    ) -> Result<Vec<Write>, Error> {
        if self.inputs.identities.get(&identity) == Some(labels) {
            return Ok(Vec::new());
        }
        if let Some(write) = self.add_alike(identity, labels) {
            self.image.store_all(&[write]);
            self.inputs.identities.insert(identity, labels.clone());
            return Ok(vec![write]);
        }
        self.change(&Changes {
            identities: vec![(identity, Some(labels))],
            ..Changes::default()
        })
    }

    /// Forgets an identity: one write, and the generation, for what was allowed may be denied now.
    ///
    /// The caller lets the number rest until a grace period is over.
    pub fn remove_identity(&mut self, identity: Identity) -> Vec<Write> {
        self.inputs.identities.remove(&identity);
        if let Some(number) = self.engine.logic.remove(identity) {
            self.engine.classes.ingress.take(number);
            self.engine.classes.egress.take(number);
        }
        if self.image.peer_classes(identity) == PeerClasses::default() {
            return Vec::new();
        }
        let zero = PeerClasses::default();
        let writes = vec![Write::PeerClasses(identity, zero), Write::Generation];
        self.image.store_all(&writes);
        writes
    }

    /// Adds a policy, in place of all that its resource has said before.
    ///
    /// # Errors
    /// [`Error::Full`] as for [`Tables::update`]; nothing has changed then.
    pub fn add_policy(&mut self, policy: &Arc<Policy>) -> Result<Vec<Write>, Error> {
        let resource = policy.resource.clone();
        self.change(&Changes {
            policies: vec![(resource, vec![policy.clone()])],
            ..Changes::default()
        })
    }

    /// Removes all that a resource says.
    ///
    /// # Errors
    /// [`Error::Full`] as for [`Tables::update`]; nothing has changed then.
    pub fn remove_policy(&mut self, resource: &Arc<ResourceName>) -> Result<Vec<Write>, Error> {
        self.change(&Changes {
            policies: vec![(resource.clone(), Vec::new())],
            ..Changes::default()
        })
    }

    /// Adds an endpoint of this node, or changes one.
    ///
    /// # Errors
    /// [`Error::Full`] as for [`Tables::update`]; nothing has changed then.
    pub fn add_endpoint(&mut self, endpoint: &LocalEndpoint) -> Result<Vec<Write>, Error> {
        self.change(&Changes {
            endpoints: vec![(endpoint.id, Some(endpoint))],
            ..Changes::default()
        })
    }

    /// Forgets an endpoint of this node.
    ///
    /// # Errors
    /// [`Error::Full`] as for [`Tables::update`]; nothing has changed then.
    pub fn remove_endpoint(&mut self, endpoint: EndpointId) -> Result<Vec<Write>, Error> {
        self.change(&Changes {
            endpoints: vec![(endpoint, None)],
            ..Changes::default()
        })
    }

    /// What the tables decide for traffic between an endpoint of this node and a peer.
    ///
    /// `port` is the destination port, for ICMP the type.
    pub fn verdict(
        &self,
        endpoint: EndpointId,
        direction: Direction,
        peer: Identity,
        protocol: Protocol,
        port: u16,
    ) -> Verdict {
        let policies = self.image.policies_of(endpoint);
        self.image
            .lookup(policies, direction, peer, PortIndex::new(protocol, port))
    }

    /// What the cookie of a verdict leads to; for some time also after the rule is gone.
    pub fn origin(&self, cookie: Cookie) -> Option<Origin> {
        self.cookies.origin(cookie)
    }

    /// The endpoints whose rules contradict each other, and how. They deny everything until that
    /// is mended.
    pub fn conflicts(&self) -> BTreeMap<EndpointId, Arc<Conflict>> {
        self.engine.logic.conflicts().collect()
    }

    /// The contents of the tables.
    pub const fn image(&self) -> &Image {
        &self.image
    }

    pub(crate) const fn inputs(&self) -> &Inputs {
        &self.inputs
    }

    /// What each limited table holds.
    pub(crate) fn fills(&self) -> BTreeMap<Limited, Fill> {
        let sizes = self.image.sizes();
        let (policies, row_slots) = self.state.policies.used();
        let (rows, cell_slots) = self.state.rows.used();
        let (policies_reach, row_slots_reach) = self.state.policies.reach();
        let (rows_reach, cell_slots_reach) = self.state.rows.reach();
        let records = &self.state.records;
        let fill = |used, reach, size| Fill { used, reach, size };
        BTreeMap::from([
            (
                Limited::CellSlots,
                fill(cell_slots, cell_slots_reach, sizes.cell_slots),
            ),
            (
                Limited::Policies,
                fill(policies, policies_reach, sizes.policies),
            ),
            (
                Limited::RowSlots,
                fill(row_slots, row_slots_reach, sizes.row_slots),
            ),
            (Limited::Rows, fill(rows, rows_reach, sizes.rows)),
            (
                Limited::Verdicts,
                fill(records.used(), records.reach(), sizes.verdicts),
            ),
        ])
    }

    /// The classes of identities, for ingress and egress, and of ports.
    pub(crate) fn class_counts(&self) -> (usize, usize, usize) {
        let classes = &self.engine.classes;
        (
            classes.ingress.count(),
            classes.egress.count(),
            self.state.ports.live().len(),
        )
    }

    /// Takes a change in, and remembers it.
    fn change(&mut self, changes: &Changes<'_>) -> Result<Vec<Write>, Error> {
        if self.engine.found {
            let mut inputs = self.inputs.clone();
            inputs.take(changes);
            return self.start_over(&inputs.desired());
        }
        let writes = self.apply(changes)?;
        self.inputs.take(changes);
        Ok(writes)
    }

    /// Replaces whatever is in force.
    fn start_over(&mut self, desired: &Desired<'_>) -> Result<Vec<Write>, Error> {
        let found = Engine::found(&self.image);
        let engine = std::mem::replace(&mut self.engine, found);
        let inputs = Inputs {
            options: desired.options.clone(),
            named_ports: desired.named_ports.clone(),
            proxy_ports: desired.proxy_ports.clone(),
            ..Inputs::default()
        };
        let before = std::mem::replace(&mut self.inputs, inputs);
        match self.attempt(&desired.all()) {
            Ok(writes) => {
                self.inputs.identities = desired.identities.clone();
                self.inputs.endpoints = desired.endpoints.to_vec();
                self.inputs.policies = desired.policies.to_vec();
                Ok(writes)
            }
            Err(error) => {
                self.state.roll_back();
                self.engine = engine;
                self.inputs = before;
                Err(error)
            }
        }
    }

    /// Takes a change in; if there is no room, once more after classes that mean the same have
    /// become one.
    fn apply(&mut self, changes: &Changes<'_>) -> Result<Vec<Write>, Error> {
        let is_crowded = self.engine.is_crowded(&self.state);
        if !is_crowded {
            match self.attempt(changes) {
                Ok(writes) => return Ok(writes),
                Err(Error::Full { .. }) => self.recover(),
            }
        }
        let before = self.clone();
        self.recover();
        let (mut writes, retired) =
            compact::merge(&mut self.engine, &mut self.state, &mut self.image);
        for cookie in retired {
            self.cookies.retire(cookie);
        }
        match self.attempt(changes) {
            Ok(more) => {
                writes.extend(more);
                Ok(writes)
            }
            Err(error) => {
                *self = before;
                Err(error)
            }
        }
    }

    fn attempt(&mut self, changes: &Changes<'_>) -> Result<Vec<Write>, Error> {
        let Inputs {
            options,
            named_ports,
            ..
        } = &self.inputs;
        let delta = self.engine.logic.change(changes, options, named_ports);
        let basis = Basis {
            cookies: &self.cookies,
            proxies: &self.inputs.proxy_ports,
        };
        let (engine, state) = (&mut self.engine, &mut self.state);
        let planned = plan::make(engine, state, &self.image, &delta, basis, self.order)?;
        self.state.commit();
        self.image.store_all(&planned.writes);
        self.cookies.commit(planned.given);
        for cookie in planned.retired {
            self.cookies.retire(cookie);
        }
        self.engine.logic.finish(&delta);
        self.engine.found = false;
        Ok(planned.writes)
    }

    /// Forgets an attempt that has failed, and what means nothing any more.
    fn recover(&mut self) {
        self.state.roll_back();
        self.engine = Engine::attached(&self.inputs, &mut self.state, &self.image);
        self.state.commit();
    }

    /// The one write that adds an identity which looks like others, if there are such.
    fn add_alike(&mut self, identity: Identity, labels: &LabelSet) -> Option<Write> {
        let is_new = self.image.peer_classes(identity) == PeerClasses::default()
            && compile::has_page(identity)
            && identity != Identity::UNKNOWN;
        if !is_new || self.engine.found {
            return None;
        }
        let alike = self.engine.logic.find(labels)?;
        let class = |direction| {
            let signature = *alike.signatures.get(direction);
            let classes = self.engine.classes.get(direction);
            classes.of(signature).first().copied()
        };
        let (ingress, egress) = (class(Direction::Ingress)?, class(Direction::Egress)?);
        if let Some(number) = self.engine.logic.remove(identity) {
            self.engine.classes.ingress.take(number);
            self.engine.classes.egress.take(number);
        }
        let number = self.engine.logic.add_alike(identity, labels, &alike);
        self.engine.classes.ingress.put(number, ingress);
        self.engine.classes.egress.put(number, egress);
        let word = PeerClasses::new(PeerClass::new(ingress), PeerClass::new(egress));
        Some(Write::PeerClasses(identity, word))
    }
}
