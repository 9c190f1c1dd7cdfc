//! Live traffic: one byte to and fro over TCP, on one processor, and what the kernel counts of the
//! programs on the way.

use std::error::Error;
use std::fs;
use std::io::{self, Read, Write as _};
use std::mem::MaybeUninit;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::thread;
use std::time::{Duration, Instant};

use libbpf_rs::{MapCore, MapFlags, TC_INGRESS, TcHookBuilder};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use palisade_abi::{Cookie, EndpointRecord, Mode, Table, Verdict};
use palisade_datapath::netlink::Netlink;
use palisade_datapath::{Config, Datapath, Maps, Statistics};
use palisade_testkit::{BpfFs, Namespace, link};

use crate::skel::BlocksSkel;
use crate::verdict::Verdicts;
use crate::{blocks, packets};

const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
const ROUNDS: usize = 9;
const EXCHANGES: usize = 2_000;
/// What a request and its answer may take, in terms of two namespaces with a veth between them.
const MOST: f64 = 1.4;

pub(crate) fn run(verdicts: &mut Verdicts) -> Result<(), Box<dyn Error>> {
    one_processor()?;
    let _counting = Counting::begin()?;
    let plain = Lane::plain()?;
    let maps = Maps::create(blocks::SIZES)?;
    let mut storage = MaybeUninit::uninit();
    let skel = blocks::load(&maps, &mut storage)?;
    let delivered = Lane::delivered(&skel)?;
    let (ours, datapath, _pins) = Lane::ours()?;
    let mut times = [Duration::MAX; 3];
    let (mut nothing, mut established) = (f64::INFINITY, f64::INFINITY);
    let count = || -> io::Result<[Statistics; 2]> {
        let ours = datapath.programs().from_container.statistics();
        Ok([Statistics::of(&skel.progs.do_nothing)?, ours?])
    };
    for _ in 0..ROUNDS {
        let before = count()?;
        for (lane, time) in [&plain, &delivered, &ours].into_iter().zip(&mut times) {
            *time = (*time).min(lane.round_trip()?);
        }
        let after = count()?;
        nothing = nothing.min(mean(before[0], after[0]));
        established = established.min(mean(before[1], after[1]));
    }
    println!(
        "\nlive traffic\n  \
         an established packet       {:>6.0} ns (taking the time, {nothing:.0}, taken off)\n  \
         {:27} to reach: 300; Cilium 1.20: 950 and 1460",
        established - nothing,
        "",
    );
    let [plain, delivered, ours] = times.map(|time| time.as_secs_f64() * 1e6);
    println!("  one byte to and fro, one processor, p50");
    println!("    bare veth pair            {plain:>6.1} µs");
    for (name, time) in [("delivered, not looked at", delivered), ("datapath", ours)] {
        println!("    {name:<24}  {time:>6.1} µs  × {:.2}", time / plain);
    }
    println!("  {:27} to reach: × 1.05; Cilium 1.20: × 1.17", "");
    verdicts.at_most("a round trip", ours / plain, MOST);
    Ok(())
}

fn one_processor() -> Result<(), Box<dyn Error>> {
    let mut set = CpuSet::new();
    set.set(0)?;
    Ok(sched_setaffinity(Pid::from_raw(0), &set)?)
}

/// The kernel counts what programs take as long as this lives.
struct Counting {
    before: String,
}

impl Counting {
    const SWITCH: &str = "/proc/sys/kernel/bpf_stats_enabled";

    fn begin() -> io::Result<Self> {
        let before = fs::read_to_string(Self::SWITCH)?;
        fs::write(Self::SWITCH, "1")?;
        Ok(Self { before })
    }
}

impl Drop for Counting {
    fn drop(&mut self) {
        if let Err(error) = fs::write(Self::SWITCH, &self.before) {
            eprintln!("{} stays 1: {error}", Self::SWITCH);
        }
    }
}

/// Nanoseconds of a run between two counts.
#[expect(clippy::cast_precision_loss, reason = "a mean")]
fn mean(before: Statistics, after: Statistics) -> f64 {
    let runs = after.runs - before.runs;
    let time = after.run_time.saturating_sub(before.run_time);
    if runs == 0 {
        return f64::INFINITY;
    }
    time.as_nanos() as f64 / runs as f64
}

/// Two ends that speak with each other, over something.
struct Lane {
    client: Namespace,
    server: Namespace,
    /// Gone with the lane, and with it what stands in it.
    between: Option<Namespace>,
}

impl Lane {
    /// Nothing but a veth pair.
    fn plain() -> Result<Self, Box<dyn Error>> {
        let (client, server) = (Namespace::new("client")?, Namespace::new("server")?);
        link::pair(
            &end(&client, "eth0", &["10.0.0.1/24"]),
            &end(&server, "eth0", &["10.0.0.2/24"]),
        )?;
        Ok(Self {
            client,
            server,
            between: None,
        })
    }

