//! What happens on the stage, in order.

mod change;
mod names;
mod policies;
mod probes;
mod restart;

use std::time::Instant;

use serde_json::json;

use crate::agent::Agent;
use crate::error::Error;
use crate::flows::Flows;
use crate::grid::show;
use crate::predict::{predict, questions};
use crate::probe;
use crate::report::Report;
use crate::stage::Stage;
use crate::talk::Talk;

/// Plays all of it. What disagrees stands in the report; an error ends the play.
pub(crate) fn play(report: &mut Report) -> Result<(), Error> {
    let stage = Stage::set()?;
    let mut agent = Agent::new(&stage.folder)?;
    let probes = probe::all();
    let predicted = predict(&agent.palisade, &stage.folder, &questions(&probes), "grid")?;
    let named = names::predict_all(&agent.palisade, &stage.folder)?;
    report.set("predicted", json!({"grid": predicted.1, "names": named.1}));
    // The verdicts stand in the report before anybody has an interface to send from.
    report.save()?;

    let started = Instant::now();
    let status = agent.start(&stage.node)?;
    policies::play(&agent, &status, started.elapsed(), report)?;
    let flows = Flows::default();
    let observer = flows.follow(&agent.palisade, &agent.socket)?;
    let dns = stage.start_dns()?;
    let scene = Scene {
        stage: &stage,
        flows: &flows,
    };
    probes::play(&scene, &predicted.0, report)?;
    names::play(&scene, &agent, &named.0, report)?;
    let talks = change::play(&scene, &agent, report)?;
    restart::play(&scene, &mut agent, &talks, report)?;
    drop((talks, observer));
    let clean = agent.end()?;
    report.check("the agent ends cleanly when asked to", clean);
    drop(dns);
    Ok(())
}

/// What every act uses.
struct Scene<'a> {
    stage: &'a Stage,
    flows: &'a Flows,
}

/// Prints a line of an act, under its number and name or under the line before.
fn line(head: &str, text: &str) -> Result<(), Error> {
    show(&format!("{head:<16} {text}\n"))
}

/// A mark for something that must hold, which also goes into the report.
fn mark(report: &mut Report, name: &str, holds: bool) -> &'static str {
    if report.check(name, holds) {
        "✓"
    } else {
        "✗"
    }
}

/// Those that end by themselves or lack something that was sent.
fn harmed(talks: &[Talk]) -> usize {
    talks
        .iter()
        .filter(|talk| talk.is_broken() || talk.gaps() > 0)
        .count()
}
