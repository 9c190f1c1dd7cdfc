//! What is to be done about an event.

use palisade_abi::Write;
use palisade_fqdn::Eviction;

use crate::event::Token;

/// Writes in the order in which they are safe, and what may follow once all of them are done.
///
/// ```text
/// 1. if `checkpoint` says so, store Node::checkpoint(); append `journal` to the names' journal
/// 2. apply `writes`, in order
/// 3. carry out `effects`; a last `Write::Grace` may come after them
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "the node takes every plan for carried out"]
pub struct Plan {
    /// Whether a restart needs a new checkpoint; it must be stored before the first write.
    pub checkpoint: Checkpointing,
    /// What became of names, for the journal that [`Node::start_journal`](crate::Node::start_journal)
    /// began; empty if nobody began one. It must be appended before the first write.
    pub journal: Vec<u8>,
    /// The writes, for a [`Table`](palisade_abi::Table).
    pub writes: Vec<Write>,
    /// What the writes were waited for.
    pub effects: Vec<Effect>,
    /// What endpoints had learnt and lost to a limit.
    pub evicted: Vec<Eviction>,
}

impl Plan {
    /// How many of the writes change a map.
    pub fn map_writes(&self) -> usize {
        self.writes
            .iter()
            .filter(|write| write.is_map_write())
            .count()
    }
}

/// Whether a plan changes what a restart needs to know.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Checkpointing {
    /// What is stored serves: it knows everything that the tables may name.
    #[default]
    Unchanged,
    /// The checkpoint knows something that the stored one does not.
    Needed,
}

/// Something outside the tables that waits for writes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Effect {
    /// The addresses of this answer are enforced: it may go to the client.
    ReleaseAnswer(Token),
}
