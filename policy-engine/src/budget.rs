//! What a rule set costs.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use palisade_abi::{Direction, PORT_INDEXES};

use crate::flat;
use crate::rule::ResourceName;
use crate::span::Location;
use crate::tables::{Limited, Tables};

/// What the tables of a node hold, beside what they can hold.
///
/// While old and new are in force side by side a change needs room for both.
#[derive(Clone, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Budget {
    /// Endpoints with policies.
    pub endpoints: usize,
    /// Identities with classes.
    pub identities: usize,
    /// Classes of identities, for ingress.
    pub ingress_classes: usize,
    /// Classes of identities, for egress.
    pub egress_classes: usize,
    /// Classes of ports.
    pub port_classes: usize,
    /// What each limited table holds and how much it can hold.
    pub tables: BTreeMap<Limited, Fill>,
    /// Bytes of policies, rows, verdicts and their slots, as far as they reach.
    pub table_bytes: u64,
    /// Bytes of the port array and the identity pages in use, whatever the policies say.
    pub fixed_bytes: u64,
}

/// How full a table is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Fill {
    /// Elements in use, those that wait for a grace period included.
    pub used: u32,
    /// Elements up to the last one that was ever in use, holes included.
    pub reach: u32,
    /// Elements.
    pub size: u32,
}

/// What one rule in force takes of the tables, from [`Tables::budget_by_rule`].
///
/// A rule is one item of its document; cells, rows and verdicts are those that it decides.
#[derive(Clone, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct RuleCost {
    /// The resource.
    #[cfg_attr(feature = "serde", serde(serialize_with = "as_text"))]
    pub resource: Arc<ResourceName>,
    /// Where the rule stands.
    #[cfg_attr(feature = "serde", serde(serialize_with = "as_text"))]
    pub location: Location,
    /// The direction that it is about.
    pub direction: Direction,
    /// Endpoints of this node that it selects.
    pub endpoints: usize,
    /// Known identities that its peers name.
    pub identities: usize,
    /// The classes that these are in.
    pub peer_classes: usize,
    /// Classes of ports for which it decides; none, if it decides for whatever port.
    pub port_classes: usize,
    /// Rows in which it decides something, their defaults included.
    pub rows: usize,
    /// Cells in which it decides.
    pub cells: usize,
    /// Verdict records that name it.
    pub verdicts: usize,
    /// Bytes of these cells and verdicts, at a word of 8 bytes each: they take less where cells lie
    /// together.
    pub bytes: u64,
}

impl fmt::Display for RuleCost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:>8} bytes {:>6} cells {:>5} rows {:>6} identities in {:>5} classes {:>4} endpoints  {} {} ({})",
            self.bytes,
            self.cells,
            self.rows,
            self.identities,
            self.peer_classes,
            self.endpoints,
            self.location,
            self.direction,
            self.resource
        )
    }
}

/// Lines, slots and verdict records are words of 8 bytes.
pub(crate) const WORD: u64 = 8;

impl Tables {
    /// What the tables hold.
    pub fn budget(&self) -> Budget {
        let fills = self.fills();
        let reach: u64 = fills.values().map(|fill| u64::from(fill.reach)).sum();
        let (ingress_classes, egress_classes, port_classes) = self.class_counts();
        let image = self.image();
        let pages: BTreeSet<u32> = image.classified().map(|(one, _)| one.get() >> 16).collect();
        let page_bytes = u64::try_from(pages.len()).unwrap_or(u64::MAX) * 65_536 * WORD;
        Budget {
            endpoints: image.enforced().count(),
            identities: image.classified().count(),
            ingress_classes,
            egress_classes,
            port_classes,
            tables: fills,
            table_bytes: reach * WORD,
            fixed_bytes: u64::from(PORT_INDEXES) * 2 + page_bytes,
        }
    }

    /// How many entries Cilium's policy maps would hold for the same endpoints, policies and
    /// identities.
    ///
    /// It makes the entries to count them, and takes as long.
    pub fn flat_entries(&self) -> u64 {
        flat::count(&self.inputs().desired())
    }
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} endpoints, {} identities in {} ingress and {} egress classes, {} port classes",
            self.endpoints,
            self.identities,
            self.ingress_classes,
            self.egress_classes,
            self.port_classes
        )?;
        for (table, fill) in &self.tables {
            let share = u64::from(fill.used) * 100 / u64::from(fill.size.max(1));
            writeln!(
                f,
                "  {table:12} {:>8} of {:>8}  {share:>3} %",
                fill.used, fill.size
            )?;
        }
        write!(
            f,
            "  {} kB of tables, {} kB of port array and identity pages",
            self.table_bytes.div_ceil(1_000),
            self.fixed_bytes.div_ceil(1_000)
        )
    }
}

#[cfg(feature = "serde")]
fn as_text<T: fmt::Display, S: serde::Serializer>(
    value: &T,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}
