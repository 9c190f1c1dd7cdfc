//! The protocols and ports of a rule.

use std::sync::Arc;

use palisade_abi::Protocol;

use super::tree::Tree;
use super::{Error, cannot, l7};
use crate::rule::{L7Rules, PortMatch, PortRule, Ports, ResourceName, Rule};

/// `toPorts` or `icmps` of a rule.
pub(super) fn entries(
    rule: &Rule,
    resource: &ResourceName,
) -> Result<Vec<(&'static str, Tree)>, Error> {
    let list = match &rule.ports {
        Ports::All => return Ok(Vec::new()),
        Ports::Some(list) => list,
    };
    let is_icmp = |item: &PortRule| [Protocol::ICMP, Protocol::ICMPV6].contains(&item.protocol);
    if list.is_empty() {
        // An item without ports matches nothing.
        return Ok(vec![("toPorts", Tree::List(vec![Tree::map::<String>([])]))]);
    }
    if list.iter().all(is_icmp) {
        let items: Result<Vec<_>, _> = list
            .chunks(MAX_ITEMS)
            .map(|items| icmp(rule, items))
            .collect();
        return Ok(vec![("icmps", Tree::List(items?))]);
    }
    if list.iter().any(is_icmp) {
        return Err(cannot(rule, "ICMP types and ports"));
    }
    let same = |first: &PortRule, second: &PortRule| match (&first.redirect, &second.redirect) {
        (Some(first), Some(second)) => Arc::ptr_eq(first, second) || first == second,
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    };
    let items: Result<Vec<_>, _> = list
        .chunk_by(same)
        .flat_map(|items| items.chunks(MAX_ITEMS))
        .map(|items| item(rule, resource, items))
        .collect();
    Ok(vec![("toPorts", Tree::List(items?))])
}

/// An item of `toPorts`: ports that share a redirect.
fn item(rule: &Rule, resource: &ResourceName, items: &[PortRule]) -> Result<Tree, Error> {
    let ports: Result<Vec<_>, _> = items.iter().map(|item| port(rule, item)).collect();
    let mut entries = vec![("ports", Tree::List(ports?))];
    let redirect = items.first().and_then(|item| item.redirect.as_deref());
    if let Some(redirect) = redirect {
        entries.extend(l7::entries(rule, resource, redirect)?);
    }
    Ok(Tree::map(entries))
}

fn port(rule: &Rule, item: &PortRule) -> Result<Tree, Error> {
    let protocol = PROTOCOLS
        .iter()
        .find(|(protocol, _)| *protocol == item.protocol)
        .map(|(_, name)| Tree::text(*name))
        .ok_or_else(|| cannot(rule, "this protocol"))?;
    let mut entries = Vec::new();
    let has_rules = item
        .redirect
        .as_ref()
        .is_some_and(|redirect| redirect.rules != L7Rules::None);
    match &item.ports {
        PortMatch::Named(name) => entries.push(("port", Tree::text(&**name))),
        PortMatch::Numbers(range) if *range == PortRule::EVERY_PORT => {
            // Application rules refuse port 0, and take a port that is left out.
            if !has_rules {
                entries.push(("port", Tree::text("0")));
            }
        }
        PortMatch::Numbers(range) => {
            entries.push(("port", Tree::text(range.start().to_string())));
            if range.end() > range.start() {
                entries.push(("endPort", Tree::Raw(range.end().to_string())));
            } else if range.is_empty() || *range.start() == 0 {
                return Err(cannot(rule, "this range of ports"));
            }
        }
    }
    entries.push(("protocol", protocol));
    Ok(Tree::map(entries))
}

fn icmp(rule: &Rule, items: &[PortRule]) -> Result<Tree, Error> {
    let field = |item: &PortRule| {
        let number = match &item.ports {
            PortMatch::Numbers(range) if *range == PortRule::EVERY_PORT => 0,
            PortMatch::Numbers(range)
                if range.start() == range.end() && (1..=255).contains(range.start()) =>
            {
                *range.start()
            }
            PortMatch::Named(_) | PortMatch::Numbers(_) => {
                return Err(cannot(rule, "these ICMP types"));
            }
        };
        let family = if item.protocol == Protocol::ICMP {
            "IPv4"
        } else {
            "IPv6"
        };
        Ok(Tree::map([
            ("family", Tree::text(family)),
            ("type", Tree::Raw(number.to_string())),
        ]))
    };
    let fields: Result<Vec<_>, _> = items.iter().map(field).collect();
    Ok(Tree::map([("fields", Tree::List(fields?))]))
}

const MAX_ITEMS: usize = 40;

const PROTOCOLS: [(Protocol, &str); 5] = [
    (Protocol::TCP, "TCP"),
    (Protocol::UDP, "UDP"),
    (Protocol::SCTP, "SCTP"),
    (Protocol::new(2), "IGMP"),
    (Protocol::new(112), "VRRP"),
];
