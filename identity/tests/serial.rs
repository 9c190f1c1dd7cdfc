//! Checkpoints as JSON.

use palisade_identity::{
    Allocated, Allocator, Checkpoint, Contents, Filter, FilterFile, LabelSet, Range,
};

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
