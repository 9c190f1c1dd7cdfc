//! The decision tables of a node: what is in force, and the writes that change it.

mod compact;
mod error;
mod image;
mod keep;
mod numbers;
mod overlay;
mod paged;
mod peers;
mod plan;
mod ports;
mod records;
mod slots;
mod state;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use palisade_abi::{
    Cookie, Direction, EndpointId, Identity, PeerClass, PeerClasses, PortIndex, Protocol,
    TableSizes, Verdict, Write,
};
use palisade_identity::LabelSet;

pub use self::error::{Error, Limited};
pub use self::image::{Image, OutsideTable};

use self::state::State;
use crate::budget::Fill;
use crate::compile::{self, Both, Cookies, Desired, LocalEndpoint, Origin, Signature, Signatures};
use crate::filters::Conflict;
use crate::named_ports::NamedPorts;
use crate::options::Options;
use crate::proxy_ports::ProxyPorts;
use crate::rule::Policy;

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
    signatures: Both<Signatures>,
    inputs: Inputs,
    conflicts: BTreeMap<EndpointId, Arc<Conflict>>,
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
    fn of(desired: &Desired<'_>) -> Self {
        Self {
            identities: desired.identities.clone(),
            endpoints: desired.endpoints.to_vec(),
            policies: desired.policies.to_vec(),
            options: desired.options.clone(),
            named_ports: desired.named_ports.clone(),
            proxy_ports: desired.proxy_ports.clone(),
        }
    }

    fn desired(&self) -> Desired<'_> {
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
        Self {
            order: LoadOrder::NATIVE,
            state,
            image,
            cookies,
            signatures: Both::default(),
            inputs: Inputs::default(),
            conflicts: BTreeMap::new(),
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
        let compiled = compile::compile(desired, &self.cookies);
        let relabelled = self.relabelled(desired.identities);
        let mut compacted = self
            .state
            .is_crowded()
            .then(|| compact::merge(&self.state, &self.image));
        let planned = loop {
            let (state, image) = match &compacted {
                Some((state, image, _)) => (state, image),
                None => (&self.state, &self.image),
            };
            match plan::make(state, image, &compiled.logical, &relabelled, self.order) {
                Err(Error::Full { .. }) if compacted.is_none() => {
                    compacted = Some(compact::merge(&self.state, &self.image));
                }
                planned => break planned?,
            }
        };
        let (state, plan) = planned;
        let mut writes = compacted.map(|(_, _, writes)| writes).unwrap_or_default();
        writes.extend(plan);
        self.state = state;
        self.image.store_all(&writes);
        self.cookies.commit(compiled.given);
        self.signatures = compiled.signatures;
        self.inputs = Inputs::of(desired);
        self.conflicts = compiled.conflicts;
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
        let is_new = self.image.peer_classes(identity) == PeerClasses::default()
            && compile::has_page(identity)
            && identity != Identity::UNKNOWN;
        if let Some(word) = is_new.then(|| self.known_classes(labels)).flatten() {
            let writes = vec![Write::PeerClasses(identity, word)];
            self.image.store_all(&writes);
            self.inputs.identities.insert(identity, labels.clone());
            return Ok(writes);
        }
        let mut inputs = self.inputs.clone();
        inputs.identities.insert(identity, labels.clone());
        self.update(&inputs.desired())
    }

    /// Forgets an identity: one write, and the generation, for what was allowed may be denied now.
    ///
    /// The caller lets the number rest until a grace period is over.
    pub fn remove_identity(&mut self, identity: Identity) -> Vec<Write> {
        self.inputs.identities.remove(&identity);
        if self.image.peer_classes(identity) == PeerClasses::default() {
            return Vec::new();
        }
        let zero = PeerClasses::default();
        let writes = vec![Write::PeerClasses(identity, zero), Write::Generation];
        self.image.store_all(&writes);
        writes
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
    pub fn origin(&self, cookie: Cookie) -> Option<&Origin> {
        self.cookies.origin(cookie)
    }

    /// The endpoints whose rules contradict each other, and how. Nothing of what is desired for
    /// them is in force; one that had no policy before denies everything.
    pub const fn conflicts(&self) -> &BTreeMap<EndpointId, Arc<Conflict>> {
        &self.conflicts
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
        let fills = [
            (Limited::CellSlots, cell_slots, sizes.cell_slots),
            (Limited::Policies, policies, sizes.policies),
            (Limited::RowSlots, row_slots, sizes.row_slots),
            (Limited::Rows, rows, sizes.rows),
            (Limited::Verdicts, self.state.records.used(), sizes.verdicts),
        ];
        let fill = |(table, used, size)| (table, Fill { used, size });
        fills.into_iter().map(fill).collect()
    }

    /// The classes of identities, for ingress and egress, and of ports.
    pub(crate) fn class_counts(&self) -> (usize, usize, usize) {
        let peers = &self.state.peers;
        (
            peers.ingress.live.len(),
            peers.egress.live.len(),
            self.state.ports.live().len(),
        )
    }

    /// The classes of an identity with these labels, if there are such.
    fn known_classes(&self, labels: &LabelSet) -> Option<PeerClasses> {
        let class = |direction| {
            let signature: Signature = self.signatures.get(direction).find(labels)?;
            let classes = self.state.peers.get(direction).of.get(&signature)?;
            classes.first().copied().map(PeerClass::new)
        };
        Some(PeerClasses::new(
            class(Direction::Ingress)?,
            class(Direction::Egress)?,
        ))
    }

    /// The identities that had other labels the last time.
    fn relabelled(&self, identities: &BTreeMap<Identity, LabelSet>) -> BTreeSet<Identity> {
        let before = &self.inputs.identities;
        identities
            .iter()
            .filter(|(identity, labels)| {
                before.get(identity).is_some_and(|before| before != *labels)
            })
            .map(|(identity, _)| *identity)
            .collect()
    }
}
