//! The walk over the rules of one side, for people: the tables have decided already.

use palisade_abi::{Action, Direction, Protocol, Verdict};
use palisade_identity::{LabelSet, Operator, Unmet};

use super::reach::auth_mode;
use super::steps::steps;
use super::{Flow, Half, Nearest, Party, Reason, Remedy};
use crate::compile::{
    Origin, Otherwise, Part, Side, is_reserved, peer_text, port_text, sides, sorted_rules,
};
use crate::rule::{Effect, Peer, PeerKind, Peers, PortRule, Ports, Rule};
use crate::tables::Tables;

/// Explains one side's verdict.
pub(super) fn half(
    tables: &Tables,
    flow: &Flow,
    direction: Direction,
    own: &Party,
    peer: &Party,
    verdict: Verdict,
) -> Half {
    let inputs = tables.inputs();
    let rules = sorted_rules(&inputs.policies);
    let local = inputs
        .endpoints
        .iter()
        .find(|local| Some(local.id) == own.endpoint);
    let sides = local.map(|local| sides(local, &rules, &inputs.options, &inputs.named_ports));
    let side = sides.as_ref().map(|sides| sides.get(direction));
    let side_rules: Vec<&Rule> = side
        .into_iter()
        .flat_map(|side| &side.rules)
        .filter_map(|place| rules.get(*place as usize).copied())
        .collect();
    let asked = Asked {
        side,
        labels: inputs.identities.get(&peer.identity),
        protocol: flow.protocol,
        port: flow.port,
    };
    let matching: Vec<(&Rule, Part)> = side_rules
        .iter()
        .filter_map(|rule| asked.matching_part(rule).map(|part| (*rule, part)))
        .collect();
    let conflict = own.endpoint.and_then(|id| tables.conflicts().remove(&id));
    let nearest = (verdict.is_default_deny() && conflict.is_none())
        .then(|| asked.nearest(&side_rules))
        .flatten();
    Half {
        direction,
        name: own.name.clone(),
        action: verdict.action(),
        auth: auth_mode(verdict),
        reason: match conflict {
            Some(conflict) => Reason::Conflict(conflict),
            None => reason(tables, verdict, side, &asked, &matching),
        },
        steps: steps(&matching),
        nearest,
    }
}

fn reason(
    tables: &Tables,
    verdict: Verdict,
    side: Option<&Side>,
    asked: &Asked<'_>,
    matching: &[(&Rule, Part)],
) -> Reason {
    let origin = tables.origin(verdict.cookie());
    let Some(origin) = origin else {
        let is_host = asked
            .labels
            .is_some_and(|labels| is_reserved(labels, "host"));
        return match (verdict.action(), side) {
            (Action::Deny, _) => Reason::DefaultDeny(None),
            (Action::Allow | Action::Redirect, Some(side)) => match side.otherwise {
                _ if is_host && side.localhost => Reason::AllowLocalhost,
                Otherwise::Allowed if !side.rules.is_empty() => Reason::NoDefaultDeny,
                Otherwise::Allowed => Reason::NotEnforced,
                Otherwise::Denied | Otherwise::DeniedBy(_) => Reason::AllowLocalhost,
            },
            (Action::Allow | Action::Redirect, None) => Reason::NotEnforced,
        };
    };
    // A denial by a rule that does not deny: its proxy is missing, or nobody knows the peer.
    let deciding = matching.iter().find(|(rule, part)| {
        let of = Origin::of(rule, *part);
        (&of.resource, &of.location) == (&origin.resource, &origin.location)
    });
    let denies = deciding.is_some_and(|(rule, _)| rule.effect == Effect::Deny);
    match verdict.action() {
        Action::Deny if verdict.is_default_deny() => Reason::DefaultDeny(Some(origin)),
        Action::Deny if deciding.is_none() && asked.labels.is_none() => Reason::UnknownPeer(origin),
        Action::Deny if !denies => Reason::NoProxy(origin),
        Action::Allow | Action::Deny | Action::Redirect => Reason::Rule(origin),
    }
}

/// The other side of a flow and its port.
struct Asked<'a> {
    side: Option<&'a Side>,
    labels: Option<&'a LabelSet>,
    protocol: Protocol,
    port: u16,
}

