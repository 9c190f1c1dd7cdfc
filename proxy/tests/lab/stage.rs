//! A client, a node and a server in namespaces of their own.
//!
//! A program on the node hands the client's packets to the proxy as the datapath does. The node
//! routes to the server only what carries the mark of the proxy's leg with the client's identity,
//! and to the client only what carries the mark of the way back; so each exchange proves both marks.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;

use palisade_abi::{Mark, MarkKind, Protocol};
use palisade_proxy::{Config, Proxy, Running};
use palisade_testkit::{Namespace, link};

use crate::lab::{Client, IDENTITY, PATIENCE, Recorder, Seen, Server, Told, answer};

const CLIENT: [&str; 2] = ["10.0.0.2", "fd00:a::2"];
const NODE: [&str; 2] = ["10.1.0.1", "fd00:b::1"];
/// The server's addresses, of either family.
pub(crate) const SERVER: [&str; 2] = ["10.1.0.53", "fd00:b::53"];
/// What the server says.
pub(crate) const GOOD: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

/// Client, node and server, with the proxy at work on the node.
pub(crate) struct Stage {
    pub(crate) client: Namespace,
    pub(crate) node: Namespace,
    pub(crate) server: Namespace,
    pub(crate) proxy: Running,
    pub(crate) told: Receiver<Told>,
    ends: Receiver<(SocketAddr, SocketAddr, Protocol)>,
}

impl Stage {
    pub(crate) fn new() -> Self {
        Self::with(Config::transparent())
    }

    pub(crate) fn with(config: Config) -> Self {
        let [client, node, server] =
            ["client", "node", "server"].map(|label| Namespace::new(label).unwrap());
        let end = |namespace, name, addresses| link::End {
            namespace,
            name,
            addresses,
        };
        link::pair(
            &end(&client, "eth0", &["10.0.0.2/24", "fd00:a::2/64"]),
            &end(&node, "pod", &["10.0.0.1/24", "fd00:a::1/64"]),
        )
        .unwrap();
        link::pair(
            &end(&server, "eth0", &["10.1.0.53/24", "fd00:b::53/64"]),
            &end(&node, "out", &["10.1.0.1/24", "fd00:b::1/64"]),
        )
        .unwrap();
        client.ip("route add default via 10.0.0.1").unwrap();
        client.ip("-6 route add default via fd00:a::1").unwrap();
        route_by_mark(&node);
        let (proxy, told, ends) = start(&node, config);
        redirect(&node, proxy.port().get());
        Self {
            client,
            node,
            server,
            proxy,
            told,
            ends,
        }
    }

    pub(crate) fn restart(self) -> Self {
        let mut config = Config::transparent();
        config.port = Some(self.proxy.port());
        self.proxy.stop().unwrap();
        let (proxy, told, ends) = start(&self.node, config);
        Self {
            proxy,
            told,
            ends,
            ..self
        }
    }

    pub(crate) fn server(&self, address: &str) -> Server {
        self.serve(address, |query, _| vec![answer(query, &[GOOD])])
    }

    pub(crate) fn serve(
        &self,
        address: &str,
        behaviour: impl Fn(&[u8], Protocol) -> Vec<Vec<u8>> + Send + Sync + 'static,
    ) -> Server {
        let address = SocketAddr::new(address.parse().unwrap(), 53);
        let bound = || {
            let udp = UdpSocket::bind(address).unwrap();
            (udp, TcpListener::bind(address).unwrap())
        };
        let (udp, tcp) = self.server.run(bound).unwrap();
        Server::with(udp, tcp, Arc::new(behaviour))
    }

    /// A client's UDP socket that speaks to a server only, and its own address.
    pub(crate) fn connected(&self, server: &str) -> (SocketAddr, Client) {
        let server = SocketAddr::new(server.parse().unwrap(), 53);
        let udp = self
            .client
            .run(|| Client::new(unspecified(&server), server))
            .unwrap();
        (udp.0.local_addr().unwrap(), udp)
    }

    pub(crate) fn connect(&self, server: &str) -> TcpStream {
        let server = SocketAddr::new(server.parse().unwrap(), 53);
        self.client.run(|| crate::lab::connect(server)).unwrap()
    }

