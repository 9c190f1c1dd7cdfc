//! The transparent proxy between programs that people run: dig and the C library on one side, dnsmasq
//! on the other, and servers that lie, are slow or say nothing.

#[cfg(test)]
#[path = "lab/mod.rs"]
#[expect(dead_code, reason = "shared with the tests that need no privilege")]
mod lab;

#[cfg(test)]
#[path = "lab/stage.rs"]
#[expect(dead_code, reason = "shared with the tests that speak DNS by hand")]
mod stage;

#[cfg(test)]
const WAITING: palisade_proxy::Waiting = palisade_proxy::Waiting::Ring;

#[cfg(test)]
mod resolvers {
    use std::collections::BTreeSet;
    use std::fmt::Write as _;
    use std::fs;
    use std::net::Ipv4Addr;
    use std::path::PathBuf;
    use std::process::{Command, Stdio};
    use std::thread;
    use std::time::Duration;

    use palisade_proxy::Config;
    use palisade_testkit::{Namespace, Process, wait_for};

    use crate::lab::{PATIENCE, Server, answer, id, wire_name};
    use crate::stage::{GOOD, SERVER, Stage};

    /// Addresses of `many.example.com`: an answer of more than 1,600 bytes.
    const MANY: u8 = 100;

    #[test]
    fn dig_gets_what_dnsmasq_says_over_both_protocols_and_families() {
        let stage = Stage::new();
        let _dnsmasq = Dnsmasq::start(&stage);
        for server in SERVER {
            for over in ["+notcp", "+tcp"] {
                let said = dig(&stage.client, server, &["www.example.com", over, "+short"]);
                assert_eq!(said.trim(), GOOD.to_string(), "{server} {over}");
                // The name that the alias leads to is not asked for, and comes along.
                let said = dig(&stage.client, server, &["alias.example.com", over]);
                assert!(said.contains("status: NOERROR"), "{said}");
                assert!(said.contains("CNAME\twww.example.com."), "{said}");
                assert!(said.contains(&GOOD.to_string()), "{said}");
                let said = dig(&stage.client, server, &["gone.example.com", over]);
                assert!(said.contains("status: NXDOMAIN"), "{said}");
            }
        }
    }

    #[test]
    fn a_name_outside_the_rules_is_refused_and_dig_reads_why() {
        let stage = Stage::new();
        let _dnsmasq = Dnsmasq::start(&stage);
        for over in ["+notcp", "+tcp"] {
            let said = dig(&stage.client, SERVER[0], &["no.example.com", over]);
            assert!(said.contains("status: REFUSED"), "{said}");
            assert!(said.contains("EDE: 18 (Prohibited)"), "{said}");
        }
        // Whoever does not speak EDNS is told without it.
        let said = dig(&stage.client, SERVER[0], &["no.example.com", "+noedns"]);
        assert!(said.contains("status: REFUSED"), "{said}");
        assert!(!said.contains("OPT PSEUDOSECTION"), "{said}");
    }

    #[test]
    fn an_answer_too_long_for_the_client_is_cut_and_comes_whole_over_tcp() {
        let stage = Stage::new();
        let _dnsmasq = Dnsmasq::start(&stage);
        let all: BTreeSet<Ipv4Addr> = (1..=MANY).map(|last| [203, 0, 113, last].into()).collect();
        for server in SERVER {
            for size in ["+noedns", "+bufsize=512", "+bufsize=1232"] {
                let cut = dig(
                    &stage.client,
                    server,
                    &["many.example.com", size, "+ignore"],
                );
                assert!(flags(&cut).contains(" tc"), "{size}: {cut}");
                let whole = dig(&stage.client, server, &["many.example.com", size]);
                assert!(whole.contains("retrying in TCP mode"), "{size}: {whole}");
                assert_eq!(addresses(&whole), all, "{size}: {whole}");
            }
            // Room enough, so that one datagram, in fragments, brings them all.
            let said = dig(
                &stage.client,
                server,
                &["many.example.com", "+bufsize=4096"],
            );
            assert!(!said.contains("retrying"), "{said}");
            assert_eq!(addresses(&said), all, "{said}");
        }
    }

    #[test]
    fn glibc_asks_for_both_families_at_once_and_walks_its_search_list() {
        let stage = Stage::new();
        let _dnsmasq = Dnsmasq::start(&stage);
        for server in SERVER {
            let found = getent(&stage, server, "www");
            assert!(found.starts_with(&GOOD.to_string()), "{server}: {found}");
            assert_eq!(getent(&stage, server, "no.example.com"), "");
        }
        // Both families, under both names of the search list, of both servers.
        assert!(stage.proxy.stats().released >= 8);
        assert_eq!(stage.proxy.stats().timeout, 0);
    }

