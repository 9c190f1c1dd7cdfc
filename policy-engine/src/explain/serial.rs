//! The explanation as programs read it.

use palisade_abi::{Action, Direction, EndpointId, Identity, Protocol};
use serde::{Serialize, Serializer};

use super::{Explanation, Fate, Half, Matched, Nearest, Party, Reason, Remedy, Step};
use crate::compile::Origin;
use crate::rule::{AuthMode, Effect, Parser};
use crate::span::Location;

impl Serialize for Explanation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let flow = &self.flow;
        ExplanationForm {
            action: self.action,
            source: PartyForm::of(&flow.source),
            destination: PartyForm::of(&flow.destination),
            protocol: flow.protocol,
            port: flow.port,
            halves: self.halves.iter().map(HalfForm::of).collect(),
        }
        .serialize(serializer)
    }
}

#[derive(Serialize)]
struct ExplanationForm<'a> {
    action: Action,
    source: PartyForm<'a>,
    destination: PartyForm<'a>,
    protocol: Protocol,
    port: u16,
    halves: Vec<HalfForm<'a>>,
}

#[derive(Serialize)]
struct PartyForm<'a> {
    name: &'a str,
    identity: Identity,
    #[serde(skip_serializing_if = "Option::is_none")]
    endpoint: Option<EndpointId>,
}

impl<'a> PartyForm<'a> {
    fn of(party: &'a Party) -> Self {
        Self {
            name: &party.name,
            identity: party.identity,
            endpoint: party.endpoint,
        }
    }
}

#[derive(Serialize)]
struct HalfForm<'a> {
    direction: Direction,
    name: &'a str,
    action: Action,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth: Option<&'static str>,
    reason: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    decided_by: Option<OriginForm<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    conflict: Option<String>,
    steps: Vec<StepForm<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nearest: Option<NearestForm<'a>>,
}

impl<'a> HalfForm<'a> {
    fn of(half: &'a Half) -> Self {
        let (reason, origin) = match &half.reason {
            Reason::AllowLocalhost => ("allow-localhost", None),
            Reason::Conflict(_) => ("conflict", None),
            Reason::DefaultDeny(origin) => ("default-deny", origin.as_ref()),
            Reason::NoDefaultDeny => ("no-default-deny", None),
            Reason::NotEnforced => ("not-enforced", None),
            Reason::NoProxy(origin) => ("no-proxy", Some(origin)),
            Reason::Rule(origin) => ("rule", Some(origin)),
            Reason::UnknownPeer(origin) => ("unknown-peer", Some(origin)),
        };
        Self {
            direction: half.direction,
            name: &half.name,
            action: half.action,
            auth: half.auth.map(AuthMode::name),
            reason,
            decided_by: origin.map(OriginForm::of),
            conflict: match &half.reason {
                Reason::Conflict(conflict) => Some(conflict.to_string()),
                _ => None,
            },
            steps: half.steps.iter().map(StepForm::of).collect(),
            nearest: half.nearest.as_ref().map(NearestForm::of),
        }
    }
}

#[derive(Serialize)]
struct StepForm<'a> {
    tier: &'static str,
    priority: f64,
    fate: Fate,
    matched: Vec<MatchedForm<'a>>,
}

impl<'a> StepForm<'a> {
    fn of(step: &'a Step) -> Self {
        Self {
            tier: step.tier.name(),
            priority: step.priority.get(),
            fate: step.fate,
            matched: step.matched.iter().map(MatchedForm::of).collect(),
        }
    }
}

#[derive(Serialize)]
struct MatchedForm<'a> {
    effect: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    proxy: Option<&'static str>,
    #[serde(flatten)]
    origin: OriginForm<'a>,
}

impl<'a> MatchedForm<'a> {
    fn of(matched: &'a Matched) -> Self {
        Self {
            effect: match matched.effect {
                Effect::Allow => "allow",
                Effect::Deny => "deny",
                Effect::Pass => "pass",
            },
            proxy: matched.parser.map(|parser| match parser {
                Parser::Dns => "dns",
                Parser::Http => "http",
                Parser::Kafka => "kafka",
                Parser::Listener => "listener",
                Parser::Proxylib => "proxylib",
                Parser::Tls => "tls",
            }),
            origin: OriginForm::of(&matched.origin),
        }
    }
}

/// The item that decides, as in an explanation.
#[expect(
    clippy::ref_option,
    reason = "serde hands over a reference to the field"
)]
pub(super) fn origin<S: Serializer>(
    origin: &Option<Origin>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    origin.as_ref().map(OriginForm::of).serialize(serializer)
}

/// What both sides must have proved, by its name.
#[expect(
    clippy::ref_option,
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands over a reference to the field"
)]
pub(super) fn auth<S: Serializer>(
    auth: &Option<AuthMode>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    auth.map(AuthMode::name).serialize(serializer)
}

#[derive(Serialize)]
struct OriginForm<'a> {
    resource: String,
    #[serde(flatten)]
    location: LocationForm<'a>,
    says: &'a str,
}

impl<'a> OriginForm<'a> {
    fn of(origin: &'a Origin) -> Self {
        Self {
            resource: origin.resource.to_string(),
            location: LocationForm::of(&origin.location),
            says: &origin.description,
        }
    }
}

#[derive(Serialize)]
struct LocationForm<'a> {
    file: &'a str,
    line: u32,
    column: u32,
}

impl<'a> LocationForm<'a> {
    fn of(location: &'a Location) -> Self {
        Self {
            file: &location.file,
            line: location.line(),
            column: location.column(),
        }
    }
}

#[derive(Serialize)]
struct NearestForm<'a> {
    rule: OriginForm<'a>,
    missed: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    would_allow: Option<RemedyForm<'a>>,
}

impl<'a> NearestForm<'a> {
    fn of(nearest: &'a Nearest) -> Self {
        Self {
            rule: OriginForm::of(&nearest.origin),
            missed: &nearest.missed,
            would_allow: nearest.remedy.as_ref().map(RemedyForm::of),
        }
    }
}

#[derive(Serialize)]
struct RemedyForm<'a> {
    add: &'a str,
    #[serde(flatten)]
    at: LocationForm<'a>,
}

impl<'a> RemedyForm<'a> {
    fn of(remedy: &'a Remedy) -> Self {
        Self {
            add: &remedy.add,
            at: LocationForm::of(&remedy.at),
        }
    }
}
