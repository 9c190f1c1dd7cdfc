//! The plain walk agrees with the vectors: what the compiler is held against is right itself.

#![expect(
    clippy::unwrap_used,
    reason = "a test that meets something unexpected fails"
)]

#[path = "../../policy-engine/tests/support/walk.rs"]
mod walk;

use std::path::Path;

use palisade_abi::{Direction, EndpointId, Protocol};
use palisade_examples::conformance::{Engine, Found, Scenario, run_file};
use palisade_identity::Identity;
use palisade_policy::filters;

struct Walk(Scenario);

impl Engine for Walk {
    fn new(scenario: &Scenario) -> Result<Self, String> {
        Ok(Self(scenario.clone()))
    }

    fn is_void(&self, endpoint: EndpointId) -> bool {
        let Self(scenario) = self;
        let labels = scenario.endpoints.iter().find(|own| own.id == endpoint);
        let labels = &labels.unwrap().labels;
        let rules = scenario.policies.iter().flat_map(|policy| &policy.rules);
        let rules = rules.filter(|rule| rule.subject.selects(labels));
        Direction::BOTH.into_iter().any(|direction| {
            let of = rules.clone().filter(|rule| rule.direction == direction);
            filters::check(direction, of).is_err()
        })
    }

    fn verdict(
        &self,
        endpoint: EndpointId,
        direction: Direction,
        peer: Identity,
        protocol: Protocol,
        port: u16,
    ) -> Found {
        if self.is_void(endpoint) {
            return found(walk::DENIED);
        }
        let Self(scenario) = self;
        let own = scenario.endpoints.iter().find(|own| own.id == endpoint);
        let other = scenario.identities.get(&peer);
        let packet = walk::Packet {
            endpoint: own.unwrap(),
            direction,
            other: other.map_or(walk::Other::Unknown, walk::Other::Known),
            protocol,
            port,
        };
        let walked = walk::verdict(&scenario.desired(), packet);
        found(walked)
    }
}

fn found(walked: walk::Walked) -> Found {
    Found {
        action: walked.action,
        proxy_port: walked.proxy,
        auth: walked.auth,
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
