//! The classes of ports and how they are split.

use std::collections::{BTreeMap, BTreeSet};

use palisade_abi::{PORT_INDEXES, PortClass, PortIndex, Write};

use super::LoadOrder;
use super::error::{Error, Limited};
use super::image::Image;
use super::numbers::Numbers;
use super::overlay::{Moved, Overlay};
use crate::compile::PortGroup;

/// Port classes are 16 bits wide.
const CLASSES: u32 = 1 << 16;

/// The partition of all ports that is in force. Class 0 holds every port at first.
#[derive(Clone, Debug)]
pub(super) struct Ports {
    numbers: Numbers,
    /// First port and class of each run, ascending from port 0.
    runs: Vec<(u32, u32)>,
    of_group: OfGroup,
    /// What they were at the last commit.
    undo: Option<(Vec<(u32, u32)>, OfGroup)>,
}

/// The classes that each group is spread over, by its number.
type OfGroup = Vec<Vec<u32>>;

/// A run of ports of one class and one group: first port, end.
type Run = (u32, u32);

impl Ports {
    pub(super) fn new() -> Self {
        Self {
            numbers: Numbers::new(Limited::PortClasses, CLASSES),
            runs: vec![(0, 0)],
            of_group: Vec::new(),
            undo: None,
        }
    }

    /// The partition that an image has.
    pub(super) fn adopt(image: &Image) -> Self {
        let mut runs = vec![(0, 0)];
        let mut next = 0;
        for (port, class) in image.port_classes() {
            let class = u32::from(class);
            if port > next {
                runs.push((next, 0));
            }
            runs.push((port, class));
            next = port + 1;
        }
        runs.push((next, 0));
        let mut ports = Self::new();
        ports.runs = joined(runs);
        let used = ports.live();
        ports.numbers = Numbers::with_used(Limited::PortClasses, CLASSES, &used);
        ports
    }

    /// The classes that some port has.
    pub(super) fn live(&self) -> BTreeSet<u32> {
        self.runs.iter().map(|(_, class)| *class).collect()
    }

    /// Splits classes until no class holds ports of two groups.
    ///
    /// Before a port moves, the column it leaves is copied in every row in force, so that a reader
    /// finds the same verdict at both places.
    pub(super) fn refine(
        &mut self,
        target: &[(u32, PortGroup)],
        rows: &mut Overlay,
        order: LoadOrder,
        writes: &mut Vec<Write>,
    ) -> Result<Moved, Error> {
        let before = self.live();
        let of_group = std::mem::take(&mut self.of_group);
        if self.undo.is_none() {
            self.undo = Some((self.runs.clone(), of_group));
        }
        let mut pieces: BTreeMap<u32, BTreeMap<PortGroup, Vec<Run>>> = BTreeMap::new();
        for (start, end, class, group) in overlaid(&self.runs, target) {
            let groups = pieces.entry(class).or_default();
            groups.entry(group).or_default().push((start, end));
        }
        let mut runs = Vec::new();
        let mut fresh = Vec::new();
        for (class, groups) in pieces {
            // The part with the most ports keeps the number: the others are cheaper to move.
            let stays = groups.iter().rev().max_by_key(|(_, runs)| length(runs));
            let stays = stays.map(|(group, _)| *group);
            for (group, pieces) in groups {
                let number = if stays == Some(group) {
                    class
                } else {
                    let number = self.numbers.allocate()?;
                    fresh.push((number, class, pieces.clone()));
                    number
                };
                self.join(group, number);
                runs.extend(pieces.into_iter().map(|(start, _)| (start, number)));
            }
        }
        if fresh.is_empty() {
            return Ok(Moved::No);
        }
        runs.sort_unstable();
        self.runs = joined(runs);
        let relocated = copy_columns(rows, &fresh, &before, writes)?;
        if relocated == Moved::Yes && order == LoadOrder::Any {
            writes.push(Write::Grace);
        }
        for (number, _, pieces) in &fresh {
            let class = PortClass::new(u16::try_from(*number).unwrap_or_default());
            let ports = pieces.iter().flat_map(|(start, end)| *start..*end);
            let ports = ports.filter_map(PortIndex::from_index);
            writes.extend(ports.map(|port| Write::PortClass(port, class)));
        }
        Ok(Moved::Yes)
    }

    /// Moves ports from classes to equal ones: (from, to).
    pub(super) fn merge(&mut self, pairs: &BTreeMap<u32, u32>, writes: &mut Vec<Write>) {
        let ends: Vec<u32> = self.ends().collect();
        for ((start, class), end) in self.runs.iter_mut().zip(ends) {
            let Some(into) = pairs.get(class) else {
                continue;
            };
            *class = *into;
            let class = PortClass::new(u16::try_from(*into).unwrap_or_default());
            let ports = (*start..end).filter_map(PortIndex::from_index);
            writes.extend(ports.map(|port| Write::PortClass(port, class)));
        }
        self.runs = joined(std::mem::take(&mut self.runs));
        for from in pairs.keys() {
            self.numbers.retire(*from);
        }
    }

