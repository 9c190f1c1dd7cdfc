use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::slice;
use std::sync::Arc;

use crate::text::Text;

/// The values that a requirement names; one value alone needs no memory of its own.
#[derive(Clone)]
pub struct Values(Repr);

#[derive(Clone)]
enum Repr {
    One(Text),
    Many(Arc<[Text]>),
}

impl Values {
    /// A single value.
    pub const fn one(value: Text) -> Self {
        Self(Repr::One(value))
    }

    /// The values.
    pub fn as_slice(&self) -> &[Text] {
        match &self.0 {
            Repr::One(value) => slice::from_ref(value),
            Repr::Many(values) => values,
        }
    }

    /// The same values in order, each once.
    pub(crate) fn sorted(self) -> Self {
        let Repr::Many(values) = &self.0 else {
            return self;
        };
        if values.is_sorted_by(|a, b| a < b) {
            return self;
        }
        let mut values = values.to_vec();
        values.sort_unstable();
        values.dedup();
        values.into()
    }
}

impl From<Vec<Text>> for Values {
    fn from(mut values: Vec<Text>) -> Self {
        match values.pop() {
            Some(value) if values.is_empty() => Self::one(value),
            last => {
                values.extend(last);
                Self(Repr::Many(values.into()))
            }
        }
    }
}

impl FromIterator<Text> for Values {
    fn from_iter<I: IntoIterator<Item = Text>>(values: I) -> Self {
        values.into_iter().collect::<Vec<_>>().into()
    }
}

impl Deref for Values {
    type Target = [Text];

    fn deref(&self) -> &[Text] {
        self.as_slice()
    }
}

impl<'a> IntoIterator for &'a Values {
    type Item = &'a Text;
    type IntoIter = slice::Iter<'a, Text>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl PartialEq for Values {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Eq for Values {}

impl PartialOrd for Values {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Values {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.as_slice().cmp(other.as_slice())
    }
}

impl Hash for Values {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_slice().hash(state);
    }
}

impl fmt::Debug for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self).finish()
    }
}
