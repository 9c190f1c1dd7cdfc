//! Between the DNS proxy and the node.

use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use palisade_abi::{DropReason, Mode};
use palisade_node::{DnsOutcome, DnsVerdict, Member, Node, Party};
use palisade_observe::{DnsQuery, Flow, Origin, Outcome, Timestamp};
use palisade_proxy::{Decision, Held, Policy, Query, Rejection, RuleToken};

use super::events::Names;
use super::shared::Shared;
use super::{Message, time};
use crate::config;

/// Judges queries by the node's rules and hands answers to the event loop.
#[derive(Debug)]
pub(super) struct DnsPolicy {
    shared: Arc<Shared>,
    send: Mutex<Sender<Message>>,
}

impl DnsPolicy {
    pub(super) fn new(shared: Arc<Shared>, send: Sender<Message>) -> Self {
        Self {
            shared,
            send: Mutex::new(send),
        }
    }
}

impl Policy for DnsPolicy {
    fn decide(&self, query: &Query<'_>) -> Decision {
        let node = self.shared.node();
        let Some(client) = node.endpoint_at(query.client.ip()) else {
            // It left while its query was on the way.
            return Decision::ServFail;
        };
        let verdict = node.dns_verdict(
            &Party::Address(query.client.ip()),
            &Party::Address(query.server.ip()),
            query.protocol,
            query.server.port(),
            query.name,
        );
        let outcome = match (verdict.outcome, self.shared.config.mode) {
            (DnsOutcome::Allowed, _) => Outcome::Forwarded,
            (DnsOutcome::Refused, Mode::Audit) => Outcome::Audited,
            (DnsOutcome::Refused, Mode::Enforce) => Outcome::Dropped(DropReason::Policy),
        };
        let identity = client.identity;
        let flow = report(&node, client, query, &verdict, outcome);
        drop(node);
        self.shared.flows.push(flow);
        // Rules have no numbers of their own; the flow names the line.
        let rule = RuleToken::new(0);
        if matches!(outcome, Outcome::Dropped(_)) {
            Decision::Refuse {
                rejection: match self.shared.config.dns.rejection(query.name) {
                    config::Rejection::Nxdomain => Rejection::NxDomain,
                    config::Rejection::Refused => Rejection::Refused,
                },
                rule,
            }
        } else {
            Decision::Allow { identity, rule }
        }
    }

    fn answer(&self, held: Held) {
        let send = self.send.lock().unwrap_or_else(PoisonError::into_inner);
        // Without an event loop the answer is given up, and so it should be.
        drop(send.send(Message::Answer(held, Instant::now())));
    }
}

fn report(
    node: &Node,
    client: &Member,
    query: &Query<'_>,
    verdict: &DnsVerdict,
    outcome: Outcome,
) -> Flow {
    let location = verdict.location.as_ref();
    let query = palisade_observe::Query {
        time: Timestamp::from_boot(time::boot(), time::now()),
        outcome,
        client: query.client,
        client_identity: client.identity,
        endpoint: client.id,
        server: query.server,
        server_identity: node.identity_of(query.server.ip()),
        protocol: query.protocol,
        question: DnsQuery {
            name: query.name.to_string(),
            record: query.qtype.to_string(),
        },
        origin: location.map(|location| Origin::new(location.to_string(), "rules.dns")),
    };
    Flow::from_query(query, &Names(node))
}
