//! Names learnt for policy, on real packets.

use std::net::{Ipv4Addr, SocketAddr};

use palisade_testkit::{echo, link, wait_for};

use crate::lab::dns::{self, Reply};
use crate::lab::{Connection, Lab, PATIENCE};

/// An address outside the node that names lead to.
const OUTSIDE: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 7);

const EGRESS: &str = "
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: client, namespace: shop}
spec:
  endpointSelector: {matchLabels: {app: client}}
  egress:
  - toEndpoints: [{matchLabels: {app: dns}}]
    toPorts:
    - ports: [{port: '53', protocol: UDP}]
      rules: {dns: [{matchPattern: '*.good.test'}]}
  - toFQDNs: [{matchPattern: '*.good.test'}]
    toPorts: [{ports: [{port: '443', protocol: TCP}]}]
";

/// A node with a client, a DNS server and something outside; and the server outside.
fn lab(network: u8, ttl: u32) -> (Lab, dns::Server, echo::Server) {
    lab_with(network, ttl, "dns: {grace-seconds: 0}\n")
}

/// The same with another section on DNS.
fn lab_with(network: u8, ttl: u32, section: &str) -> (Lab, dns::Server, echo::Server) {
    let mut lab = Lab::new(network, &["client", "dns", "outside"]).with(section);
    lab.leave_out("outside");
    lab.write("client.yaml", EGRESS);
    lab.start();
    link::pair(
        &link::End {
            namespace: &lab.node,
            name: "out0",
            addresses: &["198.51.100.1/24"],
        },
        &link::End {
            namespace: lab.pod("outside"),
            name: "eth0",
            addresses: &["198.51.100.7/24"],
        },
    )
    .unwrap();
    lab.pod("outside")
        .ip("route add default via 198.51.100.1")
        .unwrap();
    let names = dns::Server::start(lab.pod("dns"), lab.at("dns", 53), OUTSIDE, ttl);
    let web = echo::Server::tcp(lab.pod("outside"), outside()).unwrap();
    (lab, names, web)
}

fn outside() -> SocketAddr {
    (OUTSIDE, 443).into()
}

#[test]
fn an_address_is_reachable_once_an_allowed_name_led_to_it() {
    let (lab, names, _web) = lab(41, 60);
    let client = lab.pod("client");
    assert!(Connection::open(client, outside()).is_err());
    let reply = dns::ask(client, lab.at("dns", 53), "www.good.test");
    assert_eq!(reply, Reply::Address(OUTSIDE), "{}", lab.log());
    // It is enforced before the answer is there: no second try.
    Connection::open(client, outside()).unwrap();
    assert_eq!(names.asked(), 1);
    let known = lab.ask(&["fqdn", "cache", "list"]);
    assert_eq!(known[0]["name"], "www.good.test");
    assert_eq!(known[0]["endpoint"], "shop/client");
}

#[test]
fn a_name_outside_the_rules_is_refused_and_never_asked_for() {
    let (lab, names, _web) = lab(42, 60);
    let reply = dns::ask(lab.pod("client"), lab.at("dns", 53), "www.evil.test");
    assert_eq!(reply, Reply::Code(5), "{}", lab.log());
    assert_eq!(names.asked(), 0);
    wait_for("the report", PATIENCE, || {
        let flows = lab.flows();
        flows
            .iter()
            .any(|line| line.contains("www.evil.test") && line.contains("policies/client.yaml:11"))
    })
    .unwrap();
}

