//! The two sides of every query, and whether they come out as expected.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::net::IpAddr;

use palisade_abi::{Action, Direction, Protocol, Verdict};
use palisade_policy::{AuthMode, CidrMatch};

use super::l7::{self, Redirected, Refusal};
use super::vector::{Case, Query};
use super::view::{Party, View};
use super::world::{Unbuilt, World};

/// Judges every query of a case; the answers that are wrong, in words. `None` if the case has no
/// answers for this reading.
pub(super) fn judge(case: &Case, cidr_match: CidrMatch) -> Result<Option<Vec<String>>, Unbuilt> {
    let world = World::build(case, cidr_match)?;
    if !is_asked(case, &world, cidr_match) {
        return Ok(None);
    }
    let mut judge = Judge {
        cidr_match,
        local: case.config.as_ref().map_or("default", |one| &one.cluster),
        parties: parties(&world, case),
        views: BTreeMap::new(),
        world: &world,
    };
    let mut wrong = Vec::new();
    for query in &case.queries {
        let found = judge.query(query).map_err(Unbuilt::Refused)?;
        if let Some(what) = found {
            wrong.push(format!("{} → {}: {what}", query.src, asked(query)));
        }
    }
    Ok(Some(wrong))
}

/// Whether a case has answers for a reading.
///
/// Cases for Cilium know its own only. The newest kind of the Kubernetes API says itself that
/// networks select what is inside the cluster, and its cases have answers for the other reading
/// only where they say so.
fn is_asked(case: &Case, world: &World, cidr_match: CidrMatch) -> bool {
    let mut queries = case.queries.iter();
    let says_both = queries.any(|one| one.expect_cidr_never_selects_pods.is_some());
    match cidr_match {
        CidrMatch::Everybody => case.config.is_none(),
        CidrMatch::Outside => says_both || case.config.is_some() || !world.has_networks(),
    }
}

struct Judge<'w> {
    world: &'w World,
    /// The cluster that an ingress proxy is of.
    local: &'w str,
    cidr_match: CidrMatch,
    parties: Vec<Party<'w>>,
    /// By cluster and node.
    views: BTreeMap<(&'w str, Option<&'w str>), View<'w>>,
}

/// What becomes of a connection on one side.
#[derive(Clone)]
struct Side {
    action: Action,
    /// The line that decides, in words; empty if none does.
    by: String,
    /// Why it is dropped, as the cases say it.
    drop_reason: Option<&'static str>,
    refusal: Option<Refusal>,
}

impl Side {
    const PASSES: Self = Self {
        action: Action::Allow,
        by: String::new(),
        drop_reason: None,
        refusal: None,
    };

    const fn outcome(&self) -> &'static str {
        match (self.drop_reason, self.refusal) {
            (Some(_), _) => "deny",
            (None, Some(_)) => "l7-deny",
            (None, None) => "allow",
        }
    }

    /// What the tables say, without what the proxy or a handshake says after.
    const fn action(&self) -> &'static str {
        match self.action {
            Action::Allow => "allow",
            Action::Deny => "deny",
            Action::Redirect => "redirect",
        }
    }
}

impl<'w> Judge<'w> {
    /// What is wrong with the answer to a query; `None` if nothing is.
    fn query(&mut self, query: &Query) -> Result<Option<String>, String> {
        let source = party(self.world, &query.src, None, query)?;
        let target = query.backend.as_deref().unwrap_or(&query.dst);
        let target = party(self.world, target, query.backend_addr, query)?;
        if let Some(backend) = &query.ingress_backend {
            let backend = party(self.world, backend, None, query)?;
            return self.through_ingress(query, source, target, backend);
        }
        if query.backend.as_ref() == Some(&query.src) {
            // What a service leads back to its client never meets a policy.
            return Ok(compare(query, self.cidr_match, "allow", &[]));
        }
        let egress = self.side(query, source, Direction::Egress, target)?;
        let ingress = self.side(query, target, Direction::Ingress, source)?;
        let sides = [("egress", egress), ("ingress", ingress)];
        Ok(compare(query, self.cidr_match, worst(&sides), &sides))
    }

