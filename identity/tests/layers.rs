//! The layers of the ipcache: what comes out, in which order, and for how much work.
#![expect(clippy::unwrap_used, reason = "a helper that fails is a failed test")]

use palisade_identity::{
    Change, Claim, ConflictField, EncryptionKey, EntryFlags, Identity, Known, LabelSet,
    LayerSettings, Layers, LocalIdentities, Origin, Prefix, ResourceId, Step,
};

/// A node under test.
#[derive(Default)]
struct Node {
    layers: Layers,
    identities: LocalIdentities,
}

impl Node {
    fn apply(&mut self, changes: impl IntoIterator<Item = Change>) -> Vec<String> {
        let update = self.layers.apply(changes, &mut self.identities).unwrap();
        update.steps.iter().map(ToString::to_string).collect()
    }
}

fn prefix(text: &str) -> Prefix {
    text.parse().unwrap()
}

fn labels(text: &str) -> LabelSet {
    LabelSet::parse(text.split(' ')).unwrap()
}

fn set(at: &str, origin: Origin, resource: &str, claim: Claim) -> Change {
    Change {
        prefix: prefix(at),
        origin,
        resource: resource.parse().unwrap(),
        claim: Some(claim),
    }
}

fn withdraw(at: &str, origin: Origin, resource: &str) -> Change {
    Change {
        claim: None,
        ..set(at, origin, resource, Claim::default())
    }
}

/// What a policy says that names a prefix.
fn named(at: &str, policy: &str) -> Change {
    let claim = Claim::labels(LabelSet::of_prefix(prefix(at)));
    set(at, Origin::Generated, policy, claim)
}

#[test]
fn identities_come_before_entries_and_go_after_them() {
    let mut node = Node::default();
    let both = [named("fd00::/8", "cnp/a/x"), named("10.0.0.0/8", "cnp/a/x")];
    assert_eq!(
        node.apply(both),
        [
            "identity 16777217 is cidr:10.0.0.0/8,reserved:world-ipv4",
            "identity 16777218 is cidr:fd00--0/8,reserved:world-ipv6",
            "10.0.0.0/8 has identity 16777217",
            "fd00::/8 has identity 16777218",
        ]
    );
    // A second policy adds nothing, and keeps what the first leaves.
    assert_eq!(node.apply([named("10.0.0.0/8", "cnp/a/y")]), [""; 0]);
    let gone = |at| withdraw(at, Origin::Generated, "cnp/a/x");
    assert_eq!(
        node.apply([gone("10.0.0.0/8"), gone("fd00::/8")]),
        ["fd00::/8 has no entry", "identity 16777218 is gone"]
    );
    // In one update old goes after new.
    let y = withdraw("10.0.0.0/8", Origin::Generated, "cnp/a/y");
    assert_eq!(
        node.apply([y, named("11.0.0.0/8", "cnp/a/y")]),
        [
            "identity 16777219 is cidr:11.0.0.0/8,reserved:world-ipv4",
            "11.0.0.0/8 has identity 16777219",
            "10.0.0.0/8 has no entry",
            "identity 16777217 is gone",
        ]
    );
    assert_eq!((node.layers.len(), node.identities.local().len()), (1, 1));
}

#[test]
fn only_who_said_it_takes_it_back() {
    let mut node = Node::default();
    node.apply([named("10.0.0.0/8", "cnp/a/x")]);
    for other in [
        withdraw("10.0.0.0/8", Origin::Api, "cnp/a/x"),
        withdraw("10.0.0.0/8", Origin::Generated, "cnp/a/y"),
        withdraw("10.0.0.0/9", Origin::Generated, "cnp/a/x"),
    ] {
        assert_eq!(node.apply([other]), [""; 0]);
    }
    assert_eq!(node.layers.len(), 1);
}

