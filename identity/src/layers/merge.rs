//! Labels of a prefix from those of its claims and of the prefixes around it.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use palisade_abi::Prefix;

use super::LayerSettings;
use crate::known::has_reserved;
use crate::label::Label;
use crate::label_set::LabelSet;
use crate::reserved;
use crate::source::Source;

/// Whether nodes can be selected by address.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum CidrMatch {
    /// Only what lies outside the cluster.
    #[default]
    Outside,
    /// Nodes, too: they keep the labels of the prefixes that they are in.
    OutsideAndNodes,
}

/// What becomes of a node's own labels, those with [`Source::Node`].
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum NodeOwnLabels {
    /// They are dropped.
    #[default]
    Dropped,
    /// Policies select by them.
    Kept,
}

/// The address families of a node.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Families {
    /// Both; each has a world of its own.
    #[default]
    Both,
    /// IPv4 alone, whose world has the plain name. That of IPv6 is told apart all the same.
    Ipv4,
    /// IPv6 alone, whose world has the plain name. That of IPv4 is told apart all the same.
    Ipv6,
}

/// The labels of a prefix: its own, then those of the prefixes around it, the longest first, with
/// one CIDR label at most; then what its place in or out of the cluster makes of them.
pub(super) fn resolve<'a>(
    prefix: Prefix,
    own: &'a LabelSet,
    around: impl Iterator<Item = &'a LabelSet>,
    settings: LayerSettings,
) -> LabelSet {
    // By key, for there may be as many labels as somebody writes CIDR groups.
    let mut labels: BTreeMap<&str, &Label> = own.iter().map(|one| (one.key(), one)).collect();
    let mut has_cidr = own.has_source(Source::Cidr);
    for label in around.flatten() {
        let is_cidr = label.source() == Source::Cidr;
        if !(is_cidr && has_cidr)
            && let Entry::Vacant(place) = labels.entry(label.key())
        {
            has_cidr |= is_cidr;
            place.insert(label);
        }
    }
    let labels: LabelSet = labels.into_values().cloned().collect();
    let is_node = has_reserved(&labels, "host") || has_reserved(&labels, "remote-node");
    let keep_own = is_node && settings.node_labels == NodeOwnLabels::Kept;
    let inside = is_node || has_reserved(&labels, "health") || has_reserved(&labels, "ingress");
    let by_address = is_node && settings.cidr_match == CidrMatch::OutsideAndNodes;
    let labels = labels.filtered(|label| match label.source() {
        Source::Cidr | Source::CidrGroup | Source::Fqdn => !inside || by_address,
        Source::Node => keep_own,
        _ => true,
    });
    let is_world =
        |label: &Label| label.source() == Source::Reserved && WORLDS.contains(&label.key());
    let named = (labels.is_empty() && prefix.length() > 0).then(|| Label::cidr(prefix));
    // The one that belongs to the prefix is added, whichever was said.
    let labels = labels.filtered(|label| !is_world(label));
    if inside {
        return labels;
    }
    let world = Label::reserved_static(match (settings.families, prefix.address().is_ipv4()) {
        (Families::Ipv4, true) | (Families::Ipv6, false) => WORLD,
        (Families::Both | Families::Ipv6, true) => reserved::WORLD_IPV4,
        (Families::Both | Families::Ipv4, false) => reserved::WORLD_IPV6,
    });
    labels.iter().cloned().chain(named).chain([world]).collect()
}

const WORLD: &str = "world";
const WORLDS: [&str; 3] = [WORLD, reserved::WORLD_IPV4, reserved::WORLD_IPV6];

#[cfg(test)]
mod tests {
    use super::*;

    /// Sets are written `a b`, as no label here has a space.
    fn set(text: &str) -> LabelSet {
        LabelSet::parse(text.split_whitespace()).unwrap()
    }

    fn resolved(prefix: &str, own: &str, around: &[&str], settings: LayerSettings) -> String {
        let around: Vec<LabelSet> = around.iter().map(|text| set(text)).collect();
        resolve(prefix.parse().unwrap(), &set(own), around.iter(), settings).to_string()
    }

