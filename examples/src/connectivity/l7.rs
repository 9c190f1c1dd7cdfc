//! What a proxy does with a request that was redirected to it.

use palisade_abi::{Direction, Protocol};
use palisade_fqdn::{DnsName, Level, MatchPattern};
use palisade_identity::LabelSet;
use palisade_policy::{
    DnsRule, Effect, HttpRule, L7Rules, MismatchAction, NamedPorts, PortMatch, Ports, Redirect,
    Rule,
};
use regex::Regex;

use super::vector::{Http, Query};

/// The side of a connection that redirects.
pub(super) struct Redirected<'a> {
    pub(super) subject: &'a LabelSet,
    pub(super) peer: &'a LabelSet,
    pub(super) direction: Direction,
    pub(super) protocol: Protocol,
    pub(super) port: u16,
    pub(super) named_ports: &'a NamedPorts,
}

/// Which proxy refuses a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Refusal {
    /// The DNS proxy.
    Dns,
    /// The HTTP proxy.
    Http,
    /// The proxy that looks at the server name.
    Sni,
}

impl Refusal {
    /// The layer as the cases call it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Http => "http",
            Self::Sni => "tls-sni",
        }
    }
}

/// Why the request of a query is refused; `None` if it passes.
///
/// A request passes that one of the rules for its peer and port lets pass, one without a word
/// about requests included. Of several levels only the first counts that says anything.
pub(super) fn refusal<'r>(
    side: &Redirected<'_>,
    rules: impl Iterator<Item = &'r Rule>,
    query: &Query,
) -> Option<Refusal> {
    let matching: Vec<(&Rule, Vec<Option<&Redirect>>)> = rules
        .filter(|rule| side.concerns(rule))
        .map(|rule| (rule, side.redirects(rule)))
        .filter(|(_, redirects)| !redirects.is_empty())
        .collect();
    let level = |rule: &Rule| (rule.tier, rule.priority);
    let first = matching.iter().map(|(rule, _)| level(rule)).min()?;
    let of_first = matching.iter().filter(|(rule, _)| level(rule) == first);
    let redirects = of_first.flat_map(|(_, redirects)| redirects.iter().copied());
    let by_name: Vec<Option<&Redirect>> = redirects
        .filter(|redirect| redirect.is_none_or(|one| takes_server(one, query)))
        .collect();
    if by_name.is_empty() {
        return Some(Refusal::Sni);
    }
    let refusals = by_name
        .into_iter()
        .map(|redirect| redirect.and_then(|one| refusal_of(&one.rules, query)));
    // The first that has nothing against it, else what any of them says.
    refusals.reduce(Option::and).flatten()
}

impl Redirected<'_> {
    fn concerns(&self, rule: &Rule) -> bool {
        let peers = rule.peers.list();
        let anybody = matches!(rule.peers, palisade_policy::Peers::Any { .. });
        rule.effect == Effect::Allow
            && rule.direction == self.direction
            && rule.subject.selects(self.subject)
            && (anybody || peers.iter().any(|one| one.selector.matches(self.peer)))
    }

    /// What each item of a rule that matches the port says about requests.
    fn redirects<'r>(&self, rule: &'r Rule) -> Vec<Option<&'r Redirect>> {
        match &rule.ports {
            Ports::All => vec![None],
            Ports::Some(items) => items
                .iter()
                .filter(|item| item.protocol == self.protocol)
                .filter(|item| match &item.ports {
                    PortMatch::Numbers(range) => range.contains(&self.port),
                    PortMatch::Named(name) => {
                        self.named_ports.get(name, self.protocol) == Some(self.port)
                    }
                })
                .map(|item| item.redirect.as_deref())
                .collect(),
        }
    }
}

fn takes_server(redirect: &Redirect, query: &Query) -> bool {
    if redirect.server_names.is_empty() {
        return true;
    }
    let Some(sni) = query.tls.as_ref().and_then(|tls| tls.sni.as_deref()) else {
        return false;
    };
    let matches = |text: &str| {
        let pattern = MatchPattern::parse(text, Level::Agent);
        let name = DnsName::parse(sni);
        matches!((pattern, name), (Ok(pattern), Ok(name)) if pattern.matches(&name))
    };
    redirect.server_names.iter().any(|text| matches(text))
}

fn refusal_of(rules: &L7Rules, query: &Query) -> Option<Refusal> {
    match rules {
        L7Rules::Dns(rules) => {
            let allowed = query.dns.as_ref().is_none_or(|dns| asks(rules, &dns.qname));
            (!allowed).then_some(Refusal::Dns)
        }
        L7Rules::Http(rules) => {
            let http = query.http.as_ref();
            let allowed = http.is_some_and(|http| rules.iter().any(|rule| takes(rule, http)));
            (!allowed && !rules.is_empty()).then_some(Refusal::Http)
        }
        // No case speaks these protocols.
        L7Rules::Kafka(_) | L7Rules::None | L7Rules::Other { .. } => None,
    }
}

fn asks(rules: &[DnsRule], name: &str) -> bool {
    DnsName::parse(name).is_ok_and(|name| rules.iter().any(|rule| rule.pattern.matches(&name)))
}

/// Whether a rule lets a request pass; what it mends in passing is no reason to refuse it.
fn takes(rule: &HttpRule, request: &Http) -> bool {
    let host = header(request, "host").unwrap_or_default();
    whole(rule.path.as_deref(), &request.path)
        && whole(rule.method.as_deref(), &request.method)
        && whole(rule.host.as_deref(), host)
        && rule.headers.iter().all(|text| has(request, text))
        && rule.header_matches.iter().all(|one| match one.mismatch {
            Some(
                MismatchAction::Add
                | MismatchAction::Delete
                | MismatchAction::Log
                | MismatchAction::Replace,
            ) => true,
            None => match (&one.value, &one.secret) {
                // The secrets of a cluster are in none of the cases.
                (_, Some(_)) => false,
                (Some(value), None) => header(request, &one.name) == Some(&**value),
                (None, None) => header(request, &one.name).is_some(),
            },
        })
}

/// Whether a text is one that an expression describes from end to end.
fn whole(expression: Option<&str>, text: &str) -> bool {
    expression.is_none_or(|expression| {
        Regex::new(&format!("^(?:{expression})$")).is_ok_and(|regex| regex.is_match(text))
    })
}

/// `NAME` must be there; `NAME VALUE`, also written `NAME: VALUE`, must say so.
fn has(request: &Http, text: &str) -> bool {
    match text.split_once(' ') {
        None => header(request, text).is_some(),
        Some((name, value)) => header(request, name.trim_end_matches(':')) == Some(value),
    }
}

fn header<'q>(request: &'q Http, name: &str) -> Option<&'q str> {
    let mut headers = request.headers.iter();
    headers
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.as_str())
}
