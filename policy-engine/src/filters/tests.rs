use super::*;
use crate::rule::{
    AuthMode, HttpRule, KafkaRule, Kind, L7Rules, Listener, Parser, Peer, PeerKind, Priority,
    Redirect, ResourceName, Subject, TlsContext,
};
use crate::span::{Location, Position};

fn place(line: u32) -> Location {
    Location::new("p.yaml", Position { line, column: 1 })
}

fn selector(app: &str) -> Selector {
    Selector::from_labels([("app", app)]).unwrap()
}

/// Allows everybody on TCP port 80.
fn rule(index: u32, redirect: Option<Redirect>) -> Rule {
    let resource = ResourceName {
        kind: Kind::CiliumNetworkPolicy,
        namespace: Some("default".into()),
        name: "p".into(),
    };
    let item = PortRule {
        protocol: Protocol::TCP,
        ports: PortMatch::Numbers(80..=80),
        redirect: redirect.map(Arc::new),
        location: place(100 + index),
    };
    Rule {
        resource: Arc::new(resource),
        index,
        location: place(index),
        section: place(0),
        subject: Subject::Endpoints(Selector::everything()),
        direction: Direction::Ingress,
        tier: Tier::Normal,
        priority: Priority::ZERO,
        effect: Effect::Allow,
        default_deny: true,
        peers: Peers::Any { location: None },
        ports: Ports::Some(vec![item]),
        auth: None,
        log: None,
    }
}

fn of(rule: &Rule, effect: Effect) -> Rule {
    Rule {
        effect,
        ..rule.clone()
    }
}

fn http(method: &str) -> Redirect {
    let rule = HttpRule {
        method: Some(method.into()),
        ..HttpRule::default()
    };
    Redirect {
        rules: L7Rules::Http([rule].into()),
        ..Redirect::default()
    }
}

fn kafka() -> Redirect {
    Redirect {
        rules: L7Rules::Kafka([KafkaRule::default()].into()),
        ..Redirect::default()
    }
}

fn tls(name: Option<&str>) -> Redirect {
    Redirect {
        server_names: name.into_iter().map(Into::into).collect(),
        ..Redirect::default()
    }
}

fn listener(name: &str, priority: Option<u8>) -> Redirect {
    Redirect {
        listener: Some(Listener {
            name: name.into(),
            priority,
            namespaced: false,
        }),
        ..Redirect::default()
    }
}

fn merged(rules: &[Rule]) -> Result<SelectorPolicy<'_>, Cause> {
    let checked = check(Direction::Ingress, rules).map_err(|conflict| conflict.cause);
    let filters = resolve(Direction::Ingress, rules, Unmatched::Denied);
    let filters = filters.map_err(|conflict| conflict.cause);
    assert_eq!(checked.as_ref().err(), filters.as_ref().err());
    let mut filters = filters?;
    assert_eq!(filters.list.len(), 1);
    let mut filter = filters.list.remove(0);
    assert_eq!(filter.policies.len(), 1);
    Ok(filter.policies.remove(0).1)
}

fn http_rules(policy: &SelectorPolicy<'_>) -> Vec<Option<Arc<str>>> {
    match policy.proxy.as_ref().map(|proxy| &proxy.rules) {
        Some(L7Rules::Http(list)) => list.iter().map(|rule| rule.method.clone()).collect(),
        other => unreachable!("{other:?}"),
    }
}

#[test]
fn rules_of_one_protocol_are_united_and_no_rules_allow_the_rest() {
    let two = [
        rule(0, Some(http("GET"))),
        rule(1, Some(http("PUT"))),
        rule(2, Some(http("GET"))),
    ];
    let methods = http_rules(&merged(&two).unwrap());
    assert_eq!(methods, [Some("GET".into()), Some("PUT".into())]);
    for plain in [
        [rule(0, None), rule(1, Some(http("GET")))],
        [rule(0, Some(http("GET"))), rule(1, None)],
    ] {
        let methods = http_rules(&merged(&plain).unwrap());
        assert_eq!(methods, [Some("GET".into()), None]);
    }
}

