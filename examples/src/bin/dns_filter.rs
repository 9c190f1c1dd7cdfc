//! The DNS filter inside a proxy: queries as bytes in, decisions and refusals as bytes out.
//!
//! ```text
//! cargo run --bin dns_filter                      a few queries of our own
//! cargo run --bin dns_filter www.domain.com       the names you give
//! ```
//!
//! Needs neither root nor a kernel nor a network: a proxy would read the bytes from its sockets.

use std::error::Error;

use palisade_fqdn::wire::{
    self, ErrorCode, ExtendedError, Message, Rcode, RecordType, Unacceptable,
};
use palisade_fqdn::{Decision, DnsName, Filter, Level, MatchPattern};

/// What the rules of a query depend on: who asks, and which kind of server.
type Key = (&'static str, &'static str);

const CLIENT: Key = ("shop/cart", "kube-dns");

fn main() -> Result<(), Box<dyn Error>> {
    let filter = rules()?;
    let names: Vec<String> = std::env::args().skip(1).collect();
    let queries = if names.is_empty() {
        sample()?
    } else {
        let names = names.iter().map(|name| DnsName::parse(name));
        names
            .map(|name| name.map(|name| query(&name)))
            .collect::<Result<_, _>>()?
    };
    for query in &queries {
        println!("{}", handle(&filter, query));
    }
    Ok(())
}

/// Each rule with the place in the file that it stands for.
fn rules() -> Result<Filter<Key, &'static str>, Box<dyn Error>> {
    let mut filter = Filter::new();
    filter.set(
        CLIENT,
        [
            (
                MatchPattern::parse("*.domain.com", Level::Cluster)?,
                "policies/shop.yaml:9",
            ),
            (
                MatchPattern::parse_name("api.partner.test", Level::Cluster)?,
                "policies/shop.yaml:10",
            ),
            (
                MatchPattern::parse("**.svc.cluster.local", Level::Cluster)?,
                "policies/shop.yaml:11",
            ),
        ],
    );
    Ok(filter)
}

/// What a proxy does with a datagram, in words.
fn handle(filter: &Filter<Key, &str>, bytes: &[u8]) -> String {
    let query = match Message::parse_query(bytes) {
        Ok(query) => query,
        Err(Unacceptable::Ignore) => return format!("{:<34} ignored", "not a query"),
        Err(Unacceptable::Reply(code)) => {
            let reply = wire::reply(bytes, code, None).unwrap_or_default();
            return format!("{:<34} {code} ({} bytes)", "unreadable", reply.len());
        }
    };
    let Some(question) = query.question() else {
        return format!("{:<34} ignored", "no question");
    };
    let asked = format!("{} {}", question.name(), question.kind());
    match filter.decide([&CLIENT], question.name()) {
        Decision::Allow { rule } => format!("{asked:<34} forwarded as it is: {rule}"),
        Decision::Refuse => {
            let error = ExtendedError {
                code: ErrorCode::PROHIBITED,
                text: "no rule allows this name",
            };
            let reply = wire::reply(bytes, Rcode::REFUSED, Some(error)).unwrap_or_default();
            format!(
                "{asked:<34} {} ({} bytes): {}",
                Rcode::REFUSED,
                reply.len(),
                error.text
            )
        }
    }
}

fn sample() -> Result<Vec<Vec<u8>>, Box<dyn Error>> {
    let mut queries = Vec::new();
    for name in [
        "ok.domain.com",
        "a.b.domain.com",
        "API.Partner.TEST",
        "pay.shop.svc.cluster.local",
        "evil.test",
        r"ok\.domain.com",
    ] {
        queries.push(query(&DnsName::parse(name)?));
    }
    let mut response = query(&DnsName::parse("ok.domain.com")?);
    if let Some(flags) = response.get_mut(2) {
        *flags |= 0x80;
    }
    queries.push(response);
    // A question whose name points to itself.
    queries.push(b"\0\x02\x01\0\0\x01\0\0\0\0\0\0\xc0\x0c\0\x01\0\x01".to_vec());
    Ok(queries)
}

/// A query for the addresses of a name, as a stub resolver with EDNS sends it.
fn query(name: &DnsName) -> Vec<u8> {
    let mut bytes = b"\0\x01\x01\0\0\x01\0\0\0\0\0\x01".to_vec();
    bytes.extend(name.as_wire());
    bytes.extend(RecordType::A.0.to_be_bytes());
    bytes.extend(b"\0\x01");
    bytes.extend(b"\0\0\x29\x04\xd0\0\0\0\0\0\0");
    bytes
}
