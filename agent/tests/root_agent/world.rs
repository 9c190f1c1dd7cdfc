//! A node between its pods and the world: masquerade, and policies of the node's own.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::thread;

use palisade_testkit::{Namespace, echo, link, wait_for};

use crate::lab::{Connection, Lab, PATIENCE};

const NODE: [&str; 2] = ["192.0.2.1", "2001:db8::1"];
const SITE: [&str; 2] = ["192.0.2.7", "2001:db8::7"];

/// A machine beyond the node's device `uplink`, which knows no way to the pods.
fn site(lab: &Lab) -> Namespace {
    let site = Namespace::new("site").unwrap();
    let end = |namespace, name, [v4, v6]: [&str; 2]| {
        let addresses = [format!("{v4}/24"), format!("{v6}/64")];
        (namespace, name, addresses)
    };
    let [near, far] = [end(&lab.node, "uplink", NODE), end(&site, "eth0", SITE)];
    let [near_addresses, far_addresses] =
        [&near.2, &far.2].map(|it| it.each_ref().map(String::as_str));
    link::pair(
        &link::End {
            namespace: near.0,
            name: near.1,
            addresses: &near_addresses,
        },
        &link::End {
            namespace: far.0,
            name: far.1,
            addresses: &far_addresses,
        },
    )
    .unwrap();
    site
}

fn at(address: &str, port: u16) -> SocketAddr {
    SocketAddr::new(address.parse().unwrap(), port)
}

/// Whom a server in the site sees when the pod speaks to it.
fn seen_by(site: &Namespace, pod: &Namespace, server: SocketAddr) -> IpAddr {
    let listener = site.run(|| TcpListener::bind(server)).unwrap().unwrap();
    thread::scope(|scope| {
        let served = scope.spawn(|| {
            let (mut stream, peer) = listener.accept().unwrap();
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            stream.write_all(&byte).unwrap();
            peer.ip()
        });
        Connection::open(pod, server).unwrap();
        served.join().unwrap()
    })
}

/// Lets the site reach the node at port 22, and nobody else reach it at all.
const HOST_POLICY: &str = "
apiVersion: cilium.io/v2
kind: CiliumClusterwideNetworkPolicy
metadata: {name: host}
spec:
  nodeSelector: {matchLabels: {role: edge}}
  ingress:
  - fromEntities: [world]
    toPorts:
    - ports: [{port: '22', protocol: TCP}]
";

#[test]
fn pods_speak_to_the_world_as_the_node_and_the_node_has_policies_of_its_own() {
    let mut lab = Lab::new(31, &["web"]).with(
        "devices: [uplink]\nmasquerade: true\nhost-firewall: true\nnode-labels: {role: edge}\n",
    );
    let site = site(&lab);
    lab.write("host.yaml", HOST_POLICY);
    lab.start();
    assert!(!lab.trouble().contains("uplink"), "{}", lab.trouble());
    for (node, outside) in NODE.into_iter().zip(SITE) {
        let seen = seen_by(&site, lab.pod("web"), at(outside, 80));
        assert_eq!(seen, node.parse::<IpAddr>().unwrap());
        let servers = [22, 23].map(|port| echo::Server::tcp(&lab.node, at(node, port)).unwrap());
        Connection::open(&site, servers[0].address()).unwrap();
        assert!(Connection::open(&site, servers[1].address()).is_err());
        assert!(Connection::open(lab.pod("web"), servers[0].address()).is_err());
        // The node itself may go anywhere: nothing forbids it.
        let _server = echo::Server::tcp(&site, at(outside, 443)).unwrap();
        Connection::open(&lab.node, at(outside, 443)).unwrap();
    }
    let mut through_a_restart = {
        let server = echo::Server::tcp(&site, at(SITE[0], 8080)).unwrap();
        (
            Connection::open(lab.pod("web"), server.address()).unwrap(),
            server,
        )
    };
    lab.kill();
    through_a_restart.0.echo().unwrap();
    lab.start();
    through_a_restart.0.echo().unwrap();
    lab.end();
    let left = lab.node.ip("link show uplink").unwrap();
    assert!(!left.contains("qdisc clsact"), "{left}");
}

#[test]
fn a_device_that_is_not_there_is_a_trouble_until_it_is() {
    let mut lab = Lab::new(32, &["web"]).with("devices: [uplink]\nmasquerade: true\n");
    lab.start();
    assert!(lab.trouble().contains("device uplink"), "{}", lab.trouble());
    let site = site(&lab);
    let gone = || !lab.trouble().contains("device uplink");
    wait_for("the device", PATIENCE, gone).unwrap();
    for (node, outside) in NODE.into_iter().zip(SITE) {
        let server = at(outside, 80);
        let open = echo::Server::tcp(&site, server).unwrap();
        let reached = || Connection::open(lab.pod("web"), server).is_ok();
        wait_for("the programs to know the address", PATIENCE, reached).unwrap();
        drop(open);
        let seen = seen_by(&site, lab.pod("web"), at(outside, 81));
        assert_eq!(seen, node.parse::<IpAddr>().unwrap());
    }
    lab.end();
}
