//! Answers that wait until their addresses are enforced.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use palisade_fqdn::wire::{Rcode, RecordType};
use palisade_proxy::{Held, OnLate, Outcome, Released};

use crate::lab::{
    A, Client, Lab, NOERROR, PATIENCE, SERVFAIL, Server, Told, answer, ask_tcp, bare_answer, code,
    connect, forward, query, wait,
};

#[test]
fn an_answer_says_whom_it_is_for_and_what_it_brings() {
    let server = Server::new(Ipv4Addr::LOCALHOST, |query, _| {
        vec![answer(
            query,
            &[Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2)],
        )]
    });
    let upstream = server.address;
    let (sender, helds) = channel();
    let lab = Lab::new(forward(server.address), send_to(sender));
    let client = lab.client();
    client.send(&query(1, "WWW.example.com", A));
    let held = helds.recv().unwrap();
    let brought = held.answer();
    assert_eq!(brought.query.name.to_string(), "www.example.com");
    assert_eq!(brought.query.client, client.0.local_addr().unwrap());
    assert_eq!(brought.query.server, upstream);
    assert_eq!(brought.query.qtype, RecordType::A);
    assert_eq!(brought.identity, crate::lab::IDENTITY);
    assert_eq!(brought.rule.get(), 7);
    assert_eq!(
        brought.addresses,
        [[192, 0, 2, 1], [192, 0, 2, 2]].map(IpAddr::from)
    );
    assert_eq!(brought.ttl, Duration::from_secs(30));
}

#[test]
fn the_client_gets_nothing_before_the_release() {
    let server = Server::honest(Ipv4Addr::LOCALHOST);
    let (sender, helds) = channel();
    let mut config = forward(server.address);
    config.timing.hold = Duration::from_secs(60);
    let lab = Lab::new(config, send_to(sender));
    let client = lab.client();
    client.send(&query(1, "a.example.com", A));
    let held = helds.recv().unwrap();
    // Others are served meanwhile, so the silence is not the proxy's slowness.
    for n in 0..20 {
        assert_eq!(code(&lab.client().ask(&query(n, "no.example.com", A))), 5);
    }
    client.0.set_nonblocking(true).unwrap();
    assert!(client.0.recv(&mut [0; 512]).is_err());
    client.0.set_nonblocking(false).unwrap();
    assert_eq!(held.release(), Released::InTime);
    assert_eq!(code(&client.receive()), NOERROR);
    let told = lab.await_told(|told| matches!(told, Told::Answered(..)));
    let Told::Answered(
        _,
        Outcome::Released {
            code: Rcode::NOERROR,
        },
        waited,
    ) = told
    else {
        panic!("{told:?}")
    };
    assert!(!waited.is_zero());
    let stats = lab.proxy.stats();
    assert_eq!((stats.held, stats.held_longest), (waited, waited));
}

#[test]
fn an_answer_without_addresses_is_not_held() {
    let server = Server::new(Ipv4Addr::LOCALHOST, |query, _| vec![bare_answer(query, 3)]);
    let lab = Lab::new(forward(server.address), |held| panic!("{held:?}"));
    assert_eq!(code(&lab.client().ask(&query(1, "a.example.com", A))), 3);
    assert_eq!(
        code(&ask_tcp(
            &mut connect(lab.address()),
            &query(1, "a.example.com", A)
        )),
        3
    );
    lab.await_told(|told| {
        matches!(
            told,
            Told::Answered(
                _,
                Outcome::Released {
                    code: Rcode::NXDOMAIN
                },
                Duration::ZERO
            )
        )
    });
}

