//! The wire view beside hickory-proto, and beside bytes that nobody should send.

use std::error::Error;
use std::net::{Ipv4Addr, Ipv6Addr};

use hickory_proto::op::{Edns, Message as Whole, MessageType, OpCode, Query};
use hickory_proto::rr::rdata::opt::{EdnsCode, EdnsOption};
use hickory_proto::rr::rdata::{A, AAAA, CNAME, TXT};
use hickory_proto::rr::{Name, RData, Record as WholeRecord, RecordType as WholeType};
use palisade_fqdn::DnsName;
use palisade_fqdn::wire::{
    self, ErrorCode, ExtendedError, Header, Message, Mismatch, Rcode, RecordType, Unacceptable,
};
use palisade_testkit::cases;
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;

fn label() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => "[a-cA-C_-]{1,4}".prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 1..64),
    ]
}

fn name() -> impl Strategy<Value = Name> {
    prop::collection::vec(label(), 0..6)
        .prop_filter_map("too long", |labels| Name::from_labels(labels).ok())
}

fn data() -> impl Strategy<Value = RData> {
    prop_oneof![
        any::<u32>().prop_map(|bits| RData::A(A(Ipv4Addr::from(bits)))),
        any::<u128>().prop_map(|bits| RData::AAAA(AAAA(Ipv6Addr::from(bits)))),
        name().prop_map(|name| RData::CNAME(CNAME(name))),
        "[a-z]{0,20}".prop_map(|text| RData::TXT(TXT::new(vec![text]))),
    ]
}

fn record() -> impl Strategy<Value = WholeRecord> {
    (name(), any::<u32>(), data())
        .prop_map(|(name, ttl, data)| WholeRecord::from_rdata(name, ttl, data))
}

prop_compose! {
    fn message()(
        id in any::<u16>(),
        response in any::<bool>(),
        flags in any::<[bool; 4]>(),
        question in name(),
        kind in prop::sample::select(vec![WholeType::A, WholeType::AAAA, WholeType::HTTPS]),
        answers in prop::collection::vec(record(), 0..6),
        additionals in prop::collection::vec(record(), 0..2),
        payload in prop::option::of(512_u16..),
        dnssec_ok in any::<bool>(),
    ) -> Whole {
        let kind_of = if response { MessageType::Response } else { MessageType::Query };
        let mut message = Whole::new(id, kind_of, OpCode::Query);
        let [truncated, recursion, checking, authoritative] = flags;
        message.metadata.truncation = truncated;
        message.metadata.recursion_desired = recursion;
        message.metadata.checking_disabled = checking;
        message.metadata.authoritative = authoritative;
        message.add_query(Query::query(question, kind));
        message.add_answers(answers);
        message.add_additionals(additionals);
        if let Some(payload) = payload {
            let mut edns = Edns::new();
            edns.set_max_payload(payload).set_dnssec_ok(dnssec_ok);
            message.set_edns(edns);
        }
        message
    }
}

/// Whether the name is the one that hickory has read.
fn same_name(ours: &DnsName, theirs: &Name) -> bool {
    let theirs = theirs.iter().map(<[u8]>::to_ascii_lowercase);
    theirs.eq(ours.labels().map(<[u8]>::to_vec))
}

