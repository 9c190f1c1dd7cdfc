//! What is in force, and what it means.

use std::collections::BTreeMap;
use std::sync::Arc;

use palisade_abi::{Direction, EndpointId};

use super::Inputs;
use super::classes::Classes;
use super::image::Image;
use super::state::{State, policy_of};
use crate::compile::{Both, Changes, Desired, Logic, Map};
use crate::rule::{Policy, ResourceName};

/// The logic, and which classes and policies stand for what in it.
#[derive(Clone, Debug)]
pub(super) struct Engine {
    pub(super) logic: Logic,
    pub(super) classes: Both<Classes>,
    /// The policy of each side.
    pub(super) policies: Map<u32, u32>,
    /// Whether the logic knows nothing of what is in force: all of it is to be replaced.
    pub(super) found: bool,
    /// How many port spans the classes of ports are made for.
    spans: Option<usize>,
    /// How many there were when everything was counted anew: all of them meant something then.
    spans_counted: Option<usize>,
}

impl Engine {
    /// Nothing is known of what an image has in force.
    pub(super) fn found(image: &Image) -> Self {
        Self {
            logic: Logic::default(),
            classes: Both::new(|direction| Classes::found(image, direction)),
            policies: Map::default(),
            found: true,
            spans: None,
            spans_counted: None,
        }
    }

    /// What an image has in force is what was made from these inputs.
    pub(super) fn attached(inputs: &Inputs, state: &mut State, image: &Image) -> Self {
        let mut engine = Self::found(image);
        let delta = engine.logic.change(
            &inputs.desired().all(),
            &inputs.options,
            &inputs.named_ports,
        );
        engine.logic.finish(&delta);
        let logic = &engine.logic;
        let classes = Both::new(|direction| Classes::attached(image, direction, logic));
        for direction in Direction::BOTH {
            let before = engine.classes.get(direction);
            let after = classes.get(direction);
            for class in before.iter().filter(|class| !after.is_live(*class)) {
                state.classes.get_mut(direction).retire(class);
            }
        }
        let of_endpoints: BTreeMap<EndpointId, Both<u32>> = logic.of_endpoints().collect();
        for (endpoint, sides) in of_endpoints {
            let pair = image.policies_of(endpoint);
            for direction in Direction::BOTH {
                let policy = policy_of(pair, direction);
                engine.policies.insert(*sides.get(direction), policy);
            }
        }
        state.ports.attach(engine.logic.groups.runs());
        engine.classes = classes;
        engine.found = false;
        engine.ports_agree();
        engine
    }

    /// Whether ports have to be split.
    pub(super) fn ports_differ(&self) -> bool {
        self.spans != Some(self.logic.groups.span_count())
    }

    /// The classes of ports are split as far as is needed.
    pub(super) fn ports_agree(&mut self) {
        let spans = self.logic.groups.span_count();
        self.spans = Some(spans);
        self.spans_counted.get_or_insert(spans);
    }

    /// Whether more than half of the classes only double others or are empty, or most of the logic
    /// or of the port spans may mean nothing any more.
    pub(super) fn is_crowded(&self, state: &State) -> bool {
        let crowded = |groups: usize, classes: usize| classes > 2 * groups + SPARE;
        let peers = Direction::BOTH.into_iter().any(|direction| {
            let classes = self.classes.get(direction);
            classes.empty() > SPARE + classes.count() / 2
                || crowded(classes.meanings(), classes.count())
        });
        let spans = self.logic.groups.span_count();
        peers
            || crowded(state.ports.groups(), state.ports.classes())
            || crowded(self.spans_counted.unwrap_or(spans), spans)
            || self.logic.is_worn()
    }
}

impl<'a> Desired<'a> {
    /// Everything, as a change.
    pub(super) fn all(&self) -> Changes<'a> {
        let mut policies: Vec<(Arc<ResourceName>, Vec<Arc<Policy>>)> =
            Vec::with_capacity(self.policies.len());
        let mut places: Map<&ResourceName, usize> = Map::default();
        for policy in self.policies {
            let place = *places.entry(&policy.resource).or_insert(policies.len());
            if let Some((_, of_resource)) = policies.get_mut(place) {
                of_resource.push(policy.clone());
            } else {
                policies.push((policy.resource.clone(), vec![policy.clone()]));
            }
        }
        let identities = self.identities.iter();
        let endpoints = self.endpoints.iter();
        Changes {
            identities: identities
                .map(|(identity, labels)| (*identity, Some(labels)))
                .collect(),
            policies,
            endpoints: endpoints.map(|one| (one.id, Some(one))).collect(),
        }
    }
}

/// Doubles that are not worth a move.
const SPARE: usize = 64;
