//! How a proxy is set up.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::thread;
use std::time::Duration;

use palisade_abi::Port;

/// What a proxy listens on, whom it asks, and what it may use.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The addresses to listen on, all on the same port, UDP and TCP.
    pub listen: Vec<IpAddr>,
    /// The port to listen on; `None` takes one that is free everywhere.
    ///
    /// An embedder that restarts gives the port it had, since the datapath still redirects to it.
    pub port: Option<Port>,
    /// Where queries come from and go to.
    pub mode: Mode,
    /// How much a proxy may hold at once.
    pub limits: Limits,
    /// How long a proxy waits.
    pub timing: Timing,
    /// How many threads serve UDP; at least 1 does.
    pub threads: usize,
    /// How those threads wait.
    pub waiting: Waiting,
    /// What becomes of an answer whose addresses were not enforced in time.
    pub on_late: OnLate,
}

impl Config {
    /// A transparent proxy on `127.0.0.1` and `::1`, to which the datapath redirects.
    ///
    /// On a node without IPv6 it does without `::1`.
    pub fn transparent() -> Self {
        Self {
            listen: vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()],
            port: None,
            mode: Mode::Transparent,
            limits: Limits::default(),
            timing: Timing::default(),
            threads: thread::available_parallelism()
                .map_or(1, |cores| cores.get().min(MOST_THREADS)),
            waiting: Waiting::Ring,
            on_late: OnLate::ServFail,
        }
    }

    /// A proxy of its own at `listen` (port 0: any) that asks `upstream`. Needs no privilege.
    pub fn forward(listen: SocketAddr, upstream: SocketAddr) -> Self {
        Self {
            listen: vec![listen.ip()],
            port: Port::new(listen.port()).ok(),
            mode: Mode::Forward { upstream },
            ..Self::transparent()
        }
    }
}

/// Where queries come from and go to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Mode {
    /// Clients speak to the proxy, which asks one upstream server. Nothing is marked.
    Forward {
        /// The server that is asked.
        upstream: SocketAddr,
    },
    /// Clients speak to a server of their choice and the datapath hands their packets to the
    /// proxy, which asks that server and answers in its name. Needs `CAP_NET_ADMIN`.
    Transparent,
}

/// How much a proxy may hold at once; whatever a client sends, it gets no more.
///
/// A share is counted per client address: one client that uses up its own leaves the others
/// theirs. An entry holds up to 4 KiB of query and, while its answer is held, 64 KiB of answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Limits {
    /// Queries that wait for their answer or whose answer is held.
    pub in_flight: usize,
    /// The same, of one client.
    pub in_flight_per_client: usize,
    /// Open TCP connections of clients; each may have one more to a server.
    pub connections: usize,
    /// The same, of one client.
    pub connections_per_client: usize,
    /// UDP sockets towards servers, shared out among the threads. One client identity gets a
    /// quarter of them.
    pub upstream_sockets: usize,
    /// UDP sockets that answers leave from, one per server that is asked, shared out likewise.
    pub return_sockets: usize,
}

impl Default for Limits {
    fn default() -> Self {
        // The sockets together stay below 1,024 descriptors, the usual soft limit of a process.
        Self {
            in_flight: 2048,
            in_flight_per_client: 256,
            connections: 160,
            connections_per_client: 16,
            upstream_sockets: 512,
            return_sockets: 64,
        }
    }
}

/// How long a proxy waits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Timing {
    /// For the server's answer, before the client is told SERVFAIL.
    ///
    /// The default, 4.5 s, is shorter than the 5 s after which stub resolvers give up.
    pub upstream: Duration,
    /// For an answer's addresses to be enforced, before [`Config::on_late`] applies.
    pub hold: Duration,
    /// For the next message of a TCP client, first byte to last.
    pub tcp_idle: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            upstream: Duration::from_millis(4500),
            hold: Duration::from_secs(1),
            tcp_idle: Duration::from_secs(10),
        }
    }
}

/// How a thread that serves UDP waits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Waiting {
    /// With epoll, after which every socket is a call of its own.
    Epoll,
    /// With `io_uring`, one call to send and to wait. Where the kernel is older than 6.1 or forbids
    /// it, with epoll.
    Ring,
}

/// What becomes of an answer whose addresses were not enforced in time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum OnLate {
    /// The client gets it; its first packets to the addresses may be dropped.
    Release,
    /// The client is told SERVFAIL and asks again.
    ServFail,
}

/// Names are resolved on few of a node's cores.
const MOST_THREADS: usize = 4;
