//! What is in force, as user space remembers it.

use std::collections::BTreeSet;

use palisade_abi::{Cookie, Direction, IDENTITY_PAGE_LEN, IDENTITY_PAGES, PolicyPair};

use super::error::Limited;
use super::image::{Image, class};
use super::numbers::Numbers;
use super::overlay::{Level, Overlay};
use super::ports::Ports;
use super::records::Records;
use crate::compile::Both;

/// Everything in force but the words of ports, identities and endpoints, which the image holds.
///
/// Changes are made in place and are either committed or rolled back.
#[derive(Clone, Debug)]
pub(super) struct State {
    pub(super) policies: Overlay,
    pub(super) rows: Overlay,
    pub(super) records: Records,
    pub(super) ports: Ports,
    /// The classes of identities that are given.
    pub(super) classes: Both<Numbers>,
}

/// Numbers that are marked.
#[derive(Clone, Debug, Default)]
pub(super) struct Marks(Vec<bool>);

impl Marks {
    pub(super) fn has(&self, number: u32) -> bool {
        self.0.get(number as usize) == Some(&true)
    }

    pub(super) fn mark(&mut self, number: u32) {
        let place = number as usize;
        if self.0.len() <= place {
            self.0.resize(place + 1, false);
        }
        if let Some(mark) = self.0.get_mut(place) {
            *mark = true;
        }
    }
}

impl State {
    /// What an image found in the kernel has in force.
    pub(super) fn adopt(image: &Image) -> Self {
        let ports = Ports::adopt(image);
        let live = Both::new(|direction| found_classes(image, direction));
        let pairs: BTreeSet<(u32, u32)> = image
            .enforced()
            .map(|(_, pair)| (pair.ingress, pair.egress))
            .collect();
        let ingress: BTreeSet<u32> = pairs.iter().map(|pair| pair.0).collect();
        let egress: BTreeSet<u32> = pairs.iter().map(|pair| pair.1).collect();
        let in_use: BTreeSet<u32> = ingress.union(&egress).copied().collect();
        let in_use = in_use.into_iter().filter(|policy| *policy != 0).collect();
        let policies = Overlay::adopt(Level::Policies, image, &in_use);
        let mut row_numbers = BTreeSet::new();
        for (policy, entry) in policies.iter() {
            let is_live = |column: &u32| {
                ingress.contains(&policy) && live.ingress.contains(column)
                    || egress.contains(&policy) && live.egress.contains(column)
            };
            let rows = entry.exceptions().filter(|(column, _)| is_live(column));
            row_numbers.extend(rows.map(|(_, row)| row).chain([entry.default]));
        }
        row_numbers.remove(&0);
        let rows = Overlay::adopt(Level::Rows, image, &row_numbers);
        let port_classes = ports.live();
        let mut verdicts = BTreeSet::new();
        for (_, entry) in rows.iter() {
            let exceptions = entry.exceptions();
            let cells = exceptions.filter(|(column, _)| port_classes.contains(column));
            verdicts.extend(cells.map(|(_, cell)| cell).chain([entry.default]));
        }
        verdicts.remove(&0);
        let classes = Both::new(|direction| {
            Numbers::with_used(Limited::PeerClasses, CLASSES, live.get(direction))
        });
        Self {
            policies,
            rows,
            records: Records::adopt(image, &verdicts),
            ports,
            classes,
        }
    }

    /// Gives up the rows and verdicts that nothing leads to any more; returns the cookies that no
    /// verdict names now. `live_rows` are the rows that policies in force lead to.
    pub(super) fn sweep(&mut self, live_rows: &Marks) -> Vec<Cookie> {
        self.policies.tidied();
        if !self.rows.retain(live_rows) {
            return Vec::new();
        }
        let mut classes = Marks::default();
        for class in self.ports.live() {
            classes.mark(class);
        }
        let mut verdicts = Marks::default();
        for (_, entry) in self.rows.iter() {
            verdicts.mark(entry.default);
            let exceptions = entry.exceptions();
            for (_, cell) in exceptions.filter(|(class, _)| classes.has(*class)) {
                verdicts.mark(cell);
            }
        }
        self.records.retain(&verdicts)
    }

    /// Whether something waits for a grace period.
    pub(super) const fn waits(&self) -> bool {
        self.policies.waits()
            || self.rows.waits()
            || self.records.waits()
            || self.ports.waits()
            || self.classes.ingress.waits()
            || self.classes.egress.waits()
    }

    /// A grace period is over; what has happened cannot be undone any more.
    pub(super) fn grace(&mut self) {
        self.policies.grace();
        self.rows.grace();
        self.records.grace();
        self.ports.grace();
        self.classes.ingress.grace();
        self.classes.egress.grace();
    }

    /// What has happened stays.
    pub(super) fn commit(&mut self) {
        self.policies.commit();
        self.rows.commit();
        self.records.commit();
        self.ports.commit();
        self.classes.ingress.commit();
        self.classes.egress.commit();
    }

    /// Nothing has happened since the last commit.
    pub(super) fn roll_back(&mut self) {
        self.policies.roll_back();
        self.rows.roll_back();
        self.records.roll_back();
        self.ports.roll_back();
        self.classes.ingress.roll_back();
        self.classes.egress.roll_back();
    }
}

/// The classes that identities have in an image, and 0.
pub(super) fn found_classes(image: &Image, direction: Direction) -> BTreeSet<u32> {
    let classified = image.classified();
    let classes = classified.map(|(_, classes)| class(classes, direction));
    classes.chain([0]).collect()
}

/// There cannot be more classes than identities, and no column past the slots is ever written.
const CLASSES: u32 = IDENTITY_PAGES * IDENTITY_PAGE_LEN;

/// The policy of one direction.
pub(super) const fn policy_of(pair: PolicyPair, direction: Direction) -> u32 {
    match direction {
        Direction::Ingress => pair.ingress,
        Direction::Egress => pair.egress,
    }
}
