//! Values as the texts that people write.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::filter::FilterRule;
use crate::label::Label;
use crate::label_set::LabelSet;
use crate::layers::{Claim, ConflictField, EntryFlags, Origin, ResourceId};
use crate::selector::Selector;

impl Serialize for Label {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Label {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

impl Serialize for LabelSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self)
    }
}

impl<'de> Deserialize<'de> for LabelSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let labels = Vec::<Label>::deserialize(deserializer)?;
        Self::try_from(labels).map_err(D::Error::custom)
    }
}

macro_rules! as_text {
    ($($name:ident)*) => {$(
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    )*};
}

as_text!(Claim ConflictField EntryFlags FilterRule Origin ResourceId Selector);

/// For what another crate defines, and prints.
pub(crate) fn text<T: std::fmt::Display, S: Serializer>(
    value: &T,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

/// Prefixes and what goes with them, as pairs that start with a text.
pub(crate) mod prefixes {
    use palisade_abi::{Identity, Prefix};
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(crate) fn serialize<T: Serialize, S: Serializer>(
        pairs: &[(Prefix, T)],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let texts = pairs
            .iter()
            .map(|(prefix, with)| (prefix.to_string(), with));
        serializer.collect_seq(texts)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<(Prefix, Identity)>, D::Error> {
        let texts = Vec::<(String, Identity)>::deserialize(deserializer)?;
        let parse = |(text, identity): (String, Identity)| {
            let prefix = text.parse().map_err(D::Error::custom)?;
            Ok((prefix, identity))
        };
        texts.into_iter().map(parse).collect()
    }
}