#[test]
fn a_connection_outlives_its_name_and_keeps_nobody_elses_way_open() {
    let (lab, _names, _web) = lab(43, 1);
    let client = lab.pod("client");
    let reply = dns::ask(client, lab.at("dns", 53), "www.good.test");
    assert_eq!(reply, Reply::Address(OUTSIDE));
    let mut connection = Connection::open(client, outside()).unwrap();
    // Longer than the name's time: the address is kept by the connection alone.
    wait_for("the end of the name's time", PATIENCE, || {
        let known = lab.ask(&["fqdn", "cache", "list"]);
        known[0]["remaining_seconds"] == 0
    })
    .unwrap();
    for _ in 0..20 {
        connection.echo().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    drop(connection);
    wait_for("the way to be shut", PATIENCE, || {
        Connection::open(client, outside()).is_err()
    })
    .unwrap();
    let known = lab.ask(&["fqdn", "cache", "list"]);
    assert_eq!(known.as_array().map(Vec::len), Some(0));
}

#[test]
fn what_was_learnt_survives_the_agent() {
    let (mut lab, _names, _web) = lab(44, 60);
    let reply = dns::ask(lab.pod("client"), lab.at("dns", 53), "www.good.test");
    assert_eq!(reply, Reply::Address(OUTSIDE));
    let mut connection = Connection::open(lab.pod("client"), outside())
        .unwrap_or_else(|error| panic!("{error}: {:#?}", lab.flows()));
    lab.kill();
    connection.echo().unwrap();
    lab.start();
    connection.echo().unwrap();
    Connection::open(lab.pod("client"), outside()).unwrap();
    // The datapath still redirects to the port that the proxy had.
    let reply = dns::ask(lab.pod("client"), lab.at("dns", 53), "api.good.test");
    assert_eq!(reply, Reply::Address(OUTSIDE));
}

#[test]
fn a_malformed_query_harms_nobody() {
    let (lab, names, _web) = lab(45, 60);
    let (client, server) = (lab.pod("client"), lab.at("dns", 53));
    let revision = lab.revision();
    let truncated = [0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 63, b'x'];
    assert_eq!(dns::send(client, server, &truncated), Reply::Code(1));
    assert_eq!(names.asked(), 0);
    assert_eq!(
        dns::ask(client, server, "www.good.test"),
        Reply::Address(OUTSIDE)
    );
    assert_eq!(lab.revision(), revision);
}

#[test]
fn the_agent_explains_names_and_forgets_them_for_good() {
    let (mut lab, _names, _web) = lab(46, 60);
    let reply = dns::ask(lab.pod("client"), lab.at("dns", 53), "www.good.test");
    assert_eq!(reply, Reply::Address(OUTSIDE), "{}", lab.log());
    let selectors = lab.ask(&["fqdn", "names"]);
    assert_eq!(selectors[0]["pattern"], "*.good.test");
    assert_eq!(selectors[0]["addresses"], 1);
    let report = lab.ask(&["fqdn", "explain", "WWW.good.test."]);
    assert_eq!(report["subject"], "www.good.test");
    assert_eq!(report["patterns"][0], "*.good.test");
    assert_eq!(report["queries"][0]["endpoint"], "shop/client");
    assert_eq!(report["queries"][0]["allowed"], true);
    assert_eq!(report["known"][0]["address"], OUTSIDE.to_string());
    assert_eq!(report["notes"], serde_json::json!([]));
    let report = lab.ask(&["fqdn", "explain", "evil.test"]);
    assert_eq!(report["queries"][0]["allowed"], false);
    assert_eq!(report["notes"].as_array().unwrap().len(), 3, "{report}");
    let report = lab.ask(&["fqdn", "explain", &OUTSIDE.to_string()]);
    assert_eq!(report["known"][0]["name"], "www.good.test");
    let report = lab.ask(&["fqdn", "cache", "clean", "--pattern", "*.good.test"]);
    assert_eq!(report["forgotten"], 1);
    assert!(Connection::open(lab.pod("client"), outside()).is_err());
    // Not even the agent's end brings back what it was told to forget.
    lab.kill();
    lab.start();
    assert_eq!(lab.ask(&["fqdn", "cache", "list"]), serde_json::json!([]));
}

#[test]
fn limits_and_refusals_are_the_operators() {
    let section = "dns: {names-per-endpoint: 1, nxdomain: ['**.search.test']}\n";
    let (mut lab, names, _web) = lab_with(47, 60, section);
    let (client, server) = (lab.pod("client"), lab.at("dns", 53));
    assert_eq!(dns::ask(client, server, "www.evil.test"), Reply::Code(5));
    let completed = dns::ask(client, server, "www.good.test.search.test");
    assert_eq!(completed, Reply::Code(3));
    assert_eq!(names.asked(), 0);
    for name in ["a.good.test", "b.good.test"] {
        let reply = dns::ask(client, server, name);
        assert_eq!(reply, Reply::Address(OUTSIDE), "{}", lab.log());
    }
    let known = lab.ask(&["fqdn", "cache", "list"]);
    assert_eq!(known.as_array().map(Vec::len), Some(1), "{known}");
    assert_eq!(known[0]["name"], "b.good.test");
    assert_eq!(lab.ask(&["status"])["dns"]["evicted"], 1);
    assert!(lab.trouble().contains("names of shop/client"));
    // The other name still leads there.
    Connection::open(lab.pod("client"), outside()).unwrap();
    lab.kill();
    lab.start();
    let known = lab.ask(&["fqdn", "cache", "list"]);
    assert_eq!(known.as_array().map(Vec::len), Some(1), "{known}");
}
