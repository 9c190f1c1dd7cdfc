use std::time::{Duration, Instant};

use palisade_testkit::wait_for;
use serde_json::json;

use crate::agent::Agent;
use crate::error::Error;
use crate::report::Report;
use crate::talk::Talk;

use super::{Scene, harmed, line, mark};

const PATIENCE: Duration = Duration::from_secs(10);
/// How much every connection says while the agent is gone, and again once it is back.
const WORDS: u64 = 30;

/// Kills the agent under traffic and starts it again.
pub(super) fn play(
    scene: &Scene<'_>,
    agent: &mut Agent,
    talks: &[Talk],
    report: &mut Report,
) -> Result<(), Error> {
    agent.kill()?;
    let without = go_on(talks);
    let start = Instant::now();
    agent.start(&scene.stage.node)?;
    let seconds = start.elapsed().as_secs_f64();
    let with = go_on(talks);
    let lost = harmed(talks);
    let gaps: u64 = talks.iter().map(Talk::gaps).sum();
    report.set(
        "restart",
        json!({"connections": talks.len(), "lost": lost, "gaps": gaps,
        "seconds_to_ready": seconds}),
    );
    let holds = without && with && lost == 0;
    let mark = mark(
        report,
        "connections live through the agent's death and its next start",
        holds,
    );
    line(
        "5  restart",
        &format!(
            "{mark} agent killed and started under traffic: {lost} of {} connections lost, \
             {gaps} packets out of line",
            talks.len()
        ),
    )
}

/// Whether every connection says something more.
fn go_on(talks: &[Talk]) -> bool {
    let before: Vec<u64> = talks.iter().map(Talk::received).collect();
    let pairs = || talks.iter().zip(&before);
    wait_for("all connections to go on", PATIENCE, || {
        pairs().all(|(talk, before)| talk.received() >= before + WORDS)
    })
    .is_ok()
}
