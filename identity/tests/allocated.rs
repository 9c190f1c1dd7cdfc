//! The identities that Cilium's engine made for the prefixes of the shared policy vectors.
//!
//! The vectors say which prefixes got an identity, not all of why: that a policy names a prefix is
//! taken from its own CIDR label among the expected ones, or from nobody else naming it. Numbers,
//! order, labels that come from elsewhere and the world are what this test is about.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a helper that fails is a failed test"
)]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::Path;

use flate2::read::GzDecoder;
use palisade_identity::{
    Change, CidrMatch, Claim, Families, Identity, Known, Label, LabelSet, LayerSettings, Layers,
    LocalIdentities, NodeIdentities, NodeOwnLabels, Origin, Prefix,
};
use serde_json::Value;

#[test]
fn equal_labels_share_an_identity_and_numbers_follow_the_prefixes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/corpus/policy");
    let mut seen = (0, 0);
    for entry in fs::read_dir(folder).unwrap() {
        let file = File::open(entry.unwrap().path()).unwrap();
        for line in BufReader::new(GzDecoder::new(file)).lines() {
            let vector: Value = serde_json::from_str(&line.unwrap()).unwrap();
            let expected = allocated(&vector);
            if !expected.is_empty() {
                seen = (seen.0 + 1, seen.1 + expected.len());
                assert_eq!(made(&vector, &expected), expected, "{}", vector["id"]);
            }
        }
    }
    assert_eq!(seen, (1084, 5797));
}

type Made = BTreeMap<Prefix, (Identity, LabelSet)>;

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn prefix(value: &Value) -> Prefix {
    value.as_str().unwrap().parse().unwrap()
}

fn labels(value: &Value) -> LabelSet {
    LabelSet::parse(list(value).iter().map(|label| label.as_str().unwrap())).unwrap()
}

fn allocated(vector: &Value) -> Made {
    let all = list(&vector["expected"]["allocated"]).iter();
    all.map(|one| {
        let number = u32::try_from(one["id"].as_u64().unwrap()).unwrap();
        (
            prefix(&one["prefix"]),
            (Identity::new(number), labels(&one["labels"])),
        )
    })
    .collect()
}

/// What the layers make of the same prefixes.
fn made(vector: &Value, expected: &Made) -> Made {
    let on = |name: &str| vector["config"][name].as_bool().unwrap_or(false);
    let apart = on("cidrMatchNodes") || on("nodeSelectorLabels");
    let mut identities = LocalIdentities::new(Known::default().with_nodes(if apart {
        NodeIdentities::Apart
    } else {
        NodeIdentities::Shared
    }));
    let mut layers = Layers::new(LayerSettings {
        cidr_match: if on("cidrMatchNodes") {
            CidrMatch::OutsideAndNodes
        } else {
            CidrMatch::Outside
        },
        // The engine was handed the labels of nodes ready made, whatever the setting.
        node_labels: NodeOwnLabels::Kept,
        families: if on("ipv4Only") {
            Families::Ipv4
        } else {
            Families::Both
        },
    });
    let update = layers
        .apply(changes(vector, expected), &mut identities)
        .unwrap();
    assert_eq!(update.resolved, expected.len(), "{}", vector["id"]);
    layers
        .iter()
        .map(|(at, entry)| (at, (entry.identity, layers.labels(at).unwrap().clone())))
        .collect()
}

fn changes(vector: &Value, expected: &Made) -> Vec<Change> {
    let mut changes = Vec::new();
    for one in list(&vector["prefixes"]) {
        let claim = Claim::labels(labels(&one["labels"]));
        changes.push(change(prefix(&one["prefix"]), "file//prefixes", claim));
    }
    for group in list(&vector["cidrGroups"]) {
        let name = group["name"].as_str().unwrap();
        let claim = Claim::labels(group_labels(name, &group["labels"]));
        for cidr in list(&group["cidrs"]) {
            let resource = format!("cidrgroup//{name}");
            changes.push(change(prefix(cidr), &resource, claim.clone()));
        }
    }
    for (at, (_, labels)) in expected {
        let own = Label::cidr(*at);
        if labels.contains(&own) || changes.iter().all(|change| change.prefix != *at) {
            let named = Claim::labels(LabelSet::of_prefix(*at).filtered(|label| *label == own));
            changes.push(change(*at, "cnp/default/any", named));
        }
    }
    changes
}

fn group_labels(name: &str, more: &Value) -> LabelSet {
    let own = format!("cidrgroup:io.cilium.policy.cidrgroupname/{name}");
    let more = more.as_object().into_iter().flatten();
    let more = more.map(|(key, value)| format!("cidrgroup:{key}={}", value.as_str().unwrap()));
    LabelSet::parse([own].into_iter().chain(more)).unwrap()
}

fn change(prefix: Prefix, resource: &str, claim: Claim) -> Change {
    Change {
        prefix,
        origin: Origin::Generated,
        resource: resource.parse().unwrap(),
        claim: Some(claim),
    }
}
