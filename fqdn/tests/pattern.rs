//! What patterns mean: the known cases, and regular expressions as the oracle.

use std::collections::BTreeMap;
use std::error::Error;

use palisade_fqdn::{DnsName, Level, MatchPattern, PatternError, PatternId, PatternSet};
use palisade_testkit::cases;
use proptest::prelude::*;
use regex::Regex;

/// The regular expression that defines a pattern's meaning, over names in lower case with a final
/// dot.
fn regex(pattern: &str) -> Result<Regex, regex::Error> {
    let text = pattern.trim().to_ascii_lowercase();
    let stars = text.strip_suffix('.').unwrap_or(&text);
    if !stars.is_empty() && stars.bytes().all(|byte| byte == b'*') {
        return Regex::new(r"^(([-a-zA-Z0-9_]+[.])+|[.])$");
    }
    let full = if text.ends_with('.') {
        text
    } else {
        text + "."
    };
    let mut expression = String::from("^");
    let mut rest = full.as_str();
    let after = full.trim_start_matches('*');
    if full.len() - after.len() >= 2 && after.starts_with('.') {
        expression.push_str("([-a-zA-Z0-9_]+[.])+");
        rest = &after[1..];
    }
    for character in rest.chars() {
        match character {
            '*' => expression.push_str("[-a-zA-Z0-9_]*"),
            '.' => expression.push_str("[.]"),
            _ => expression.push(character),
        }
    }
    Regex::new(&(expression + "$"))
}

/// The form of a name that the expressions are about.
fn full(name: &DnsName) -> String {
    if name.is_root() {
        ".".into()
    } else {
        format!("{name}.")
    }
}

fn name() -> impl Strategy<Value = DnsName> {
    let label = prop_oneof![12 => "[ab_-]{1,3}", 1 => r"[a.\\é*]{1,2}"];
    prop::collection::vec(label, 0..5).prop_map(|labels| {
        let mut wire = Vec::new();
        for label in labels {
            wire.extend(u8::try_from(label.len()));
            wire.extend(label.bytes());
        }
        wire.push(0);
        DnsName::from_wire(&wire).unwrap_or(DnsName::root())
    })
}

fn pattern() -> impl Strategy<Value = String> {
    prop_oneof![
        1 => "[aB*._-]{0,12}",
        2 => r"(\*{1,3}\.)?([ab]{1,2}|\*|\*[ab]|[ab]\*|a\*b|a\*\*a\*b)(\.([ab]{1,2}|\*|\*[ab])){0,3}\.?",
    ]
}

