//! Packets one by one under `BPF_PROG_TEST_RUN`, with the cost of an empty run taken off.

use std::error::Error;
use std::mem::MaybeUninit;
use std::net::{IpAddr, SocketAddr};

use palisade_abi::{
    Cookie, DatapathConfig, EndpointId, EndpointRecord, Line, Mode, PolicyId, PolicyPair, RowId,
    Slot, Table, TableSizes, Verdict, VerdictIndex, Write,
};
use palisade_datapath::{Frame, Maps, Program, Programs, TcAction};
use palisade_testkit::packet::{Packet, TCP_ACK};

use crate::blocks;
use crate::verdict::Verdicts;

/// Test runs come in by the loopback device.
const LOOPBACK: u32 = 1;
/// A packet loses a hop with every run that delivers it.
const RUNS: i32 = 200;
const ROUNDS: usize = 50;
/// What an established packet may take, in terms of one that policy denies, which nothing remembers.
const MOST: f64 = 0.9;

/// An endpoint, another beside it, and somebody out there.
const ADDRESSES: [(&str, [&str; 3]); 2] = [
    ("IPv4", ["10.0.0.1", "10.0.0.2", "192.0.2.7"]),
    ("IPv6", ["fd00::1", "fd00::2", "2001:db8::7"]),
];

pub(crate) fn run(verdicts: &mut Verdicts) -> Result<(), Box<dyn Error>> {
    let empty = empty_run()?;
    println!("\none packet, ns (an empty run's {empty:.0} taken off)");
    for (family, addresses) in ADDRESSES {
        let addresses: Vec<IpAddr> = addresses
            .iter()
            .map(|text| text.parse())
            .collect::<Result<_, _>>()?;
        let [pod, beside, site] = addresses[..] else {
            return Err("three addresses".into());
        };
        let cost = |to, verdict, action| -> Result<f64, Box<dyn Error>> {
            let (_maps, programs) = datapath(&[pod, beside], verdict)?;
            Ok(least(&programs.from_container, (pod, to), action)? - empty)
        };
        let (allow, deny) = (
            Verdict::allow(Cookie::new(1)),
            Verdict::deny(Cookie::new(2)),
        );
        let beside = cost(beside, allow, TcAction::Redirect)?;
        let away = cost(site, allow, TcAction::Pass)?;
        let denied = cost(site, deny, TcAction::Drop)?;
        println!("  {family}  established, to the endpoint beside it  {beside:>6.0}");
        println!("  {family}  established, to the host's stack        {away:>6.0}");
        println!("  {family}  denied                                  {denied:>6.0}");
        verdicts.at_most(
            &format!("an established packet, {family}"),
            beside / denied,
            MOST,
        );
    }
    Ok(())
}

fn empty_run() -> Result<f64, Box<dyn Error>> {
    let maps = Maps::create(blocks::SIZES)?;
    let mut storage = MaybeUninit::uninit();
    let skel = blocks::load(&maps, &mut storage)?;
    let mut least = f64::INFINITY;
    for _ in 0..ROUNDS {
        let runs = u32::try_from(RUNS)?;
        least = least.min(blocks::time(&skel.progs.do_nothing, runs)?);
    }
    Ok(least)
}

fn least(
    program: &Program,
    (from, to): (IpAddr, IpAddr),
    action: TcAction,
) -> Result<f64, Box<dyn Error>> {
    let ends = (SocketAddr::new(from, 40_000), SocketAddr::new(to, 443));
    let packet = Packet::tcp(ends.0, ends.1, TCP_ACK).ttl(255).bytes();
    let frame = Frame {
        data: &packet,
        mark: 0,
        ifindex: LOOPBACK,
    };
    let mut least = f64::INFINITY;
    for _ in 0..ROUNDS {
        let outcome = program.run_repeatedly(&frame, RUNS)?;
        if outcome.action != action {
            return Err(format!("{:?} where {action:?} was to be", outcome.action).into());
        }
        least = least.min(outcome.nanoseconds.into());
    }
    Ok(least)
}

/// Endpoints whose every packet gets one verdict.
fn datapath(endpoints: &[IpAddr], verdict: Verdict) -> Result<(Maps, Programs), Box<dyn Error>> {
    let sizes = TableSizes {
        events: 1 << 16,
        ..blocks::SIZES
    };
    let mut maps = Maps::create(sizes)?;
    let record = |id| EndpointRecord {
        ifindex: LOOPBACK,
        identity: 1_000 + u32::from(id),
        id,
        mac: [2, 0, 0, 0, 0, 1],
        node_mac: [2, 0, 0, 0, 0, 2],
        pad: [0; 2],
    };
    let endpoints = endpoints.iter().zip(1..);
    let records: Vec<_> = endpoints
        .map(|(address, id)| (*address, record(id)))
        .collect();
    maps.apply_all(&writes(&records, verdict))?;
    let programs = Programs::load(&maps, &DatapathConfig::new(sizes, Mode::Enforce))?;
    Ok((maps, programs))
}

/// The writes for empty tables that give every packet of some endpoints one verdict.
pub(crate) fn writes(endpoints: &[(IpAddr, EndpointRecord)], verdict: Verdict) -> Vec<Write> {
    let (policy, row, index) = (PolicyId::new(1), RowId::new(1), VerdictIndex::new(1));
    let line = Line {
        base: 8,
        default: 0,
    };
    let mut writes = vec![
        Write::Verdict(index, verdict),
        Write::CellSlot(8, Slot::cell(8, index)),
        Write::RowLine(row, line),
        Write::RowSlot(8, Slot::row(8, row)),
        Write::PolicyLine(policy, line),
    ];
    for (address, record) in endpoints {
        let pair = PolicyPair::new(policy, policy);
        writes.extend([
            Write::PolicyOf(EndpointId::new(record.id), pair),
            Write::Endpoint((*address).into(), Some(*record)),
        ]);
    }
    writes.push(Write::Generation);
    writes
}
