//! The layers against a model that works everything out anew from all that is said, and a mirror
//! that carries the steps out one by one.
#![expect(clippy::unwrap_used, reason = "a helper that fails is a failed test")]

use std::collections::BTreeMap;
use std::net::IpAddr;

use palisade_identity::{
    Change, CidrMatch, Claim, Entry, EntryFlags, Families, Identity, Known, Label, LabelSet,
    LayerSettings, Layers, LocalIdentities, NodeOwnLabels, Origin, Prefix, ResourceId, Source,
    Step,
};
use palisade_testkit::cases;
use proptest::collection::vec;
use proptest::prelude::*;

/// Prefixes that nest in each other, of both families.
const PREFIXES: [&str; 9] = [
    "0.0.0.0/0",
    "10.0.0.0/8",
    "10.1.0.0/16",
    "10.1.2.3/32",
    "10.2.0.0/16",
    "::/0",
    "fd00::/8",
    "fd00:1::/32",
    "fd00:1::7/128",
];

const LABELS: [&str; 14] = [
    "cidr:10.0.0.0/8",
    "cidr:10.1.0.0/16",
    "cidr:fd00--0/8",
    "cidrgroup:g=1",
    "cidrgroup:g=2",
    "cidrgroup:h",
    "fqdn:a.b",
    "node:role=gw",
    "reserved:host",
    "reserved:kube-apiserver",
    "reserved:remote-node",
    "reserved:health",
    "reserved:world",
    "reserved:world-ipv4",
];

