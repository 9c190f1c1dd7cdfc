//! A plain walk over rules: what a verdict is by definition.
//!
//! It shares no code with the compiler and is as slow as it looks. Tests hold everything else
//! against it.

use palisade_abi::{Action, Direction, Protocol};
use palisade_identity::{LabelSet, Source};
use palisade_policy::{
    AllowLocalhost, Effect, Enforcement, Options, Peers, Policy, PortRule, Ports, Rule,
};

/// Who is on the other side.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Other<'a> {
    /// An identity with its labels.
    Known(&'a LabelSet),
    /// A number that no identity is known for.
    Unknown,
}

/// What is done with a packet of `subject`.
///
/// `port` is the destination port, or the type of an ICMP message.
pub(crate) fn verdict<'a>(
    policies: impl IntoIterator<Item = &'a Policy>,
    options: &Options,
    subject: &LabelSet,
    direction: Direction,
    other: Other<'_>,
    protocol: Protocol,
    port: u16,
) -> Action {
    // Rules about nodes are not modelled, and without them a node is left alone.
    if has_reserved(subject, "host") || options.enforcement == Enforcement::Never {
        return Action::Allow;
    }
    let rules: Vec<&Rule> = policies
        .into_iter()
        .flat_map(|policy| &policy.rules)
        .filter(|rule| rule.direction == direction && rule.subject.selects(subject))
        .collect();
    let always = options.enforcement == Enforcement::Always || has_reserved(subject, "init");
    if rules.is_empty() && !always {
        return Action::Allow;
    }
    // Where no rule asks for default deny, what nothing matches is allowed.
    let open = !always && rules.iter().all(|rule| !rule.default_deny);
    let localhost = direction == Direction::Ingress
        && options.allow_localhost == AllowLocalhost::Always
        && matches!(other, Other::Known(labels) if has_reserved(labels, "host"));

    let ports: Vec<(&Rule, Option<&PortRule>)> = rules
        .iter()
        .flat_map(|rule| matching_ports(rule, protocol, port))
        .collect();
    let named: Vec<_> = ports.iter().filter(|(rule, _)| names_peers(rule)).collect();
    let matching: Vec<_> = ports
        .iter()
        .filter(|(rule, _)| matches_peer(rule, other))
        .collect();
    let denies = |(rule, _): &&(&Rule, Option<&PortRule>)| rule.effect == Effect::Deny;
    let redirects = |(rule, port): &&(&Rule, Option<&PortRule>)| {
        rule.effect == Effect::Allow && port.is_some_and(|port| port.redirect.is_some())
    };
    if matching.iter().copied().any(|rule| denies(&rule)) {
        return Action::Deny;
    }
    // Somebody unknown may turn out to be one whom a rule denies or redirects.
    if matches!(other, Other::Unknown)
        && named
            .iter()
            .copied()
            .any(|rule| denies(&rule) || redirects(&rule))
    {
        return Action::Deny;
    }
    if matching.iter().copied().any(|rule| redirects(&rule)) {
        return Action::Redirect;
    }
    if !matching.is_empty() || open || localhost {
        return Action::Allow;
    }
    Action::Deny
}

fn has_reserved(labels: &LabelSet, name: &str) -> bool {
    labels
        .iter()
        .any(|label| label.source() == Source::Reserved && label.key() == name)
}

/// The items of a rule that the port matches; a rule without ports matches as a whole.
fn matching_ports(rule: &Rule, protocol: Protocol, port: u16) -> Vec<(&Rule, Option<&PortRule>)> {
    match &rule.ports {
        Ports::All => vec![(rule, None)],
        Ports::Some(items) => items
            .iter()
            .filter(|item| {
                item.protocol == protocol
                    && item.numbers().is_some_and(|ports| ports.contains(&port))
            })
            .map(|item| (rule, Some(item)))
            .collect(),
    }
}

fn names_peers(rule: &Rule) -> bool {
    match &rule.peers {
        Peers::Any { .. } => false,
        Peers::Some { list, .. } => !list.is_empty(),
    }
}

fn matches_peer(rule: &Rule, other: Other<'_>) -> bool {
    match (&rule.peers, other) {
        (Peers::Any { .. }, _) => true,
        (Peers::Some { list, .. }, Other::Known(labels)) => {
            list.iter().any(|peer| peer.selector.matches(labels))
        }
        (Peers::Some { .. }, Other::Unknown) => false,
    }
}
