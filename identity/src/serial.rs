//! Labels and label sets as the texts that people write.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::label::Label;
use crate::label_set::LabelSet;
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

impl Serialize for Selector {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Prefixes and their identities, as pairs of a text and a number.
pub(crate) mod prefixes {
    use palisade_abi::{Identity, Prefix};
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(
        pairs: &[(Prefix, Identity)],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let texts = pairs.iter().map(|(prefix, id)| (prefix.to_string(), *id));
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