    /// Each end has a veth pair to a namespace between them.
    fn routed() -> Result<(Self, [Ends; 2]), Box<dyn Error>> {
        let (client, server) = (Namespace::new("client")?, Namespace::new("server")?);
        let host = Namespace::new("host")?;
        let addresses = [
            (&client, "client", "10.0.0.1/24"),
            (&server, "server", "10.0.0.2/24"),
        ];
        for (pod, name, address) in addresses {
            link::pair(&end(&host, name, &[]), &end(pod, "eth0", &[address]))?;
        }
        let ends = [
            ends(&host, "client", &client)?,
            ends(&host, "server", &server)?,
        ];
        let lane = Self {
            client,
            server,
            between: Some(host),
        };
        Ok((lane, ends))
    }

    /// Every packet goes straight to the other end; a program that does nothing meets it there.
    fn delivered(skel: &BlocksSkel<'_>) -> Result<Self, Box<dyn Error>> {
        let (lane, [client, server]) = Self::routed()?;
        for (from, to) in [(&client, &server), (&server, &client)] {
            let (index, other) = (from.ifindex & 255, to.ifindex);
            let map = &skel.maps.other_end;
            map.update(&index.to_ne_bytes(), &other.to_ne_bytes(), MapFlags::ANY)?;
        }
        let host = lane.between.as_ref().ok_or("no namespace")?;
        let deliver = skel.progs.deliver_only.as_fd();
        for device in [client.ifindex, server.ifindex] {
            host.run(|| attach(deliver, device))??;
        }
        let nothing = skel.progs.do_nothing.as_fd();
        lane.server.run(|| attach(nothing, server.inner))??;
        Ok(lane)
    }

    /// Two endpoints of a node of ours.
    fn ours() -> Result<(Self, Datapath, BpfFs), Box<dyn Error>> {
        let (lane, ends) = Self::routed()?;
        let pins = BpfFs::mount()?;
        let host = lane.between.as_ref().ok_or("no namespace")?;
        let config = Config::new(pins.path().join("bench"), blocks::SIZES, Mode::Enforce);
        let records: Vec<_> = ends
            .iter()
            .zip([CLIENT, SERVER])
            .zip(1..)
            .map(|((end, address), id)| (IpAddr::from(address), end.record(id)))
            .collect();
        let writes = packets::writes(&records, Verdict::allow(Cookie::new(1)));
        let datapath =
            host.run(|| open(&config, &writes, &ends).map_err(|error| error.to_string()))??;
        Ok((lane, datapath, pins))
    }

    /// The middle of many round trips of one byte.
    fn round_trip(&self) -> Result<Duration, Box<dyn Error>> {
        let listener = self.server.run(|| TcpListener::bind((SERVER, 0)))??;
        let to: SocketAddr = listener.local_addr()?;
        let server = thread::spawn(move || echo(&listener));
        let mut stream = self.client.run(|| TcpStream::connect(to))??;
        stream.set_nodelay(true)?;
        let mut times = Vec::with_capacity(EXCHANGES);
        for _ in 0..EXCHANGES {
            let start = Instant::now();
            stream.write_all(b"x")?;
            stream.read_exact(&mut [0])?;
            times.push(start.elapsed());
        }
        drop(stream);
        server.join().map_err(|_| "the server gave up")??;
        Ok(palisade_benches::median(&mut times))
    }
}

/// The two ends of an endpoint's veth.
struct Ends {
    ifindex: u32,
    node_mac: [u8; 6],
    inner: u32,
    mac: [u8; 6],
}

impl Ends {
    fn record(&self, id: u16) -> EndpointRecord {
        EndpointRecord {
            ifindex: self.ifindex,
            identity: 1_000 + u32::from(id),
            id,
            mac: self.mac,
            node_mac: self.node_mac,
            pad: [0; 2],
        }
    }
}

fn end<'a>(namespace: &'a Namespace, name: &'a str, addresses: &'a [&'a str]) -> link::End<'a> {
    link::End {
        namespace,
        name,
        addresses,
    }
}

fn ends(host: &Namespace, name: &str, pod: &Namespace) -> Result<Ends, Box<dyn Error>> {
    let find = |name: &str| Netlink::open()?.device(name);
    let outer = host.run(|| find(name))??.ok_or("no device")?;
    let inner = pod.run(|| find("eth0"))??.ok_or("no device")?;
    Ok(Ends {
        ifindex: outer.ifindex,
        node_mac: outer.mac,
        inner: inner.ifindex,
        mac: inner.mac,
    })
}

fn open(
    config: &Config,
    writes: &[palisade_abi::Write],
    ends: &[Ends],
) -> Result<Datapath, Box<dyn Error>> {
    let mut datapath = Datapath::open(config)?;
    datapath.apply_all(writes)?;
    for end in ends {
        datapath.attach(end.ifindex)?;
    }
    Ok(datapath)
}

fn attach(program: std::os::fd::BorrowedFd<'_>, ifindex: u32) -> Result<(), libbpf_rs::Error> {
    let mut hook = TcHookBuilder::new(program)
        .ifindex(ifindex.cast_signed())
        .replace(true)
        .handle(1)
        .priority(1)
        .hook(TC_INGRESS);
    hook.create()?;
    hook.attach()?;
    Ok(())
}

fn echo(listener: &TcpListener) -> io::Result<()> {
    let (mut stream, _) = listener.accept()?;
    stream.set_nodelay(true)?;
    let mut byte = [0];
    while stream.read(&mut byte)? == 1 {
        stream.write_all(&byte)?;
    }
    Ok(())
}
