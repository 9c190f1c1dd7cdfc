//! `CiliumCIDRGroup`: prefixes that rules name together.

use palisade_identity::{Label, LabelKey, LabelSet, Prefix, Requirement, Selector, Source};

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

/// The selector of the prefixes of the group of this name, less some.
pub(super) fn by_name(name: &str, except: &[Prefix]) -> Option<Selector> {
    let key = LabelKey::new(Source::CidrGroup, &name_key(name)).ok()?;
    Some(less(Selector::new([Requirement::exists(key)]), except))
}

/// The prefixes of a selector, less some.
pub(super) fn less(selector: Selector, except: &[Prefix]) -> Selector {
    except.iter().fold(selector, |selector, inner| {
        selector.with(Requirement::does_not_exist(LabelKey::cidr(*inner)))
    })
}

fn name_key(name: &str) -> String {
    format!("{NAME}/{name}")
}

const NAME: &str = "io.cilium.policy.cidrgroupname";
const CILIUM: &str = "io.cilium.";