/// Compares everything that the view says about a message with what hickory has read.
fn compare(bytes: &[u8], whole: &Whole) -> TestCaseResult {
    let message = Message::parse(bytes)?;
    let header = message.header();
    prop_assert_eq!(header.id(), whole.metadata.id);
    let response = whole.metadata.message_type == MessageType::Response;
    prop_assert_eq!(header.is_response(), response);
    prop_assert_eq!(header.opcode().0, u8::from(whole.metadata.op_code));
    prop_assert_eq!(header.is_truncated(), whole.metadata.truncation);
    prop_assert_eq!(header.is_authoritative(), whole.metadata.authoritative);
    prop_assert_eq!(header.recursion_desired(), whole.metadata.recursion_desired);
    prop_assert_eq!(header.checking_disabled(), whole.metadata.checking_disabled);
    prop_assert_eq!(message.question().is_some(), whole.queries.len() == 1);
    for (question, theirs) in message.question().into_iter().zip(&whole.queries) {
        prop_assert!(same_name(question.name(), &theirs.name));
        prop_assert_eq!(question.kind().0, u16::from(theirs.query_type));
    }
    let answers: Vec<_> = message.answers().collect::<Result<_, _>>()?;
    prop_assert_eq!(answers.len(), whole.answers.len());
    for (ours, theirs) in answers.iter().zip(&whole.answers) {
        prop_assert!(same_name(&ours.name()?, &theirs.name));
        prop_assert_eq!(ours.kind().0, u16::from(theirs.record_type()));
        let ttl = if theirs.ttl > i32::MAX as u32 {
            0
        } else {
            theirs.ttl
        };
        prop_assert_eq!(ours.ttl().as_secs(), u64::from(ttl));
        match &theirs.data {
            RData::A(A(address)) => prop_assert_eq!(ours.address()?, Some((*address).into())),
            RData::AAAA(AAAA(address)) => {
                prop_assert_eq!(ours.address()?, Some((*address).into()));
            }
            RData::CNAME(CNAME(target)) => {
                prop_assert!(same_name(&ours.alias()?.unwrap_or(DnsName::root()), target));
            }
            _ => prop_assert!(ours.address()?.is_none() && ours.alias()?.is_none()),
        }
    }
    let opt = message.opt()?;
    prop_assert_eq!(opt.is_some(), whole.edns.is_some());
    for (opt, edns) in opt.iter().zip(&whole.edns) {
        prop_assert_eq!(opt.payload().max(512), edns.max_payload());
        prop_assert_eq!(opt.dnssec_ok(), edns.flags().dnssec_ok);
    }
    Ok(())
}

/// Asks for everything there is; the result does not matter.
fn exercise(bytes: &[u8]) {
    if let Some(reply) = wire::reply(bytes, Rcode::REFUSED, Some(PROHIBITED)) {
        assert!(reply.len() <= 512);
        let id = Header::parse(bytes).ok().map(|header| header.id());
        assert!(Message::parse(&reply).is_ok_and(|reply| {
            Some(reply.header().id()) == id && reply.opt().is_ok() && reply.header().is_response()
        }));
    }
    let _ = Message::parse_query(bytes).is_ok();
    let Ok(message) = Message::parse(bytes) else {
        return;
    };
    for record in message.records().flatten() {
        let _ = (
            record.name().is_ok(),
            record.alias().is_ok(),
            record.address().is_ok(),
        );
        assert!(record.data().len() < bytes.len());
    }
    if let Ok(resolution) = message.resolution() {
        assert!(resolution.addresses.len() < bytes.len() / 14);
    }
    let _ = message.opt().is_ok();
}

