//! Between the DNS proxy and the node.

use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};

use palisade_node::{DnsOutcome, Party};
use palisade_proxy::{Decision, Held, Policy, Query, Rejection, RuleToken};

use super::Message;
use super::shared::Shared;

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
        let rule = RuleToken::new(0);
        match verdict.outcome {
            DnsOutcome::Allowed => Decision::Allow {
                identity: client.identity,
                rule,
            },
            DnsOutcome::Refused => Decision::Refuse {
                rejection: Rejection::Refused,
                rule,
            },
        }
    }

    fn answer(&self, held: Held) {
        let send = self.send.lock().unwrap_or_else(PoisonError::into_inner);
        // Without an event loop the answer is given up, and so it should be.
        drop(send.send(Message::Answer(held)));
    }
}
