use std::net::SocketAddr;

use palisade_abi::{Cookie, Direction, EndpointId, Identity, Protocol};

use crate::flow::{Decider, Flow, Heading, Outcome, Peer};
use crate::resolve::{Origin, Resolver};
use crate::timestamp::Timestamp;
use crate::transport::{TcpFlags, Transport};

/// A question that the DNS proxy judged.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct DnsQuery {
    /// The name that was asked for.
    pub name: String,
    /// The type of the record: `A`, `AAAA`, ...
    pub record: String,
}

/// What the DNS proxy reports of a question.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Query {
    /// When it came.
    pub time: Timestamp,
    /// What became of it.
    pub outcome: Outcome,
    /// Who asked.
    pub client: SocketAddr,
    /// The client's identity.
    pub client_identity: Identity,
    /// The client's endpoint.
    pub endpoint: EndpointId,
    /// Whom it asked.
    pub server: SocketAddr,
    /// The server's identity.
    pub server_identity: Identity,
    /// UDP or TCP.
    pub protocol: Protocol,
    /// The question.
    pub question: DnsQuery,
    /// The rule that decided. The proxy's rules have no cookies.
    pub origin: Option<Origin>,
}

impl Flow {
    /// The flow that the DNS proxy reports.
    pub fn from_query(query: Query, resolver: &dyn Resolver) -> Self {
        let peer = |end: SocketAddr, identity| Peer::resolve(end.ip(), identity, resolver);
        Self {
            time: query.time,
            outcome: query.outcome,
            direction: Direction::Egress,
            heading: Heading::Original,
            source: peer(query.client, query.client_identity),
            destination: peer(query.server, query.server_identity),
            transport: Transport::new(
                query.protocol,
                query.client.port(),
                query.server.port(),
                TcpFlags::default(),
            ),
            decided_by: query.origin.map(|origin| Decider {
                cookie: Cookie::default(),
                origin: Some(origin),
            }),
            endpoint: Some((query.endpoint, resolver.endpoint_by_id(query.endpoint))),
            dns: Some(query.question),
            interface: 0,
            length: 0,
        }
    }
}