const PROHIBITED: ExtendedError<'static> = ExtendedError {
    code: ErrorCode::PROHIBITED,
    text: "no rule allows this name",
};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(256)))]

    #[test]
    fn the_view_reads_what_hickory_writes(whole in message()) {
        let bytes = whole.to_vec()?;
        compare(&bytes, &Whole::from_vec(&bytes)?)?;
    }

    #[test]
    fn hickory_reads_what_the_view_replies(
        whole in message(),
        code in prop::sample::select(vec![Rcode::NXDOMAIN, Rcode::REFUSED, Rcode::SERVFAIL]),
    ) {
        let query = whole.to_vec()?;
        let Some(reply) = wire::reply(&query, code, Some(PROHIBITED)) else {
            prop_assert_eq!(whole.metadata.message_type, MessageType::Response);
            return Ok(());
        };
        let reply = Whole::from_vec(&reply)?;
        prop_assert_eq!(reply.metadata.id, whole.metadata.id);
        prop_assert_eq!(u16::from(reply.metadata.response_code), u16::from(code.0));
        prop_assert_eq!(&reply.queries, &whole.queries);
        prop_assert!(reply.answers.is_empty() && reply.additionals.is_empty());
        prop_assert_eq!(reply.edns.is_some(), whole.edns.is_some());
        for (edns, asked) in reply.edns.iter().zip(&whole.edns) {
            prop_assert_eq!(edns.flags().dnssec_ok, asked.flags().dnssec_ok);
            let told = edns.option(EdnsCode::from(15));
            let bytes = [&[0, 18], PROHIBITED.text.as_bytes()].concat();
            prop_assert_eq!(told, Some(&EdnsOption::Unknown(15, bytes)));
        }
        let soa = reply.authorities.first().map(|record| (record.name.is_root(), record.ttl, &record.data));
        match soa {
            Some((true, 5, RData::SOA(soa))) => {
                prop_assert!(code == Rcode::NXDOMAIN && soa.minimum == 5);
            }
            Some(_) => prop_assert!(false, "{:?}", soa),
            None => prop_assert_ne!(code, Rcode::NXDOMAIN),
        }
    }

    #[test]
    fn what_both_can_read_they_read_alike(
        whole in message(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let mut bytes = whole.to_vec()?;
        for (place, value) in changes {
            *place.get_mut(&mut bytes) = value;
        }
        exercise(&bytes);
        let Ok(whole) = Whole::from_vec(&bytes) else { return Ok(()) };
        let readable = Message::parse(&bytes).is_ok_and(|message| {
            message.opt().is_ok()
                && message.answers().all(|record| {
                    // hickory keeps the extension record apart, in whatever section it stands.
                    record.is_ok_and(|record| {
                        record.kind() != RecordType::OPT
                            && record.name().is_ok()
                            && record.alias().is_ok()
                            && record.address().is_ok()
                            && record.class() == wire::Class::IN
                    })
                })
        });
        if readable {
            compare(&bytes, &whole)?;
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        exercise(&bytes);
    }

    #[test]
    fn no_records_make_it_panic(
        counts in any::<[u8; 4]>(),
        bytes in prop::collection::vec(prop_oneof![Just(0), Just(1), Just(0xc0), any::<u8>()], 0..200),
    ) {
        let mut message = vec![0; 4];
        for count in counts {
            message.extend([0, count % 4]);
        }
        message.extend(bytes);
        exercise(&message);
    }

    #[test]
    fn a_message_cut_anywhere_is_refused_or_read_in_part(whole in message()) {
        let bytes = whole.to_vec()?;
        for end in 0..bytes.len() {
            exercise(&bytes[..end]);
        }
    }

    #[test]
    fn a_name_reads_back_from_its_text(labels in prop::collection::vec(label(), 0..5)) {
        let mut wire = Vec::new();
        for label in &labels {
            wire.push(u8::try_from(label.len())?);
            wire.extend(label);
        }
        wire.push(0);
        prop_assume!(wire.len() <= 255);
        let name = DnsName::from_wire(&wire)?;
        prop_assert_eq!(name.as_wire(), wire.to_ascii_lowercase());
        prop_assert_eq!(DnsName::parse(&name.to_string())?, name);
    }
}

/// A response to `www.a.test` in mixed case, with these records, the answer section's only.
fn answer(records: &[&[u8]]) -> Vec<u8> {
    let count = u8::try_from(records.len()).unwrap_or_default();
    let mut bytes = b"\x12\x34\x81\x80\0\x01\0".to_vec();
    bytes.extend([count, 0, 0, 0, 0]);
    bytes.extend(b"\x03wWw\x01a\x04TEST\0\0\x01\0\x01");
    bytes.extend(records.concat());
    bytes
}

#[test]
fn an_alias_leads_from_the_question_to_the_addresses() -> Result<(), Box<dyn Error>> {
    let bytes = answer(&[
        b"\x03cdn\xc0\x10\0\x01\0\x01\0\0\0\x05\0\x04\xc0\0\x02\x01",
        b"\xc0\x0c\0\x05\0\x01\0\0\0\x09\0\x06\x03CDN\xc0\x10",
    ]);
    let found = Message::parse(&bytes)?.resolution()?;
    assert_eq!(found.addresses, ["192.0.2.1".parse::<Ipv4Addr>()?]);
    assert_eq!(found.aliases, [DnsName::parse("cdn.a.test")?]);
    assert_eq!(found.ttl.as_secs(), 5);
    Ok(())
}

#[test]
fn an_address_of_another_name_is_not_the_questions() -> Result<(), Box<dyn Error>> {
    let bytes = answer(&[
        b"\xc0\x0c\0\x01\0\x01\0\0\0\x05\0\x04\xc0\0\x02\x01",
        b"\x04evil\xc0\x10\0\x01\0\x01\0\0\0\x01\0\x04\xc0\0\x02\x02",
    ]);
    let found = Message::parse(&bytes)?.resolution()?;
    assert_eq!(found.addresses, ["192.0.2.1".parse::<Ipv4Addr>()?]);
    assert_eq!(found.ttl.as_secs(), 5);
    Ok(())
}

#[test]
fn aliases_in_a_circle_lead_nowhere() -> Result<(), Box<dyn Error>> {
    let bytes = answer(&[
        b"\xc0\x0c\0\x05\0\x01\0\0\0\x09\0\x04\x01b\xc0\x10",
        b"\x01b\xc0\x10\0\x05\0\x01\0\0\0\x09\0\x02\xc0\x0c",
    ]);
    let found = Message::parse(&bytes)?.resolution()?;
    assert!(found.addresses.is_empty());
    Ok(())
}

#[test]
fn pointers_lead_backwards_only() -> Result<(), Box<dyn Error>> {
    // The record starts at byte 28: to itself, into itself, around its label, to what follows.
    for name in [
        &b"\xc0\x1c"[..],
        b"\xc0\x1d",
        b"\x01a\xc0\x1c",
        b"\xc0\x30",
        b"\xff\xff",
    ] {
        let record = [name, b"\0\x01\0\x01\0\0\0\x05\0\x04\xc0\0\x02\x01"].concat();
        let bytes = answer(&[&record]);
        let message = Message::parse(&bytes)?;
        let record = message.answers().next().ok_or("no record")??;
        assert_eq!(
            record.name(),
            Err(wire::Error::Pointer {
                offset: record.offset()
            })
        );
    }
    let looped = b"\0\0\0\0\0\x01\0\0\0\0\0\0\xc0\x0c\0\x01\0\x01";
    assert_eq!(
        Message::parse(looped).err(),
        Some(wire::Error::Pointer { offset: 12 })
    );
    Ok(())
}

#[test]
fn an_address_has_the_length_of_its_type() -> Result<(), Box<dyn Error>> {
    let bytes = answer(&[b"\xc0\x0c\0\x01\0\x01\0\0\0\x05\0\x03\xc0\0\x02"]);
    let resolution = Message::parse(&bytes)?.resolution();
    assert!(matches!(resolution, Err(wire::Error::RecordData { .. })));
    Ok(())
}

#[test]
fn a_response_answers_the_query_it_repeats() -> Result<(), Box<dyn Error>> {
    let query = |name: &[u8]| [b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0", name, b"\0\x01\0\x01"].concat();
    let asked = query(b"\x03wWw\x01a\x04TEST\0");
    let other_case = query(b"\x03www\x01a\x04TEST\0");
    let (asked, other_case) = (Message::parse(&asked)?, Message::parse(&other_case)?);
    let question = asked.question().ok_or("no question")?;
    let response = answer(&[]);
    let response = Message::parse(&response)?;
    assert_eq!(response.check_answers(0x1234, question), Ok(()));
    assert_eq!(response.check_answers(0x1235, question), Err(Mismatch::Id));
    assert_eq!(asked.check_answers(0x1234, question), Err(Mismatch::Query));
    let other = other_case.question().ok_or("no question")?;
    assert_eq!(other.name(), question.name());
    assert_eq!(
        response.check_answers(0x1234, other),
        Err(Mismatch::Question)
    );
    // A header alone is an answer only from a server that could not read the query.
    for (code, result) in [(1, Ok(())), (4, Ok(())), (5, Err(Mismatch::Question))] {
        let bare = [0x12, 0x34, 0x80, code, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(
            Message::parse(&bare)?.check_answers(0x1234, question),
            result
        );
    }
    Ok(())
}

#[test]
fn unusual_queries_are_turned_down() {
    let query = |flags: u8, counts: [u8; 4]| {
        let [questions, answers, authorities, additionals] = counts;
        let mut bytes = vec![0, 1, flags, 0, 0, questions, 0, answers];
        bytes.extend([0, authorities, 0, additionals, 0, 0, 1, 0, 1]);
        Message::parse_query(&bytes).err()
    };
    let formerr = Some(Unacceptable::Reply(Rcode::FORMERR));
    assert_eq!(query(0x01, [1, 0, 0, 0]), None);
    assert_eq!(query(0x81, [1, 0, 0, 0]), Some(Unacceptable::Ignore));
    assert_eq!(
        query(0x28, [1, 0, 0, 0]),
        Some(Unacceptable::Reply(Rcode::NOTIMP))
    );
    assert_eq!(query(0x01, [0, 0, 0, 0]), formerr);
    assert_eq!(query(0x01, [2, 0, 0, 0]), formerr);
    assert_eq!(query(0x01, [1, 2, 0, 0]), formerr);
    assert_eq!(query(0x01, [1, 0, 0, 3]), formerr);
    // A record that is announced and not there.
    assert_eq!(query(0x01, [1, 0, 0, 1]), formerr);
    assert_eq!(
        Message::parse_query(&[0; 11]).err(),
        Some(Unacceptable::Ignore)
    );
}

#[test]
fn a_refusal_repeats_the_query_and_says_why() -> Result<(), Box<dyn Error>> {
    let mut query = Whole::new(7, MessageType::Query, OpCode::Query);
    query.metadata.recursion_desired = true;
    query.metadata.checking_disabled = true;
    query.add_query(Query::query(
        Name::from_ascii("Evil.TEST.")?,
        WholeType::AAAA,
    ));
    let plain = wire::reply(&query.to_vec()?, Rcode::REFUSED, Some(PROHIBITED)).ok_or("none")?;
    assert!(Whole::from_vec(&plain)?.edns.is_none());

    let mut edns = Edns::new();
    edns.set_dnssec_ok(true);
    query.set_edns(edns);
    let bytes = wire::reply(&query.to_vec()?, Rcode::REFUSED, Some(PROHIBITED)).ok_or("none")?;
    let refused = Whole::from_vec(&bytes)?;
    assert_eq!(u16::from(refused.metadata.response_code), 5);
    assert_eq!(refused.metadata.id, 7);
    assert!(refused.metadata.recursion_desired && refused.metadata.checking_disabled);
    assert_eq!(refused.queries, query.queries);
    let edns = refused.edns.ok_or("no extension record")?;
    assert!(edns.flags().dnssec_ok && edns.version() == 0);
    let options = Message::parse(&bytes)?
        .opt()?
        .ok_or("no extension record")?;
    assert_eq!(
        options.options(),
        b"\0\x0f\0\x1a\0\x12no rule allows this name"
    );
    // Nobody answers an answer.
    assert_eq!(wire::reply(&bytes, Rcode::REFUSED, None), None);
    Ok(())
}

#[test]
fn a_long_reason_is_cut_between_characters() -> Result<(), Box<dyn Error>> {
    let query = b"\0\x01\0\0\0\x01\0\0\0\0\0\x01\0\0\x01\0\x01\0\0\x29\x10\0\0\0\0\0\0\0";
    let text = format!("a{}", "é".repeat(100));
    let error = ExtendedError {
        code: ErrorCode::BLOCKED,
        text: &text,
    };
    let bytes = wire::reply(query, Rcode::NXDOMAIN, Some(error)).ok_or("none")?;
    let options = Message::parse(&bytes)?
        .opt()?
        .ok_or("no extension record")?;
    let said = options.options().get(6..).ok_or("no text")?;
    assert_eq!(std::str::from_utf8(said)?, format!("a{}", "é".repeat(63)));
    Ok(())
}

#[test]
fn what_cannot_be_read_is_answered_by_its_header() -> Result<(), Box<dyn Error>> {
    let query = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x09tooshort";
    let bytes = wire::reply(query, Rcode::FORMERR, None).ok_or("none")?;
    assert_eq!(bytes, b"\x12\x34\x81\x01\0\0\0\0\0\0\0\0");
    Ok(())
}
