//! Queries over UDP that are allowed.

use std::collections::HashSet;
use std::net::{Ipv4Addr, Ipv6Addr, UdpSocket};
use std::time::{Duration, Instant};

use palisade_fqdn::wire::Rcode;
use palisade_proxy::{BindError, Config, Outcome, Proxy};

use crate::lab::{
    A, Client, Lab, NOBODY, NOERROR, SERVFAIL, Server, Told, answer, bare_answer, code, edns_query,
    forward, id, long_answer, query,
};

#[test]
fn an_answer_arrives_byte_for_byte_under_the_clients_id() {
    let server = Server::honest(Ipv4Addr::LOCALHOST);
    let lab = Lab::before(&server);
    let asked = query(0xbeef, "www.Example.com", A);
    let reply = lab.client().ask(&asked);
    assert_eq!(reply, answer(&asked, &[Ipv4Addr::new(192, 0, 2, 1)]));
    lab.await_told(|told| matches!(told, Told::Answered(name, Outcome::Released { code: Rcode::NOERROR }, _) if name == "www.example.com"));
    assert_eq!(lab.proxy.stats().released, 1);
    lab.proxy.stop().unwrap();
}

#[test]
fn a_query_arrives_byte_for_byte_under_another_id() {
    let server = Server::honest(Ipv4Addr::LOCALHOST);
    let lab = Lab::before(&server);
    let asked = edns_query(1, "CaSe.example.com", A);
    lab.client().ask(&asked);
    let seen = server.next().message;
    assert_eq!(seen[2..], asked[2..]);
}

#[test]
fn ids_and_ports_towards_the_server_cannot_be_foreseen() {
    let server = Server::honest(Ipv4Addr::LOCALHOST);
    let lab = Lab::before(&server);
    let client = lab.client();
    for n in 0..300 {
        client.ask(&query(n, "a.example.com", A));
    }
    let seen = server.all();
    let ids: HashSet<u16> = seen.iter().map(|seen| id(&seen.message)).collect();
    let ports: HashSet<u16> = seen.iter().map(|seen| seen.from.port()).collect();
    assert_eq!(seen.len(), 300);
    assert!(ids.len() > 290, "{} ids", ids.len());
    assert!(ports.len() >= 4, "{} ports", ports.len());
    let near = seen
        .windows(2)
        .filter(|two| id(&two[0].message).wrapping_add(1) == id(&two[1].message));
    assert!(near.count() < 3, "ids count up");
}

#[test]
fn an_answer_of_60_000_bytes_passes() {
    let server = Server::new(Ipv4Addr::LOCALHOST, |query, _| {
        vec![long_answer(query, 60_000)]
    });
    let lab = Lab::before(&server);
    let asked = edns_query(5, "big.example.com", A);
    assert_eq!(lab.client().ask(&asked), long_answer(&asked, 60_000));
}

#[test]
fn a_truncated_answer_passes_as_it_is() {
    let server = Server::new(Ipv4Addr::LOCALHOST, |query, _| {
        let mut truncated = bare_answer(query, NOERROR);
        truncated[2] |= 2;
        vec![truncated]
    });
    let lab = Lab::before(&server);
    let reply = lab.client().ask(&query(6, "many.example.com", A));
    assert_eq!(reply[2] & 2, 2);
}

#[test]
fn a_silent_server_makes_servfail_before_the_client_gives_up() {
    let server = Server::new(Ipv4Addr::LOCALHOST, |_, _| vec![]);
    let mut config = forward(server.address);
    config.timing.upstream = Duration::from_millis(100);
    let lab = Lab::new(config, drop);
    let asked = edns_query(9, "slow.example.com", A);
    let start = Instant::now();
    let reply = lab.client().ask(&asked);
    assert!(start.elapsed() >= Duration::from_millis(100));
    assert_eq!((id(&reply), code(&reply)), (9, SERVFAIL));
    assert_eq!(reply[11], 1, "the OPT record is answered with one");
    lab.await_told(|told| matches!(told, Told::Answered(_, Outcome::Timeout, _)));
    crate::lab::wait("the share is given back", || {
        lab.proxy.stats().in_flight == 0
    });
}

