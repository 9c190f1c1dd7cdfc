//! What one client may use up.

use std::net::Ipv4Addr;
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::time::Duration;

use palisade_proxy::{Held, Outcome};

use crate::lab::{
    A, Client, Lab, NOERROR, SERVFAIL, Server, Told, answer, ask_tcp, code, connect, forward, name,
    query, wait,
};

const FLOODER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const OTHER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);

/// A server that never answers names that begin with `never`.
fn moody() -> Server {
    Server::new(Ipv4Addr::LOCALHOST, |query, _| {
        if name(query).starts_with("never") {
            return vec![];
        }
        vec![answer(query, &[Ipv4Addr::new(192, 0, 2, 1)])]
    })
}

#[test]
fn a_flood_of_one_client_leaves_the_others_theirs() {
    let server = moody();
    let mut config = forward(server.address);
    config.limits.in_flight = 64;
    config.limits.in_flight_per_client = 16;
    config.timing.upstream = Duration::from_secs(60);
    let lab = Lab::new(config, |held| {
        held.release();
    });
    let flooder = Client::new(FLOODER, lab.address());
    for n in 0..100 {
        flooder.send(&query(n, "never.example.com", A));
    }
    for _ in 0..84 {
        assert_eq!(code(&flooder.receive()), SERVFAIL);
    }
    lab.await_told(|told| matches!(told, Told::Answered(_, Outcome::Overload, _)));
    let stats = lab.proxy.stats();
    assert_eq!((stats.in_flight, stats.overload), (16, 84));
    for _ in 0..16 {
        server.next();
    }
    let other = Client::new(OTHER, lab.address());
    for n in 0..100 {
        assert_eq!(code(&other.ask(&query(n, "a.example.com", A))), NOERROR);
    }
    // The share is counted over both protocols.
    let mut stream = connect(lab.address());
    assert_eq!(
        code(&ask_tcp(&mut stream, &query(1, "a.example.com", A))),
        NOERROR
    );
}

#[test]
fn all_clients_together_are_bounded_too() {
    let server = moody();
    let mut config = forward(server.address);
    config.limits.in_flight = 8;
    config.timing.upstream = Duration::from_secs(3);
    let lab = Lab::new(config, drop);
    let clients: Vec<Client> = (10..30)
        .map(|n| Client::new(Ipv4Addr::new(127, 0, 1, n), lab.address()))
        .collect();
    for client in &clients {
        client.send(&query(1, "never.example.com", A));
    }
    wait("twelve are turned away", || {
        lab.proxy.stats().overload == 12
    });
    assert_eq!(lab.proxy.stats().in_flight, 8);
    wait("the rest times out", || lab.proxy.stats().in_flight == 0);
    assert_eq!(lab.proxy.stats().timeout, 8);
}

#[test]
fn answers_that_are_held_count_against_the_share() {
    let server = moody();
    let mut config = forward(server.address);
    config.limits.in_flight_per_client = 4;
    config.timing.hold = Duration::from_secs(60);
    let (sender, helds) = channel();
    let sender = Mutex::new(sender);
    let lab = Lab::new(config, move |held: Held| {
        sender.lock().unwrap().send(held).unwrap();
    });
    let client = lab.client();
    for n in 0..4 {
        client.send(&query(n, "a.example.com", A));
    }
    let held: Vec<Held> = helds.iter().take(4).collect();
    assert_eq!(code(&client.ask(&query(9, "a.example.com", A))), SERVFAIL);
    for held in held {
        held.release();
        assert_eq!(code(&client.receive()), NOERROR);
    }
    wait("the share is given back", || {
        lab.proxy.stats().in_flight == 0
    });
}

#[test]
fn many_queries_leave_few_sockets_behind() {
    let server = moody();
    let lab = Lab::before(&server);
    let client = lab.client();
    for n in 0..5000 {
        assert_eq!(code(&client.ask(&query(n, "a.example.com", A))), NOERROR);
    }
    assert!(sockets_towards(&server) < 20);
    wait("used up sockets are closed", || {
        sockets_towards(&server) <= 4
    });
}

fn sockets_towards(server: &Server) -> usize {
    let port = format!(":{:04X}", server.address.port());
    let table = std::fs::read_to_string("/proc/self/net/udp").unwrap();
    let peers = table
        .lines()
        .filter_map(|line| line.split_whitespace().nth(2));
    peers.filter(|peer| peer.ends_with(&port)).count()
}