#[test]
fn a_hold_ends_as_configured_over_udp_and_tcp() {
    for (on_late, expected, outcome) in [
        (OnLate::ServFail, SERVFAIL, Outcome::Late),
        (OnLate::Release, NOERROR, Outcome::ReleasedLate),
    ] {
        let server = Server::honest(Ipv4Addr::LOCALHOST);
        let (sender, helds) = channel();
        let mut config = forward(server.address);
        config.timing.hold = Duration::from_millis(50);
        config.on_late = on_late;
        let lab = Lab::new(config, send_to(sender));
        let asked = query(1, "a.example.com", A);
        assert_eq!(code(&lab.client().ask(&asked)), expected);
        assert_eq!(
            code(&ask_tcp(&mut connect(lab.address()), &asked)),
            expected
        );
        for held in helds.iter().take(2) {
            assert!(held.deadline() <= Instant::now());
            assert_eq!(held.release(), Released::TooLate);
        }
        lab.await_told(|told| matches!(told, Told::Answered(_, o, waited) if *o == outcome && *waited >= Duration::from_millis(50)));
        assert_eq!(lab.proxy.stats().late, 2);
    }
}

#[test]
fn an_answer_that_the_embedder_drops_becomes_servfail() {
    let server = Server::honest(Ipv4Addr::LOCALHOST);
    let lab = Lab::new(forward(server.address), Held::abandon);
    assert_eq!(
        code(&lab.client().ask(&query(1, "a.example.com", A))),
        SERVFAIL
    );
    assert_eq!(
        code(&ask_tcp(
            &mut connect(lab.address()),
            &query(1, "a.example.com", A)
        )),
        SERVFAIL
    );
    lab.await_told(|told| matches!(told, Told::Answered(_, Outcome::Abandoned, _)));
}

#[test]
fn an_answer_held_over_the_proxys_end_has_no_effect() {
    let server = Server::honest(Ipv4Addr::LOCALHOST);
    let (sender, helds) = channel();
    let lab = Lab::new(forward(server.address), send_to(sender));
    lab.client().send(&query(1, "a.example.com", A));
    let held = helds.recv().unwrap();
    lab.proxy.stop().unwrap();
    assert_eq!(held.release(), Released::TooLate);
}

/// 1,000 answers at once for 50 names that share 50 addresses; the gate opens for each address at
/// a random time. Every client connects to its address in the same thread on receiving its answer,
/// to a door that is shut unless the address is enforced.
#[test]
fn of_1000_clients_none_meets_an_address_that_is_not_enforced() {
    let unenforced = meet(|doors, held| {
        let delay = held.answer().query.client.port() % 40;
        let doors = Arc::clone(doors);
        thread::spawn(move || {
            thread::sleep(Duration::from_millis(delay.into()));
            doors.open(&held);
            held.release();
        });
    });
    assert_eq!(unenforced, 0);
}

/// The same with the gate switched off, to see that the test above can fail.
#[test]
fn without_the_gate_some_clients_meet_a_shut_door() {
    let unenforced = meet(|doors, held| {
        let doors = Arc::clone(doors);
        let addresses = held.answer().addresses.to_vec();
        held.release();
        thread::spawn(move || {
            thread::sleep(Duration::from_secs(1));
            doors.enforced.lock().unwrap().extend(addresses);
        });
    });
    assert!(unenforced > 0);
}

/// Stands for the kernel: lets through what is enforced.
struct Doors {
    enforced: Mutex<HashSet<IpAddr>>,
}

impl Doors {
    fn open(&self, held: &Held) {
        self.enforced
            .lock()
            .unwrap()
            .extend(held.answer().addresses);
    }

    /// Connects as a client would, if the address is let through.
    fn connect(&self, address: Ipv4Addr, port: u16) -> bool {
        self.enforced.lock().unwrap().contains(&address.into())
            && TcpStream::connect((address, port)).is_ok()
    }
}