    /// The client must be let out to the backend, and the ingress proxy to the backend.
    fn through_ingress(
        &mut self,
        query: &Query,
        client: Party<'w>,
        ingress: Party<'w>,
        backend: Party<'w>,
    ) -> Result<Option<String>, String> {
        let out = self.side(query, client, Direction::Egress, backend)?;
        let to_ingress = self.side(query, client, Direction::Egress, ingress)?;
        let from_ingress = self.side(query, Party::Ingress, Direction::Egress, backend)?;
        let into = self.side(query, backend, Direction::Ingress, Party::Ingress)?;
        let last = if from_ingress.outcome() == "allow" {
            into
        } else {
            from_ingress
        };
        let decide = [("client_to_backend", out), ("ingress_to_backend", last)];
        let found = worst(&decide);
        let [out, last] = decide;
        let all = [out, ("client_to_ingress", to_ingress), last];
        Ok(compare(query, self.cidr_match, found, &all))
    }

    fn side(
        &mut self,
        query: &Query,
        own: Party<'w>,
        direction: Direction,
        peer: Party<'w>,
    ) -> Result<Side, String> {
        let place = match own {
            Party::Address(_) => return Ok(Side::PASSES),
            Party::Host(node, _) => (node.cluster.as_str(), Some(node.name.as_str())),
            Party::Ingress => (self.local, None),
            Party::Pod(pod) => (pod.cluster.as_str(), pod.node.as_deref()),
        };
        let (cluster, node) = place;
        let view = match self.views.entry(place) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let unknown = || format!("no cluster is {cluster}");
                let cluster = self.world.clusters.get(cluster).ok_or_else(unknown)?;
                entry.insert(View::compile(self.world, cluster, node, &self.parties)?)
            }
        };
        let protocol: Protocol = query
            .proto
            .parse()
            .map_err(|_| format!("protocol {}", query.proto))?;
        let port = query.backend_port.or(query.port).or(query.icmp_type);
        let port = port.ok_or("a query without a port")?;
        let Some(verdict) = view.verdict(own, direction, peer, protocol, port) else {
            return Ok(Side::PASSES);
        };
        let refusal = (verdict.action() == Action::Redirect).then(|| {
            let redirected = Redirected {
                subject: &view.labels(own),
                peer: &view.labels(peer),
                direction,
                protocol,
                port,
                named_ports: view.named_ports(direction, own),
            };
            l7::refusal(&redirected, view.rules(), query)
        });
        let origin = view.origin(verdict.cookie());
        Ok(Side {
            action: verdict.action(),
            by: origin.map_or_else(String::new, |origin| {
                format!(" by {} {}", origin.resource, origin.description)
            }),
            drop_reason: drop_reason(verdict),
            refusal: refusal.flatten(),
        })
    }
}

/// Why a verdict drops: no rule, a rule that denies, or a handshake that nobody can pass.
fn drop_reason(verdict: Verdict) -> Option<&'static str> {
    match verdict.action() {
        Action::Deny => Some(if verdict.is_default_deny() {
            "POLICY_DENIED"
        } else {
            "POLICY_DENY"
        }),
        // Those that ask for a real handshake are taken to have done it.
        Action::Allow | Action::Redirect => {
            (verdict.auth() == AuthMode::AlwaysFail.number()).then_some("AUTH_REQUIRED")
        }
    }
}

fn worst(sides: &[(&str, Side)]) -> &'static str {
    let outcome = |wanted| sides.iter().find(|(_, side)| side.outcome() == wanted);
    ["deny", "l7-deny"]
        .into_iter()
        .find(|wanted| outcome(*wanted).is_some())
        .unwrap_or("allow")
}

fn compare(
    query: &Query,
    cidr_match: CidrMatch,
    found: &str,
    sides: &[(&str, Side)],
) -> Option<String> {
    let outside = query.expect_cidr_never_selects_pods.as_ref();
    let expected = match cidr_match {
        CidrMatch::Everybody => &query.expect,
        CidrMatch::Outside => outside.unwrap_or(&query.expect),
    };
    if found != expected {
        let said: Vec<_> = sides
            .iter()
            .map(|(name, side)| format!("{name} {}{}", side.outcome(), side.by))
            .collect();
        return Some(format!(
            "{found} ({}), expected {expected}",
            said.join(", ")
        ));
    }
    // What the two readings disagree on is said of one of them only.
    let other_reading = outside.is_some() && cidr_match == CidrMatch::Outside;
    sides
        .iter()
        .filter(|_| !other_reading)
        .find_map(|(name, side)| compare_side(query, name, side))
        .or_else(|| compare_reason(query, sides))
}

