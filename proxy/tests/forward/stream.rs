//! Queries over TCP.

use std::io::{Read, Write};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use palisade_abi::Protocol;
use palisade_proxy::Outcome;

use crate::lab::{
    A, Lab, NOBODY, NOERROR, NOTIMP, PATIENCE, REFUSED, SERVFAIL, Server, Told, answer, ask_tcp,
    code, connect, forward, id, long_answer, query, read_message, sockets, write_message,
};

#[test]
fn a_query_over_tcp_is_asked_over_tcp() {
    let server = Server::new(Ipv4Addr::LOCALHOST, |query, protocol| match protocol {
        Protocol::TCP => vec![answer(query, &[Ipv4Addr::new(192, 0, 2, 1)])],
        _ => vec![],
    });
    let lab = Lab::before(&server);
    let asked = query(77, "www.example.com", A);
    let reply = ask_tcp(&mut connect(lab.address()), &asked);
    assert_eq!(reply, answer(&asked, &[Ipv4Addr::new(192, 0, 2, 1)]));
    assert_ne!(id(&server.next().message), 77, "one in 65,536 may fail");
}

#[test]
fn queries_sent_at_once_are_answered_in_order_over_one_connection_each_way() {
    let server = Server::honest(Ipv4Addr::LOCALHOST);
    let lab = Lab::before(&server);
    let mut stream = connect(lab.address());
    for n in 0..10 {
        let name = if n == 5 {
            "no.example.com"
        } else {
            "www.example.com"
        };
        write_message(&mut stream, &query(n, name, A));
    }
    for n in 0..10 {
        let reply = read_message(&mut stream).unwrap();
        assert_eq!(
            (id(&reply), code(&reply)),
            (n, if n == 5 { REFUSED } else { NOERROR })
        );
    }
    let seen = server.all();
    assert_eq!(seen.len(), 9);
    assert!(seen.iter().all(|other| other.from == seen[0].from));
}

#[test]
fn an_answer_of_65_535_bytes_passes() {
    let server = Server::new(Ipv4Addr::LOCALHOST, |query, _| {
        vec![long_answer(query, 65_535)]
    });
    let lab = Lab::before(&server);
    let asked = query(5, "big.example.com", A);
    assert_eq!(
        ask_tcp(&mut connect(lab.address()), &asked),
        long_answer(&asked, 65_535)
    );
}

#[test]
fn a_connection_that_the_server_closed_is_opened_anew() {
    let (_udp, tcp) = sockets(Ipv4Addr::LOCALHOST.into());
    let address = tcp.local_addr().unwrap();
    // One query a connection, as some servers have it.
    thread::spawn(move || {
        for mut stream in tcp.incoming().map_while(Result::ok) {
            let asked = read_message(&mut stream).unwrap();
            write_message(&mut stream, &answer(&asked, &[]));
        }
    });
    let lab = Lab::new(forward(address), drop);
    let mut stream = connect(lab.address());
    for n in 0..3 {
        assert_eq!(
            code(&ask_tcp(&mut stream, &query(n, "www.example.com", A))),
            NOERROR
        );
    }
}

#[test]
fn answers_under_a_wrong_id_or_to_another_question_are_passed_over() {
    let server = Server::new(Ipv4Addr::LOCALHOST, |query, _| {
        let mut wrong = answer(query, &[Ipv4Addr::new(6, 6, 6, 6)]);
        wrong[0] ^= 1;
        let mut other = answer(query, &[Ipv4Addr::new(6, 6, 6, 6)]);
        other[13] ^= 0x20;
        vec![wrong, other, answer(query, &[Ipv4Addr::new(192, 0, 2, 1)])]
    });
    let lab = Lab::before(&server);
    let asked = query(5, "www.example.com", A);
    let reply = ask_tcp(&mut connect(lab.address()), &asked);
    assert_eq!(reply, answer(&asked, &[Ipv4Addr::new(192, 0, 2, 1)]));
    assert_eq!(lab.proxy.stats().mismatched, 2);
}

