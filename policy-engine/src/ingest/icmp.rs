//! `icmps`: types of ICMP messages, by number or name.

use palisade_abi::Protocol;

use super::error::Cause;
use super::ports::MAX_ITEMS;
use super::reader::{Field, Reader};
use super::warning::Doubt;
use crate::options::Level;
use crate::rule::{PortMatch, PortRule};
use crate::yaml::{Meaning, Node, Value};

/// Reads an item of `icmps`; one without fields matches nothing.
pub(super) fn item<'a>(reader: &mut Reader<'a>, node: Node<'a>) -> Option<Vec<PortRule>> {
    let fields = reader.fields(node, &[Field::Known("fields")])?;
    let Some(entry) = fields.get("fields") else {
        return Some(Vec::new());
    };
    reader.field(entry, |reader, node| {
        let found = reader.list(node)?.len();
        if found > MAX_ITEMS {
            let max = MAX_ITEMS;
            reader.refuse(entry.key_span, Cause::TooMany { found, max });
        }
        let rules = reader.items(node, message)?;
        Some(rules.into_iter().flatten().collect())
    })
}

/// A family and a type; nothing for a type that no message can have.
fn message<'a>(reader: &mut Reader<'a>, node: Node<'a>) -> Option<Vec<PortRule>> {
    let fields = reader.fields(node, &MESSAGE)?;
    let protocol = match fields.get("family") {
        Some(entry) => reader.field(entry, |reader, node| {
            if reader.is_absent_text(node) {
                return Some(Protocol::ICMP);
            }
            reader.one_of(node, "the family", &FAMILIES)
        })?,
        None => Protocol::ICMP,
    };
    let Some(entry) = fields.get("type") else {
        reader.refuse(fields.span, Cause::Missing { field: "type" });
        return None;
    };
    let ports = match reader.field(entry, |reader, node| number(reader, node, protocol))? {
        // Upstream keeps types as ports, and so 0, the echo reply, has become every type.
        0 => {
            reader.field(entry, |reader, node| {
                reader.doubt(node.span, Doubt::EveryIcmpType);
            });
            PortRule::EVERY_PORT
        }
        number @ 1..=255 => number..=number,
        number @ 256.. => {
            let doubt = Doubt::NoIcmpType { number };
            reader.field(entry, |reader, node| reader.doubt(node.span, doubt));
            return Some(Vec::new());
        }
    };
    Some(vec![PortRule {
        protocol,
        ports: PortMatch::Numbers(ports),
        redirect: None,
        location: reader.location(node.span.start),
    }])
}

/// The number of a type; above 255 only at the level of the agent, which lets that pass.
fn number<'a>(reader: &mut Reader<'a>, node: Node<'a>, protocol: Protocol) -> Option<u16> {
    let scalar = match &node.value {
        Value::Scalar(scalar) => scalar,
        Value::Mapping(_) | Value::Sequence(_) => {
            return reader.wrong_type(node, "a type, by number or name");
        }
    };
    let number = match scalar.meaning() {
        Meaning::Integer(number) => Some(number),
        Meaning::Text => scalar.text.parse().ok(),
        Meaning::Boolean(_) | Meaning::Null | Meaning::Number | Meaning::Word => {
            return reader.wrong_type(node, "a type, by number or name");
        }
    };
    let names = if protocol == Protocol::ICMP {
        NAMES_V4
    } else {
        NAMES_V6
    };
    let Some(number) = number else {
        return reader.one_of(node, "the type", names);
    };
    match (u16::try_from(number), reader.options.level) {
        (Ok(number), Level::Agent) => Some(number),
        (Ok(number), Level::Cluster) if number < 256 => Some(number),
        (Ok(_) | Err(_), _) => reader.wrong_type(node, "a type from 0 to 255"),
    }
}

const MESSAGE: [Field; 2] = [Field::Known("family"), Field::Known("type")];

const FAMILIES: [(&str, Protocol); 2] = [("IPv4", Protocol::ICMP), ("IPv6", Protocol::ICMPV6)];

const NAMES_V4: &[(&str, u16)] = &[
    ("EchoReply", 0),
    ("DestinationUnreachable", 3),
    ("Redirect", 5),
    ("Echo", 8),
    ("EchoRequest", 8),
    ("RouterAdvertisement", 9),
    ("RouterSelection", 10),
    ("TimeExceeded", 11),
    ("ParameterProblem", 12),
    ("Timestamp", 13),
    ("TimestampReply", 14),
    ("Photuris", 40),
    ("ExtendedEchoRequest", 42),
    ("ExtendedEchoReply", 43),
];

const NAMES_V6: &[(&str, u16)] = &[
    ("DestinationUnreachable", 1),
    ("PacketTooBig", 2),
    ("TimeExceeded", 3),
    ("ParameterProblem", 4),
    ("EchoRequest", 128),
    ("EchoReply", 129),
    ("MulticastListenerQuery", 130),
    ("MulticastListenerReport", 131),
    ("MulticastListenerDone", 132),
    ("RouterSolicitation", 133),
    ("RouterAdvertisement", 134),
    ("NeighborSolicitation", 135),
    ("NeighborAdvertisement", 136),
    ("RedirectMessage", 137),
    ("RouterRenumbering", 138),
    ("ICMPNodeInformationQuery", 139),
    ("ICMPNodeInformationResponse", 140),
    ("InverseNeighborDiscoverySolicitation", 141),
    ("InverseNeighborDiscoveryAdvertisement", 142),
    ("HomeAgentAddressDiscoveryRequest", 144),
    ("HomeAgentAddressDiscoveryReply", 145),
    ("MobilePrefixSolicitation", 146),
    ("MobilePrefixAdvertisement", 147),
    ("DuplicateAddressRequestCodeSuffix", 157),
    ("DuplicateAddressConfirmationCodeSuffix", 158),
    ("ExtendedEchoRequest", 160),
    ("ExtendedEchoReply", 161),
];