fn compare_side(query: &Query, name: &str, side: &Side) -> Option<String> {
    let said = match name {
        "egress" => query.egress.as_ref(),
        "ingress" => query.ingress.as_ref(),
        _ => None,
    };
    let oracle = query.oracle.get(name);
    let wrong = |expected: &&String, found: &str| *expected != found;
    said.filter(|expected| wrong(expected, side.outcome()))
        .map(|expected| format!("{name} {}, expected {expected}", side.outcome()))
        .or_else(|| {
            oracle
                .filter(|expected| wrong(expected, side.action()))
                .map(|expected| format!("{name} {}, the oracle {expected}", side.action()))
        })
}

fn compare_reason(query: &Query, sides: &[(&str, Side)]) -> Option<String> {
    let dropped = sides.iter().find_map(|(_, side)| side.drop_reason);
    let refused = sides.iter().find_map(|(_, side)| side.refusal);
    if let Some(expected) = query.drop_reason.as_deref()
        && dropped != Some(expected)
    {
        let found = dropped.unwrap_or("not dropped");
        return Some(format!("{found}, expected {expected}"));
    }
    if let Some(expected) = query.l7.as_deref()
        && refused.map(Refusal::name) != Some(expected)
    {
        let found = refused.map_or("nobody", Refusal::name);
        return Some(format!("refused by {found}, expected {expected}"));
    }
    None
}

/// Whom a text of a query means; `address` is where, if that is said apart.
fn party<'w>(
    world: &'w World,
    text: &str,
    address: Option<IpAddr>,
    query: &Query,
) -> Result<Party<'w>, String> {
    if text == "entity:ingress" {
        return Ok(Party::Ingress);
    }
    let address = match (text.strip_prefix("ip:"), address, text.split_once(':')) {
        (Some(text), ..) => Some(text.parse().map_err(|_| format!("address {text}"))?),
        (None, Some(address), _) => Some(address),
        (None, None, Some(("svc", _))) => query.dst_addr,
        (None, None, _) => None,
    };
    if let Some(address) = address {
        return Ok(at(world, address));
    }
    let pod = world.pod(text).ok_or_else(|| format!("nobody is {text}"))?;
    if !pod.host_network {
        return Ok(Party::Pod(pod));
    }
    let v6 = query.family.as_deref() == Some("ipv6");
    let mut addresses = pod.addresses.iter().copied();
    let address = addresses.find(|address| address.is_ipv6() == v6);
    address
        .map(|address| at(world, address))
        .ok_or_else(|| format!("{text} has no address"))
}

/// Who has an address.
fn at(world: &World, address: IpAddr) -> Party<'_> {
    let mut pods = world.pods.iter().filter(|pod| !pod.host_network);
    let mut nodes = world.nodes.iter().filter(|node| node.managed);
    if let Some(pod) = pods.find(|pod| pod.addresses.contains(&address)) {
        return Party::Pod(pod);
    }
    match nodes.find(|node| node.addresses.contains(&address)) {
        Some(node) => Party::Host(node, Some(address)),
        None => Party::Address(address),
    }
}

/// Everybody whom the queries of a case name.
fn parties<'w>(world: &'w World, case: &Case) -> Vec<Party<'w>> {
    let of = |query: &Query| {
        let target = query.backend.as_deref().unwrap_or(&query.dst);
        let texts = [
            (query.src.as_str(), None),
            (target, query.backend_addr),
            (query.ingress_backend.as_deref().unwrap_or(target), None),
        ];
        texts.map(|(text, address)| party(world, text, address, query).ok())
    };
    case.queries.iter().flat_map(of).flatten().collect()
}

fn asked(query: &Query) -> String {
    let port = query.backend_port.or(query.port).or(query.icmp_type);
    let port = port.unwrap_or_default();
    let through = query.backend.as_ref();
    let through = through.map(|backend| format!(" ({backend})"));
    let family = query.family.as_deref().unwrap_or_default();
    let (dst, through) = (&query.dst, through.unwrap_or_default());
    format!("{dst}{through}:{port}/{} {family}", query.proto)
}