#[test]
fn a_late_answer_reaches_nobody() {
    let server = Server::new(Ipv4Addr::LOCALHOST, |query, _| {
        if crate::lab::name(query).starts_with("slow") {
            std::thread::sleep(Duration::from_millis(300));
        }
        vec![answer(query, &[Ipv4Addr::new(192, 0, 2, 1)])]
    });
    let mut config = forward(server.address);
    config.timing.upstream = Duration::from_millis(50);
    let lab = Lab::new(config, |held| {
        held.release();
    });
    let client = lab.client();
    assert_eq!(
        code(&client.ask(&query(1, "slow.example.com", A))),
        SERVFAIL
    );
    crate::lab::wait("the late answer is dropped", || {
        lab.proxy.stats().mismatched == 1
    });
    client
        .0
        .set_read_timeout(Some(Duration::from_millis(1)))
        .unwrap();
    assert!(client.0.recv(&mut [0; 512]).is_err());
}

#[test]
fn a_server_that_does_not_listen_makes_servfail_at_once() {
    let lab = Lab::new(forward(NOBODY), drop);
    let reply = lab.client().ask(&query(3, "a.example.com", A));
    assert_eq!(code(&reply), SERVFAIL);
    lab.await_told(|told| matches!(told, Told::Answered(_, Outcome::Unreachable, _)));
}

#[test]
fn ipv6_works_like_ipv4() {
    let server = Server::honest(Ipv6Addr::LOCALHOST);
    let config = Config::forward((Ipv6Addr::LOCALHOST, 0).into(), server.address);
    let lab = Lab::new(config, |held| {
        held.release();
    });
    let asked = query(4, "six.example.com", A);
    let reply = Client::new(Ipv6Addr::LOCALHOST, lab.address()).ask(&asked);
    assert_eq!(reply, answer(&asked, &[Ipv4Addr::new(192, 0, 2, 1)]));
}

#[test]
fn a_wildcard_listener_answers_from_the_address_that_was_asked() {
    let server = Server::honest(Ipv4Addr::LOCALHOST);
    let config = Config::forward((Ipv4Addr::UNSPECIFIED, 0).into(), server.address);
    let lab = Lab::new(config, |held| {
        held.release();
    });
    let asked = Ipv4Addr::new(127, 9, 9, 9);
    // The client's socket is connected, so that only that address can answer it.
    let client = Client::new(Ipv4Addr::LOCALHOST, (asked, lab.proxy.port().get()).into());
    assert_eq!(code(&client.ask(&query(4, "a.example.com", A))), NOERROR);
}

#[test]
fn a_port_is_one_for_everything_and_can_be_had_again() {
    let server = Server::honest(Ipv4Addr::LOCALHOST);
    let mut config = forward(server.address);
    // Addresses of its own, so that no other test takes the port in between.
    config.listen = vec![
        Ipv4Addr::new(127, 77, 0, 1).into(),
        Ipv4Addr::new(127, 77, 0, 2).into(),
    ];
    let first = Proxy::bind(config.clone()).unwrap();
    let port = first.port();
    assert!(
        first
            .addresses()
            .iter()
            .all(|address| address.port() == port.get())
    );
    assert_eq!(first.addresses().len(), 2);

    config.port = Some(port);
    let taken = Proxy::bind(config.clone()).unwrap_err();
    assert!(matches!(taken, BindError::Listen { address, .. } if address.port() == port.get()));
    drop(first);

    let lab = Lab::new(config, |held| {
        held.release();
    });
    assert_eq!(lab.proxy.port(), port);
    assert_eq!(
        code(&lab.client().ask(&query(1, "a.example.com", A))),
        NOERROR
    );
}

#[test]
fn a_proxy_that_has_stopped_holds_no_socket() {
    let server = Server::honest(Ipv4Addr::LOCALHOST);
    let mut config = forward(server.address);
    // An address of its own, so that no other test takes the port in between.
    config.listen = vec![Ipv4Addr::new(127, 77, 0, 3).into()];
    for _ in 0..20 {
        let lab = Lab::new(config.clone(), |held| {
            held.release();
        });
        let address = lab.address();
        config.port = Some(lab.proxy.port());
        lab.client().ask(&query(1, "a.example.com", A));
        lab.proxy.stop().unwrap();
        drop(UdpSocket::bind(address).unwrap());
    }
}
