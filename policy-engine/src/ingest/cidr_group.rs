//! `CiliumCIDRGroup`: prefixes that rules name together.

use palisade_identity::{Label, LabelKey, LabelSet, Requirement, Selector, Source};

use super::cidr;
use super::error::Cause;
use super::reader::{Field, Fields, Reader};
use crate::rule::CidrGroup;
use crate::span::Location;

/// Reads the group of this name.
pub(super) fn read<'a>(
    reader: &mut Reader<'a>,
    fields: &Fields<'a>,
    name: &str,
    labels: Vec<(&'a str, &'a str)>,
    location: &Location,
) -> Option<CidrGroup> {
    let Some(entry) = fields.get("spec") else {
        let field = "spec";
        reader.refuse(fields.span, Cause::Missing { field });
        return None;
    };
    let prefixes = reader.field(entry, |reader, node| {
        let fields = reader.fields(node, &[Field::Known("externalCIDRs")])?;
        let Some(entry) = fields.get("externalCIDRs") else {
            let field = "externalCIDRs";
            reader.refuse(fields.span, Cause::Missing { field });
            return None;
        };
        reader.field(entry, |reader, node| {
            reader.items(node, cidr::address_or_prefix)
        })
    });
    Some(CidrGroup {
        name: name.into(),
        location: location.clone(),
        labels: group_labels(name, labels),
        prefixes: prefixes?,
    })
}

/// The labels of the identities of a group's prefixes.
fn group_labels(name: &str, labels: Vec<(&str, &str)>) -> LabelSet {
    // Cilium's own labels are not the user's to match by.
    let own = labels
        .into_iter()
        .filter(|(key, _)| !key.contains(CILIUM))
        .filter_map(|(key, value)| Label::new(Source::CidrGroup, key, value).ok());
    let name = Label::new(Source::CidrGroup, &name_key(name), "").ok();
    own.chain(name).collect()
}

/// The selector of the prefixes of the group of this name.
pub(super) fn by_name(name: &str) -> Option<Selector> {
    let key = LabelKey::new(Source::CidrGroup, &name_key(name)).ok()?;
    Some(Selector::new([Requirement::exists(key)]))
}

fn name_key(name: &str) -> String {
    format!("{NAME}/{name}")
}

const NAME: &str = "io.cilium.policy.cidrgroupname";
const CILIUM: &str = "io.cilium.";
