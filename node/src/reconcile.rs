//! The first plan after a restart: from the tables that were found to those that are to be.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use palisade_abi::{IpcacheEntry, PeerClasses, Prefix, Table, Write};
use palisade_identity::{Identity, LabelSet, Source};
use palisade_policy::{Image, Tables};

use crate::error::Error;
use crate::named::Named;
use crate::node::Node;
use crate::plan::{Effect, Plan};

/// What the writes of a restart say of addresses and identities.
type Classes = BTreeMap<Identity, PeerClasses>;

impl Node {
    /// Switches from what was found, whoever made it and however far it got, to what is to be.
    ///
    /// A crash may have left the tables between two policies, and the older one is not known any
    /// more. So addresses are first told apart as both need them, each new identity in the class of
    /// the one that its addresses had; then policies are switched; then the rest follows.
    pub(crate) fn reconcile(&mut self, plan: &mut Plan) -> Result<(), Error> {
        let Some(found) = self.found.take() else {
            return Ok(());
        };
        let classes = self.take_over(&found)?;
        self.endpoints.expect_nobody();
        for endpoint in self.names.endpoints() {
            if self.endpoints.iter().all(|member| member.id != endpoint) {
                self.names.forget(endpoint);
            }
        }
        let in_advance = self.hold_in_advance()?;
        let dirty = self.every_prefix();
        let early = self.tell_apart_early(&dirty, &classes)?;
        let mut image = Image::new(self.config.sizes);
        image.apply_all(&found)?;
        image.apply_all(&early)?;
        plan.writes.extend(early);
        self.tables = Tables::adopt(image);
        self.update(plan)?;
        self.settle_records(plan)?;
        self.settle(&self.named.clone(), &dirty, plan)?;
        for identity in std::mem::replace(&mut self.in_advance, in_advance) {
            self.identities.release(identity);
        }
        self.sweep(plan);
        // Connections were decided by whatever was in force before.
        plan.writes.push(Write::Generation);
        let waiting = std::mem::take(&mut self.waiting);
        plan.effects
            .extend(waiting.into_iter().map(Effect::ReleaseAnswer));
        Ok(())
    }

    /// Takes records and entries for in force, with a hold on every identity that they name.
    fn take_over(&mut self, found: &Arc<[Write]>) -> Result<Classes, Error> {
        let mut classes = Classes::new();
        for write in found.iter() {
            match *write {
                Write::Endpoint(address, Some(record)) => {
                    self.records.insert(address, record);
                }
                Write::Endpoint(address, None) => {
                    self.records.remove(&address);
                }
                Write::Ipcache(prefix, Some(entry)) => {
                    self.ipcache.insert(prefix, Identity::new(entry.identity));
                }
                Write::Ipcache(prefix, None) => {
                    self.ipcache.remove(prefix);
                }
                Write::PeerClasses(identity, both) => {
                    classes.insert(identity, both);
                }
                Write::CellSlot(..)
                | Write::Generation
                | Write::Grace
                | Write::PolicyLine(..)
                | Write::PolicyOf(..)
                | Write::PortClass(..)
                | Write::RowLine(..)
                | Write::RowSlot(..)
                | Write::Verdict(..) => {}
            }
        }
        classes.retain(|_, both| *both != PeerClasses::default());
        for (_, identity) in self.ipcache.clone().iter() {
            match self.identities.known().get(identity).cloned() {
                Some(labels) => {
                    self.identities.hold(&labels)?;
                }
                None => self.identities.withhold(*identity),
            }
        }
        Ok(classes)
    }

    /// Every prefix that has an entry or may have one.
    fn every_prefix(&self) -> BTreeSet<Prefix> {
        let members = self.endpoints.iter();
        let endpoints = members.flat_map(|member| &member.endpoint.addresses);
        let exact = endpoints.chain(&self.hosts).copied();
        let learnt = self.names.matching(self.named.patterns());
        self.ipcache
            .iter()
            .map(|(prefix, _)| prefix)
            .chain(self.named.prefixes())
            .chain(exact.chain(learnt).map(Prefix::exact))
            .collect()
    }