#[test]
fn parsers_that_cannot_share_a_connection_conflict() {
    let rules = [rule(3, Some(kafka())), rule(1, Some(http("GET")))];
    let conflict = resolve(Direction::Ingress, &rules, Unmatched::Denied);
    assert_eq!(
        conflict.unwrap_err().to_string(),
        "CiliumNetworkPolicy default/p (p.yaml:101) and CiliumNetworkPolicy default/p \
         (p.yaml:103) cannot both be in force for ingress: parsers http and kafka"
    );
    let rules = [
        rule(0, Some(tls(Some("a.com")))),
        rule(1, Some(http("GET"))),
    ];
    let inner = merged(&rules).unwrap();
    let proxy = inner.proxy.as_ref().unwrap();
    assert_eq!((proxy.parser, proxy.priority), (Parser::Http, 101));
    assert_eq!(http_rules(&inner), [Some("GET".into()), None]);
    let rules = [
        rule(0, Some(http("GET"))),
        rule(1, Some(tls(Some("a.com")))),
    ];
    assert_eq!(merged(&rules).unwrap_err(), Cause::ServerNames);
}

#[test]
fn the_listener_with_the_lower_number_serves() {
    let two = [
        rule(0, Some(listener("/cec/one", Some(10)))),
        rule(1, Some(listener("/cec/two", Some(5)))),
    ];
    let proxy = merged(&two).unwrap().proxy.unwrap();
    assert_eq!(
        (proxy.listener.as_deref(), proxy.priority),
        (Some("/cec/two"), 5)
    );
    let equal = [
        rule(0, Some(listener("/cec/one", None))),
        rule(1, Some(listener("/cec/two", None))),
    ];
    assert!(matches!(
        merged(&equal),
        Err(Cause::Listeners { priority: 126, .. })
    ));
}

#[test]
fn authentication_must_agree_where_both_say() {
    let auth = |index, auth| Rule {
        auth,
        ..rule(index, None)
    };
    let one = [auth(0, None), auth(1, Some(AuthMode::Required))];
    assert_eq!(merged(&one).unwrap().auth, Some(AuthMode::Required));
    let two = [auth(0, Some(AuthMode::Disabled)), one[1].clone()];
    assert!(matches!(merged(&two), Err(Cause::Auth { .. })));
    // What goes first decides alone, and a deny asks for nothing.
    let mut first = two.clone();
    first[0].priority = Priority::whole(3);
    assert_eq!(merged(&first).unwrap().auth, Some(AuthMode::Required));
    let denied = [of(&two[0], Effect::Deny), two[1].clone()];
    let policy = merged(&denied).unwrap();
    assert_eq!((policy.effect, policy.auth), (Effect::Deny, None));
}

#[test]
fn different_tls_contexts_conflict() {
    let context = |name: &str| TlsContext {
        secret: crate::rule::SecretName {
            namespace: None,
            name: name.into(),
        },
        trusted_ca: None,
        certificate: None,
        private_key: None,
    };
    let ends = |index, name| {
        let terminating_tls = Some(context(name));
        let redirect = Redirect {
            terminating_tls,
            ..Redirect::default()
        };
        rule(index, Some(redirect))
    };
    assert!(merged(&[ends(0, "a"), ends(1, "a")]).is_ok());
    let two = [ends(0, "a"), ends(1, "b")];
    assert_eq!(merged(&two).unwrap_err(), Cause::TerminatingTls);
}

#[test]
fn selectors_ports_and_tiers_are_kept_apart() {
    let named = |index, app: &str, redirect| Rule {
        peers: Peers::Some {
            location: None,
            list: vec![Peer {
                selector: selector(app),
                kind: PeerKind::Endpoints,
                location: place(index),
            }],
        },
        ..rule(index, Some(redirect))
    };
    let mut rules = vec![
        named(0, "a", http("GET")),
        named(1, "b", kafka()),
        named(2, "a", http("PUT")),
    ];
    rules[2].tier = Tier::Baseline;
    let filters = resolve(Direction::Ingress, &rules, Unmatched::Denied).unwrap();
    let sizes = filters
        .list
        .iter()
        .map(|one| (one.tier, one.policies.len()));
    assert_eq!(sizes.collect::<Vec<_>>(), [(1, 2), (2, 1)]);
    assert_eq!(filters.list[0].policies[0].1.priority, 1000);
    assert_eq!(filters.list[1].policies[0].1.priority, 2000);
}

#[test]
fn rules_that_do_not_switch_default_deny_on_do_not_deny_in_the_proxy() {
    let rules = [rule(0, Some(http("GET")))];
    let filters = resolve(Direction::Ingress, &rules, Unmatched::Allowed).unwrap();
    assert_eq!(
        http_rules(&filters.list[0].policies[0].1),
        [Some("GET".into()), None]
    );
    let last = filters.list.last().unwrap();
    assert_eq!((last.tier, &last.ports), (2, &FilterPorts::All));
}
