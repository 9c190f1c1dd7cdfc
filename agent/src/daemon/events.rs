//! From the kernel's event ring to named flows.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use palisade_abi::{Cookie, EndpointId, Identity};
use palisade_datapath::Events;
use palisade_identity::LabelSet;
use palisade_node::Node;
use palisade_observe::{EndpointName, Flow, Origin, Resolver};

use super::shared::Shared;
use super::time;

/// How long the reader waits before it looks at the clock again.
const PATIENCE: Duration = Duration::from_secs(1);

/// Reads events for as long as the process lives.
pub(super) fn start(mut events: Events, shared: Arc<Shared>) -> io::Result<()> {
    let read = move || {
        loop {
            match events.poll(PATIENCE) {
                Ok(batch) => {
                    // The wall clock may be set while we run.
                    let boot = time::boot();
                    let node = shared.node();
                    let names = Names(&node);
                    let flows: Vec<Flow> = batch
                        .iter()
                        .filter_map(|event| Flow::from_event(event, boot, &names).ok())
                        .collect();
                    drop(node);
                    for flow in flows {
                        shared.flows.push(flow);
                    }
                }
                Err(error) => {
                    shared.trouble("events", error.to_string());
                    thread::sleep(PATIENCE);
                }
            }
        }
    };
    thread::Builder::new().name("events".into()).spawn(read)?;
    Ok(())
}

/// The node's names for the numbers of an event.
pub(super) struct Names<'a>(pub(super) &'a Node);

impl Resolver for Names<'_> {
    fn labels(&self, identity: Identity) -> Option<LabelSet> {
        self.0.identities().get(&identity).cloned()
    }

    fn endpoint(&self, address: IpAddr) -> Option<EndpointName> {
        let member = self.0.endpoint_at(address)?;
        Some(EndpointName::from(&*member.endpoint.name))
    }

    fn endpoint_by_id(&self, id: EndpointId) -> Option<EndpointName> {
        let member = self.0.endpoints().find(|member| member.id == id)?;
        Some(EndpointName::from(&*member.endpoint.name))
    }

    fn dns_names(&self, address: IpAddr) -> Vec<String> {
        let names = self.0.names_of(address);
        names.map(ToString::to_string).collect()
    }

    fn origin(&self, cookie: Cookie) -> Option<Origin> {
        let origin = self.0.origin(cookie)?;
        Some(Origin::new(
            origin.location.to_string(),
            origin.description.to_string(),
        ))
    }
}
