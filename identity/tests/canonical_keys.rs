//! Keys of label sets, byte for byte as Cilium's kvstore has them, and the one place where a set
//! can hold less than was put in: two labels of one key.
#![expect(clippy::unwrap_used, reason = "a helper that fails is a failed test")]

use palisade_identity::{Label, LabelSet, LabelSetError};

fn key(texts: &[&str]) -> String {
    LabelSet::parse(texts).unwrap().canonical_key()
}

#[test]
fn every_label_ends_in_a_semicolon_and_has_its_equals_sign() {
    let cases: [(&[&str], &str); 6] = [
        (&[], ""),
        (&["k8s:app=web"], "k8s:app=web;"),
        (&["reserved:host"], "reserved:host=;"),
        (&["cidr:10.0.0.0/8"], "cidr:10.0.0.0/8=;"),
        (&["cidr:::1/128"], "cidr:0--1/128=;"),
        (&["container:bar==v"], "container:bar==v;"),
    ];
    for (texts, expected) in cases {
        assert_eq!(key(texts), expected);
        let back = LabelSet::from_canonical_key(expected).unwrap();
        assert_eq!(back, LabelSet::parse(texts).unwrap());
    }
}

#[test]
fn labels_stand_in_the_order_of_the_bytes_of_their_keys() {
    assert_eq!(
        key(&[
            "k8s:io.kubernetes.pod.namespace=default",
            "k8s:io.cilium.k8s.policy.serviceaccount=default",
            "k8s:name=tiefighter",
            "k8s:class=tiefighter",
            "k8s:io.cilium.k8s.policy.cluster=default",
            "k8s:org=empire",
        ]),
        "k8s:class=tiefighter;k8s:io.cilium.k8s.policy.cluster=default;\
         k8s:io.cilium.k8s.policy.serviceaccount=default;k8s:io.kubernetes.pod.namespace=default;\
         k8s:name=tiefighter;k8s:org=empire;"
    );
    // Neither the source nor the value has a say, and upper case comes first.
    assert_eq!(
        key(&[
            "any:b",
            "k8s:a/x=1",
            "reserved:a.x",
            "unspec:a-x",
            "k8s:a=z",
            "node:B=9"
        ]),
        "node:B=9;k8s:a=z;unspec:a-x=;reserved:a.x=;k8s:a/x=1;any:b=;"
    );
}

#[test]
fn two_labels_of_one_key_are_refused_where_they_are_read() {
    let texts = ["k8s:a=1", "container:a=2"];
    assert!(matches!(
        LabelSet::parse(texts),
        Err(LabelSetError::Conflict { .. })
    ));
    assert!(LabelSet::from_canonical_key("k8s:a=1;container:a=2;").is_err());
    // Where labels are put together, the later one stays: so does Cilium's map.
    let labels = texts.map(|text| text.parse::<Label>().unwrap());
    let set: LabelSet = labels.into_iter().collect();
    assert_eq!(set.canonical_key(), "container:a=2;");
}
