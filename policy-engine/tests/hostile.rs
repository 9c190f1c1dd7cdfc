//! Documents that nobody meant to write: no panic, no hang, and every refusal can be shown.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that meets something unexpected fails"
)]

use std::fs;
use std::path::Path;
use std::time::Duration;

use palisade_policy::{Level, Options, ingest};
use palisade_testkit::cases;
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// A change to a text at a place in it.
#[derive(Clone, Debug)]
enum Damage {
    Cut(usize),
    Insert(&'static str),
    Repeat(usize),
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(512)))]

    #[test]
    fn a_damaged_document_is_taken_or_refused(
        seed in any::<Index>(),
        damages in proptest::collection::vec((any::<Index>(), damage()), 1..6),
    ) {
        let seeds = seeds();
        let mut text = seed.get(&seeds).clone();
        for (place, damage) in damages {
            apply(&mut text, place, &damage);
        }
        read(&text);
    }

    #[test]
    fn any_text_is_taken_or_refused(text in "[ -~\\n\\t\u{e9}\u{0}]{0,200}") {
        read(&text);
    }
}

#[test]
fn long_documents_take_time_in_proportion() {
    let label = |n: usize| format!("    - matchLabels: {{app: a{n}}}\n");
    let field = |n: usize| format!("  unknown{n}: 1\n");
    let head = "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: p}\nspec:\n";
    let endpoints = |n: usize| {
        let labels: String = (0..n).map(label).collect();
        format!("{head}  endpointSelector: {{}}\n  ingress:\n  - fromEndpoints:\n{labels}")
    };
    let fields = |n: usize| format!("{head}{}", (0..n).map(field).collect::<String>());
    let nested = |n: usize| format!("{head}  ingress: {}", "[".repeat(n));
    let labels = |n: usize| {
        let labels: Vec<String> = (0..n).map(|n| format!("a{n}: b, ")).collect();
        let labels = labels.concat();
        format!("{head}  endpointSelector: {{matchLabels: {{{labels}}}}}\n  ingress: [{{}}]\n")
    };
    let ports = |n: usize| {
        let ports: Vec<String> = (1..=n)
            .map(|n| format!("{{ports: [{{port: '{n}'}}]}}, "))
            .collect();
        let ports = ports.concat();
        format!("{head}  endpointSelector: {{}}\n  ingress: [{{toPorts: [{ports}]}}]\n")
    };
    let http = |path: &str| {
        format!(
            "{head}  endpointSelector: {{}}\n  ingress:\n  - toPorts:\n    - ports: [{{port: '80', \
             protocol: TCP}}]\n      rules: {{http: [{{path: '{path}'}}]}}\n"
        )
    };
    let expression = |n: usize| http(&"(a|[b-d]){2}{".repeat(n));
    let broken = |n: usize| http(&"(?P<a".repeat(n));
    let scalar = |n: usize| {
        let long = "x".repeat(n * 60);
        format!(
            "{head}  endpointSelector: {{}}\n  {long}: 1\n  ingress: [{{fromCIDR: [{long}], \
                 toPorts: [{{ports: [{{port: {long}, protocol: {long}}}]}}]}}]\n"
        )
    };
    let list = |n: usize| {
        let item = "- {kind: CiliumNetworkPolicy, metadata: {name: p}}\n";
        format!("kind: List\napiVersion: v1\nitems:\n{}", item.repeat(n))
    };
    for (name, make) in [
        ("endpoints", &endpoints as &dyn Fn(usize) -> String),
        ("unknown fields", &fields),
        ("nested", &nested),
        ("labels", &labels),
        ("ports", &ports),
        ("an expression", &expression),
        ("a broken expression", &broken),
        ("long scalars", &scalar),
        ("a list", &list),
    ] {
        let (small, large) = (time(&make(2_000)), time(&make(16_000)));
        let limit = small.max(Duration::from_millis(5)) * 8 * 6;
        assert!(
            large < limit,
            "{name}: {small:?} for one part, {large:?} for eight"
        );
    }
}

/// How long the processor was at it: another process that takes it does not count.
fn time(text: &str) -> Duration {
    let on_processor = || {
        let stat = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
        let nanoseconds = stat.split_whitespace().next().unwrap();
        Duration::from_nanos(nanoseconds.parse().unwrap())
    };
    let once = || {
        let start = on_processor();
        read(text);
        on_processor().saturating_sub(start)
    };
    once().min(once()).min(once())
}

fn read(text: &str) {
    for level in [Level::Agent, Level::Cluster] {
        let options = Options {
            level,
            ..Options::default()
        };
        for error in ingest::read("hostile.yaml", text, &options)
            .err()
            .iter()
            .flatten()
            .take(8)
        {
            assert!(error.render(text).starts_with("error[P0"));
        }
    }
}

fn seeds() -> Vec<String> {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    ["refusals", "drops"]
        .iter()
        .flat_map(|folder| fs::read_dir(tests.join(folder)).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "yaml")
        })
        .map(|path| fs::read_to_string(path).unwrap())
        .collect()
}

fn damage() -> impl Strategy<Value = Damage> {
    const PIECES: [&str; 20] = [
        "\n", " ", "\t", ":", "- ", "{", "}", "[", "]", "\"", "'", "|", ">", "&a ", "*a", "!!str ",
        "? ", "#", "---\n", "\u{feff}",
    ];
    prop_oneof![
        (1_usize..40).prop_map(Damage::Cut),
        select(PIECES.as_slice()).prop_map(Damage::Insert),
        (1_usize..80).prop_map(Damage::Repeat),
    ]
}

fn apply(text: &mut String, place: Index, damage: &Damage) {
    let places: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
    if places.is_empty() {
        return;
    }
    let nth = place.index(places.len());
    let end = |length: usize| places.get(nth + length).copied().unwrap_or(text.len());
    match *damage {
        Damage::Cut(length) => text.replace_range(places[nth]..end(length), ""),
        Damage::Insert(piece) => text.insert_str(places[nth], piece),
        Damage::Repeat(length) => {
            let piece = text[places[nth]..end(length)].to_owned();
            text.insert_str(places[nth], &piece);
        }
    }
}