#[test]
fn a_silent_or_absent_server_makes_servfail_and_the_connection_stays() {
    let calls = Arc::new(AtomicUsize::new(0));
    let server = Server::new(Ipv4Addr::LOCALHOST, move |query, _| {
        match calls.fetch_add(1, Ordering::Relaxed) {
            0 => vec![],
            _ => vec![answer(query, &[])],
        }
    });
    let mut config = forward(server.address);
    config.timing.upstream = Duration::from_millis(500);
    let lab = Lab::new(config, drop);
    let mut stream = connect(lab.address());
    assert_eq!(
        code(&ask_tcp(&mut stream, &query(1, "a.example.com", A))),
        SERVFAIL
    );
    lab.await_told(|told| matches!(told, Told::Answered(_, Outcome::Timeout, _)));
    assert_eq!(
        code(&ask_tcp(&mut stream, &query(2, "a.example.com", A))),
        NOERROR
    );

    let lab = Lab::new(forward(NOBODY), drop);
    let mut stream = connect(lab.address());
    assert_eq!(
        code(&ask_tcp(&mut stream, &query(1, "a.example.com", A))),
        SERVFAIL
    );
    lab.await_told(|told| matches!(told, Told::Answered(_, Outcome::Unreachable, _)));
}

#[test]
fn a_client_that_dawdles_is_cut_off_even_in_the_middle_of_a_message() {
    let server = Server::honest(Ipv4Addr::LOCALHOST);
    let mut config = forward(server.address);
    config.timing.tcp_idle = Duration::from_millis(200);
    let lab = Lab::new(config, drop);
    let mut stream = connect(lab.address());
    // Byte by byte, each well within the limit, the message as a whole beyond it.
    let message = query(1, "a.example.com", A);
    let length = u16::try_from(message.len()).unwrap().to_be_bytes();
    let cut = length.into_iter().chain(message).any(|byte| {
        thread::sleep(Duration::from_millis(20));
        stream.write_all(&[byte]).is_err()
    });
    assert!(cut || matches!(stream.read(&mut [0; 1]), Ok(0) | Err(_)));
    assert_eq!(lab.proxy.stats().asked, 0);
    crate::lab::wait("the connection is given up", || {
        lab.proxy.stats().connections == 0
    });
}

#[test]
fn a_client_has_its_share_of_connections_and_no_more() {
    let server = Server::honest(Ipv4Addr::LOCALHOST);
    let mut config = forward(server.address);
    config.limits.connections_per_client = 2;
    let lab = Lab::new(config, |held| {
        held.release();
    });
    let mut first = connect(lab.address());
    let mut second = connect(lab.address());
    for stream in [&mut first, &mut second] {
        assert_eq!(
            code(&ask_tcp(stream, &query(1, "a.example.com", A))),
            NOERROR
        );
    }
    let mut third = connect(lab.address());
    assert!(
        matches!(third.read(&mut [0; 1]), Ok(0) | Err(_)),
        "the third is closed"
    );
    drop(first);
    crate::lab::wait("the share is given back", || {
        lab.proxy.stats().connections == 1
    });
    let mut fourth = connect(lab.address());
    assert_eq!(
        code(&ask_tcp(&mut fourth, &query(1, "a.example.com", A))),
        NOERROR
    );
}

#[test]
fn what_is_no_query_over_tcp_is_told_so_or_cut_off() {
    let server = Server::honest(Ipv4Addr::LOCALHOST);
    let lab = Lab::before(&server);
    let mut notify = query(1, "a.example.com", A);
    notify[2] = 4 << 3;
    assert_eq!(code(&ask_tcp(&mut connect(lab.address()), &notify)), NOTIMP);
    for (what, message) in [
        ("nothing", vec![]),
        ("an answer", answer(&query(1, "a.b", A), &[])),
    ] {
        let mut stream = connect(lab.address());
        write_message(&mut stream, &message);
        assert!(read_message(&mut stream).is_none(), "{what}");
    }
    let mut stream = connect(lab.address());
    write_message(&mut stream, &vec![0; 60_000]);
    assert!(
        read_message(&mut stream).is_none(),
        "a query of 60,000 bytes"
    );
    assert!(server.all().is_empty());
}

#[test]
fn a_stop_ends_open_connections_at_once() {
    let server = Server::new(Ipv4Addr::LOCALHOST, |_, _| vec![]);
    let lab = Lab::before(&server);
    let _idle = connect(lab.address());
    let mut waiting = connect(lab.address());
    write_message(&mut waiting, &query(1, "a.example.com", A));
    server.next();
    let start = std::time::Instant::now();
    lab.proxy.stop().unwrap();
    assert!(start.elapsed() < PATIENCE / 10);
}