impl Asked<'_> {
    /// The part of a rule that matches.
    fn matching_part(&self, rule: &Rule) -> Option<Part> {
        let peer = match &rule.peers {
            Peers::Any { .. } => None,
            Peers::Some { list, .. } => {
                let matches = |peer: &Peer| match self.labels {
                    Some(labels) => peer.selector.matches(labels),
                    None => peer.selector.is_everything(),
                };
                let mut places = (0..).zip(list);
                Some(places.find(|(_, peer)| matches(peer))?.0)
            }
        };
        match &rule.ports {
            Ports::All => Some(peer.map_or(Part::Whole, Part::Peer)),
            Ports::Some(items) => {
                let (place, _) = (0..).zip(items).find(|(_, item)| self.meets(item))?;
                Some(Part::Port(place))
            }
        }
    }

    fn meets(&self, item: &PortRule) -> bool {
        let ports = self.side.and_then(|side| side.port(item));
        item.protocol == self.protocol && ports.is_some_and(|ports| ports.contains(&self.port))
    }

    /// The allowing rule that misses least; of equals the one whose ports match, then the first.
    fn nearest(&self, rules: &[&Rule]) -> Option<Nearest> {
        let allowing = rules.iter().filter(|rule| rule.effect == Effect::Allow);
        let misses = allowing.flat_map(|rule| self.misses(rule));
        let (_, nearest) = misses.min_by_key(|(distance, _)| *distance)?;
        Some(nearest)
    }

    /// What a rule misses, for each of its peers.
    fn misses(&self, rule: &Rule) -> Vec<((usize, bool), Nearest)> {
        let port = match &rule.ports {
            Ports::All => None,
            Ports::Some(items) if items.iter().any(|item| self.meets(item)) => None,
            Ports::Some(items) => match items.first() {
                Some(item) => Some(item),
                None => return Vec::new(),
            },
        };
        let port_miss = port.map(|item| self.port_miss(item));
        match &rule.peers {
            Peers::Any { .. } => port
                .map(|_| self.miss(rule, None, port_miss))
                .into_iter()
                .collect(),
            Peers::Some { list, .. } => (0..)
                .zip(list)
                .map(|peer| self.miss(rule, Some(peer), port_miss.clone()))
                .collect(),
        }
    }

    fn miss(
        &self,
        rule: &Rule,
        peer: Option<(u32, &Peer)>,
        port_miss: Option<String>,
    ) -> ((usize, bool), Nearest) {
        let unmet: Vec<Unmet> = match (peer, self.labels) {
            (Some((_, peer)), Some(labels)) => peer.selector.all_unmet(labels).collect(),
            _ => Vec::new(),
        };
        let stranger = (peer.is_some() && self.labels.is_none())
            .then(|| "the identity of the peer is not known here".to_owned());
        let misses_port = port_miss.is_some();
        let missed: Vec<String> = unmet
            .iter()
            .map(ToString::to_string)
            .chain(stranger)
            .chain(port_miss)
            .collect();
        let missed_peer = peer.filter(|_| !unmet.is_empty() || self.labels.is_none());
        let origin = match missed_peer {
            Some((place, peer)) => Origin {
                description: peer_text(rule, peer).into(),
                ..Origin::of(rule, Part::Peer(place))
            },
            None => Origin::of(rule, Part::Port(0)),
        };
        let remedy = match missed_peer {
            Some((_, peer)) if !misses_port => self.peer_remedy(rule, peer, &unmet),
            None if misses_port => Some(self.port_remedy(rule)),
            _ => None,
        };
        let nearest = Nearest {
            origin,
            missed,
            remedy,
        };
        ((nearest.missed.len(), misses_port), nearest)
    }

    fn port_miss(&self, item: &PortRule) -> String {
        let wanted = port_text(item);
        let noun = if self.protocol.has_ports() {
            "port"
        } else {
            "type"
        };
        format!("{noun} is {}/{}, not {wanted}", self.port, self.protocol)
    }

    /// The peer as the nearest selector would have to say it.
    fn peer_remedy(&self, rule: &Rule, peer: &Peer, unmet: &[Unmet]) -> Option<Remedy> {
        let Peers::Some { location, list } = &rule.peers else {
            return None;
        };
        let labels = self.labels?;
        if peer.kind != PeerKind::Endpoints || is_reserved(labels, "host") || unmet.is_empty() {
            return None;
        }
        let mut wanted = Vec::new();
        for one in unmet {
            let is_value = matches!(one.requirement().operator(), Operator::In(_));
            let found = one.found().filter(|_| is_value)?;
            wanted.push(format!("{}: {}", one.requirement().key(), found.value()));
        }
        let at = location
            .as_ref()
            .or_else(|| list.first().map(|peer| &peer.location))?;
        Some(Remedy {
            add: format!("- matchLabels: {{{}}}", wanted.join(", ")),
            at: at.clone(),
        })
    }

    fn port_remedy(&self, rule: &Rule) -> Remedy {
        Remedy {
            add: format!("- {{port: \"{}\", protocol: {}}}", self.port, self.protocol),
            at: Origin::of(rule, Part::Port(0)).location,
        }
    }
}
