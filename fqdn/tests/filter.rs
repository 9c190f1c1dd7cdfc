//! The filter as a proxy uses it.

use std::error::Error;

use palisade_fqdn::{Decision, DnsName, Filter, MatchPattern};

fn patterns(texts: &[&str]) -> Result<Vec<(MatchPattern, u32)>, Box<dyn Error>> {
    let mut rules = Vec::new();
    for (number, text) in (1..).zip(texts) {
        rules.push((text.parse()?, number));
    }
    Ok(rules)
}

fn decide(filter: &Filter<&str, u32>, keys: &[&str], name: &str) -> Option<u32> {
    match filter.decide(keys, &name.parse().ok()?) {
        Decision::Allow { rule } => Some(*rule),
        Decision::Refuse => None,
    }
}

#[test]
fn the_least_of_the_rules_that_allow_decides() -> Result<(), Box<dyn Error>> {
    let mut filter = Filter::new();
    filter.set("dns", patterns(&["**.test", "a.test", "*.test", "a.test"])?);
    filter.set("other", patterns(&["b.test"])?);
    assert_eq!(decide(&filter, &["dns"], "x.y.test"), Some(1));
    assert_eq!(decide(&filter, &["dns"], "a.test"), Some(1));
    assert_eq!(decide(&filter, &["other"], "b.test"), Some(1));
    assert_eq!(decide(&filter, &["other"], "a.test"), None);
    assert_eq!(decide(&filter, &["other", "dns"], "x.y.test"), Some(1));
    assert_eq!(decide(&filter, &["nobody"], "a.test"), None);
    assert_eq!(decide(&filter, &[], "a.test"), None);
    Ok(())
}

#[test]
fn one_pattern_of_several_rules_counts_once() -> Result<(), Box<dyn Error>> {
    let mut filter = Filter::new();
    let pattern: MatchPattern = "a.test".parse()?;
    filter.set("dns", [(pattern.clone(), 7), (pattern.clone(), 3)]);
    assert_eq!(decide(&filter, &["dns"], "a.test"), Some(3));
    filter.set("dns", []);
    assert!(filter.patterns().is_empty());
    Ok(())
}

#[test]
fn a_star_lets_everything_pass() -> Result<(), Box<dyn Error>> {
    let mut filter = Filter::new();
    filter.set("dns", patterns(&["a.test", "*"])?);
    assert_eq!(decide(&filter, &["dns"], r"odd\255byte.test"), Some(2));
    assert_eq!(decide(&filter, &["dns"], "a.test"), Some(1));
    assert_eq!(decide(&filter, &["dns"], "."), Some(2));
    filter.set("dns", patterns(&["**.test"])?);
    assert_eq!(decide(&filter, &["dns"], r"odd\255byte.test"), None);
    Ok(())
}

#[test]
fn equal_sets_share_their_patterns_and_go_with_their_last_key() -> Result<(), Box<dyn Error>> {
    let mut filter = Filter::new();
    for key in ["a", "b", "c"] {
        filter.set(key, patterns(&["x.test", "*.x.test"])?);
    }
    filter.set("a", patterns(&["x.test"])?);
    assert_eq!(filter.patterns().len(), 2);
    assert!(filter.remove(&"b") && !filter.remove(&"b"));
    assert_eq!(decide(&filter, &["c"], "y.x.test"), Some(2));
    filter.retain(|key| *key == "a");
    assert_eq!(decide(&filter, &["c"], "y.x.test"), None);
    assert_eq!(decide(&filter, &["a"], "x.test"), Some(1));
    assert_eq!(filter.patterns().len(), 1);
    assert_eq!(filter.keys().collect::<Vec<_>>(), [&"a"]);
    filter.set("a", []);
    assert!(filter.patterns().is_empty());
    assert_eq!(filter.decide([&"a"], &DnsName::root()), Decision::Refuse);
    Ok(())
}
