//! The transparent proxy between namespaces: a client that speaks to a server on the other side of
//! a node, and a program on the node that hands its packets to the proxy as the datapath does.

#[cfg(test)]
#[path = "lab/mod.rs"]
#[expect(dead_code, reason = "shared with the tests that need no privilege")]
mod lab;

#[cfg(test)]
#[path = "lab/stage.rs"]
mod stage;

#[cfg(test)]
const WAITING: palisade_proxy::Waiting = palisade_proxy::Waiting::Ring;

#[cfg(test)]
mod transparent {
    use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
    use std::os::fd::AsRawFd;
    use std::sync::Arc;

    use nix::sys::socket::{
        AddressFamily, SockFlag, SockType, SockaddrStorage, bind, setsockopt, socket, sockopt,
    };
    use palisade_abi::Protocol;
    use palisade_proxy::{Config, Proxy, Reject};
    use palisade_testkit::Namespace;

    use crate::lab::{
        A, Client, NOERROR, PATIENCE, REFUSED, SERVFAIL, Server, Told, answer, ask_tcp, code,
        long_answer, query, read_message, write_message,
    };
    use crate::stage::{GOOD, SERVER, Stage, unspecified};

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
}