#[test]
fn labels_of_a_prefix_come_down_to_those_inside() {
    let mut node = Node::default();
    let server = Claim::labels(labels("reserved:kube-apiserver"));
    node.apply([set(
        "10.1.0.1",
        Origin::KubeApiServer,
        "ep/default/kubernetes",
        server,
    )]);
    let identity = |node: &Node| node.layers.entry(prefix("10.1.0.1")).unwrap().identity;
    assert_eq!(identity(&node).get(), 16_777_217);
    assert_eq!(
        node.apply([named("10.0.0.0/8", "cnp/a/x")]),
        [
            "identity 16777218 is cidr:10.0.0.0/8,reserved:world-ipv4",
            "identity 16777219 is cidr:10.0.0.0/8,reserved:kube-apiserver,reserved:world-ipv4",
            "10.0.0.0/8 has identity 16777218",
            "10.1.0.1/32 has identity 16777219",
            "identity 16777217 is gone",
        ]
    );
    let back = node.apply([withdraw("10.0.0.0/8", Origin::Generated, "cnp/a/x")]);
    assert_eq!(back.len(), 5, "{back:?}");
    assert_eq!(
        node.layers.labels(prefix("10.1.0.1")).unwrap().to_string(),
        "reserved:kube-apiserver,reserved:world-ipv4"
    );
}

#[test]
fn an_endpoint_hides_what_policies_say_of_its_address_while_it_lives() {
    let mut node = Node::default();
    let pod = Claim::identity(Identity::new(1007))
        .with_tunnel("192.0.2.7".parse().unwrap())
        .with_key(EncryptionKey::WIREGUARD);
    node.apply([named("10.1.2.3/32", "cnp/a/x")]);
    assert_eq!(
        node.apply([set("10.1.2.3", Origin::KvStore, "ep/shop/cart", pod)]),
        [
            "10.1.2.3/32 has identity 1007, tunnel 192.0.2.7, key 255",
            "identity 16777217 is gone",
        ]
    );
    assert_eq!(node.layers.conflicts().count(), 0);
    assert_eq!(
        node.apply([withdraw("10.1.2.3", Origin::KvStore, "ep/shop/cart")]),
        [
            "identity 16777218 is cidr:10.1.2.3/32,reserved:world-ipv4",
            "10.1.2.3/32 has identity 16777218",
        ]
    );
}

#[test]
fn of_two_that_contradict_the_more_trusted_is_believed_and_both_are_named() {
    let mut node = Node::default();
    let at = "10.0.0.7/32";
    let say = |node: &str| {
        Claim::labels(labels("cidrgroup:site=a"))
            .with_tunnel(node.parse().unwrap())
            .with_flags(EntryFlags::SKIP_TUNNEL)
    };
    let theirs = Claim::labels(labels("cidrgroup:site=b"))
        .with_tunnel("192.0.2.2".parse().unwrap())
        .with_key(EncryptionKey::new(4));
    let update = node
        .layers
        .apply(
            [
                set(at, Origin::Generated, "cidrgroup//b", theirs),
                set(at, Origin::CustomResource, "node//n", say("192.0.2.1")),
            ],
            &mut node.identities,
        )
        .unwrap();
    let fields: Vec<_> = update.conflicts.iter().map(|one| &one.field).collect();
    let site = ConflictField::Label("site".into());
    assert_eq!(fields, [&site, &ConflictField::Tunnel]);
    assert_eq!(
        update.conflicts[1].to_string(),
        "10.0.0.7/32: tunnel of node//n (custom-resource) stands against cidrgroup//b (generated)"
    );
    assert_eq!(
        node.layers.explain(prefix(at)).unwrap().to_string(),
        "10.0.0.7/32 has identity 16777217, tunnel 192.0.2.1, key 4, flags skip-tunnel \
         (cidrgroup:site=a,reserved:world-ipv4)\n  \
         node//n (custom-resource): labels cidrgroup:site=a, tunnel 192.0.2.1, flags skip-tunnel\n  \
         cidrgroup//b (generated): labels cidrgroup:site=b, tunnel 192.0.2.2, key 4\n  \
         conflict: 10.0.0.7/32: label site of node//n (custom-resource) stands against cidrgroup//b (generated)\n  \
         conflict: 10.0.0.7/32: tunnel of node//n (custom-resource) stands against cidrgroup//b (generated)"
    );
    // A number that comes after labels is not believed, and that is said.
    let pod = Claim::identity(Identity::new(1007));
    let update = node
        .layers
        .apply(
            [set(at, Origin::Restored, "ep/shop/cart", pod)],
            &mut node.identities,
        )
        .unwrap();
    assert_eq!(
        update.conflicts.last().unwrap().field,
        ConflictField::Identity
    );
    assert_eq!(update.steps, []);
}

