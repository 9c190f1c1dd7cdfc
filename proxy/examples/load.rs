//! A load on the proxy and the same on the responder behind it, stand-alone, without privilege:
//! `cargo run --release -p palisade-proxy --example load [SECONDS]`.
//!
//! Responder, proxy and load are three processes on this machine. The proxy judges each query by
//! 2,000 rules and each answer by 2,000 selectors, and remembers the addresses.
#![expect(
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "figures for people"
)]

use std::env::{args, current_exe};
use std::error::Error;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, poll};
use palisade_abi::{EndpointId, Identity};
use palisade_fqdn::{self as fqdn, Answer, Cache, DnsName, Filter, Limits, PatternSet};
use palisade_proxy::{Config, Decision, Held, Policy, Proxy, Query, Rejection, RuleToken};

type Failure = Box<dyn Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let words: Vec<String> = args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["responder"] => responder(),
        ["proxy", upstream] => proxy(upstream.parse()?),
        [] => compare(Duration::from_secs(3)),
        [seconds] => compare(Duration::from_secs(seconds.parse()?)),
        _ => Err("at most a number of seconds".into()),
    }
}

fn compare(time: Duration) -> Result<(), Failure> {
    let (_responder, upstream) = start(&["responder"])?;
    let (proxy, address) = start(&["proxy", &upstream.to_string()])?;
    let queries = queries();
    // Once each, so that nothing is measured that happens only at the start.
    Load::new(upstream, &queries)?.run(Duration::from_millis(300))?;
    Load::new(address, &queries)?.run(Duration::from_millis(300))?;
    let direct = Load::new(upstream, &queries)?.run(time)?;
    direct.print("responder", time);
    let before = worked(&proxy.0)?;
    let through = Load::new(address, &queries)?.run(time)?;
    let worked = worked(&proxy.0)?.saturating_sub(before);
    through.print("proxy", time);
    let (answers, others) = (through.waits.len() as f64, direct.waits.len() as f64);
    println!(
        "ratio {:.2}, {:.1} us of processor per query, {} kB resident",
        answers / others,
        worked.as_secs_f64() * 1e6 / answers,
        status(&proxy.0, "VmRSS:")?
    );
    match system_calls(&proxy.0, address, &queries)? {
        Some(calls) => println!("{calls:.2} system calls per query"),
        None => println!("system calls not counted: no strace here"),
    }
    Ok(())
}

/// What a run came to.
struct Run {
    waits: Vec<Duration>,
    lost: usize,
}

impl Run {
    fn print(&self, whom: &str, time: Duration) {
        let mut waits = self.waits.clone();
        waits.sort_unstable();
        let at = |share: usize| waits.get(waits.len() * share / 100).copied();
        println!(
            "{whom}: {:.0} queries/s, p50 {:.1?}, p99 {:.1?}, {} lost",
            waits.len() as f64 / time.as_secs_f64(),
            at(50).unwrap_or_default(),
            at(99).unwrap_or_default(),
            self.lost
        );
    }
}

/// Sixteen clients with four queries under way each.
struct Load<'a> {
    sockets: Vec<UdpSocket>,
    sent: Vec<Instant>,
    queries: &'a [Vec<u8>],
    next: usize,
}

impl<'a> Load<'a> {
    fn new(server: SocketAddr, queries: &'a [Vec<u8>]) -> Result<Self, Failure> {
        let mut sockets = Vec::new();
        for _ in 0..16 {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
            socket.connect(server)?;
            socket.set_nonblocking(true)?;
            sockets.push(socket);
        }
        let sent = vec![Instant::now(); 1 << 16];
        Ok(Self {
            sockets,
            sent,
            queries,
            next: 0,
        })
    }

    fn run(mut self, time: Duration) -> Result<Run, Failure> {
        let end = Instant::now() + time;
        let mut run = Run {
            waits: Vec::with_capacity(1 << 20),
            lost: 0,
        };
        for _ in 0..UNDER_WAY {
            for socket in 0..self.sockets.len() {
                self.send(socket)?;
            }
        }
        let mut buffer = [0; 512];
        while Instant::now() < end {
            let fds = self.sockets.iter();
            let mut fds: Vec<_> = fds
                .map(|socket| PollFd::new(socket.as_fd(), PollFlags::POLLIN))
                .collect();
            let silent = poll(&mut fds, 200_u8)? == 0;
            let ready: Vec<bool> = fds.iter().map(|fd| fd.any() == Some(true)).collect();
            for (socket, ready) in ready.into_iter().enumerate() {
                if silent {
                    // Whatever was under way is gone.
                    run.lost += UNDER_WAY;
                    (0..UNDER_WAY).try_for_each(|_| self.send(socket))?;
                }
                while ready && let Ok(length) = self.receive(socket, &mut buffer) {
                    let id = buffer.first_chunk().filter(|_| length > 12);
                    let id = id.map_or(0, |id| usize::from(u16::from_be_bytes(*id)));
                    run.waits.extend(self.sent.get(id).map(Instant::elapsed));
                    self.send(socket)?;
                }
            }
        }
        Ok(run)
    }

    fn receive(&self, socket: usize, buffer: &mut [u8]) -> std::io::Result<usize> {
        let socket = self.sockets.get(socket);
        socket.map_or(Ok(0), |socket| socket.recv(buffer))
    }

    fn send(&mut self, socket: usize) -> Result<(), Failure> {
        self.next += 1;
        let id = u16::try_from(self.next & 0xffff)?;
        let query = self.queries.get(self.next % self.queries.len());
        let mut query = query.cloned().unwrap_or_default();
        query.splice(..2, id.to_be_bytes());
        if let Some(place) = self.sent.get_mut(usize::from(id)) {
            *place = Instant::now();
        }
        if let Some(socket) = self.sockets.get(socket) {
            socket.send(&query)?;
        }
        Ok(())
    }
}

