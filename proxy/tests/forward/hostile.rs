//! Servers and clients that do not mean well.

use std::net::{Ipv4Addr, UdpSocket};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use palisade_proxy::{Outcome, Reject};

use crate::lab::{
    A, FORMERR, Lab, NOERROR, NOTIMP, SERVFAIL, Server, Told, answer, bare_answer, code,
    edns_query, forward, id, query, wait,
};

const GOOD: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const EVIL: Ipv4Addr = Ipv4Addr::new(6, 6, 6, 6);

/// The lies that precede the true answer in each case are dropped.
#[test]
fn only_the_answer_to_the_question_under_its_id_is_believed() {
    type Lie = fn(Vec<u8>) -> Vec<u8>;
    let lies: [(&str, Lie); 8] = [
        ("another id", |mut lie| {
            lie[1] ^= 1;
            lie
        }),
        ("another name", |mut lie| {
            lie[13] = b'x';
            lie
        }),
        ("another case of the name", |mut lie| {
            lie[13] ^= 0x20;
            lie
        }),
        ("another type", |mut lie| {
            let end = crate::lab::question_end(&lie);
            lie[end - 3] = 28;
            lie
        }),
        ("a query", |mut lie| {
            lie[2] &= 0x7f;
            lie
        }),
        ("two questions", |mut lie| {
            lie[5] = 2;
            lie
        }),
        ("no question", |mut lie| {
            lie.drain(12..crate::lab::question_end(&lie));
            lie[5] = 0;
            lie
        }),
        ("half a header", |lie| lie[..7].to_vec()),
    ];
    for (what, lie) in lies {
        let server = Server::new(Ipv4Addr::LOCALHOST, move |query, _| {
            vec![lie(answer(query, &[EVIL])), answer(query, &[GOOD])]
        });
        let lab = Lab::before(&server);
        let asked = query(99, "www.example.com", A);
        assert_eq!(lab.client().ask(&asked), answer(&asked, &[GOOD]), "{what}");
        assert_eq!(lab.proxy.stats().mismatched, 1, "{what}");
    }
}

#[test]
fn an_answer_from_another_address_or_port_is_not_seen() {
    // The server tells an accomplice at another port, and waits until that one has answered.
    let accomplice = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let (sender, asks) = channel();
    let (done, lied) = channel();
    let (sender, lied) = (Mutex::new(sender), Mutex::new(lied));
    let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = udp.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 512];
        let (len, from) = udp.recv_from(&mut buffer).unwrap();
        sender
            .lock()
            .unwrap()
            .send((buffer[..len].to_vec(), from))
            .unwrap();
        lied.lock().unwrap().recv().unwrap();
        udp.send_to(&answer(&buffer[..len], &[GOOD]), from).unwrap();
    });
    std::thread::spawn(move || {
        let (asked, proxy) = asks.recv().unwrap();
        accomplice.send_to(&answer(&asked, &[EVIL]), proxy).unwrap();
        let elsewhere = UdpSocket::bind((Ipv4Addr::new(127, 0, 0, 9), 0)).unwrap();
        elsewhere.send_to(&answer(&asked, &[EVIL]), proxy).unwrap();
        done.send(()).unwrap();
    });
    let lab = Lab::new(forward(address), |held| {
        held.release();
    });
    let asked = query(1, "www.example.com", A);
    assert_eq!(lab.client().ask(&asked), answer(&asked, &[GOOD]));
}

#[test]
fn a_second_answer_to_a_query_is_dropped() {
    let server = Server::new(Ipv4Addr::LOCALHOST, |query, _| {
        vec![answer(query, &[GOOD]), answer(query, &[EVIL])]
    });
    let lab = Lab::before(&server);
    let client = lab.client();
    let asked = query(1, "www.example.com", A);
    assert_eq!(client.ask(&asked), answer(&asked, &[GOOD]));
    wait("the second is dropped", || {
        lab.proxy.stats().mismatched == 1
    });
}

#[test]
fn an_answer_that_cannot_be_read_is_not_passed_on() {
    let server = Server::new(Ipv4Addr::LOCALHOST, |query, _| {
        let mut cut = answer(query, &[GOOD, EVIL]);
        cut.truncate(cut.len() - 3);
        vec![cut]
    });
    let lab = Lab::before(&server);
    assert_eq!(
        code(&lab.client().ask(&query(1, "www.example.com", A))),
        SERVFAIL
    );
    lab.await_told(|told| matches!(told, Told::Answered(_, Outcome::Unreadable, _)));
}

