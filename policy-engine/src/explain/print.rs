//! The explanation as people read it: the answer first, the reason under it, what to do last.

use std::fmt;

use palisade_abi::Action;

use super::{Explanation, Half, Nearest, Reason};
use crate::compile::Origin;

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flow = &self.flow;
        let (source, destination) = (&flow.source.name, &flow.destination.name);
        let word = match self.action {
            Action::Allow => "ALLOW",
            Action::Deny => "DENY",
            Action::Redirect => "REDIRECT",
        };
        write!(f, "{word}  {source} → {destination} ")?;
        if flow.protocol.has_ports() {
            write!(f, "{}/{}", flow.port, flow.protocol)?;
        } else {
            write!(f, "{} type {}", flow.protocol, flow.port)?;
        }
        let names: Vec<String> = self.halves.iter().map(title).collect();
        let name_width = names
            .iter()
            .map(|name| name.chars().count())
            .max()
            .unwrap_or_default();
        let places = self.halves.iter().flat_map(places);
        let place_width = places
            .map(|place| place.chars().count())
            .max()
            .unwrap_or_default();
        for (half, name) in self.halves.iter().zip(&names) {
            let status = status(half.action);
            write!(
                f,
                "\n  {name:name_width$}   {status:9} {}",
                Why(half, place_width)
            )?;
            if let Some(auth) = half.auth {
                write!(f, ", once both sides have authenticated ({auth})")?;
            }
            if let Some(Nearest { origin, missed, .. }) = &half.nearest {
                let place = origin.location.to_string();
                write!(f, "\n  {:name_width$}   {:9} ", "", "nearest")?;
                write!(
                    f,
                    "{place:place_width$}   {}: {}",
                    origin.description,
                    missed.join("; ")
                )?;
            }
        }
        if self.halves.is_empty() {
            f.write_str("\n  neither end is an endpoint of this node: no policy here is asked")?;
        }
        let nearest = self.halves.iter().filter_map(|half| half.nearest.as_ref());
        for remedy in nearest.filter_map(|nearest| nearest.remedy.as_ref()) {
            write!(
                f,
                "\n  would allow it: add `{}` under {}",
                remedy.add, remedy.at
            )?;
        }
        Ok(())
    }
}

/// Why a half decides as it does, with places padded to a width.
struct Why<'a>(&'a Half, usize);

impl fmt::Display for Why<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(half, width) = *self;
        let direction = half.direction;
        let rule = |f: &mut fmt::Formatter<'_>, origin: &Origin| {
            write!(
                f,
                "{:width$}   {}",
                origin.location.to_string(),
                origin.description
            )
        };
        match &half.reason {
            Reason::AllowLocalhost => f.write_str("the node always reaches its own endpoints"),
            Reason::Conflict(conflict) => write!(f, "{conflict}"),
            Reason::DefaultDeny(Some(origin)) => {
                write!(
                    f,
                    "default deny, switched on by {} ({direction})",
                    origin.location
                )
            }
            Reason::DefaultDeny(None) => {
                write!(f, "default deny: {direction} is always enforced here")
            }
            Reason::NoDefaultDeny => {
                write!(
                    f,
                    "no rule matches, and none switches default deny on for {direction}"
                )
            }
            Reason::NotEnforced => write!(f, "no policy for {direction}"),
            Reason::NoProxy(origin) => {
                rule(f, origin)?;
                f.write_str(", but its proxy does not listen")
            }
            Reason::Rule(origin) => rule(f, origin),
            Reason::UnknownPeer(origin) => {
                rule(f, origin)?;
                f.write_str(", which may be about this peer, whose identity is not known")
            }
        }
    }
}

fn title(half: &Half) -> String {
    format!("{} of {}", half.direction, half.name)
}

const fn status(action: Action) -> &'static str {
    match action {
        Action::Allow => "allowed",
        Action::Deny => "denied",
        Action::Redirect => "proxied",
    }
}

/// The places that stand in one column.
fn places(half: &Half) -> Vec<String> {
    let decided = match &half.reason {
        Reason::NoProxy(origin) | Reason::Rule(origin) | Reason::UnknownPeer(origin) => {
            Some(origin)
        }
        Reason::AllowLocalhost
        | Reason::Conflict(_)
        | Reason::DefaultDeny(_)
        | Reason::NoDefaultDeny
        | Reason::NotEnforced => None,
    };
    let nearest = half.nearest.as_ref().map(|nearest| &nearest.origin);
    let origins = decided.into_iter().chain(nearest);
    origins.map(|origin| origin.location.to_string()).collect()
}
