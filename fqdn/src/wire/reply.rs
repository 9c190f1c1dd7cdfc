//! Answers given without a server.

use super::{Class, ErrorCode, Header, Message, Question, Rcode, RecordType};

/// Why an answer is an error, for whoever looks into it (RFC 8914).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ExtendedError<'a> {
    /// What kind of reason it is.
    pub code: ErrorCode,
    /// The reason in words; may be empty. What exceeds 128 bytes is cut off.
    pub text: &'a str,
}

/// Makes the answer to a query that says no more than a code, without a server.
///
/// It repeats the id, the operation, the flags RD and CD, and the question byte for byte. A query
/// with an extension record gets one back, with the extended error if one is given. Of a query
/// that cannot be read to the end, what can be read is repeated.
///
/// That a name does not exist ([`Rcode::NXDOMAIN`]) is told with an SOA record, without which a
/// client may not keep it (RFC 2308): for five seconds, so that a rule which comes to allow the
/// name is soon heard of.
///
/// `None` if nobody waits for an answer: the bytes are a response, or shorter than a header.
///
/// ```
/// use palisade_fqdn::wire::{self, Message, Rcode};
///
/// let query = b"\x12\x34\x01\x00\0\x01\0\0\0\0\0\0\x04EVIL\x04test\0\0\x01\0\x01";
/// let refused = wire::reply(query, Rcode::REFUSED, None).unwrap();
/// let refused = Message::parse(&refused)?;
/// assert_eq!(refused.header().rcode(), Rcode::REFUSED);
/// let question = Message::parse(query)?.question().cloned().unwrap();
/// assert_eq!(refused.check_answers(0x1234, &question), Ok(()));
/// # Ok::<(), wire::Error>(())
/// ```
pub fn reply(query: &[u8], rcode: Rcode, error: Option<ExtendedError<'_>>) -> Option<Vec<u8>> {
    let header = Header::parse(query).ok()?;
    if header.is_response() {
        return None;
    }
    let message = Message::parse(query).ok();
    let question = message.as_ref().and_then(Message::question);
    let opt = message.as_ref().and_then(|message| message.opt().ok()?);

    let repeated = Header::OPCODE | Header::RECURSION_DESIRED | Header::CHECKING_DISABLED;
    let flags = Header::RESPONSE | header.flags() & repeated | u16::from(rcode.0 & 0x0f);
    let negative = rcode == Rcode::NXDOMAIN && question.is_some();
    let counts = [
        u16::from(question.is_some()),
        0,
        u16::from(negative),
        u16::from(opt.is_some()),
    ];
    let mut bytes = Vec::with_capacity(ROOM);
    for word in [header.id(), flags].into_iter().chain(counts) {
        bytes.extend(word.to_be_bytes());
    }
    bytes.extend(question.map(Question::as_bytes).unwrap_or_default());
    if negative {
        push_soa(&mut bytes);
    }
    if let Some(opt) = opt {
        push_opt(&mut bytes, opt.dnssec_ok(), error);
    }
    Some(bytes)
}

/// The start of a zone above every name, of nobody in particular.
fn push_soa(bytes: &mut Vec<u8>) {
    bytes.push(0);
    bytes.extend(RecordType::SOA.0.to_be_bytes());
    bytes.extend(Class::IN.0.to_be_bytes());
    bytes.extend(NEGATIVE_TTL.to_be_bytes());
    bytes.extend(SOA_DATA.to_be_bytes());
    bytes.extend([0, 0]);
    for number in [1, NEGATIVE_TTL, NEGATIVE_TTL, NEGATIVE_TTL, NEGATIVE_TTL] {
        bytes.extend(number.to_be_bytes());
    }
}

fn push_opt(bytes: &mut Vec<u8>, dnssec_ok: bool, error: Option<ExtendedError<'_>>) {
    bytes.push(0);
    bytes.extend(RecordType::OPT.0.to_be_bytes());
    bytes.extend(PAYLOAD.to_be_bytes());
    // RFC 3225: the flag of the query is repeated.
    bytes.extend([0, 0, if dnssec_ok { 0x80 } else { 0 }, 0]);
    let Some(error) = error else {
        bytes.extend([0, 0]);
        return;
    };
    let text = cut(error.text);
    // At most 6 and 128 bytes: see `cut`.
    let length = u16::try_from(2 + text.len()).unwrap_or_default();
    bytes.extend((4 + length).to_be_bytes());
    bytes.extend(EXTENDED_ERROR.to_be_bytes());
    bytes.extend(length.to_be_bytes());
    bytes.extend(error.code.0.to_be_bytes());
    bytes.extend(text.as_bytes());
}

fn cut(text: &str) -> &str {
    let end = (0..=LONGEST_TEXT.min(text.len()))
        .rev()
        .find(|&end| text.is_char_boundary(end));
    end.and_then(|end| text.get(..end)).unwrap_or_default()
}

/// What fits into a packet on any path, as resolvers agreed in 2020.
const PAYLOAD: u16 = 1232;
const EXTENDED_ERROR: u16 = 15;
/// With the longest name a reply stays below the 512 bytes that every client takes.
const LONGEST_TEXT: usize = 128;
const ROOM: usize = 512;
/// Seconds for which a client may remember that a name does not exist.
const NEGATIVE_TTL: u32 = 5;
/// Two names of one byte and five numbers.
const SOA_DATA: u16 = 2 + 5 * 4;
const _: () =
    assert!(Header::LENGTH + 255 + 4 + 11 + SOA_DATA as usize + 11 + 6 + LONGEST_TEXT <= ROOM);