    #[test]
    fn labels_come_down_from_shorter_prefixes() {
        let plain = LayerSettings::default();
        let cases: [(&str, &str, &[&str], &str); 10] = [
            ("10.0.0.1", "", &[], "cidr:10.0.0.1/32,reserved:world-ipv4"),
            ("0.0.0.0/0", "", &[], "reserved:world-ipv4"),
            ("::/0", "", &[], "reserved:world-ipv6"),
            (
                "10.1.0.1",
                "reserved:kube-apiserver",
                &["cidr:10.1.0.0/16", "cidr:10.0.0.0/8"],
                "cidr:10.1.0.0/16,reserved:kube-apiserver,reserved:world-ipv4",
            ),
            (
                "1.1.1.1",
                "cidrgroup:foo=yes",
                &["cidrgroup:foo=no cidrgroup:more"],
                "cidrgroup:foo=yes,cidrgroup:more,reserved:world-ipv4",
            ),
            (
                "fd00:ef::1",
                "",
                &["cidr:fd00-ef--0/56", "cidr:fd00-ef--0/48", "cidrgroup:foo"],
                "cidr:fd00-ef--0/56,cidrgroup:foo,reserved:world-ipv6",
            ),
            ("10.0.0.1", "fqdn:a.b", &[], "fqdn:a.b,reserved:world-ipv4"),
            ("10.0.0.0/24", "reserved:world", &[], "reserved:world-ipv4"),
            (
                "10.0.0.1",
                "fqdn:a.b reserved:world",
                &[],
                "fqdn:a.b,reserved:world-ipv4",
            ),
            (
                "10.0.0.1",
                "node:role=gw fqdn:a.b",
                &[],
                "fqdn:a.b,reserved:world-ipv4",
            ),
        ];
        for (prefix, own, around, expected) in cases {
            assert_eq!(
                resolved(prefix, own, around, plain),
                expected,
                "{prefix} {own}"
            );
        }
    }

    #[test]
    fn what_is_in_the_cluster_has_no_labels_of_the_world() {
        let around: &[&str] = &["cidr:10.0.0.0/8 reserved:world-ipv4 cidrgroup:g fqdn:a.b"];
        let own = "reserved:remote-node node:role=gw";
        let of = |own: &str, settings| resolved("10.0.0.7", own, around, settings);
        let plain = LayerSettings::default();
        assert_eq!(of(own, plain), "reserved:remote-node");
        for name in ["host", "health", "ingress"] {
            let own = format!("reserved:{name}");
            assert_eq!(of(&own, plain), own);
        }
        let match_nodes = LayerSettings {
            cidr_match: CidrMatch::OutsideAndNodes,
            ..plain
        };
        assert_eq!(
            of(own, match_nodes),
            "cidr:10.0.0.0/8,fqdn:a.b,cidrgroup:g,reserved:remote-node"
        );
        assert_eq!(of("reserved:health", match_nodes), "reserved:health");
        let with_own = LayerSettings {
            node_labels: NodeOwnLabels::Kept,
            ..plain
        };
        assert_eq!(of(own, with_own), "reserved:remote-node,node:role=gw");
    }

    #[test]
    fn the_only_family_has_the_plain_world() {
        let of = |prefix: &str, families| {
            let settings = LayerSettings {
                families,
                ..LayerSettings::default()
            };
            // With the world that a node of both families would say.
            let both = LabelSet::of_prefix(prefix.parse().unwrap());
            let own = both.filtered(|label| label.source() == Source::Reserved);
            resolved(prefix, &format!("cidrgroup:g {own}"), &[], settings)
        };
        let cases = [
            ("10.0.0.0/8", Families::Ipv4, "world"),
            ("10.0.0.0/8", Families::Ipv6, "world-ipv4"),
            ("fd00::/8", Families::Ipv4, "world-ipv6"),
            ("fd00::/8", Families::Ipv6, "world"),
        ];
        for (prefix, families, world) in cases {
            let expected = format!("cidrgroup:g,reserved:{world}");
            assert_eq!(of(prefix, families), expected, "{prefix} {families:?}");
        }
    }
}
