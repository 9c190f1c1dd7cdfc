//! The transparent proxy between namespaces: a client that speaks to a server on the other side of
//! a node, and a program on the node that hands its packets to the proxy as the datapath does.
//!
//! The node routes to the server only what carries the mark of the proxy's leg with the client's
//! identity, and to the client only what carries the mark of the way back; so each exchange proves
//! both marks.

#[cfg(test)]
#[path = "lab/mod.rs"]
#[expect(dead_code, reason = "shared with the tests that need no privilege")]
mod lab;

#[cfg(test)]
const WAITING: palisade_proxy::Waiting = palisade_proxy::Waiting::Ring;

#[cfg(test)]
mod transparent {
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
    use std::os::fd::AsRawFd;
    use std::path::{Path, PathBuf};
    use std::process::Command;
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::sync::{Arc, Mutex};
    use std::thread;

    use nix::sys::socket::{
        AddressFamily, SockFlag, SockType, SockaddrStorage, bind, setsockopt, socket, sockopt,
    };
    use palisade_abi::{Mark, MarkKind, Protocol};
    use palisade_proxy::{Config, Proxy, Reject, Running};
    use palisade_testkit::{Namespace, link};

    use crate::lab::{
        A, Client, IDENTITY, NOERROR, PATIENCE, REFUSED, Recorder, SERVFAIL, Seen, Server, Told,
        answer, ask_tcp, code, long_answer, query, read_message, write_message,
    };

    const CLIENT: [&str; 2] = ["10.0.0.2", "fd00:a::2"];
    const NODE: [&str; 2] = ["10.1.0.1", "fd00:b::1"];
    const SERVER: [&str; 2] = ["10.1.0.53", "fd00:b::53"];
    const GOOD: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

    #[test]
    fn the_client_sees_the_server_and_the_server_sees_the_node() {
        let stage = Stage::new();
        for (family, address) in SERVER.into_iter().enumerate() {
            let server = stage.server(address);
            let (client, udp) = stage.connected(address);
            let asked = query(7, "www.example.com", A);
            // Connected, so that the kernel takes only what the server's address and port sent.
            assert_eq!(udp.ask(&asked), answer(&asked, &[GOOD]));
            stage.check_ends(&client, &server, family, Protocol::UDP);

            let mut tcp = stage.connect(address);
            assert_eq!(ask_tcp(&mut tcp, &asked), answer(&asked, &[GOOD]));
            stage.check_ends(&client, &server, family, Protocol::TCP);
            assert_eq!(ask_tcp(&mut tcp, &asked), answer(&asked, &[GOOD]));
            stage.check_ends(&client, &server, family, Protocol::TCP);
        }
    }

    #[test]
    fn a_node_without_ipv6_does_without_its_listener() {
        let node = Namespace::new("no-ipv6").unwrap();
        node.sysctl("net.ipv6.conf.all.disable_ipv6", "1").unwrap();
        node.sysctl("net.ipv6.conf.lo.disable_ipv6", "1").unwrap();
        let bound = node.run(|| Proxy::bind(Config::transparent())).unwrap();
        let addresses = bound.unwrap().addresses().to_vec();
        assert!(addresses.iter().any(SocketAddr::is_ipv4));
        let plain = node.run(|| {
            let mut config = Config::forward((Ipv4Addr::LOCALHOST, 0).into(), addresses[0]);
            config.listen.push(Ipv6Addr::LOCALHOST.into());
            let bound = Proxy::bind(config).unwrap();
            bound.addresses().to_vec()
        });
        assert!(matches!(plain.unwrap().as_slice(), [SocketAddr::V4(_)]));
    }