#[test]
fn exact_labels_take_nothing_from_around() {
    let mut node = Node::default();
    let exact = Claim::exactly(labels("reserved:ingress"));
    node.apply([
        named("10.0.0.0/8", "cnp/a/x"),
        set("10.0.0.9", Origin::Local, "daemon//ingress", exact),
        named("10.0.0.9/32", "cnp/a/x"),
    ]);
    let entry = node.layers.entry(prefix("10.0.0.9")).unwrap();
    assert_eq!(entry.identity, Identity::INGRESS);
    let (found, _) = node.layers.lookup("10.0.0.9".parse().unwrap()).unwrap();
    assert_eq!(found.length(), 32);
    let (found, _) = node.layers.lookup("10.0.0.8".parse().unwrap()).unwrap();
    assert_eq!(found.length(), 8);
    let why = node.layers.explain(prefix("10.0.0.9")).unwrap();
    assert!(why.around.is_empty());
}

#[test]
fn the_host_has_the_labels_of_all_its_prefixes() {
    let mut node = Node::default();
    let host = |more: &str| Claim::labels(labels(&format!("reserved:host{more}")));
    let say = |at, more| set(at, Origin::Local, "node//self", host(more));
    assert_eq!(
        node.apply([say("10.0.0.1", "")]),
        ["identity 1 is reserved:host", "10.0.0.1/32 has identity 1"]
    );
    assert_eq!(
        node.apply([say("192.0.2.1", " reserved:kube-apiserver")]),
        [
            "identity 1 is reserved:host,reserved:kube-apiserver",
            "192.0.2.1/32 has identity 1",
        ]
    );
    assert_eq!(
        node.apply([withdraw("192.0.2.1", Origin::Local, "node//self")]),
        ["identity 1 is reserved:host", "192.0.2.1/32 has no entry"]
    );
}

#[test]
fn a_number_from_before_is_had_again() {
    let mut node = Node::default();
    let before = Identity::new(16_777_300);
    let claim = Claim::labels(LabelSet::of_prefix(prefix("10.0.0.0/8"))).with_number_before(before);
    node.apply([set(
        "10.0.0.0/8",
        Origin::Restored,
        "daemon//restored",
        claim,
    )]);
    assert_eq!(
        node.layers.entry(prefix("10.0.0.0/8")).unwrap().identity,
        before
    );
    node.apply([
        named("10.0.0.0/8", "cnp/a/x"),
        withdraw("10.0.0.0/8", Origin::Restored, "daemon//restored"),
    ]);
    assert_eq!(
        node.layers.entry(prefix("10.0.0.0/8")).unwrap().identity,
        before
    );
}

#[test]
fn a_change_that_cannot_be_had_changes_nothing() {
    let mut node = Node::default();
    node.apply([
        named("10.0.0.0/8", "cnp/a/x"),
        named("10.1.0.0/16", "cnp/a/x"),
    ]);
    let state = |node: &Node| {
        let entries: Vec<_> = node.layers.iter().map(|(at, entry)| (at, *entry)).collect();
        (entries, node.identities.local().checkpoint())
    };
    let before = state(&node);
    // Labels of a workload have no number that one node could give.
    let workload = Claim::labels(labels("k8s:app=web"));
    let changes = [
        withdraw("10.0.0.0/8", Origin::Generated, "cnp/a/x"),
        named("9.0.0.0/8", "cnp/a/x"),
        set("10.0.0.0/8", Origin::Local, "file//x", workload.clone()),
        set("10.1.0.0/16", Origin::Local, "file//x", workload),
    ];
    assert!(node.layers.apply(changes, &mut node.identities).is_err());
    assert_eq!(state(&node), before);
    let labels = node.layers.labels(prefix("10.1.0.0/16")).unwrap();
    assert_eq!(labels.to_string(), "cidr:10.1.0.0/16,reserved:world-ipv4");
    assert_eq!(
        node.layers
            .explain(prefix("10.1.0.0/16"))
            .unwrap()
            .layers
            .len(),
        1
    );
}

