use serde_json::json;

use crate::error::Error;
use crate::grid::{self, Cell};
use crate::predict::Prediction;
use crate::probe::{Probe, SOURCES, TARGETS};
use crate::report::Report;
use crate::shot::{Outcome, fire};

use super::{Scene, line};

/// Fires every probe and compares what becomes of it with what was predicted.
pub(super) fn play(
    scene: &Scene<'_>,
    predictions: &[Prediction],
    report: &mut Report,
) -> Result<(), Error> {
    line(
        "2  probes",
        "● passes  ○ is dropped  ✓ as predicted, over IPv4 and IPv6",
    )?;
    grid::head()?;
    let mut predictions = predictions.iter();
    let mut differences = Vec::new();
    for (index, from) in SOURCES.iter().enumerate() {
        grid::row(index)?;
        for target in TARGETS {
            let mut fired = Vec::new();
            for (probe, prediction) in Probe::of_cell(*from, target).iter().zip(&mut predictions) {
                let result = shoot(scene, probe, prediction, report)?;
                if !result.agrees {
                    differences.push(result.text.clone());
                }
                fired.push(result);
            }
            grid::cell(merge(&fired))?;
        }
        grid::end_row()?;
    }
    for difference in differences {
        line("", &format!("✗ {difference}"))?;
    }
    Ok(())
}

struct Fired {
    passed: bool,
    agrees: bool,
    text: String,
}

fn shoot(
    scene: &Scene<'_>,
    probe: &Probe,
    prediction: &Prediction,
    report: &mut Report,
) -> Result<Fired, Error> {
    let from = scene.stage.namespace(probe.from)?;
    let to = probe.to.address(probe.family);
    let outcome = fire(from, to, probe.kind, scene.flows)?;
    let agrees = agrees(&outcome, prediction);
    let observed = describe(&outcome);
    let passed = matches!(outcome, Outcome::Echoed);
    let mut value = probe.question();
    if let Some(value) = value.as_object_mut() {
        value.insert("predicted".to_owned(), json!(predicted(prediction)));
        value.insert("observed".to_owned(), json!(observed));
        value.insert("agrees".to_owned(), json!(agrees));
    }
    report.probe(agrees, !passed, value);
    Ok(Fired {
        passed,
        agrees,
        text: format!(
            "{} → {} {} {}: predicted {}, observed {observed}",
            probe.from.asked_as(probe.family),
            probe.to.asked_as(probe.family),
            probe.kind.label(),
            probe.kind.protocol(probe.family),
            predicted(prediction),
        ),
    })
}

/// A probe that is to pass counts with its echo only, one that is not with its own drop only, by
/// the line and column that the offline verdict names.
pub(super) fn agrees(outcome: &Outcome, prediction: &Prediction) -> bool {
    match outcome {
        Outcome::Echoed => prediction.passes(),
        Outcome::Dropped(flow) => !prediction.passes() && prediction.names(flow),
        Outcome::Refused | Outcome::Lost => false,
    }
}

fn predicted(prediction: &Prediction) -> String {
    if prediction.passes() {
        return "passes".to_owned();
    }
    format!(
        "dropped by {}",
        prediction.location.as_deref().unwrap_or("no rule")
    )
}

pub(super) fn describe(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Echoed => "passes".to_owned(),
        Outcome::Dropped(flow) => {
            format!("dropped by {}", flow.decided_by().unwrap_or("no rule"))
        }
        Outcome::Refused => "refused".to_owned(),
        Outcome::Lost => "neither echo nor drop".to_owned(),
    }
}

/// One cell for both families.
fn merge(fired: &[Fired]) -> Option<Cell> {
    let first = fired.first()?;
    let same = fired.iter().all(|one| one.passed == first.passed);
    Some(Cell {
        passed: same.then_some(first.passed),
        agrees: fired.iter().all(|one| one.agrees),
    })
}