    #[test]
    fn a_query_outside_the_rules_is_refused_in_the_servers_name() {
        let stage = Stage::new();
        for address in SERVER {
            let server = stage.server(address);
            let (_, udp) = stage.connected(address);
            assert_eq!(code(&udp.ask(&query(1, "no.example.com", A))), REFUSED);
            let mut tcp = stage.connect(address);
            assert_eq!(
                code(&ask_tcp(&mut tcp, &query(1, "no.example.com", A))),
                REFUSED
            );
            // The next query that the server sees is the first one allowed.
            udp.ask(&query(2, "www.example.com", A));
            assert_eq!(crate::lab::name(&server.next().message), "www.example.com");
            assert!(server.all().is_empty());
        }
    }

    #[test]
    fn large_answers_pass_in_fragments_and_over_tcp() {
        let stage = Stage::new();
        for address in SERVER {
            let server = stage.serve(address, |query, _| vec![long_answer(query, 9_000)]);
            let (_, udp) = stage.connected(address);
            let asked = query(3, "big.example.com", A);
            assert_eq!(udp.ask(&asked), long_answer(&asked, 9_000));
            assert_eq!(
                ask_tcp(&mut stage.connect(address), &asked),
                long_answer(&asked, 9_000)
            );
            server.next();
        }
    }

    #[test]
    fn more_servers_than_sockets_are_all_spoken_for() {
        let stage = Stage::new();
        for last in 1..=200 {
            let (_, udp) = stage.connected(&format!("10.9.0.{last}"));
            assert_eq!(
                code(&udp.ask(&query(1, "no.example.com", A))),
                REFUSED,
                "{last}"
            );
        }
        assert_eq!(stage.proxy.stats().unsent, 0);
    }

    #[test]
    fn whoever_asks_many_servers_gets_a_quarter_of_the_sockets() {
        let mut config = Config::transparent();
        config.limits.upstream_sockets = 8;
        // Each thread has its part of them.
        config.threads = 1;
        let stage = Stage::with(config);
        let servers: Vec<String> = (100..110).map(|last| format!("10.1.0.{last}")).collect();
        let listening = servers.iter().map(|address| {
            stage
                .server
                .ip(&format!("address add {address}/24 dev eth0"))
                .unwrap();
            stage.serve(address, |query, _| {
                if crate::lab::name(query).starts_with("never") {
                    return vec![];
                }
                vec![answer(query, &[GOOD])]
            })
        });
        let _listening: Vec<Server> = listening.collect();
        // Idle sockets make room for others.
        for round in 0..3 {
            for server in &servers {
                let (_, udp) = stage.connected(server);
                assert_eq!(code(&udp.ask(&query(round, "www.example.com", A))), NOERROR);
            }
        }
        // Those that wait for an answer do not, and two are the share of one identity.
        let waiting: Vec<Client> = servers[..2].iter().map(|s| stage.connected(s).1).collect();
        for client in &waiting {
            client.send(&query(1, "never.example.com", A));
        }
        let (_, third) = stage.connected(&servers[2]);
        assert_eq!(code(&third.ask(&query(1, "www.example.com", A))), SERVFAIL);
        assert_eq!(stage.proxy.stats().overload, 1);
        // A socket that waits still takes queries to its own server.
        let (_, udp) = stage.connected(&servers[0]);
        assert_eq!(code(&udp.ask(&query(1, "www.example.com", A))), NOERROR);
    }

    #[test]
    fn a_server_on_the_node_itself_keeps_its_queries() {
        let stage = Stage::new();
        let address: SocketAddr = "10.0.0.1:53".parse().unwrap();
        let udp = stage.node.run(|| shared_udp(address)).unwrap();
        let tcp = stage
            .node
            .run(|| TcpListener::bind(address).unwrap())
            .unwrap();
        let server = Server::with(udp, tcp, Arc::new(|query, _| vec![answer(query, &[GOOD])]));
        let clients: Vec<Client> = (0..20).map(|_| stage.connected("10.0.0.1").1).collect();
        for round in 0..10 {
            for client in &clients {
                client.send(&query(round, "www.example.com", A));
            }
            for client in &clients {
                assert_eq!(code(&client.receive()), NOERROR);
            }
        }
        assert_eq!(server.all().len(), 200);
        assert_eq!(stage.proxy.stats().timeout, 0);
    }

