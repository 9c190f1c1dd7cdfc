//! Bytes of a DNS message, whatever they are: read in part, answered, never a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use palisade_fqdn::DnsName;
use palisade_fqdn::wire::{self, ErrorCode, ExtendedError, Message, Rcode};

fuzz_target!(|bytes: &[u8]| {
    let error = ExtendedError {
        code: ErrorCode::PROHIBITED,
        text: "no rule allows this name",
    };
    if let Some(reply) = wire::reply(bytes, Rcode::REFUSED, Some(error)) {
        let reply = Message::parse(&reply).expect("a reply can be read");
        assert!(reply.header().is_response());
        assert!(reply.opt().is_ok());
        assert_eq!(reply.header().id().to_be_bytes(), bytes[..2]);
    }
    if let Ok(query) = Message::parse_query(bytes) {
        let question = query.question().expect("a query has a question");
        let end = wire::Header::LENGTH + question.as_bytes().len();
        assert_eq!(question.as_bytes(), &bytes[wire::Header::LENGTH..end]);
    }
    let Ok(message) = Message::parse(bytes) else {
        return;
    };
    for record in message.records().flatten() {
        for name in [record.name().ok(), record.alias().ok().flatten()]
            .into_iter()
            .flatten()
        {
            assert!(name.as_wire().len() <= 255);
            assert_eq!(DnsName::parse(&name.to_string()), Ok(name));
        }
        let _ = record.address().is_ok();
    }
    if let Ok(resolution) = message.resolution() {
        assert!(resolution.addresses.len() <= usize::from(message.header().answers()));
    }
});
