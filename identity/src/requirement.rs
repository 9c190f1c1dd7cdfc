use std::fmt;

use thiserror::Error;

use crate::key::{self, KeyError, LabelKey};
use crate::label::Label;
use crate::label_set::LabelSet;
use crate::source::Source;
use crate::text::Text;
use crate::values::Values;

/// What a requirement asks of the label with its key.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Operator {
    /// There is none.
    DoesNotExist,
    /// There is one.
    Exists,
    /// There is one, with one of these values.
    In(Values),
    /// There is none, or one with another value.
    NotIn(Values),
}

/// One condition on a label set.
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Requirement {
    key: LabelKey,
    operator: Operator,
}

/// What is wrong with a requirement.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum SelectorError {
    /// A value that Kubernetes does not take.
    #[error(
        "value `{value}` of label `{key}`: a value is empty, or up to 63 letters, digits, `-`, \
         `_` and `.`, with a letter or digit at both ends"
    )]
    InvalidValue {
        /// The key of the requirement.
        key: LabelKey,
        /// The value as it was given.
        value: String,
    },
    /// The key cannot be read.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// `In` or `NotIn` without values: it would match nothing or everything.
    #[error("operator {operator} of label `{key}` needs values")]
    NoValues {
        /// The key of the requirement.
        key: LabelKey,
        /// `In` or `NotIn`.
        operator: &'static str,
    },
    /// `Exists` or `DoesNotExist` with values.
    #[error("operator {operator} of label `{key}` takes no values")]
    UnexpectedValues {
        /// The key of the requirement.
        key: LabelKey,
        /// `Exists` or `DoesNotExist`.
        operator: &'static str,
    },
    /// The operator is none of the four.
    #[error("operator `{text}` is none of In, NotIn, Exists, DoesNotExist")]
    UnknownOperator {
        /// The operator as it was given.
        text: String,
    },
}

impl Operator {
    /// The name as it stands in a manifest.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::DoesNotExist => "DoesNotExist",
            Self::Exists => "Exists",
            Self::In(_) => "In",
            Self::NotIn(_) => "NotIn",
        }
    }

    /// The values that it names.
    pub fn values(&self) -> &[Text] {
        match self {
            Self::DoesNotExist | Self::Exists => &[],
            Self::In(values) | Self::NotIn(values) => values,
        }
    }
}

impl Requirement {
    /// A requirement; its values are sorted and each kept once.
    ///
    /// # Errors
    /// [`SelectorError`] for `In` or `NotIn` without values, and for an invalid value.
    pub fn new(key: LabelKey, operator: Operator) -> Result<Self, SelectorError> {
        let name = operator.name();
        let operator = match operator {
            Operator::DoesNotExist | Operator::Exists => operator,
            Operator::In(values) => Operator::In(check_values(&key, name, values)?),
            Operator::NotIn(values) => Operator::NotIn(check_values(&key, name, values)?),
        };
        Ok(Self { key, operator })
    }

    /// A requirement of the three fields that a manifest gives it.
    ///
    /// # Errors
    /// [`SelectorError`] for whatever of the three is wrong first: key, operator, values.
    pub fn parse<V: AsRef<str>>(
        key: &str,
        operator: &str,
        values: &[V],
    ) -> Result<Self, SelectorError> {
        Self::of_texts(key.parse()?, operator, values)
    }

    /// A requirement of a key and the two other fields that a manifest gives it.
    ///
    /// # Errors
    /// [`SelectorError`] for what is wrong first: operator, values.
    pub fn of_texts<V: AsRef<str>>(
        key: LabelKey,
        operator: &str,
        values: &[V],
    ) -> Result<Self, SelectorError> {
        let list = || {
            values
                .iter()
                .map(|value| Text::from(value.as_ref()))
                .collect()
        };
        let parsed = match operator {
            "In" => Operator::In(list()),
            "NotIn" => Operator::NotIn(list()),
            "Exists" => Operator::Exists,
            "DoesNotExist" => Operator::DoesNotExist,
            text => return Err(SelectorError::UnknownOperator { text: text.into() }),
        };
        if parsed.values().is_empty() && !values.is_empty() {
            let operator = parsed.name();
            return Err(SelectorError::UnexpectedValues { key, operator });
        }
        Self::new(key, parsed)
    }

    /// The requirement that a label of this key exists.
    pub const fn exists(key: LabelKey) -> Self {
        Self {
            key,
            operator: Operator::Exists,
        }
    }

    /// The requirement that no label of this key exists.
    pub const fn does_not_exist(key: LabelKey) -> Self {
        Self {
            key,
            operator: Operator::DoesNotExist,
        }
    }

    /// The requirement that a label of this key has this value, as `matchLabels` states it.
    ///
    /// # Errors
    /// [`SelectorError::InvalidValue`].
    pub fn equals(key: LabelKey, value: &str) -> Result<Self, SelectorError> {
        Self::new(key, Operator::In(Values::one(value.into())))
    }

    /// The key that it looks at.
    #[inline]
    pub const fn key(&self) -> &LabelKey {
        &self.key
    }

    /// What it asks of the label.
    #[inline]
    pub const fn operator(&self) -> &Operator {
        &self.operator
    }

    /// Whether a label set meets the requirement. Allocates nothing.
    pub fn matches(&self, labels: &LabelSet) -> bool {
        let label = self.label_in(labels);
        match &self.operator {
            Operator::DoesNotExist => label.is_none(),
            Operator::Exists => label.is_some(),
            Operator::In(values) => label.is_some_and(|label| has_value(values, label)),
            Operator::NotIn(values) => !label.is_some_and(|label| has_value(values, label)),
        }
    }

    /// The label that the requirement looks at, if the set has one.
    pub(crate) fn label_in<'a>(&self, labels: &'a LabelSet) -> Option<&'a Label> {
        if self.key.source() == Source::Cidr {
            // The key names the outer prefix, the label an inner one: no search by text finds it.
            labels.iter().find(|label| self.key.accepts(label))
        } else {
            labels
                .get(self.key.key())
                .filter(|label| self.key.accepts(label))
        }
    }
}

impl fmt::Display for Requirement {
    /// Canonical: `app=web`, `app in (a,b)`, `app notin (a)`, `app`, `!app`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = &self.key;
        match &self.operator {
            Operator::DoesNotExist => write!(f, "!{key}"),
            Operator::Exists => write!(f, "{key}"),
            Operator::In(values) => match values.as_slice() {
                [value] => write!(f, "{key}={value}"),
                values => write!(f, "{key} in ({})", joined(values)),
            },
            Operator::NotIn(values) => write!(f, "{key} notin ({})", joined(values)),
        }
    }
}

impl fmt::Debug for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn check_values(
    key: &LabelKey,
    operator: &'static str,
    values: Values,
) -> Result<Values, SelectorError> {
    if values.is_empty() {
        let key = key.clone();
        return Err(SelectorError::NoValues { key, operator });
    }
    if let Some(value) = values.iter().find(|value| !key::is_value(value)) {
        return Err(SelectorError::InvalidValue {
            key: key.clone(),
            value: value.to_string(),
        });
    }
    Ok(values.sorted())
}

fn has_value(sorted: &[Text], label: &Label) -> bool {
    match sorted {
        [value] => value.as_str() == label.value(),
        _ => sorted
            .binary_search_by(|value| value.as_str().cmp(label.value()))
            .is_ok(),
    }
}

fn joined(values: &[Text]) -> String {
    let values: Vec<&str> = values.iter().map(Text::as_str).collect();
    values.join(",")
}