/// Runs 1,000 clients in 50 threads; says how many met an address that was not enforced.
fn meet(on_answer: impl Fn(&Arc<Doors>, Held) + Send + Sync + 'static) -> usize {
    let target = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    let port = target.local_addr().unwrap().port();
    thread::spawn(move || target.incoming().for_each(drop));
    let server = Server::new(Ipv4Addr::LOCALHOST, |query, _| {
        vec![answer(query, &[Ipv4Addr::new(127, 1, 0, query[13])])]
    });
    let doors = Arc::new(Doors {
        enforced: Mutex::default(),
    });
    let gate = Arc::clone(&doors);
    let mut config = forward(server.address);
    config.limits.in_flight_per_client = 1000;
    config.timing.hold = Duration::from_secs(10);
    config.timing.upstream = Duration::from_millis(500);
    let lab = Lab::new(config, move |held| on_answer(&gate, held));
    let shut = AtomicUsize::new(0);
    thread::scope(|scope| {
        for thread in 0..50_u8 {
            let (address, doors, shut) = (lab.address(), &doors, &shut);
            scope.spawn(move || {
                let asked = (0..20).map(|n| {
                    let client = Client::new(Ipv4Addr::LOCALHOST, address);
                    let label = char::from(b'A' + (thread + n) % 50);
                    let message = query(n.into(), &format!("{label}.example.com"), A);
                    client.send(&message);
                    (client, message)
                });
                for (client, message) in asked.collect::<Vec<_>>() {
                    let reply = insist(&client, &message);
                    let last = *reply.last().unwrap();
                    if !doors.connect(Ipv4Addr::new(127, 1, 0, last), port) {
                        shut.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    assert!(lab.proxy.stats().released >= 1000);
    shut.into_inner()
}

/// Waits for the answer to what was sent, and asks again as a stub does: a socket's buffer, the
/// proxy's or the server's, may be too small for 1,000 queries at once.
fn insist(client: &Client, message: &[u8]) -> Vec<u8> {
    client
        .0
        .set_read_timeout(Some(Duration::from_secs(2)))
        .unwrap();
    let deadline = Instant::now() + PATIENCE;
    let mut buffer = [0; 512];
    while Instant::now() < deadline {
        if let Ok(len) = client.0.recv(&mut buffer)
            && code(&buffer) == NOERROR
        {
            return buffer[..len].to_vec();
        }
        client.send(message);
    }
    panic!("no answer in {PATIENCE:?}");
}

#[test]
fn an_embedder_slow_to_release_stalls_nobody_else() {
    let server = Server::honest(Ipv4Addr::LOCALHOST);
    let (sender, helds) = channel();
    let first = AtomicBool::new(true);
    let sender = Mutex::new(sender);
    let mut config = forward(server.address);
    config.timing.hold = Duration::from_secs(60);
    let lab = Lab::new(config, move |held: Held| {
        if first.swap(false, Ordering::Relaxed) {
            sender.lock().unwrap().send(held).unwrap();
        } else {
            held.release();
        }
    });
    let slow = lab.client();
    slow.send(&query(1, "a.example.com", A));
    let held = helds.recv().unwrap();
    for n in 0..100 {
        assert_eq!(
            code(&lab.client().ask(&query(n, "a.example.com", A))),
            NOERROR
        );
    }
    wait("only one waits", || lab.proxy.stats().in_flight == 1);
    drop(held);
    wait("the share is given back", || {
        lab.proxy.stats().in_flight == 0
    });
}

fn send_to(sender: Sender<Held>) -> impl Fn(Held) + Send + Sync + 'static {
    let sender = Mutex::new(sender);
    move |held| sender.lock().unwrap().send(held).unwrap()
}

#[test]
fn a_client_is_told_apart_by_its_address() {
    let server = Server::honest(Ipv4Addr::LOCALHOST);
    let (sender, helds) = channel();
    let lab = Lab::new(forward(server.address), send_to(sender));
    for last in [2, 3] {
        let client = Client::new(Ipv4Addr::new(127, 0, 0, last), lab.address());
        client.send(&query(1, "a.example.com", A));
        let asked_by: SocketAddr = helds.recv().unwrap().answer().query.client;
        assert_eq!(asked_by, client.0.local_addr().unwrap());
    }
}
