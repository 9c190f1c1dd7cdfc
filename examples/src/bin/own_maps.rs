//! For who embeds the datapath: a program over maps of one's own, and packets through it.
//!
//! Nothing is pinned, attached or sent. Run it as root:
//!
//! ```text
//! cargo run -p palisade-examples --features kernel --bin own_maps
//! ```

use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::Duration;

use palisade_abi::{
    Cookie, DatapathConfig, EndpointId, EndpointRecord, Line, Mode, PeerClass, PeerClasses,
    PolicyId, PolicyPair, PortClass, PortIndex, Protocol, RowId, Slot, Table, TableSizes, Verdict,
    VerdictIndex, Write,
};
use palisade_datapath::{Events, Frame, Maps, Programs};
use palisade_identity::Identity;
use palisade_testkit::packet::{Packet, TCP_SYN};

const POD: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const SERVER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 7);
const LOOPBACK: u32 = 1;

fn main() -> Result<(), Box<dyn Error>> {
    let sizes = TableSizes {
        conntrack: 128,
        events: 1 << 16,
        ..TableSizes::default()
    };
    let mut maps = Maps::create(sizes)?;
    maps.apply_all(&one_endpoint())?;
    maps.apply_all(&https_to_the_world(PolicyId::new(1)))?;

    let config = DatapathConfig::new(sizes, Mode::Enforce);
    let programs = Programs::load(&maps, &config)?;
    let mut events = Events::open(&maps)?;
    for port in [443, 22] {
        let packet = Packet::tcp(at(POD, 40_000), at(SERVER, port), TCP_SYN).bytes();
        let outcome = programs.from_container.run(&Frame {
            data: &packet,
            mark: 0,
            ifindex: LOOPBACK,
        })?;
        for event in events.poll(Duration::ZERO)? {
            println!(
                "{POD} → {SERVER}:{port} {:?}, decided by rule {}",
                outcome.action,
                event.verdict.cookie(),
            );
        }
    }
    Ok(())
}

/// Test runs come in by the loopback device, so that is where the endpoint's packets come from.
fn one_endpoint() -> [Write; 2] {
    let record = EndpointRecord {
        ifindex: LOOPBACK,
        identity: 1001,
        id: 1,
        mac: [2, 0, 0, 0, 0, 1],
        node_mac: [2, 0, 0, 0, 0, 2],
        pad: [0; 2],
    };
    [
        Write::Endpoint(POD.into(), Some(record)),
        Write::PolicyOf(
            EndpointId::new(1),
            PolicyPair::new(PolicyId::default(), PolicyId::new(1)),
        ),
    ]
}

/// A policy written by hand: one peer class, one port class, one exception to default deny. The
/// compiler of `palisade-policy` writes such tables for any set of rules.
fn https_to_the_world(policy: PolicyId) -> Vec<Write> {
    let world = PeerClass::new(1);
    let https = PortClass::new(1);
    let (row, allow, deny) = (RowId::new(1), VerdictIndex::new(1), VerdictIndex::new(2));
    let (rows, cells) = (8, 8);
    vec![
        Write::Verdict(allow, Verdict::allow(Cookie::new(7))),
        Write::Verdict(deny, Verdict::default_deny(Cookie::new(5))),
        Write::CellSlot(cells + u32::from(https.get()), Slot::cell(cells, allow)),
        Write::RowLine(
            row,
            Line {
                base: cells,
                default: deny.get().into(),
            },
        ),
        Write::RowSlot(rows + world.get(), Slot::row(rows, row)),
        Write::PolicyLine(
            policy,
            Line {
                base: rows,
                default: 0,
            },
        ),
        Write::PortClass(PortIndex::new(Protocol::TCP, 443), https),
        Write::PeerClasses(
            Identity::WORLD_IPV4,
            PeerClasses::new(PeerClass::default(), world),
        ),
        Write::Generation,
    ]
}

fn at(address: Ipv4Addr, port: u16) -> SocketAddr {
    SocketAddrV4::new(address, port).into()
}
