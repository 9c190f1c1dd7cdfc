//! The DNS proxy by itself, as a user starts it, between a client and a server on loopback.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "the whole binary is a test, its helpers too"
)]

mod lab;

use std::fs;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::unix::fs::PermissionsExt as _;

use lab::{
    ADDRESS, NXDOMAIN, Proxy, REFUSED, SERVFAIL, Server, code, extended_error, query, status_of,
};
use nix::sys::signal::Signal;

const RULES: &str = "# names\nexample.com\n*.example.com   # and below\n";

#[test]
fn allowed_names_get_the_servers_own_bytes_over_udp_and_tcp() {
    let server = Server::start();
    let proxy = Proxy::start(server.address, RULES, &[]);
    for name in ["example.com", "WWW.Example.com"] {
        let asked = query(name);
        for reply in [proxy.ask_udp(&asked), proxy.ask_tcp(&asked)] {
            let direct = server.answer_to(&asked);
            assert_eq!(reply, direct, "{name}");
            assert!(reply.ends_with(&ADDRESS.octets()), "{name}");
        }
    }
    assert_eq!(server.asked(), 4);
}

#[test]
fn a_cut_answer_is_had_whole_over_tcp() {
    let server = Server::start();
    let proxy = Proxy::start(server.address, RULES, &[]);
    let asked = query("large.example.com");
    let cut = proxy.ask_udp(&asked);
    assert_eq!(cut[2] & 2, 2, "the answer over UDP is marked as cut");
    let whole = proxy.ask_tcp(&asked);
    assert_eq!(whole, server.answer_to(&asked));
    assert!(whole.len() > 4096);
}

#[test]
fn other_names_are_refused_and_never_reach_the_server() {
    let server = Server::start();
    let proxy = Proxy::start(server.address, RULES, &[]);
    for name in ["evil.test", "a.b.example.com", "example.com.evil.test"] {
        for reply in [proxy.ask_udp(&query(name)), proxy.ask_tcp(&query(name))] {
            assert_eq!(code(&reply), REFUSED, "{name}");
            // "Prohibited": the query had an OPT record, so the reply has one too.
            assert_eq!(extended_error(&reply), Some(18), "{name}");
        }
    }
    assert_eq!(server.asked(), 0);
}

#[test]
fn a_refusal_is_what_the_command_line_says() {
    let server = Server::start();
    let proxy = Proxy::start(server.address, RULES, &["--reject", "nxdomain"]);
    assert_eq!(code(&proxy.ask_udp(&query("evil.test"))), NXDOMAIN);
}

#[test]
fn a_server_that_is_not_there_is_told_as_a_failure() {
    // Bound, so that nobody else gets the port, and closed once the proxy is asked.
    let nobody = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = nobody.local_addr().unwrap();
    let proxy = Proxy::start(address, RULES, &[]);
    drop(nobody);
    assert_eq!(code(&proxy.ask_udp(&query("example.com"))), SERVFAIL);
}

#[test]
fn a_hang_up_puts_the_file_in_force_unless_it_is_wrong() {
    let server = Server::start();
    let mut proxy = Proxy::start(server.address, RULES, &[]);
    assert_eq!(code(&proxy.ask_udp(&query("other.test"))), REFUSED);
    fs::write(proxy.rules(), "other.test\n").unwrap();
    proxy.signal(Signal::SIGHUP);
    proxy.await_line("1 rule in force");
    assert_eq!(code(&proxy.ask_udp(&query("other.test"))), 0);
    assert_eq!(code(&proxy.ask_udp(&query("example.com"))), REFUSED);
    fs::write(proxy.rules(), "not a name\n").unwrap();
    proxy.signal(Signal::SIGHUP);
    proxy.await_line("rules.txt:1:4: character ' '");
    proxy.await_line("the rules that were in force stay");
    assert_eq!(code(&proxy.ask_udp(&query("other.test"))), 0);
}

#[test]
fn it_tells_what_became_of_each_query_and_ends_when_told() {
    let server = Server::start();
    let mut proxy = Proxy::start(server.address, RULES, &["--verbose"]);
    proxy.ask_udp(&query("www.example.com"));
    proxy.ask_udp(&query("evil.test"));
    proxy.signal(Signal::SIGTERM);
    proxy.await_line("2 asked: 1 answered, 1 refused, 0 timed out, 0 unreachable");
    let (status, printed) = proxy.end();
    assert_eq!(status, Some(0));
    let lines: Vec<&str> = printed.lines().collect();
    assert_eq!(lines.len(), 2, "{printed}");
    assert!(
        lines[0].contains("UDP www.example.com A allowed by ")
            && lines[0].contains("rules.txt:3: 192.0.2.1 for 30 s, "),
        "{printed}"
    );
    assert!(
        lines[1].ends_with("UDP evil.test A refused: no rule allows it"),
        "{printed}"
    );
}

#[test]
fn what_is_wrong_with_the_rules_is_told_whole_before_anything_is_opened() {
    let folder = tempfile::tempdir().unwrap();
    let rules = folder.path().join("rules.txt");
    fs::write(&rules, "good.test\n  bad name\n.worse\n").unwrap();
    let (status, told) = status_of(&rules);
    assert_eq!(status, Some(2));
    assert!(told.contains("rules.txt:2:6: character ' '"), "{told}");
    assert!(told.contains("rules.txt:3:1: a label is empty"), "{told}");

    let (status, told) = status_of(&folder.path().join("none.txt"));
    assert_eq!(status, Some(2));
    assert!(told.contains("none.txt: cannot read the rules"), "{told}");
}

#[test]
fn it_needs_no_privilege() {
    let server = Server::start();
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let proxy = Proxy::start_as_nobody(server.address, RULES, &folder);
    assert_eq!(code(&proxy.ask_udp(&query("example.com"))), 0);
    assert_eq!(code(&proxy.ask_tcp(&query("evil.test"))), REFUSED);
}
