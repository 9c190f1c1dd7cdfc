//! A folder of policies, file by file: what was accepted, and what was refused and why.

use std::collections::BTreeMap;
use std::sync::Arc;

use palisade_node::PolicySet;
use palisade_policy::{CidrGroup, Location, Options, Policy, ingest};
use serde::{Deserialize, Serialize};

use crate::policies::Texts;

/// The policies that are in force, by file, and what of the folder is not.
#[derive(Clone, Debug)]
pub(crate) struct PolicyFiles {
    options: Options,
    accepted: BTreeMap<Arc<str>, File>,
    refused: BTreeMap<Arc<str>, Refused>,
}

/// A file that was accepted.
#[derive(Clone, Debug)]
struct File {
    text: String,
    policies: Vec<Arc<Policy>>,
    cidr_groups: Vec<Arc<CidrGroup>>,
}

impl File {
    /// What it defines, by names that are one for each resource, and where.
    fn resources(&self) -> impl Iterator<Item = (String, &Location)> {
        let policies = self.policies.iter();
        let groups = self.cidr_groups.iter();
        policies
            .map(|policy| (policy.resource.to_string(), &policy.location))
            .chain(groups.map(|group| (format!("CiliumCIDRGroup {}", group.name), &group.location)))
    }
}

/// A text that was refused; the file's text before it stays in force.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Refused {
    text: String,
    reasons: String,
}

/// The accepted texts, to come back to after a restart.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Accepted(BTreeMap<Arc<str>, String>);

impl PolicyFiles {
    /// No files.
    pub(crate) fn new(options: Options) -> Self {
        Self {
            options,
            accepted: BTreeMap::new(),
            refused: BTreeMap::new(),
        }
    }

    /// What this and a folder's present texts make. A file that is refused stays as it was.
    pub(crate) fn with(&self, texts: Texts) -> Self {
        let mut next = Self::new(self.options.clone());
        let mut owners: BTreeMap<String, Arc<str>> = BTreeMap::new();
        for (name, text) in texts {
            let known = self.accepted.get(&name);
            if let Some(same) = known.filter(|file| file.text == text) {
                next.take(name, same.clone(), &mut owners);
                continue;
            }
            match ingest::read(&name, &text, &self.options) {
                Ok(read) if read.policies.is_empty() && read.cidr_groups.is_empty() => {
                    // Whoever is about to write a file has emptied it first.
                    let reasons = format!(
                        "error: {name}: no policy in it; to take policies out of force remove the \
                         file\n{}",
                        what_stays(known)
                    );
                    next.refuse(&name, text, reasons, known, &mut owners);
                }
                Ok(read) => {
                    let file = File {
                        text,
                        policies: read.policies.into_iter().map(Arc::new).collect(),
                        cidr_groups: read.cidr_groups.into_iter().map(Arc::new).collect(),
                    };
                    if let Err((file, reasons)) = next.try_take(&name, file, &mut owners) {
                        next.refuse(&name, file.text, reasons, known, &mut owners);
                    }
                }
                Err(errors) => {
                    let mut reasons: Vec<String> =
                        errors.iter().map(|error| error.render(&text)).collect();
                    reasons.push(what_stays(known));
                    next.refuse(&name, text, reasons.join("\n"), known, &mut owners);
                }
            }
        }
        next
    }

    /// Everything that is in force.
    pub(crate) fn set(&self) -> PolicySet {
        let files = self.accepted.values();
        let groups = files.clone().flat_map(|file| file.cidr_groups.clone());
        PolicySet {
            policies: files.flat_map(|file| file.policies.clone()).collect(),
            cidr_groups: groups.collect(),
        }
    }

