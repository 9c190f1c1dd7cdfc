use std::fmt;

use crate::label::Label;
use crate::requirement::{Operator, Requirement};

/// A requirement that a label set does not meet, and the label it looked at.
///
/// Its text says why, in words: `label app is "cart", not "web"`.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Unmet {
    requirement: Requirement,
    found: Option<Label>,
}

impl Unmet {
    pub(crate) const fn new(requirement: Requirement, found: Option<Label>) -> Self {
        Self { requirement, found }
    }

    /// The requirement.
    pub const fn requirement(&self) -> &Requirement {
        &self.requirement
    }

    /// The label that the requirement looked at; `None` if the set has none.
    pub const fn found(&self) -> Option<&Label> {
        self.found.as_ref()
    }
}

impl fmt::Display for Unmet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = self.requirement.key();
        if let Some(prefix) = key.prefix() {
            return match &self.found {
                Some(label) => write!(f, "address is in {prefix} ({label})"),
                None => write!(f, "address is not in {prefix}"),
            };
        }
        write!(f, "label {key} is ")?;
        match &self.found {
            Some(label) => write!(f, "{:?}", label.value())?,
            None => f.write_str("missing")?,
        }
        match (self.requirement.operator(), &self.found) {
            (Operator::In(values), found) => {
                let wanted: Vec<_> = values.iter().map(|value| format!("{value:?}")).collect();
                let word = if found.is_some() { "not" } else { "should be" };
                write!(f, ", {word} {}", wanted.join(" or "))
            }
            (Operator::NotIn(_), _) => f.write_str(", which is excluded"),
            (Operator::DoesNotExist, _) => f.write_str(", but must be absent"),
            (Operator::Exists, _) => Ok(()),
        }
    }
}
