use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use palisade_fqdn::wire::Rcode;
use palisade_testkit::wait_for;
use serde_json::{Value, json};

use crate::agent::Agent;
use crate::cast::{EVIL, Family, Host, KUBE_DNS, MY_SERVICE, OK, Party, QUIET, SHORT};
use crate::dns::{self, Answer};
use crate::error::Error;
use crate::predict::{Prediction, predict};
use crate::probe::Kind;
use crate::report::Report;
use crate::shot::{Outcome, fire};
use crate::talk::{Manner, Talk};

use super::probes::{agrees, describe};
use super::{Scene, line, mark};

const PORT: u16 = 443;
/// Longer than any answer of the proxy takes.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longer than the short name's time and the agent's next look at its names.
const FORGOTTEN: Duration = Duration::from_secs(20);

/// What is predicted for the names.
pub(super) struct Named {
    forbidden: Prediction,
    unasked: Prediction,
}

/// Predicts what becomes of names, in the order of [`Named`].
pub(super) fn predict_all(palisade: &Path, folder: &Path) -> Result<(Named, Vec<Value>), Error> {
    let question = json!({"src": MY_SERVICE.name, "dst": KUBE_DNS.name, "proto": "UDP",
        "port": 53, "query": name_of(&EVIL)});
    let unasked = json!({"src": MY_SERVICE.name, "dst": QUIET.address(Family::V4),
        "proto": "TCP", "port": PORT});
    let questions = [question, unasked];
    let (predictions, values) = predict(palisade, folder, &questions, "names")?;
    let predictions: Result<[Prediction; 2], _> = predictions.try_into();
    let [forbidden, unasked] = predictions.map_err(|found| Error::Predictions {
        predictions: found.len(),
        probes: questions.len(),
    })?;
    Ok((Named { forbidden, unasked }, values))
}

pub(super) fn play(
    scene: &Scene<'_>,
    agent: &Agent,
    named: &Named,
    report: &mut Report,
) -> Result<(), Error> {
    allowed(scene, agent, report)?;
    forbidden(scene, named, report)?;
    unasked(scene, named, report)?;
    time_over(scene, agent, report)
}

fn allowed(scene: &Scene<'_>, agent: &Agent, report: &mut Report) -> Result<(), Error> {
    let answer = ask(scene, &OK)?;
    let held = agent.ask("status")?;
    let held = held.pointer("/dns/last_held_microseconds");
    let milliseconds = held.and_then(Value::as_f64).unwrap_or(f64::NAN) / 1_000.0;
    let address = OK.address(Family::V4);
    // At once, and once only: the address must be enforced by the time the answer is here.
    let outcome = connect(scene, address)?;
    let resolved = answer.is_some_and(|answer| answer.address == Some(address));
    let holds = resolved && matches!(outcome, Outcome::Echoed);
    let mark = mark(
        report,
        "an allowed name resolves and its address connects at once",
        holds,
    );
    line(
        "3  names",
        &format!(
            "{mark} myservice asks {} → {address}, enforced before the answer left ({milliseconds:.2} ms)",
            name_of(&OK)
        ),
    )
}

fn forbidden(scene: &Scene<'_>, named: &Named, report: &mut Report) -> Result<(), Error> {
    let since = scene.flows.count();
    let answer = ask(scene, &EVIL)?;
    let refused = answer.is_some_and(|answer| answer.code == Rcode::REFUSED);
    let shown = scene
        .flows
        .wait_drop(since, "the refusal to be shown", PATIENCE, |flow| {
            flow.asked() == Some(name_of(&EVIL)) && named.forbidden.names(flow)
        });
    let holds = refused && !named.forbidden.passes() && shown.is_ok();
    let mark = mark(report, "a forbidden name is refused, as predicted", holds);
    let location = named.forbidden.location.as_deref().unwrap_or("?");
    line(
        "",
        &format!(
            "{mark} myservice asks {} → REFUSED by {location}",
            name_of(&EVIL)
        ),
    )
}

fn unasked(scene: &Scene<'_>, named: &Named, report: &mut Report) -> Result<(), Error> {
    let address = QUIET.address(Family::V4);
    let outcome = connect(scene, address)?;
    let holds = agrees(&outcome, &named.unasked);
    let name = "an allowed name's address that was not asked for is dropped, as predicted";
    let mark = mark(report, name, holds);
    let observed = describe(&outcome);
    line(
        "",
        &format!("{mark} myservice → {address}:{PORT} without asking → {observed}"),
    )
}

/// A connection outlives the answer it came from; once it is gone, so is the address.
fn time_over(scene: &Scene<'_>, agent: &Agent, report: &mut Report) -> Result<(), Error> {
    let address = SHORT.address(Family::V4);
    ask(scene, &SHORT)?;
    let from = scene.stage.namespace(Party::Pod(MY_SERVICE))?;
    let to: SocketAddr = (address, PORT).into();
    let label = format!("myservice → {}", name_of(&SHORT));
    let talk = Talk::open(label, from, "TCP", to, Manner::Echo)?;
    wait_for("the answer's time to be over", FORGOTTEN, || {
        remaining(agent, address).is_none_or(|seconds| seconds == 0)
    })?;
    let before = talk.received();
    let went_on = wait_for("the connection to go on", PATIENCE, || {
        talk.received() > before + 50
    });
    let went_on = went_on.is_ok() && talk.gaps() == 0 && remaining(agent, address).is_some();
    drop(talk);
    let forgotten = wait_for("the address to be forgotten", FORGOTTEN, || {
        remaining(agent, address).is_none()
    });
    let outcome = connect(scene, address)?;
    let closed = forgotten.is_ok() && matches!(outcome, Outcome::Dropped(_));
    let first = mark(report, "a connection goes on past its name's time", went_on);
    let second = mark(report, "a new one fails once none is open", closed);
    line(
        "",
        &format!(
            "{first} {} is over after {} s: its open connection goes on; {second} the next is {}",
            name_of(&SHORT),
            SHORT.name.map_or(0, |(_, seconds)| seconds),
            describe(&outcome)
        ),
    )
}

/// Seconds that an address has left by the agent's account; nothing if it is not known.
fn remaining(agent: &Agent, address: IpAddr) -> Option<u64> {
    let rows = agent.ask("fqdn cache list").ok()?;
    let address = address.to_string();
    let mut rows = rows.as_array()?.iter();
    let row = rows.find(|row| row.get("address").and_then(Value::as_str) == Some(&address))?;
    row.get("remaining_seconds")?.as_u64()
}

fn ask(scene: &Scene<'_>, host: &Host) -> Result<Option<Answer>, Error> {
    let from = scene.stage.namespace(Party::Pod(MY_SERVICE))?;
    let server: SocketAddr = (KUBE_DNS.address(Family::V4), 53).into();
    let answer = from.run(|| dns::ask(server, name_of(host), PATIENCE))?;
    answer.map_err(Error::io("a question to kube-dns"))
}

fn connect(scene: &Scene<'_>, to: IpAddr) -> Result<Outcome, Error> {
    let from = scene.stage.namespace(Party::Pod(MY_SERVICE))?;
    fire(from, to, Kind::Tcp(PORT), scene.flows)
}

fn name_of(host: &Host) -> &'static str {
    host.name.map_or("?", |(name, _)| name)
}
