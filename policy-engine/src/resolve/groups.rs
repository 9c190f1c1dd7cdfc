//! Security groups of a cloud.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use crate::ingest;
use crate::rule::GroupReference;

/// Who knows the security groups of a cloud.
pub trait Groups {
    /// The addresses of the groups that a reference names.
    fn addresses(&self, reference: &GroupReference) -> Vec<IpAddr>;
}

/// A security group and its members.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Group {
    /// Its number in the cloud, such as `sg-0f0e0d`.
    pub id: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// The region of the cloud; empty for the default one.
    pub region: Arc<str>,
    /// Its labels.
    pub labels: BTreeMap<Arc<str>, Arc<str>>,
    /// The addresses of its members.
    pub addresses: Vec<IpAddr>,
}

impl Group {
    /// Whether a reference names the group: each of its fields that is not empty must hold.
    pub fn is_named_by(&self, reference: &GroupReference) -> bool {
        let has = |texts: &[Arc<str>], own: &Arc<str>| texts.is_empty() || texts.contains(own);
        let mut labels = reference.labels.iter();
        let asks = !reference.labels.is_empty()
            || !reference.ids.is_empty()
            || !reference.names.is_empty();
        asks && self.region == reference.region
            && has(&reference.ids, &self.id)
            && has(&reference.names, &self.name)
            && labels.all(|(key, value)| self.labels.get(key) == Some(value))
    }
}

/// Groups that somebody wrote down.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct StaticGroups {
    /// The groups.
    pub groups: Vec<Group>,
}

impl StaticGroups {
    /// Reads a file of groups: YAML or JSON, a list of mappings in each document.
    ///
    /// ```
    /// use palisade_policy::resolve::StaticGroups;
    ///
    /// let text = "- {id: sg-1, name: web, labels: {team: a}, addresses: [10.0.0.1, fd00::1]}";
    /// assert_eq!(StaticGroups::read("groups.yaml", text)?.groups[0].addresses.len(), 2);
    /// # Ok::<(), Vec<palisade_policy::ingest::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Everything that is wrong with the file, each with its place.
    pub fn read(file: &str, text: &str) -> Result<Self, Vec<ingest::Error>> {
        ingest::read_groups(file, text).map(|groups| Self { groups })
    }
}

impl Groups for StaticGroups {
    fn addresses(&self, reference: &GroupReference) -> Vec<IpAddr> {
        let named = self
            .groups
            .iter()
            .filter(|group| group.is_named_by(reference));
        named.flat_map(|group| group.addresses.clone()).collect()
    }
}