#[test]
fn a_malformed_query_is_told_so_or_met_with_silence() {
    let plain = query(0x1234, "www.example.com", A);
    let with = |at: usize, byte: u8| {
        let mut message = plain.clone();
        message[at] = byte;
        message
    };
    let mut long = edns_query(0x1234, "www.example.com", A);
    long.extend(vec![0; 5000]);
    let cases = [
        ("no question", with(5, 0), Some(FORMERR), Reject::Malformed),
        (
            "two questions",
            with(5, 2),
            Some(FORMERR),
            Reject::Malformed,
        ),
        (
            "answers in a query",
            with(7, 2),
            Some(FORMERR),
            Reject::Malformed,
        ),
        (
            "a name that points to itself",
            {
                let mut message = plain[..12].to_vec();
                message.extend([0xc0, 12, 0, 1, 0, 1]);
                message
            },
            Some(FORMERR),
            Reject::Malformed,
        ),
        (
            "a label beyond the end",
            with(12, 60),
            Some(FORMERR),
            Reject::Malformed,
        ),
        (
            "no type",
            plain[..plain.len() - 4].to_vec(),
            Some(FORMERR),
            Reject::Malformed,
        ),
        ("5,000 bytes", long, Some(FORMERR), Reject::Malformed),
        (
            "notify",
            with(2, 4 << 3),
            Some(NOTIMP),
            Reject::UnknownOperation,
        ),
        (
            "update",
            with(2, 5 << 3),
            Some(NOTIMP),
            Reject::UnknownOperation,
        ),
        ("an answer", with(2, 0x81), None, Reject::NotAQuery),
        (
            "a malformed answer",
            with(2, 0x80)[..13].to_vec(),
            None,
            Reject::NotAQuery,
        ),
        (
            "half a header",
            plain[..11].to_vec(),
            None,
            Reject::Malformed,
        ),
        ("nothing", vec![], None, Reject::Malformed),
    ];
    let server = Server::honest(Ipv4Addr::LOCALHOST);
    let lab = Lab::before(&server);
    let client = lab.client();
    for (what, message, expected, reason) in cases {
        client.send(&message);
        assert_eq!(lab.await_told(|_| true), Told::Rejected(reason), "{what}");
        if let Some(expected) = expected {
            let reply = client.receive();
            assert_eq!((id(&reply), code(&reply)), (0x1234, expected), "{what}");
            assert_eq!(reply[2] & 0x80, 0x80, "{what}");
        }
    }
    // Silence was silence: the next reply is the next query's.
    assert_eq!(code(&client.ask(&plain)), NOERROR);
    assert_eq!(server.all().len(), 1);
}

#[test]
fn a_flood_of_lies_costs_no_query_its_answer() {
    let server = Server::new(Ipv4Addr::LOCALHOST, |query, _| {
        let lies = (0..100_u8).map(|n| {
            let mut lie = answer(query, &[EVIL]);
            lie[0] ^= n | 1;
            lie
        });
        lies.chain([answer(query, &[GOOD])]).collect()
    });
    let lab = Lab::before(&server);
    for n in 0..20 {
        let asked = query(n, "www.example.com", A);
        assert_eq!(lab.client().ask(&asked), answer(&asked, &[GOOD]));
    }
}

#[test]
fn an_empty_answer_with_the_truncation_bit_cut_in_a_record_is_passed_on() {
    // The client asks again over TCP; a server that cut a record in half must not prevent that.
    let server = Server::new(Ipv4Addr::LOCALHOST, |query, _| {
        let mut cut = answer(query, &[GOOD]);
        cut[2] |= 2;
        cut.truncate(cut.len() - 3);
        vec![cut]
    });
    let lab = Lab::before(&server);
    let reply = lab.client().ask(&query(1, "www.example.com", A));
    assert_eq!((code(&reply), reply[2] & 2), (NOERROR, 2));
}

#[test]
fn a_timed_out_id_is_not_taken_for_a_later_query() {
    let parked: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
    let store = Arc::clone(&parked);
    let server = Server::new(Ipv4Addr::LOCALHOST, move |query, _| {
        if crate::lab::name(query).starts_with("never") {
            store.lock().unwrap().push(bare_answer(query, NOERROR));
            return vec![];
        }
        // Every earlier query is answered late, then this one.
        let mut replies = std::mem::take(&mut *store.lock().unwrap());
        replies.push(answer(query, &[GOOD]));
        replies
    });
    let mut config = forward(server.address);
    config.timing.upstream = Duration::from_millis(500);
    let lab = Lab::new(config, |held| {
        held.release();
    });
    assert_eq!(
        code(&lab.client().ask(&query(1, "never.example.com", A))),
        SERVFAIL
    );
    // The answer goes to the port of the later query or to that of the first; to nobody either way.
    let asked = query(1, "later.example.com", A);
    assert_eq!(lab.client().ask(&asked), answer(&asked, &[GOOD]));
    drop(parked);
}
