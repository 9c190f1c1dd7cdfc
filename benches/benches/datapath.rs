//! Nanoseconds per packet under `BPF_PROG_TEST_RUN`, whose own cost, some 35 ns, is included.
//!
//! Beside it stand the figures of `notes/datapath.md`: a live local packet of Cilium's program costs
//! 950 to 1,460 ns, and 300 ns are to be reached. Needs root:
//!
//! ```text
//! cargo bench -p palisade-benches --features kernel --bench datapath
//! ```
#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "a bench that cannot run says so by panicking; criterion's macro writes no docs"
)]

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use palisade_abi::{
    Cookie, DatapathConfig, EndpointId, EndpointRecord, Line, Mode, PolicyId, PolicyPair, RowId,
    Slot, Table, TableSizes, Verdict, VerdictIndex, Write,
};
use palisade_datapath::{Frame, Maps, Programs, TcAction};
use palisade_testkit::packet::{Packet, TCP_ACK};

/// Test runs come in by the loopback device.
const LOOPBACK: u32 = 1;

const ADDRESSES: [(&str, &str, &str); 2] = [
    ("ipv4", "10.0.0.1", "192.0.2.7"),
    ("ipv6", "fd00::1", "2001:db8::7"),
];

fn packets(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("packet");
    for (family, pod, server) in ADDRESSES {
        let (pod, server): (IpAddr, IpAddr) = (pod.parse().unwrap(), server.parse().unwrap());
        for (name, verdict, action) in [
            (
                "established",
                Verdict::allow(Cookie::new(1)),
                TcAction::Pass,
            ),
            ("denied", Verdict::deny(Cookie::new(2)), TcAction::Drop),
        ] {
            let (_maps, programs) = datapath(pod, verdict);
            let ends = (SocketAddr::new(pod, 40_000), SocketAddr::new(server, 443));
            let packet = Packet::tcp(ends.0, ends.1, TCP_ACK).bytes();
            let frame = Frame {
                data: &packet,
                mark: 0,
                ifindex: LOOPBACK,
            };
            assert_eq!(programs.from_container.run(&frame).unwrap().action, action);
            group.bench_function(format!("{name}/{family}"), |bencher| {
                bencher.iter_custom(|times| {
                    let repeat = i32::try_from(times).unwrap_or(i32::MAX);
                    let outcome = programs.from_container.run_repeatedly(&frame, repeat);
                    let mean = u64::from(outcome.unwrap().nanoseconds);
                    Duration::from_nanos(mean * times)
                });
            });
        }
    }
    group.finish();
}

/// One endpoint whose every packet gets one verdict, found by the whole walk.
fn datapath(pod: IpAddr, verdict: Verdict) -> (Maps, Programs) {
    let sizes = TableSizes {
        events: 1 << 16,
        ..TableSizes::default()
    };
    let mut maps = Maps::create(sizes).unwrap();
    let record = EndpointRecord {
        ifindex: LOOPBACK,
        identity: 1001,
        id: 1,
        mac: [2, 0, 0, 0, 0, 1],
        node_mac: [2, 0, 0, 0, 0, 2],
        pad: [0; 2],
    };
    let (policy, row, index) = (PolicyId::new(1), RowId::new(1), VerdictIndex::new(1));
    let line = |base| Line { base, default: 0 };
    let pair = PolicyPair::new(PolicyId::default(), policy);
    let writes = [
        Write::Verdict(index, verdict),
        Write::CellSlot(8, Slot::cell(8, index)),
        Write::RowLine(row, line(8)),
        Write::RowSlot(8, Slot::row(8, row)),
        Write::PolicyLine(policy, line(8)),
        Write::PolicyOf(EndpointId::new(1), pair),
        Write::Endpoint(pod.into(), Some(record)),
        Write::Generation,
    ];
    maps.apply_all(&writes).unwrap();
    let config = DatapathConfig::new(sizes, Mode::Enforce);
    let programs = Programs::load(&maps, &config).unwrap();
    (maps, programs)
}

criterion_group!(benches, packets);
criterion_main!(benches);
