//! The label filter, restarts and selector texts against plain forms that share no code with them.

use std::collections::{BTreeMap, BTreeSet};

use palisade_identity::{
    Allocator, Filter, Identity, Label, LabelSet, Range, Requirement, Selector,
};
use palisade_testkit::cases;
use proptest::collection::vec;
use proptest::prelude::*;

/// A rule as it was drawn: source, whether it ignores, and a text without operators, which may be
/// followed by anything.
type Rule = (Option<&'static str>, bool, String, bool);

fn rule() -> impl Strategy<Value = Rule> {
    let source = prop::sample::select(vec![None, Some("k8s"), Some("container")]);
    (source, any::<bool>(), "[ab.]{1,4}", any::<bool>())
}

fn rule_text((source, ignores, text, open): &Rule) -> String {
    let source = source
        .map(|source| format!("{source}:"))
        .unwrap_or_default();
    let (mark, tail) = (
        if *ignores { "!" } else { "" },
        if *open { ".*" } else { "" },
    );
    format!("{source}{mark}{}{tail}", text.replace('.', r"\."))
}

/// How much of a key a rule matches, letter by letter.
fn matched((source, _, text, open): &Rule, label: &Label) -> usize {
    let source_fits = source.is_none_or(|source| source == label.source().as_str());
    let fits = source_fits && label.key().bytes().take(text.len()).eq(text.bytes());
    match (fits, open) {
        (false, _) => 0,
        (true, true) => label.key().len(),
        (true, false) => text.len(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(1_000)))]

    #[test]
    fn a_filter_keeps_what_its_rules_say_in_plain_words(
        rules in vec(rule(), 0..6),
        labels in vec((prop::sample::select(vec!["k8s", "container"]), "[ab.]{1,6}"), 1..6),
    ) {
        let filter = Filter::all().with_texts(rules.iter().map(rule_text)).unwrap();
        let list = rules.iter().any(|rule| !rule.1);
        let labels: LabelSet = labels
            .iter()
            .map(|(source, key)| Label::new(source.parse().unwrap(), key, "").unwrap())
            .collect();
        let split = filter.split(&labels);
        prop_assert_eq!(split.identity.merged(&split.informational), labels.clone());
        prop_assert_eq!(split.identity.len() + split.informational.len(), labels.len());
        for label in &labels {
            let lengths = |ignores: bool| {
                let of = rules.iter().filter(move |rule| rule.1 == ignores);
                of.map(|rule| matched(rule, label)).filter(|length| *length > 0)
            };
            let shortest_ignored = lengths(true).min().unwrap_or(0);
            let longest_included = lengths(false).max().unwrap_or(0);
            let kept = (!list && shortest_ignored == 0) || longest_included > shortest_ignored;
            prop_assert_eq!(split.identity.contains(label), kept, "{}", label);
            let why = filter.explain(label);
            prop_assert_eq!(why.ignored().map_or(0, |one| one.length), shortest_ignored);
            prop_assert_eq!(why.included().map_or(0, |one| one.length), longest_included);
        }
    }

    #[test]
    fn over_a_restart_every_number_stays_with_its_labels(
        before in vec((any::<bool>(), 0u32..8), 0..40), asked in vec(0u32..10, 0..20),
    ) {
        let set = |name: u32| LabelSet::parse([format!("fqdn:n{name}")]).unwrap();
        let range = Range::new(Identity::new(10), Identity::new(21)).unwrap();
        let mut old = Allocator::new(range);
        for (allocate, name) in before {
            match old.get(&set(name)) {
                Some(identity) if !allocate => drop(old.release(identity)),
                _ if allocate => drop(old.allocate(&set(name)).unwrap()),
                _ => {}
            }
        }
        let numbers: BTreeMap<LabelSet, Identity> =
            old.iter().map(|(identity, labels)| (labels.clone(), identity)).collect();

        let mut new = Allocator::new(range);
        let restored = new.restore_all(old.checkpoint());
        prop_assert_eq!(restored.identities().len(), numbers.len());
        prop_assert!(restored.refused().is_empty());
        for name in &asked {
            let (identity, _) = new.allocate(&set(*name)).unwrap();
            let known = numbers.get(&set(*name));
            prop_assert!(known.is_none_or(|known| *known == identity));
            let taken = numbers.iter().any(|(labels, number)| *number == identity && *labels != set(*name));
            prop_assert!(!taken, "a number of others was given out before the release");
        }
        let names: BTreeSet<LabelSet> = asked.iter().map(|name| set(*name)).collect();
        let unclaimed = restored.unclaimed(&new).count();
        let gone: BTreeSet<LabelSet> =
            restored.release(&mut new).into_iter().map(|(_, labels)| labels).collect();
        prop_assert_eq!(gone.len(), unclaimed);
        let expected: BTreeSet<LabelSet> =
            numbers.keys().filter(|labels| !names.contains(*labels)).cloned().collect();
        prop_assert_eq!(gone, expected);
        for labels in &names {
            let references = asked.iter().filter(|name| set(**name) == *labels).count() as u64;
            prop_assert_eq!(new.references(new.get(labels).unwrap()), references);
        }
        prop_assert_eq!(new.len(), names.len());
    }

    #[test]
    fn a_selector_s_text_reads_as_the_selector(
        asked in vec(
            (
                prop::sample::select(vec!["a", "k8s:b.c", "x/in", "notin", "$host", "cidr:10.0.0.0/8"]),
                prop::sample::select(vec!["In", "NotIn", "Exists", "DoesNotExist"]),
                vec(prop::sample::select(vec!["", "v", "in", "w-1"]), 1..4),
            ),
            0..5,
        ),
    ) {
        let requirements = asked.iter().map(|(key, operator, values)| {
            let values = if operator.ends_with("In") { &values[..] } else { &[] };
            Requirement::parse(key, operator, values).unwrap()
        });
        let selector = Selector::new(requirements);
        prop_assert_eq!(selector.to_string().parse::<Selector>(), Ok(selector));
    }
}