/// As it was drawn, so that the model reads nothing of the claims themselves.
#[derive(Clone, Debug)]
enum Said {
    Exactly(Vec<&'static str>),
    Identity(u32),
    Labels(Vec<&'static str>),
    Tunnel(u8),
    Withdrawn,
}

type Drawn = (&'static str, Origin, &'static str, Said);

fn said() -> impl Strategy<Value = Said> {
    let labels = || vec(prop::sample::select(&LABELS[..]), 0..4);
    prop_oneof![
        6 => labels().prop_map(Said::Labels),
        1 => labels().prop_map(Said::Exactly),
        1 => prop::sample::select(vec![1000, 1007, 16_777_217]).prop_map(Said::Identity),
        1 => (1u8..3).prop_map(Said::Tunnel),
        5 => Just(Said::Withdrawn),
    ]
}

fn drawn() -> impl Strategy<Value = Drawn> {
    let origins = vec![Origin::KubeApiServer, Origin::KvStore, Origin::Generated];
    (
        prop::sample::select(&PREFIXES[..]),
        prop::sample::select(origins),
        prop::sample::select(vec!["cnp/a/x", "cnp/a/y", "node//n"]),
        said(),
    )
}

fn settings() -> impl Strategy<Value = LayerSettings> {
    let families = vec![Families::Both, Families::Ipv4, Families::Ipv6];
    let choices = (any::<bool>(), any::<bool>(), prop::sample::select(families));
    choices.prop_map(|(nodes, own, families)| LayerSettings {
        cidr_match: if nodes {
            CidrMatch::OutsideAndNodes
        } else {
            CidrMatch::Outside
        },
        node_labels: if own {
            NodeOwnLabels::Kept
        } else {
            NodeOwnLabels::Dropped
        },
        families,
    })
}

/// Of labels with one key the first.
fn first_of_each<'a>(texts: impl IntoIterator<Item = &'a str>) -> Vec<Label> {
    let mut all: Vec<Label> = Vec::new();
    for text in texts {
        let label: Label = text.parse().unwrap();
        if all.iter().all(|one| one.key() != label.key()) {
            all.push(label);
        }
    }
    all
}

fn change((prefix, origin, resource, said): &Drawn) -> Change {
    let labels =
        |texts: &[&'static str]| first_of_each(texts.iter().copied()).into_iter().collect();
    let node = |number: u8| IpAddr::from([192, 0, 2, number]);
    Change {
        prefix: prefix.parse().unwrap(),
        origin: *origin,
        resource: resource.parse().unwrap(),
        claim: match said {
            Said::Exactly(texts) => Some(Claim::exactly(labels(texts))),
            Said::Identity(number) => Some(Claim::identity(Identity::new(*number))),
            Said::Labels(texts) => Some(Claim::labels(labels(texts))),
            Said::Tunnel(number) => Some(Claim::default().with_tunnel(node(*number))),
            Said::Withdrawn => None,
        },
    }
}

/// Everything that is said, by prefix.
type World = BTreeMap<Prefix, BTreeMap<(Origin, ResourceId), Said>>;

fn note(world: &mut World, drawn: &Drawn) {
    let change = change(drawn);
    let voices = world.entry(change.prefix).or_default();
    let voice = (change.origin, change.resource);
    match &drawn.3 {
        Said::Withdrawn => {
            voices.remove(&voice);
        }
        said => {
            voices.insert(voice, said.clone());
        }
    }
    world.retain(|_, voices| !voices.is_empty());
}

/// The labels that the claims of one prefix come to.
fn own(voices: &BTreeMap<(Origin, ResourceId), Said>) -> Vec<Label> {
    let exact = voices.values().find_map(|said| match said {
        Said::Exactly(texts) => Some(texts.clone()),
        _ => None,
    });
    let all = voices.values().filter_map(|said| match said {
        Said::Labels(texts) => Some(texts.clone()),
        _ => None,
    });
    let mut labels = first_of_each(exact.unwrap_or_else(|| all.flatten().collect()));
    labels.sort_by(|a, b| a.key().cmp(b.key()));
    labels
}

enum Who {
    Number(Identity),
    Labels(LabelSet),
}

fn who(world: &World, prefix: Prefix, settings: LayerSettings) -> Who {
    let voices = &world[&prefix];
    let speaks = |said: &&Said| !matches!(said, Said::Tunnel(_));
    if let Some(Said::Identity(number)) = voices.values().find(speaks) {
        return Who::Number(Identity::new(*number));
    }
    let mut labels = own(voices);
    if voices.values().any(|said| matches!(said, Said::Exactly(_))) {
        return Who::Labels(labels.into_iter().collect());
    }
    let mut outer: Vec<&Prefix> = world.keys().collect();
    outer.retain(|outer| outer.covers(prefix) && **outer != prefix);
    outer.sort_by_key(|outer| std::cmp::Reverse(outer.length()));
    for label in outer.into_iter().flat_map(|outer| own(&world[outer])) {
        let cidr = |label: &Label| label.source() == Source::Cidr;
        let second = cidr(&label) && labels.iter().any(cidr);
        if !second && labels.iter().all(|one| one.key() != label.key()) {
            labels.push(label);
        }
    }
    let has = |name: &str| {
        labels
            .iter()
            .any(|label| label.to_string() == format!("reserved:{name}"))
    };
    let node = has("host") || has("remote-node");
    let inside = node || has("health") || has("ingress");
    let by_address = node && settings.cidr_match == CidrMatch::OutsideAndNodes;
    labels.retain(|label| match label.source() {
        Source::Cidr | Source::CidrGroup | Source::Fqdn => !inside || by_address,
        Source::Node => node && settings.node_labels == NodeOwnLabels::Kept,
        _ => true,
    });
    let unsaid = labels.is_empty();
    labels.retain(|label| !label.to_string().starts_with("reserved:world"));
    if !inside {
        if unsaid && prefix.length() > 0 {
            labels.push(Label::cidr(prefix));
        }
        let world = match (settings.families, prefix.address().is_ipv4()) {
            (Families::Ipv4, true) | (Families::Ipv6, false) => "world",
            (_, true) => "world-ipv4",
            (_, false) => "world-ipv6",
        };
        labels.push(Label::reserved(world).unwrap());
    }
    Who::Labels(labels.into_iter().collect())
}

/// Carries steps out, and minds their order.
#[derive(Default)]
struct Mirror {
    identities: BTreeMap<Identity, LabelSet>,
    entries: BTreeMap<Prefix, Entry>,
}

impl Mirror {
    fn carry_out(&mut self, step: &Step) {
        match step {
            Step::SetIdentity {
                identity, labels, ..
            } => {
                self.identities.insert(*identity, labels.clone());
            }
            Step::SetEntry { prefix, entry } => {
                let local = entry.identity.get() > 0xffff;
                let given = [1000, 1007, 16_777_217].contains(&entry.identity.get());
                let known = self.identities.contains_key(&entry.identity);
                assert!(known || given || !local, "{step} before its identity");
                self.entries.insert(*prefix, *entry);
            }
            Step::RemoveEntry { prefix } => assert!(self.entries.remove(prefix).is_some()),
            Step::RemoveIdentity { identity } => {
                let number = identity.get();
                let named = self
                    .entries
                    .values()
                    .any(|entry| entry.identity == *identity);
                assert!(
                    !named || number == 16_777_217,
                    "{step} while an entry names it"
                );
                assert!(self.identities.remove(identity).is_some());
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(1_500)))]

    #[test]
    fn the_layers_are_what_a_recompute_from_everything_says(
        settings in settings(), batches in vec(vec(drawn(), 1..5), 1..12),
    ) {
        let known = Known::default().with_nodes(settings.node_identities());
        let mut identities = LocalIdentities::new(known.clone());
        let mut layers = Layers::new(settings);
        let (mut world, mut mirror) = (World::new(), Mirror::default());
        for batch in &batches {
            // A batch that is refused, as labels of workloads are, changes nothing.
            if let Ok(update) = layers.apply(batch.iter().map(change), &mut identities) {
                for one in batch {
                    note(&mut world, one);
                }
                for step in &update.steps {
                    mirror.carry_out(step);
                }
            }

            prop_assert_eq!(layers.len(), world.len());
            let mut by_labels: BTreeMap<LabelSet, u64> = BTreeMap::new();
            for (prefix, voices) in &world {
                let entry = *layers.entry(*prefix).unwrap();
                prop_assert_eq!(mirror.entries.get(prefix), Some(&entry));
                prop_assert_eq!(entry.flags, EntryFlags::NONE);
                let tunnel = voices.values().find_map(|said| match said {
                    Said::Tunnel(number) => Some(IpAddr::from([192, 0, 2, *number])),
                    _ => None,
                });
                prop_assert_eq!(entry.tunnel, tunnel);
                match who(&world, *prefix, settings) {
                    Who::Number(number) => prop_assert_eq!(entry.identity, number),
                    Who::Labels(labels) => {
                        prop_assert_eq!(layers.labels(*prefix), Some(&labels));
                        prop_assert_eq!(Some(entry.identity), identities.get(&labels));
                        if known.find(&labels).is_none() {
                            prop_assert_eq!(mirror.identities.get(&entry.identity), Some(&labels));
                            *by_labels.entry(labels).or_default() += 1;
                        }
                    }
                }
            }
            prop_assert_eq!(mirror.entries.len(), world.len());
            // Every number is held once by every prefix that needs it, and by nobody else.
            let held = identities.local().checkpoint().into_iter().chain(identities.nodes().checkpoint());
            let held: BTreeMap<LabelSet, u64> = held.map(|one| (one.labels, one.references)).collect();
            prop_assert_eq!(held, by_labels);
        }
    }
}