#[test]
fn patterns_mean_what_they_are_known_to_mean() -> Result<(), Box<dyn Error>> {
    let case =
        |pattern: &str, accepted: &[&str], rejected: &[&str]| -> Result<(), Box<dyn Error>> {
            let pattern = MatchPattern::parse(pattern, Level::Agent)?;
            for name in accepted {
                assert!(
                    pattern.matches(&DnsName::parse(name)?),
                    "{pattern} accepts {name}"
                );
            }
            for name in rejected {
                assert!(
                    !pattern.matches(&DnsName::parse(name)?),
                    "{pattern} rejects {name}"
                );
            }
            Ok(())
        };
    let others = ["anysub.ci.io.", "anysub.ciliumandmore.io."];
    case(
        "cilium.io.",
        &["cilium.io."],
        &["anysub.cilium.io.", others[0], others[1], "."],
    )?;
    case(
        "*.cilium.io.",
        &["anysub.cilium.io."],
        &["cilium.io.", others[0], "a.b.cilium.io."],
    )?;
    case(
        "*cilium.io",
        &["cilium.io", "subcilium.io"],
        &["a.cilium.io", "a.subcilium.io"],
    )?;
    case(
        "*.ci*.io.",
        &[
            "anysub.cilium.io.",
            "anysub.ci.io.",
            "anysub.ciliumandmore.io.",
        ],
        &["cilium.io.", "a.b.cilium.io"],
    )?;
    let names = [
        ".",
        "io.",
        "cilium.io.",
        "svc.cluster.local.",
        "_foobar._tcp.cilium.io.",
    ];
    for all in ["*", "**", "***", "*.", "**."] {
        case(all, &names, &[r"a\.b.io", r"\255.io", "a*b.io"])?;
    }
    case(".", &["."], &["io.", "cilium.io."])?;
    case("", &["."], &["io."])?;
    case(
        "_foobar._tcp.cilium.io.",
        &["_foobar._tcp.cilium.io."],
        &["_tcp.cilium.io."],
    )?;
    case(
        "*.*.cilium.io.",
        &["_foobar._tcp.cilium.io."],
        &["_tcp.cilium.io."],
    )?;
    for deep in ["**.cilium.io", "***.cilium.io."] {
        let accepted = ["a.cilium.io.", "c.b.a.cilium.io."];
        case(
            deep,
            &accepted,
            &["cilium.io.", "notcilium.io", r"a\.b.cilium.io"],
        )?;
    }
    case(
        "**.*.cilium.io.",
        &["a.b.cilium.io.", "a.b.c.cilium.io."],
        &["a.cilium.io."],
    )?;
    case(
        "**.ci*.io.",
        &["a.cilium.io.", "a.b.ci.io."],
        &["cilium.io.", "a.b.io"],
    )?;
    case("a.**.b", &["a.x.b"], &["a.x.y.b", "a.b"])?;
    case("**a.b", &["a.b", "xa.b"], &["x.a.b"])?;
    for nothing in ["..", ".a", "a..b", "a..", "*..a", "*..", "**.."] {
        case(nothing, &[], &[".", "a", "a.b", "x.a"])?;
    }
    Ok(())
}

#[test]
fn texts_that_select_alike_are_one_pattern() -> Result<(), Box<dyn Error>> {
    let case = |text: &str, canonical: &str| -> Result<(), Box<dyn Error>> {
        let pattern = MatchPattern::parse(text, Level::Agent)?;
        assert_eq!(pattern.as_str(), canonical);
        assert_eq!(canonical.parse::<MatchPattern>()?, pattern);
        Ok(())
    };
    case("Foo.COM.", "foo.com")?;
    case(" foo.com\n", "foo.com")?;
    case("***", "*")?;
    case("*.", "*")?;
    case("***.x", "**.x")?;
    case("**.x", "**.x")?;
    case("a***b.x", "a*b.x")?;
    case("a.**.b", "a.*.b")?;
    case("**a.b", "*a.b")?;
    case("**.**.b", "**.*.b")?;
    case("", ".")?;
    case(".", ".")?;
    case("..", "..")?;
    case("*..", "*..")?;
    case("a..", "a..")?;
    assert_eq!(
        MatchPattern::parse_name("a.b", Level::Cluster)?,
        MatchPattern::parse("A.B.", Level::Cluster)?
    );
    Ok(())
}

