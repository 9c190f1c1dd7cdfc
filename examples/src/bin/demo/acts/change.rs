use std::fs;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use palisade_testkit::wait_for;
use serde_json::{Value, json};

use crate::agent::Agent;
use crate::cast::{CART, DB, EVIL, Family, MONITOR, MY_SERVICE, OK, PAY, Party, WEB};
use crate::error::Error;
use crate::flows::Flow;
use crate::policies;
use crate::report::Report;
use crate::talk::{Manner, Talk};

use super::{Scene, harmed, line, mark};

const PATIENCE: Duration = Duration::from_secs(10);
/// How long it is watched that nothing more comes through.
const WATCHED: Duration = Duration::from_millis(500);

type Plan = (Party, Party, &'static str, u16, Family, Manner);

/// What the change forbids.
const FORBIDDEN: [Plan; 3] = [
    (
        Party::Pod(CART),
        Party::Pod(PAY),
        "TCP",
        8443,
        Family::V4,
        Manner::Echo,
    ),
    (
        Party::Pod(CART),
        Party::Pod(PAY),
        "TCP",
        8443,
        Family::V6,
        Manner::Listen,
    ),
    (
        Party::Pod(CART),
        Party::Pod(PAY),
        "UDP",
        8443,
        Family::V4,
        Manner::Listen,
    ),
];

/// What the change must leave alone.
const UNTOUCHED: [Plan; 12] = [
    (
        Party::Pod(WEB),
        Party::Pod(PAY),
        "TCP",
        8443,
        Family::V4,
        Manner::Echo,
    ),
    (
        Party::Pod(WEB),
        Party::Pod(PAY),
        "TCP",
        8443,
        Family::V6,
        Manner::Listen,
    ),
    (
        Party::Pod(WEB),
        Party::Pod(PAY),
        "UDP",
        8443,
        Family::V6,
        Manner::Listen,
    ),
    (
        Party::Pod(WEB),
        Party::Pod(CART),
        "TCP",
        8080,
        Family::V4,
        Manner::Listen,
    ),
    (
        Party::Pod(WEB),
        Party::Pod(CART),
        "TCP",
        8080,
        Family::V6,
        Manner::Echo,
    ),
    (
        Party::Pod(CART),
        Party::Pod(DB),
        "TCP",
        5432,
        Family::V4,
        Manner::Echo,
    ),
    (
        Party::Pod(PAY),
        Party::Pod(DB),
        "TCP",
        5432,
        Family::V6,
        Manner::Listen,
    ),
    (
        Party::Pod(PAY),
        Party::Pod(DB),
        "UDP",
        5433,
        Family::V4,
        Manner::Echo,
    ),
    (
        Party::Pod(MONITOR),
        Party::Pod(CART),
        "UDP",
        8000,
        Family::V6,
        Manner::Echo,
    ),
    (
        Party::Pod(MONITOR),
        Party::Host(OK),
        "TCP",
        443,
        Family::V6,
        Manner::Listen,
    ),
    (
        Party::Pod(MY_SERVICE),
        Party::Host(OK),
        "TCP",
        443,
        Family::V4,
        Manner::Echo,
    ),
    (
        Party::Host(EVIL),
        Party::Pod(WEB),
        "TCP",
        8080,
        Family::V4,
        Manner::Listen,
    ),
];

/// Changes a policy under connections; returns those that go on.
pub(super) fn play(
    scene: &Scene<'_>,
    agent: &Agent,
    report: &mut Report,
) -> Result<Vec<Talk>, Error> {
    let forbidden = open(scene, &FORBIDDEN)?;
    let untouched = open(scene, &UNTOUCHED)?;
    let since = scene.flows.count();
    let revision = revision(agent)?;
    let saved = save(scene)?;
    let first =
        scene
            .flows
            .wait_drop(since, "the first drop after the change", PATIENCE, |flow| {
                forbidden.iter().any(|talk| is_of(talk, flow))
            })?;
    let milliseconds = first.seen.saturating_duration_since(saved).as_secs_f64() * 1_000.0;
    for talk in &forbidden {
        let what = format!("{} to be dropped", talk.label);
        scene
            .flows
            .wait_drop(since, &what, PATIENCE, |flow| is_of(talk, flow))?;
    }
    wait_for("the new revision", PATIENCE, || {
        self::revision(agent).is_ok_and(|now| now > revision)
    })?;
    let stopped = is_still(&forbidden, &untouched);
    let harmed = harmed(&untouched);
    let writes = agent
        .ask("status")?
        .pointer("/policy/last_change_writes")
        .and_then(Value::as_u64);
    let name = "the forbidden flows stop, TCP and UDP, also where only the server sends";
    let first_mark = mark(report, name, stopped);
    let second_mark = mark(report, "all other connections go on untouched", harmed == 0);
    report.set(
        "change",
        json!({"first_drop_milliseconds": milliseconds, "map_writes": writes,
            "cut": forbidden.len(), "untouched": untouched.len() - harmed}),
    );
    line(
        "4  change",
        &format!(
            "{first_mark} policies/{} saved: {} map writes, {milliseconds:.1} ms to the first drop",
            policies::CHANGED,
            writes.unwrap_or(0)
        ),
    )?;
    line(
        "",
        &format!(
            "{second_mark} {} connections cut, {} others untouched",
            forbidden.len(),
            untouched.len() - harmed
        ),
    )?;
    operator(agent, report)?;
    Ok(untouched)
}

/// Shows the drop as an operator sees it.
fn operator(agent: &Agent, report: &mut Report) -> Result<(), Error> {
    let text = agent.run("observe --last 1000")?;
    let file = format!("policies/{}:", policies::CHANGED);
    let words = ["shop/cart:", "shop/pay:8443", "TCP", "DROPPED", &file];
    let mut lines = text.lines();
    let shown = lines.find(|line| words.iter().all(|word| line.contains(word)));
    let holds = shown.is_some();
    let mark = mark(
        report,
        "a drop names who, to whom, the port, and the line that did it",
        holds,
    );
    report.set("drop", shown.into());
    line(
        "   DROPPED",
        &format!("{mark} {}", shown.unwrap_or("not shown")),
    )
}

fn open(scene: &Scene<'_>, plans: &[Plan]) -> Result<Vec<Talk>, Error> {
    let mut talks = Vec::new();
    for &(from, to, protocol, port, family, manner) in plans {
        let remote: SocketAddr = (to.address(family), port).into();
        let label = format!("{} → {}:{port}/{protocol}", from.label(), to.label());
        let namespace = scene.stage.namespace(from)?;
        talks.push(Talk::open(label, namespace, protocol, remote, manner)?);
    }
    Ok(talks)
}

/// Saves the changed policy as editors do: beside it, then in its place.
fn save(scene: &Scene<'_>) -> Result<Instant, Error> {
    let beside = scene.stage.folder.join("pay.yaml.new");
    let place = scene.stage.folder.join("policies").join(policies::CHANGED);
    fs::write(&beside, policies::without_cart()).map_err(Error::io("the changed policy"))?;
    let saved = Instant::now();
    fs::rename(beside, place).map_err(Error::io("the changed policy"))?;
    Ok(saved)
}

fn revision(agent: &Agent) -> Result<u64, Error> {
    let status = agent.ask("status")?;
    Ok(status
        .pointer("/policy/revision")
        .and_then(Value::as_u64)
        .unwrap_or(0))
}

/// Whether a drop is of a connection, in either direction: the server may have sent first.
fn is_of(talk: &Talk, flow: &Flow) -> bool {
    flow.is_of_protocol(talk.protocol)
        && (flow.is_between(talk.local, talk.remote) || flow.is_between(talk.remote, talk.local))
}

/// Whether nothing more comes in on some connections while all others go on.
fn is_still(still: &[Talk], going: &[Talk]) -> bool {
    // What had passed before the drop may still be on its way to the reader.
    thread::sleep(WATCHED);
    let count = |talks: &[Talk]| talks.iter().map(Talk::received).collect::<Vec<_>>();
    let (before, gone_on) = (count(still), count(going));
    thread::sleep(WATCHED);
    before == count(still)
        && gone_on
            .iter()
            .zip(count(going))
            .all(|(before, now)| now > *before)
}
