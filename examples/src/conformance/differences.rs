//! Where we differ from the other engine on purpose.

/// A scenario that comes out differently, and why.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Difference {
    /// The scenario.
    pub id: &'static str,
    /// Why it comes out differently.
    pub reason: &'static str,
}

/// Every difference; `docs/differences.md` prints them.
pub const DIFFERENCES: &[Difference] = &[
    Difference {
        id: "tricky-86",
        reason: "A `toServices` that finds no service selects nobody. Upstream it is as if the \
                 rule named no peer at all, and with ports that is everybody.",
    },
    Difference {
        id: "tricky-90",
        reason: "A port with a leading zero is refused. Upstream reads \"010\" as 8 in one place \
                 and as 10 in another, and loses the rule for port 10 that stands beside it.",
    },
];