    /// Whether the same texts are accepted in both.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.accepted() == other.accepted()
    }

    /// How many files are in force.
    pub(crate) fn len(&self) -> usize {
        self.accepted.len()
    }

    /// The files whose present text is not in force, with the reasons.
    pub(crate) fn refused(&self) -> impl Iterator<Item = (&Arc<str>, &str)> {
        self.refused
            .iter()
            .map(|(file, refused)| (file, refused.reasons.as_str()))
    }

    /// The refused texts that `before` had not refused yet, with the reasons.
    pub(crate) fn newly_refused<'a>(
        &'a self,
        before: &'a Self,
    ) -> impl Iterator<Item = (&'a Arc<str>, &'a str)> {
        self.refused
            .iter()
            .filter(|(file, refused)| before.refused.get(*file) != Some(refused))
            .map(|(file, refused)| (file, refused.reasons.as_str()))
    }

    /// The accepted texts.
    pub(crate) fn accepted(&self) -> Accepted {
        let files = self.accepted.iter();
        Accepted(
            files
                .map(|(name, file)| (name.clone(), file.text.clone()))
                .collect(),
        )
    }

    /// The files with these texts, which were accepted before.
    pub(crate) fn restore(options: Options, accepted: Accepted) -> Self {
        Self::new(options).with(accepted.0)
    }

    fn refuse(
        &mut self,
        name: &Arc<str>,
        text: String,
        reasons: String,
        known: Option<&File>,
        owners: &mut BTreeMap<String, Arc<str>>,
    ) {
        if let Some(known) = known {
            self.take(name.clone(), known.clone(), owners);
        }
        self.refused.insert(name.clone(), Refused { text, reasons });
    }

    fn take(&mut self, name: Arc<str>, file: File, owners: &mut BTreeMap<String, Arc<str>>) {
        let text = file.text.clone();
        if let Err((_, reasons)) = self.try_take(&name, file, owners) {
            self.refused.insert(name, Refused { text, reasons });
        }
    }

    /// A resource stands in one file: two of one name would be one policy with two contents.
    fn try_take(
        &mut self,
        name: &Arc<str>,
        file: File,
        owners: &mut BTreeMap<String, Arc<str>>,
    ) -> Result<(), (File, String)> {
        let twice = file.resources().find_map(|(resource, location)| {
            let owner = owners.get(&resource)?;
            Some(format!(
                "error: {location:#}: {resource} stands in {owner} already"
            ))
        });
        if let Some(reasons) = twice {
            return Err((file, reasons));
        }
        for (resource, _) in file.resources() {
            owners.insert(resource, name.clone());
        }
        self.accepted.insert(name.clone(), file);
        Ok(())
    }
}

fn what_stays(known: Option<&File>) -> String {
    match known {
        Some(_) => "the whole file was refused; what was in force stays".into(),
        None => "the whole file was refused; nothing of it is in force".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: pay, namespace: shop}
spec:
  endpointSelector: {matchLabels: {app: pay}}
  ingress:
  - fromEndpoints: [{matchLabels: {app: cart}}]
";

    fn texts(files: &[(&str, &str)]) -> Texts {
        let files = files.iter();
        files
            .map(|(name, text)| ((*name).into(), (*text).into()))
            .collect()
    }

    #[test]
    fn a_broken_file_leaves_its_last_good_text_in_force() {
        let none = PolicyFiles::new(Options::default());
        let good = none.with(texts(&[("p/pay.yaml", GOOD)]));
        assert_eq!(good.set().policies.len(), 1);
        let broken = good.with(texts(&[("p/pay.yaml", "spec: [")]));
        assert!(broken.is_same(&good));
        let (file, reasons) = broken.refused().next().unwrap();
        assert_eq!(&**file, "p/pay.yaml");
        assert!(reasons.contains("p/pay.yaml:"), "{reasons}");
        assert!(reasons.contains("stays"), "{reasons}");
        // Said once, not at each look at the folder.
        let again = broken.with(texts(&[("p/pay.yaml", "spec: [")]));
        assert_eq!(again.newly_refused(&broken).count(), 0);
    }

    #[test]
    fn a_file_that_was_emptied_takes_nothing_out_of_force() {
        let none = PolicyFiles::new(Options::default());
        let good = none.with(texts(&[("p/pay.yaml", GOOD)]));
        let empty = good.with(texts(&[("p/pay.yaml", "\n")]));
        assert!(empty.is_same(&good));
        assert_eq!(empty.refused().count(), 1);
        assert_eq!(good.with(Texts::new()).set().policies.len(), 0);
    }

    #[test]
    fn a_broken_file_does_not_hold_up_the_others() {
        let none = PolicyFiles::new(Options::default());
        let both = none.with(texts(&[("p/a.yaml", "spec: ["), ("p/pay.yaml", GOOD)]));
        assert_eq!(both.set().policies.len(), 1);
        assert_eq!(both.refused().count(), 1);
    }

    #[test]
    fn a_resource_stands_in_one_file() {
        let none = PolicyFiles::new(Options::default());
        let twice = none.with(texts(&[("p/a.yaml", GOOD), ("p/b.yaml", GOOD)]));
        assert_eq!(twice.set().policies.len(), 1);
        let (file, reasons) = twice.refused().next().unwrap();
        assert_eq!(&**file, "p/b.yaml");
        assert!(reasons.contains("p/a.yaml"), "{reasons}");
    }

    #[test]
    fn what_was_accepted_comes_back() {
        let none = PolicyFiles::new(Options::default());
        let good = none.with(texts(&[("p/pay.yaml", GOOD)]));
        let back = PolicyFiles::restore(Options::default(), good.accepted());
        assert!(back.is_same(&good));
        assert_eq!(back.set(), good.set());
    }
}