    #[test]
    fn dig_meets_the_truth_behind_lies() {
        let stage = Stage::new();
        let _server = stage.serve(SERVER[0], |query, _| {
            let bad = |query: &[u8]| answer(query, &[Ipv4Addr::new(198, 51, 100, 66)]);
            let mut other_id = bad(query);
            other_id[..2].copy_from_slice(&id(query).wrapping_add(1).to_be_bytes());
            let other_name = bad(&[&query[..12], &wire_name("evil.test"), &[0, 1, 0, 1]].concat());
            vec![other_id, other_name, answer(query, &[GOOD])]
        });
        let said = dig(
            &stage.client,
            SERVER[0],
            &["www.example.com", "+noedns", "+short"],
        );
        assert_eq!(said.trim(), GOOD.to_string());
        assert_eq!(stage.proxy.stats().mismatched, 2);
    }

    #[test]
    fn dig_waits_for_a_slow_server_and_is_told_of_a_silent_one() {
        let mut config = Config::transparent();
        config.timing.upstream = Duration::from_secs(2);
        let stage = Stage::with(config);
        let _server: Server = stage.serve(SERVER[0], |query, _| {
            if crate::lab::name(query).starts_with("silent") {
                return vec![];
            }
            thread::sleep(Duration::from_millis(300));
            vec![answer(query, &[GOOD])]
        });
        let said = dig(
            &stage.client,
            SERVER[0],
            &["slow.example.com", "+noedns", "+short"],
        );
        assert_eq!(said.trim(), GOOD.to_string());
        let said = dig(&stage.client, SERVER[0], &["silent.example.com"]);
        assert!(said.contains("status: SERVFAIL"), "{said}");
        assert!(said.contains("EDE: 22 (No Reachable Authority)"), "{said}");
    }

    /// A dnsmasq in the server's place, which knows a few names and asks nobody.
    struct Dnsmasq {
        _process: Process,
        hosts: PathBuf,
    }

    impl Dnsmasq {
        fn start(stage: &Stage) -> Self {
            let hosts: PathBuf = [env!("CARGO_TARGET_TMPDIR"), stage.server.name()]
                .iter()
                .collect();
            let mut lines = format!("{GOOD} www.example.com\n");
            for last in 1..=MANY {
                writeln!(lines, "203.0.113.{last} many.example.com").unwrap();
            }
            fs::write(&hosts, lines).unwrap();
            let mut command = Command::new("dnsmasq");
            command.args([
                "--keep-in-foreground",
                "--conf-file=/dev/null",
                "--pid-file=",
                "--user=root",
                "--no-resolv",
                "--no-hosts",
                "--log-facility=-",
                "--local=/example.com/test/",
                "--cname=alias.example.com,www.example.com",
                "--edns-packet-max=4096",
                "--bind-interfaces",
            ]);
            command.arg(format!("--addn-hosts={}", hosts.display()));
            command.stdout(Stdio::null()).stderr(Stdio::null());
            let process = stage.server.spawn(&mut command).unwrap();
            wait_for("dnsmasq to answer", PATIENCE, || {
                SERVER.into_iter().all(|address| {
                    let short = ["www.example.com", "+short", "+time=1"];
                    dig(&stage.server, address, &short).trim() == GOOD.to_string()
                })
            })
            .unwrap();
            Self {
                _process: process,
                hosts,
            }
        }
    }

    impl Drop for Dnsmasq {
        fn drop(&mut self) {
            fs::remove_file(&self.hosts).ok();
        }
    }

    /// What dig says of one question, asked once.
    fn dig(namespace: &Namespace, server: &str, words: &[&str]) -> String {
        let mut command = Command::new("dig");
        command.args(["-r", &format!("@{server}"), "+tries=1", "+time=20"]);
        let output = namespace.output(command.args(words)).unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    /// What the C library of this machine finds, told of a server as a pod is.
    fn getent(stage: &Stage, server: &str, name: &str) -> String {
        let resolv: PathBuf = [env!("CARGO_TARGET_TMPDIR"), stage.client.name()]
            .iter()
            .collect();
        let lines = "search pods.test example.com\noptions ndots:5 timeout:20 attempts:1\n";
        fs::write(&resolv, format!("nameserver {server}\n{lines}")).unwrap();
        let switch = resolv.with_extension("switch");
        fs::write(&switch, "hosts: dns\n").unwrap();
        // In mounts of its own, which end with it.
        let script = "mount --bind \"$0\" /etc/resolv.conf && mount --bind \"$1\" /etc/nsswitch.conf \
                      && exec getent ahosts \"$2\"";
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", script]);
        let output = stage
            .client
            .output(command.arg(&resolv).arg(&switch).arg(name))
            .unwrap();
        fs::remove_file(resolv).unwrap();
        fs::remove_file(switch).unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The flags of the message that dig shows.
    fn flags(said: &str) -> &str {
        let (_, rest) = said.split_once(";; flags:").unwrap_or_default();
        rest.split(';').next().unwrap_or_default()
    }

    /// The addresses in the answer that dig shows.
    fn addresses(said: &str) -> BTreeSet<Ipv4Addr> {
        let records = said.lines().filter(|line| !line.starts_with(';'));
        let last = records.filter_map(|line| line.split_whitespace().next_back());
        last.filter_map(|word| word.parse().ok()).collect()
    }
}