    /// The writes by which addresses outside the node are told apart both as now and as wanted.
    ///
    /// None of them changes a decision: a new identity starts in the classes of the identity that
    /// its addresses have now. Where these differ there is no such class, and the prefix waits.
    fn tell_apart_early(
        &mut self,
        dirty: &BTreeSet<Prefix>,
        classes: &Classes,
    ) -> Result<Vec<Write>, Error> {
        let mut moves: BTreeMap<LabelSet, Vec<(Prefix, Identity)>> = BTreeMap::new();
        for prefix in dirty {
            if let Some((labels, now)) = self.early_labels(*prefix) {
                moves.entry(labels).or_default().push((*prefix, now));
            }
        }
        let mut writes = Vec::new();
        for (labels, moves) in moves {
            let existing = self.identities.get(&labels);
            let classed = existing.is_some_and(|identity| classes.contains_key(&identity));
            let class_of = |now: &Identity| classes.get(now).copied().unwrap_or_default();
            let mut now = moves.iter().map(|(_, now)| class_of(now));
            let first = now.next().unwrap_or_default();
            if !classed && (first == PeerClasses::default() || now.any(|other| other != first)) {
                continue;
            }
            for (prefix, _) in moves {
                let (identity, _) = self.identities.hold(&labels)?;
                if !classed && writes.last().is_none_or(|write| !names(write, identity)) {
                    writes.push(Write::PeerClasses(identity, first));
                }
                let entry = IpcacheEntry::new(identity);
                writes.push(Write::Ipcache(prefix, Some(entry)));
                if let Some(before) = self.ipcache.insert(prefix, identity) {
                    self.identities.release(before);
                }
            }
        }
        Ok(writes)
    }

    /// What a prefix outside the node has to be told apart as, and the identity that it has now;
    /// `None` if that is enough.
    fn early_labels(&self, prefix: Prefix) -> Option<(LabelSet, Identity)> {
        let address = prefix.address().ip();
        let inside = self.endpoints.at(address).is_some() || self.hosts.contains(&address);
        if prefix.is_exact() && inside {
            return None;
        }
        let wanted = self.labels_of(prefix, &self.named)?;
        let covering = self.ipcache.covering(prefix).next();
        let world = Named::world_of(prefix);
        let now = covering.map_or(world, |(_, identity)| *identity);
        let labels = self.identities.known().get(&now)?;
        let outside = |source| {
            matches!(
                source,
                Source::Cidr | Source::CidrGroup | Source::Fqdn | Source::Reserved
            )
        };
        let host = now == Identity::HOST;
        if host || !labels.iter().all(|label| outside(label.source())) {
            return None;
        }
        let both = union(labels, &wanted);
        (self.identities.get(&both) != Some(now)).then_some((both, now))
    }
}

/// Whether a write has to do with an identity.
fn names(write: &Write, identity: Identity) -> bool {
    match write {
        Write::Ipcache(_, Some(entry)) => entry.identity == identity.get(),
        Write::PeerClasses(named, _) => *named == identity,
        Write::CellSlot(..)
        | Write::Endpoint(..)
        | Write::Generation
        | Write::Grace
        | Write::Ipcache(_, None)
        | Write::PolicyLine(..)
        | Write::PolicyOf(..)
        | Write::PortClass(..)
        | Write::RowLine(..)
        | Write::RowSlot(..)
        | Write::Verdict(..) => false,
    }
}

/// The labels of one address by which both sets' selectors select it: the longer prefix, every name.
fn union(one: &LabelSet, other: &LabelSet) -> LabelSet {
    let length = |labels: &LabelSet| labels.prefix().map(Prefix::mapped_length);
    let (base, rest) = if length(one) >= length(other) {
        (one, other)
    } else {
        (other, one)
    };
    let told = |source| matches!(source, Source::CidrGroup | Source::Fqdn);
    base.merged(&rest.filtered(|label| told(label.source())))
}
