//! Values as JSON.
#![expect(clippy::unwrap_used, reason = "a helper that fails is a failed test")]

use palisade_identity::{
    Allocated, Allocator, Change, Checkpoint, Claim, Contents, Filter, FilterFile, LabelSet,
    Layers, LocalIdentities, Origin, Range,
};
use serde_json::{Value, json};

#[test]
fn a_checkpoint_survives_json_and_reads_well() {
    let mut allocator = Allocator::new(Range::CLUSTER);
    let labels = LabelSet::parse(["k8s:app=web", "reserved:init"]).unwrap();
    allocator.allocate(&labels).unwrap();
    let text = serde_json::to_string(&allocator.checkpoint()).unwrap();
    assert_eq!(
        text,
        r#"[{"identity":256,"labels":["k8s:app=web","reserved:init"],"references":1}]"#
    );
    let back: Vec<Allocated> = serde_json::from_str(&text).unwrap();
    assert_eq!(back, allocator.checkpoint());
}

#[test]
fn labels_that_cannot_be_are_refused() {
    for text in [r#"["k8s:"]"#, r#"["k8s:a=1","k8s:a=2"]"#, r#"["foo:a"]"#] {
        assert!(serde_json::from_str::<LabelSet>(text).is_err(), "{text}");
    }
}

#[test]
fn a_sealed_checkpoint_survives_json_and_shows_an_edit() {
    let mut allocator = Allocator::new(Range::LOCAL);
    let prefix = "fd00::/8".parse().unwrap();
    let (identity, _) = allocator.allocate(&LabelSet::of_prefix(prefix)).unwrap();
    let contents = Contents {
        identities: allocator.checkpoint(),
        prefixes: vec![(prefix, identity)],
    };
    let text = serde_json::to_string(&Checkpoint::seal(contents.clone())).unwrap();
    let back: Checkpoint = serde_json::from_str(&text).unwrap();
    assert_eq!(back.open().unwrap(), contents);

    let edited = text.replace("fd00::/8", "fc00::/8");
    assert_ne!(edited, text);
    let back: Checkpoint = serde_json::from_str(&edited).unwrap();
    assert!(back.open().is_err());
}

#[test]
fn a_filter_file_is_read_whole_or_not_at_all() {
    let read = |text: &str| serde_json::from_str::<FilterFile>(text);
    let good = r#"{"version":1,"valid-prefixes":[{"source":"k8s","prefix":"app"}]}"#;
    let filter = Filter::try_from(read(good).unwrap()).unwrap();
    assert!(filter.keeps(&"k8s:app=web".parse().unwrap()));
    assert!(!filter.keeps(&"k8s:tier=db".parse().unwrap()));
    for bad in [
        r#"{"valid-prefixes":[]}"#,
        r#"{"version":1,"valid-prefix":[]}"#,
        r#"{"version":1,"valid-prefixes":[{"source":"k8s","prefix":"app","ignore":true}]}"#,
    ] {
        assert!(read(bad).is_err(), "{bad}");
    }
}

fn value(of: impl serde::Serialize) -> Value {
    serde_json::to_value(of).unwrap()
}

#[test]
fn steps_and_explanations_are_vocabulary() {
    let prefix = "10.0.0.0/8".parse().unwrap();
    let claim =
        |node: &str| Claim::labels(LabelSet::of_prefix(prefix)).with_tunnel(node.parse().unwrap());
    let change = |resource: &str, node| {
        Change::new(
            prefix,
            Origin::Generated,
            resource.parse().unwrap(),
            claim(node),
        )
    };
    let (mut layers, mut identities) = (Layers::default(), LocalIdentities::default());
    let changes = [
        change("node//a", "192.0.2.1"),
        change("node//b", "192.0.2.2"),
    ];
    let update = layers.apply(changes, &mut identities).unwrap();
    let entry =
        json!({"identity": 16_777_217, "tunnel": "192.0.2.1", "key": null, "flags": "none"});
    let conflict = json!({
        "prefix": "10.0.0.0/8",
        "field": "tunnel",
        "kept": ["generated", "node//a"],
        "dropped": ["generated", "node//b"],
    });
    let labels = json!(["cidr:10.0.0.0/8", "reserved:world-ipv4"]);
    assert_eq!(
        value(&update),
        json!({
            "steps": [
                {"step": "set-identity", "identity": 16_777_217, "labels": labels, "allocation": "new"},
                {"step": "set-entry", "prefix": "10.0.0.0/8", "entry": entry},
            ],
            "conflicts": [conflict],
            "resolved": 1,
        })
    );
    let why = value(layers.explain(prefix));
    assert_eq!((&why["entry"], &why["labels"]), (&entry, &labels));
    assert_eq!(why["around"], json!([]));
    assert_eq!(
        why["layers"][1],
        json!({
            "origin": "generated",
            "resource": "node//b",
            "claim": "labels cidr:10.0.0.0/8,reserved:world-ipv4, tunnel 192.0.2.2",
        })
    );
}

#[test]
fn a_filter_s_decision_names_its_rules() {
    let filter = Filter::default();
    let decision = filter.explain(&"k8s:app.kubernetes.io/name=web".parse().unwrap());
    assert_eq!(
        value(decision),
        json!({
            "ignored": null,
            "included": {"rule": "app\\.kubernetes\\.io", "length": 17},
            "fate": "identity",
        })
    );
}