const UNDER_WAY: usize = 4;

/// A thousand names: 50 that a rule names, 950 that a pattern selects.
fn queries() -> Vec<Vec<u8>> {
    let named = (0..50).map(|i| format!("host{}.example.com", 2 * i));
    let selected = (0..950).map(|i| format!("w{i}.sub{}.example.com", 2 * i + 1));
    let query = |name: String| {
        let name = DnsName::parse(&name).unwrap_or(DnsName::root());
        [
            b"\0\0\x01\0\0\x01\0\0\0\0\0\0",
            name.as_wire(),
            b"\0\x01\0\x01",
        ]
        .concat()
    };
    named.chain(selected).map(query).collect()
}

/// Answers every query with one address.
fn responder() -> Result<(), Failure> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    println!("{}", socket.local_addr()?);
    let mut buffer = [0; 512];
    loop {
        let (length, client) = socket.recv_from(&mut buffer)?;
        let mut answer = buffer.get(..length).unwrap_or_default().to_vec();
        answer.splice(2..4, [0x81, 0x80]);
        answer.splice(6..8, [0, 1]);
        answer.extend(b"\xc0\x0c\0\x01\0\x01\0\0\0\x1e\0\x04\xc0\0\x02\x01");
        socket.send_to(&answer, client)?;
    }
}

fn proxy(upstream: SocketAddr) -> Result<(), Failure> {
    let listen = (Ipv4Addr::LOCALHOST, 0).into();
    let proxy = Proxy::bind(Config::forward(listen, upstream))?;
    let mut rules = Filter::new();
    let mut selectors = PatternSet::default();
    let mut list = Vec::new();
    for i in 0..2000_u64 {
        let pattern: fqdn::MatchPattern = match i % 2 {
            0 => format!("host{i}.example.com").parse()?,
            _ => format!("*.sub{i}.example.com").parse()?,
        };
        selectors.insert(&pattern);
        list.push((pattern, i));
    }
    rules.set((), list);
    let policy = Judge {
        rules,
        selectors,
        start: Instant::now(),
        cache: Mutex::new(Cache::new(Limits::default())),
    };
    let running = proxy.start(Arc::new(policy))?;
    println!("{}", running.addresses().first().ok_or("no address")?);
    loop {
        thread::park();
    }
}

struct Judge {
    rules: Filter<(), u64>,
    selectors: PatternSet,
    start: Instant,
    cache: Mutex<Cache>,
}

impl Policy for Judge {
    fn decide(&self, query: &Query<'_>) -> Decision {
        match self.rules.decide([&()], query.name) {
            fqdn::Decision::Allow { rule } => Decision::Allow {
                identity: Identity::WORLD,
                rule: RuleToken::new(*rule),
            },
            fqdn::Decision::Refuse => Decision::Refuse {
                rejection: Rejection::Refused,
                rule: RuleToken::default(),
            },
        }
    }

    fn answer(&self, held: Held) {
        let told = held.answer();
        let answer = Answer {
            endpoint: EndpointId::new(1),
            name: told.query.name,
            addresses: told.addresses,
            ttl: told.ttl,
        };
        let selected = self.selectors.matching(told.query.name);
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        let changes = cache.update(&answer, self.start.elapsed(), &|_, _| false);
        drop(cache);
        if !selected.is_empty() || changes.is_empty() {
            held.release();
        }
    }
}

/// A process of this program, ended with its owner.
struct Part(Child);

impl Drop for Part {
    fn drop(&mut self) {
        // It may have ended already.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Starts a part; its first line is where it listens.
fn start(words: &[&str]) -> Result<(Part, SocketAddr), Failure> {
    let mut command = Command::new(current_exe()?);
    let mut part = Part(command.args(words).stdout(Stdio::piped()).spawn()?);
    let output = part.0.stdout.take().ok_or("no output")?;
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line)?;
    Ok((part, line.trim().parse()?))
}

/// How long the threads of a process were at work.
fn worked(child: &Child) -> Result<Duration, Failure> {
    let mut sum = Duration::ZERO;
    for task in fs::read_dir(format!("/proc/{}/task", child.id()))? {
        let times = fs::read_to_string(task?.path().join("schedstat"))?;
        let nanos = times.split(' ').next().ok_or("no time")?;
        sum += Duration::from_nanos(nanos.parse()?);
    }
    Ok(sum)
}

fn status(child: &Child, key: &str) -> Result<u64, Failure> {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id()))?;
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    let number = line.and_then(|line| line.split_whitespace().next());
    Ok(number.ok_or("no such line")?.parse()?)
}

/// System calls per query, in a run of its own, since counting slows it down.
fn system_calls(
    child: &Child,
    server: SocketAddr,
    queries: &[Vec<u8>],
) -> Result<Option<f64>, Failure> {
    let pid = child.id().to_string();
    let tracer = Command::new("strace")
        .args(["-q", "-c", "-f", "-U", "calls,name", "-p", &pid])
        .stderr(Stdio::piped())
        .spawn();
    let Ok(tracer) = tracer else {
        return Ok(None);
    };
    thread::sleep(Duration::from_millis(500));
    let run = Load::new(server, queries)?.run(Duration::from_secs(1))?;
    Command::new("kill")
        .args(["-INT", &tracer.id().to_string()])
        .status()?;
    let report = tracer.wait_with_output()?;
    let report = String::from_utf8_lossy(&report.stderr);
    let total = report.lines().find(|line| line.ends_with("total"));
    let total: Option<f64> = total
        .and_then(|line| line.split_whitespace().next())
        .and_then(|number| number.parse().ok());
    Ok(total.map(|total| total / run.waits.len() as f64))
}
