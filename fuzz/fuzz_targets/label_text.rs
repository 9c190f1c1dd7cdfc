//! Texts of labels, keys, label sets and filter rules: what is read prints as what it was read from.
//! The first line is a label, the rest a rule.
#![no_main]

use libfuzzer_sys::fuzz_target;
use palisade_identity::{Filter, FilterRule, Label, LabelKey, LabelSet};

fuzz_target!(|input: &str| {
    let (text, rule) = input.split_once('\n').unwrap_or((input, ""));
    let label = text.parse::<Label>();
    if let Ok(label) = &label {
        assert_eq!(label.to_string().parse::<Label>().as_ref(), Ok(label));
        let alone: LabelSet = [label.clone()].into_iter().collect();
        assert_eq!(
            LabelSet::from_canonical_key(&alone.canonical_key()),
            Ok(alone)
        );
    }
    if let Ok(key) = text.parse::<LabelKey>() {
        assert_eq!(key.to_string().parse::<LabelKey>().as_ref(), Ok(&key));
    }
    if let Ok(set) = LabelSet::from_canonical_key(text) {
        let again = LabelSet::from_canonical_key(&set.canonical_key());
        assert_eq!(again.as_ref(), Ok(&set));
        let texts: Vec<String> = set.iter().map(ToString::to_string).collect();
        assert_eq!(LabelSet::parse(texts).as_ref(), Ok(&set));
    }
    if let Ok(rule) = rule.parse::<FilterRule>() {
        assert_eq!(
            rule.to_string().parse::<FilterRule>().ok().as_ref(),
            Some(&rule)
        );
        if let Ok(label) = &label {
            let matched = rule.matched(label);
            assert!(matched.is_none_or(|length| (1..=label.key().len()).contains(&length)));
            let filter = Filter::default().with([rule]);
            let split = filter.split(&[label.clone()].into_iter().collect());
            assert_eq!(split.identity.len() + split.informational.len(), 1);
            assert!(!filter.explain(label).to_string().is_empty());
        }
    }
});