    /// Finds the classes of groups that the partition in force tells apart at least.
    pub(super) fn attach(&mut self, target: &[(u32, PortGroup)]) {
        self.of_group.clear();
        let pieces: Vec<(u32, PortGroup)> = overlaid(&self.runs, target)
            .map(|(_, _, class, group)| (class, group))
            .collect();
        for (class, group) in pieces {
            if !self.of_group(group).contains(&class) {
                self.join(group, class);
            }
        }
    }

    /// The classes that a group is spread over.
    pub(super) fn of_group(&self, group: PortGroup) -> &[u32] {
        let classes = self.of_group.get(group.0 as usize);
        classes.map_or(&[], AsRef::as_ref)
    }

    /// The same of every group.
    pub(super) fn of_groups(&mut self) -> impl Iterator<Item = &mut Vec<u32>> {
        self.of_group.iter_mut()
    }

    /// How many groups there are.
    pub(super) const fn groups(&self) -> usize {
        self.of_group.len()
    }

    /// How many classes some port has or has had.
    pub(super) fn classes(&self) -> usize {
        self.numbers.used() as usize + 1
    }

    fn join(&mut self, group: PortGroup, class: u32) {
        let place = group.0 as usize;
        if self.of_group.len() <= place {
            self.of_group.resize(place + 1, Vec::new());
        }
        if let Some(classes) = self.of_group.get_mut(place) {
            classes.push(class);
        }
    }

    pub(super) const fn waits(&self) -> bool {
        self.numbers.waits()
    }

    pub(super) fn grace(&mut self) {
        self.undo = None;
        self.numbers.grace();
    }

    /// What has happened stays.
    pub(super) fn commit(&mut self) {
        self.undo = None;
        self.numbers.commit();
    }

    /// Nothing has happened since the last commit.
    pub(super) fn roll_back(&mut self) {
        if let Some((runs, of_group)) = self.undo.take() {
            self.runs = runs;
            self.of_group = of_group;
        }
        self.numbers.roll_back();
    }

    fn ends(&self) -> impl Iterator<Item = u32> {
        self.runs
            .iter()
            .skip(1)
            .map(|(start, _)| *start)
            .chain([PORT_INDEXES])
    }
}

/// Writes the column of every fresh class into the rows in force.
fn copy_columns(
    rows: &mut Overlay,
    fresh: &[(u32, u32, Vec<Run>)],
    live: &BTreeSet<u32>,
    writes: &mut Vec<Write>,
) -> Result<Moved, Error> {
    let numbers: Vec<u32> = rows.iter().map(|(number, _)| number).collect();
    let mut relocated = Moved::No;
    for row in numbers {
        let columns: Vec<(u32, u32)> = fresh
            .iter()
            .map(|(number, class, _)| (*number, rows.at(row, *class)))
            .collect();
        let moved = rows.set(row, &columns, |class| !live.contains(&class), writes)?;
        if moved == Moved::Yes {
            relocated = Moved::Yes;
        }
    }
    Ok(relocated)
}

/// The pieces that two partitions cut each other into: start, end, class, group.
fn overlaid(
    runs: &[(u32, u32)],
    target: &[(u32, PortGroup)],
) -> impl Iterator<Item = (u32, u32, u32, PortGroup)> {
    let starts: BTreeSet<u32> = runs
        .iter()
        .map(|(start, _)| *start)
        .chain(target.iter().map(|(start, _)| *start))
        .collect();
    let ends: Vec<u32> = starts
        .iter()
        .copied()
        .skip(1)
        .chain([PORT_INDEXES])
        .collect();
    starts
        .into_iter()
        .zip(ends)
        .filter_map(move |(start, end)| {
            let class = runs.get(
                runs.partition_point(|(first, _)| *first <= start)
                    .checked_sub(1)?,
            )?;
            let at = target
                .partition_point(|(first, _)| *first <= start)
                .checked_sub(1)?;
            Some((start, end, class.1, target.get(at)?.1))
        })
}

/// Runs without those that only repeat the class before them.
fn joined(mut runs: Vec<(u32, u32)>) -> Vec<(u32, u32)> {
    runs.retain(|(start, _)| *start < PORT_INDEXES);
    // Of two runs that start at one port the later one is meant.
    runs.reverse();
    runs.dedup_by_key(|(start, _)| *start);
    runs.reverse();
    runs.dedup_by_key(|(_, class)| *class);
    runs
}

fn length(runs: &[Run]) -> u32 {
    runs.iter().map(|(start, end)| end - start).sum()
}
