//! The plain walk agrees with the vectors: what the compiler is held against is right itself.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that meets something unexpected fails"
)]

#[path = "../../policy-engine/tests/support/walk.rs"]
mod walk;

use std::path::Path;

use palisade_abi::{Action, Direction, EndpointId, Protocol};
use palisade_examples::conformance::{Engine, Scenario, run_file};
use palisade_identity::Identity;

struct Walk(Scenario);

impl Engine for Walk {
    fn new(scenario: &Scenario) -> Result<Self, String> {
        Ok(Self(scenario.clone()))
    }

    fn verdict(
        &self,
        endpoint: EndpointId,
        direction: Direction,
        peer: Identity,
        protocol: Protocol,
        port: u16,
    ) -> Action {
        let Self(scenario) = self;
        let own = scenario
            .endpoints
            .iter()
            .find(|own| own.id == endpoint)
            .unwrap();
        let other = match scenario.identities.get(&peer) {
            Some(labels) => walk::Other::Known(labels),
            None => walk::Other::Unknown,
        };
        walk::verdict(
            scenario.policies.iter().map(AsRef::as_ref),
            &scenario.options,
            &scenario.identities[&own.identity],
            direction,
            other,
            protocol,
            port,
        )
    }
}

#[test]
fn the_plain_walk_agrees_with_every_modelled_vector() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/policy");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert_eq!(files.len(), 20);
    let mut failed = Vec::new();
    for file in files {
        let report = run_file::<Walk>(&file).unwrap();
        println!("{}: {report}", file.file_name().unwrap().display());
        failed.extend(report.failed);
    }
    assert!(failed.is_empty(), "{failed:#?}");
}