    #[test]
    fn a_message_to_the_proxy_itself_goes_nowhere() {
        let stage = Stage::new();
        for address in stage.proxy.addresses() {
            let client = stage
                .node
                .run(|| Client::new(unspecified(address), *address))
                .unwrap();
            client.send(&query(1, "www.example.com", A));
            assert_eq!(
                stage.told.recv_timeout(PATIENCE),
                Ok(Told::Rejected(Reject::ToItself))
            );
            let mut tcp = stage
                .node
                .run(|| TcpStream::connect(address).unwrap())
                .unwrap();
            assert!(read_message(&mut tcp).is_none());
            assert_eq!(
                stage.told.recv_timeout(PATIENCE),
                Ok(Told::Rejected(Reject::ToItself))
            );
        }
        assert_eq!(stage.proxy.stats().asked, 0);
    }

    #[test]
    fn a_restart_on_the_same_port_serves_again() {
        let stage = Stage::new();
        let _server = stage.server(SERVER[0]);
        let port = stage.proxy.port();
        let mut old = stage.connect(SERVER[0]);
        assert_eq!(
            code(&ask_tcp(&mut old, &query(1, "www.example.com", A))),
            NOERROR
        );
        let stage = stage.restart();
        assert_eq!(stage.proxy.port(), port);
        write_message(&mut old, &query(2, "www.example.com", A));
        assert!(
            read_message(&mut old).is_none(),
            "the old connection has ended"
        );
        let (_, udp) = stage.connected(SERVER[0]);
        assert_eq!(code(&udp.ask(&query(3, "www.example.com", A))), NOERROR);
        let mut new = stage.connect(SERVER[0]);
        assert_eq!(
            code(&ask_tcp(&mut new, &query(4, "www.example.com", A))),
            NOERROR
        );
    }

    /// Client, node and server, with the proxy at work on the node.
    struct Stage {
        client: Namespace,
        node: Namespace,
        server: Namespace,
        proxy: Running,
        told: Receiver<Told>,
        ends: Receiver<(SocketAddr, SocketAddr, Protocol)>,
    }

    impl Stage {
        fn new() -> Self {
            Self::with(Config::transparent())
        }

        fn with(config: Config) -> Self {
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

        fn restart(self) -> Self {
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

        fn server(&self, address: &str) -> Server {
            self.serve(address, |query, _| vec![answer(query, &[GOOD])])
        }

        fn serve(
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
        fn connected(&self, server: &str) -> (SocketAddr, Client) {
            let server = SocketAddr::new(server.parse().unwrap(), 53);
            let udp = self
                .client
                .run(|| Client::new(unspecified(&server), server))
                .unwrap();
            (udp.0.local_addr().unwrap(), udp)
        }

        fn connect(&self, server: &str) -> TcpStream {
            let server = SocketAddr::new(server.parse().unwrap(), 53);
            self.client.run(|| crate::lab::connect(server)).unwrap()
        }

        /// Whom the embedder saw, and whom the server.
        fn check_ends(&self, client: &SocketAddr, server: &Server, family: usize, over: Protocol) {
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

    /// A server's socket that allows others beside it, as resolvers on a node open theirs.
    fn shared_udp(address: SocketAddr) -> UdpSocket {
        let fd = socket(
            AddressFamily::Inet,
            SockType::Datagram,
            SockFlag::empty(),
            None,
        )
        .unwrap();
        setsockopt(&fd, sockopt::ReusePort, &true).unwrap();
        bind(fd.as_raw_fd(), &SockaddrStorage::from(address)).unwrap();
        fd.into()
    }

    fn unspecified(like: &SocketAddr) -> IpAddr {
        match like {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        }
    }
}