#[test]
fn work_grows_with_the_change() {
    let mut node = Node::default();
    let inside = (0..1000).map(|number| {
        let at = format!("10.{}.{}.0/24", number / 250, number % 250);
        named(&at, "cnp/a/x")
    });
    let outside = (0..1000).map(|number| {
        let at = format!("11.{}.{}.0/24", number / 250, number % 250);
        named(&at, "cnp/a/x")
    });
    let all: Vec<Change> = inside.chain(outside).collect();
    let mut work = |changes: Vec<Change>| {
        let update = node.layers.apply(changes, &mut node.identities).unwrap();
        (update.resolved, update.steps.len())
    };
    assert_eq!(work(all), (2000, 4000));
    assert_eq!(work(vec![named("12.0.0.0/24", "cnp/a/x")]), (1, 2));
    // The same said once more, by another: nothing is inherited anew.
    assert_eq!(work(vec![named("10.0.0.0/24", "cnp/a/y")]), (1, 0));
    // A prefix around a thousand others: they are looked at, those beside are not. They have CIDR
    // labels of their own, so nothing changes for them.
    assert_eq!(work(vec![named("10.0.0.0/8", "cnp/a/x")]), (1001, 2));
    // What is not inherited is no work for those inside.
    let tunnel = Claim::default().with_tunnel("192.0.2.1".parse().unwrap());
    let tunnelled = set("10.0.0.0/8", Origin::CustomResource, "node//n", tunnel);
    assert_eq!(work(vec![tunnelled]), (1, 1));
}

#[test]
fn a_node_has_its_own_known_identities() {
    let known = Known::default()
        .with_fixed(Identity::new(130), "gateway")
        .unwrap();
    let mut identities = LocalIdentities::new(known);
    let mut layers = Layers::new(LayerSettings::default());
    let claim = Claim::exactly(labels("reserved:gateway"));
    let change = set("10.0.0.1", Origin::Local, "file//gateway", claim);
    let update = layers.apply([change], &mut identities).unwrap();
    assert_eq!(update.steps.len(), 1);
    assert!(matches!(
        update.steps[0],
        Step::SetEntry { entry, .. } if entry.identity.get() == 130
    ));
    let resource: ResourceId = "file//gateway".parse().unwrap();
    assert_eq!(
        layers.explain(prefix("10.0.0.1")).unwrap().layers[0].resource,
        resource
    );
}

#[test]
fn a_restart_changes_no_number_and_forgets_what_nobody_wants() {
    let mut node = Node::default();
    let learnt = |at: &str, name: &str| {
        let claim = Claim::labels(labels(&format!("fqdn:{name}")));
        set(at, Origin::Generated, "daemon//fqdn", claim)
    };
    let kept = [named("10.0.0.0/8", "cnp/a/x"), learnt("10.1.2.3", "a.b")];
    let gone = [named("11.0.0.0/8", "cnp/a/y"), learnt("11.1.2.3", "c.d")];
    let pod = Claim::identity(Identity::new(1007));
    node.apply(gone);
    node.apply(kept.clone());
    node.apply([set("10.9.9.9", Origin::KvStore, "ep/a/pod", pod)]);
    let entry = |node: &Node, at| node.layers.entry(prefix(at)).copied();
    let before = ["10.0.0.0/8", "10.1.2.3"].map(|at| entry(&node, at));
    let contents = node.layers.contents(&node.identities);
    assert_eq!((contents.identities.len(), contents.prefixes.len()), (4, 4));

    let mut node = Node::default();
    let restored: ResourceId = "daemon//restored".parse().unwrap();
    let steps = node.apply(contents.claims(&restored));
    assert_eq!(steps.len(), 8, "{steps:?}");
    assert_eq!(
        ["10.0.0.0/8", "10.1.2.3"].map(|at| entry(&node, at)),
        before
    );
    assert_eq!(node.apply(kept), [""; 0]);
    let steps = node.apply(contents.withdrawn(&restored));
    assert_eq!(
        steps.len(),
        4,
        "two entries and their identities: {steps:?}"
    );
    assert_eq!(
        ["10.0.0.0/8", "10.1.2.3"].map(|at| entry(&node, at)),
        before
    );
    assert_eq!(node.layers.len(), 2);
    assert_eq!(node.identities.local().len(), 2);
}