    /// Whom the embedder saw, and whom the server.
    pub(crate) fn check_ends(
        &self,
        client: &SocketAddr,
        server: &Server,
        family: usize,
        over: Protocol,
    ) {
        let (asked_by, asked, protocol) = self.ends.recv_timeout(PATIENCE).unwrap();
        assert_eq!(asked_by.ip(), CLIENT[family].parse::<IpAddr>().unwrap());
        assert_eq!(asked, server.address);
        assert_eq!(protocol, over);
        if over == Protocol::UDP {
            assert_eq!(asked_by, *client);
        }
        let Seen { from, .. } = server.next();
        assert_eq!(from.ip(), NODE[family].parse::<IpAddr>().unwrap());
    }
}

fn start(
    node: &Namespace,
    config: Config,
) -> (
    Running,
    Receiver<Told>,
    Receiver<(SocketAddr, SocketAddr, Protocol)>,
) {
    let (sender, told) = channel();
    let (ends, seen) = channel();
    let ends: Mutex<Sender<_>> = Mutex::new(ends);
    let policy = Recorder::new(sender, move |held| {
        let query = held.answer().query;
        // Nobody listens in tests that do not ask.
        ends.lock()
            .unwrap()
            .send((query.client, query.server, query.protocol))
            .ok();
        // From a thread outside the node's namespace, as an embedder may have them.
        thread::spawn(|| held.release());
    });
    let proxy = node
        .run(|| {
            Proxy::bind(config)
                .unwrap()
                .start(Arc::new(policy))
                .unwrap()
        })
        .unwrap();
    (proxy, told, seen)
}

/// Routes to the server what carries the mark of the proxy's leg with the client's identity, to
/// the client what carries the mark of the way back, and nothing else; to itself what is marked
/// for the proxy, as the datapath's loader does.
fn route_by_mark(node: &Namespace) {
    let forward = Mark::with_identity(MarkKind::ProxyForward, IDENTITY).bits();
    let back = Mark::new(MarkKind::ProxyReturn).bits();
    let (to_proxy, kind, all) = (MarkKind::ToProxy as u32, Mark::KIND_MASK, Mark::MASK);
    for (ip, client, server) in [
        ("", "10.0.0.0/24", "10.1.0.0/24"),
        ("-6", "fd00:a::/64", "fd00:b::/64"),
    ] {
        for command in [
            format!("rule add fwmark {to_proxy:#x}/{kind:#x} lookup 2004 pref 9"),
            "route add local default dev lo table 2004".into(),
            format!("rule add fwmark {forward:#x}/{all:#x} lookup 3001"),
            format!("route del {server} dev out"),
            format!("route add {server} dev out table 3001"),
            format!("rule add fwmark {back:#x}/{all:#x} lookup 3002"),
            format!("route del {client} dev pod"),
            format!("route add {client} dev pod table 3002"),
        ] {
            node.ip(&format!("{ip} {command}")).unwrap();
        }
    }
}

/// Attaches the program that hands the client's DNS packets to the proxy.
fn redirect(node: &Namespace, port: u16) {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab/redirect.bpf.c");
    let object: PathBuf = [env!("CARGO_TARGET_TMPDIR"), &format!("{}.o", node.name())]
        .iter()
        .collect();
    let built = [
        "clang-19", "clang-18", "clang-17", "clang-16", "clang-15", "clang-14", "clang",
    ]
    .iter()
    .find_map(|clang| {
        let port = format!("-DPORT={port}");
        let options = [
            "-target", "bpf", "-O2", "-g", "-Wall", "-Werror", &port, "-c", "-o",
        ];
        Command::new(clang)
            .args(options)
            .args([&object, &source])
            .status()
            .ok()
    });
    assert!(built.expect("clang 14 to 19 is installed").success());
    for words in [
        "qdisc add dev pod clsact".to_owned(),
        format!(
            "filter add dev pod ingress bpf da obj {} sec tc",
            object.display()
        ),
    ] {
        let output = node
            .output(Command::new("tc").args(words.split(' ')))
            .unwrap();
        assert!(output.status.success(), "tc {words}: {output:?}");
    }
    std::fs::remove_file(object).unwrap();
}

/// Any address of the same family.
pub(crate) fn unspecified(like: &SocketAddr) -> IpAddr {
    match like {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    }
}
