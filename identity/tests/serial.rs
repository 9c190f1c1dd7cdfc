//! Checkpoints as JSON.

use palisade_identity::{Allocated, Allocator, LabelSet, Range};

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