#[test]
fn a_refusal_names_the_byte() {
    let parse = |text: &str, level| MatchPattern::parse(text, level).err();
    let character = |offset, found, star_allowed| {
        Some(PatternError::Character {
            offset,
            found,
            star_allowed,
        })
    };
    assert_eq!(parse(" a+b", Level::Agent), character(2, '+', true));
    assert_eq!(parse("aé", Level::Agent), character(1, 'é', true));
    assert_eq!(parse(r"a\.b", Level::Agent), character(1, '\\', true));
    assert_eq!(
        MatchPattern::parse_name("a*", Level::Agent).err(),
        character(1, '*', false)
    );
    let bad_name = MatchPattern::parse_name("bad name!", Level::Agent);
    assert_eq!(bad_name.err(), character(3, ' ', false));
    // Beyond what the agent asks for.
    assert_eq!(parse(" a", Level::Cluster), character(0, ' ', true));
    assert_eq!(parse("", Level::Cluster), Some(PatternError::Empty));
    assert_eq!(
        parse(".a", Level::Cluster),
        Some(PatternError::EmptyLabel { offset: 0 })
    );
    assert_eq!(
        parse("a..b", Level::Cluster),
        Some(PatternError::EmptyLabel { offset: 2 })
    );
    let long = "a.".repeat(128);
    assert_eq!(
        parse(&long, Level::Agent),
        Some(PatternError::TooLong { length: 256 })
    );
    for level in [Level::Agent, Level::Cluster] {
        assert_eq!(parse(&long[1..], level).is_none(), level == Level::Agent);
        assert_eq!(parse(&long[..255], level), None);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(256)))]

    #[test]
    fn the_schema_takes_what_its_expression_takes(text in "[ a*.-]{0,8}") {
        let schema = Regex::new("^([-a-zA-Z0-9_*]+[.]?)+$")?;
        let taken = MatchPattern::parse(&text, Level::Cluster).is_ok();
        prop_assert_eq!(taken, schema.is_match(&text));
        let schema = Regex::new("^([-a-zA-Z0-9_]+[.]?)+$")?;
        let taken = MatchPattern::parse_name(&text, Level::Cluster).is_ok();
        prop_assert_eq!(taken, schema.is_match(&text));
    }

    #[test]
    fn a_pattern_is_its_expression(text in pattern(), names in prop::collection::vec(name(), 20)) {
        let pattern = MatchPattern::parse(&text, Level::Agent)?;
        prop_assert_eq!(pattern.as_str().parse(), Ok(pattern.clone()));
        let oracle = regex(&text)?;
        for name in names {
            prop_assert_eq!(pattern.matches(&name), oracle.is_match(&full(&name)), "{}", name);
        }
    }
}

proptest! {
    // Each case compiles dozens of expressions.
    #![proptest_config(ProptestConfig::with_cases(cases(64)))]

    #[test]
    fn a_set_finds_what_its_expressions_find(
        steps in prop::collection::vec((pattern(), any::<bool>(), any::<prop::sample::Index>()), 1..40),
        names in prop::collection::vec(name(), 20),
    ) {
        let mut set = PatternSet::default();
        let mut users: BTreeMap<PatternId, (usize, MatchPattern, Regex)> = BTreeMap::new();
        for (text, add, which) in steps {
            if add || users.is_empty() {
                let pattern = MatchPattern::parse(&text, Level::Agent)?;
                let id = set.insert(&pattern);
                let entry = users.entry(id).or_insert((0, pattern.clone(), regex(&text)?));
                prop_assert_eq!(&entry.1, &pattern);
                entry.0 += 1;
            } else {
                let id = *which.get(&users.keys().copied().collect::<Vec<_>>());
                set.remove(id);
                if let Some(entry) = users.get_mut(&id) {
                    entry.0 -= 1;
                }
                users.retain(|_, entry| entry.0 > 0);
            }
        }
        prop_assert_eq!(set.len(), users.len());
        for name in names {
            let full = full(&name);
            let expected = users.iter().filter(|(_, (.., oracle))| oracle.is_match(&full));
            let expected: Vec<_> = expected.map(|(id, _)| *id).collect();
            prop_assert_eq!(set.matching(&name), expected, "{}", name);
        }
    }
}

#[test]
fn a_set_forgets_what_is_removed() -> Result<(), Box<dyn Error>> {
    let mut set = PatternSet::default();
    let patterns = ["a.b.c", "*.b.c", "**.c", "x*y*z.b.c", "x*z.b.c", "*", "."];
    for round in 0..3 {
        let patterns = patterns.map(str::parse::<MatchPattern>);
        let mut ids = Vec::new();
        for pattern in patterns {
            ids.push(set.insert(&pattern?));
        }
        let found = set.matching(&"xyz.b.c".parse()?).len();
        assert_eq!((set.len(), found), (7, 5), "round {round}");
        for id in ids {
            set.remove(id);
        }
        assert!(set.is_empty() && set.matching(&"a.b.c".parse()?).is_empty());
    }
    Ok(())
}
