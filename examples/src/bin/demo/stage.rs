//! The stage: the node, its pods, the internet, and kube-dns.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use palisade_testkit::{Namespace, Process, link, wait_for};

use crate::cast::{Family, HOSTS, Host, KUBE_DNS, OK, PODS, Party, Pod};
use crate::dns;
use crate::error::Error;
use crate::policies;
use crate::probe::STATUS;
use crate::server::Server;

/// Ports that pods and hosts serve, each over TCP and UDP and both families.
const PORTS: [u16; 6] = [443, 5432, 5433, 8000, 8080, 8443];

/// Everything that stands before the agent starts.
pub(crate) struct Stage {
    pub(crate) node: Namespace,
    pub(crate) folder: PathBuf,
    pods: Vec<(Pod, Namespace)>,
    hosts: Vec<(Host, Namespace)>,
    _servers: Vec<Server>,
}

impl Stage {
    /// Sets the stage up. Pods have no interface yet: making it is the agent's work.
    pub(crate) fn set() -> Result<Self, Error> {
        let node = Namespace::new("node")?;
        node.forward()?;
        let mut pods = Vec::new();
        for pod in PODS {
            let namespace = Namespace::new(pod.short_name())?;
            allow_ping(&namespace)?;
            pods.push((pod, namespace));
        }
        let mut hosts = Vec::new();
        for host in HOSTS {
            let namespace = Namespace::new(host.label)?;
            connect(&node, &namespace, &host)?;
            allow_ping(&namespace)?;
            hosts.push((host, namespace));
        }
        let namespaces = pods
            .iter()
            .map(|(_, at)| at)
            .chain(hosts.iter().map(|(_, at)| at));
        let mut servers = Vec::new();
        for namespace in namespaces {
            for port in PORTS {
                servers.push(Server::start(namespace, port)?);
            }
        }
        let folder = PathBuf::from("/run/palisade-demo");
        policies::write(&folder.join("policies"))?;
        let stage = Self {
            node,
            folder,
            pods,
            hosts,
            _servers: servers,
        };
        fs::write(stage.folder.join("node.yaml"), stage.config())
            .map_err(Error::io("the description of the node"))?;
        Ok(stage)
    }

    /// Where a pod or a host lives.
    pub(crate) fn namespace(&self, party: Party) -> Result<&Namespace, Error> {
        let found = match party {
            Party::Pod(pod) => self
                .pods
                .iter()
                .find(|(at, _)| *at == pod)
                .map(|(_, at)| at),
            Party::Host(host) => self
                .hosts
                .iter()
                .find(|(at, _)| *at == host)
                .map(|(_, at)| at),
        };
        found.ok_or_else(|| Error::Io {
            what: format!("{} is not on the stage", party.label()),
            source: std::io::ErrorKind::NotFound.into(),
        })
    }

    /// The description of the node, for the agent and for the offline verdict.
    fn config(&self) -> String {
        let mut text = "node: demo\npolicies: policies\nendpoints:\n".to_owned();
        for (pod, namespace) in &self.pods {
            let addresses = Family::BOTH.map(|family| format!("'{}'", pod.address(family)));
            text += &[
                format!("- name: {}\n", pod.name),
                format!("  netns: {}\n", namespace.path().display()),
                format!("  labels: {{{}}}\n", pod.labels),
                format!("  addresses: [{}]\n", addresses.join(", ")),
            ]
            .concat();
        }
        text
    }

    /// Starts kube-dns in its pod, which has its addresses by now, and waits for its first answer.
    pub(crate) fn start_dns(&self) -> Result<Process, Error> {
        let namespace = self.namespace(Party::Pod(KUBE_DNS))?;
        let log = self.folder.join("kube-dns.log");
        let process = namespace.spawn(&mut dnsmasq(&log)?)?;
        let inside: SocketAddr = (KUBE_DNS.address(Family::V4), 53).into();
        let name = OK.name.map_or("", |(name, _)| name);
        wait_for("kube-dns to answer", Duration::from_secs(10), || {
            let answer = namespace.run(|| dns::ask(inside, name, Duration::from_millis(200)));
            matches!(answer, Ok(Ok(answer)) if answer.is_some())
        })?;
        Ok(process)
    }
}

/// Lets every group of a namespace send echo requests without raw sockets.
fn allow_ping(namespace: &Namespace) -> Result<(), Error> {
    Ok(namespace.sysctl("net.ipv4.ping_group_range", "0 2147483647")?)
}

/// Joins a host to the node, which is its way to everybody else.
fn connect(node: &Namespace, at: &Namespace, host: &Host) -> Result<(), Error> {
    let name = format!("wan-{}", host.label);
    let [v4, v6] = Family::BOTH.map(|family| host.address(family).to_string());
    link::pair(
        &link::End {
            namespace: node,
            name: &name,
            addresses: &["192.0.2.1/32", "fe80::1/64"],
        },
        &link::End {
            namespace: at,
            name: "eth0",
            addresses: &[&format!("{v4}/32"), &format!("{v6}/128")],
        },
    )?;
    at.ip("route add 192.0.2.1 dev eth0")?;
    at.ip("route add default via 192.0.2.1")?;
    at.ip("-6 route add default via fe80::1 dev eth0")?;
    node.ip(&format!("route add {v4}/32 dev {name}"))?;
    node.ip(&format!("-6 route add {v6}/128 dev {name}"))?;
    Ok(())
}

/// A real dnsmasq that knows the hosts by name and asks nobody else.
fn dnsmasq(log: &Path) -> Result<Command, Error> {
    let log = File::create(log).map_err(Error::io("the log of kube-dns"))?;
    let mut command = Command::new("dnsmasq");
    command
        .args([
            "--keep-in-foreground",
            "--conf-file=/dev/null",
            "--pid-file=",
            "--user=root",
        ])
        .args([
            "--no-resolv",
            "--no-hosts",
            "--cache-size=0",
            "--log-facility=-",
        ])
        .args(["--local=/domain.com/", "--local=/test/"]);
    for host in HOSTS {
        if let Some((name, ttl)) = host.name {
            let [v4, v6] = Family::BOTH.map(|family| host.address(family));
            command.arg(format!("--host-record={name},{v4},{v6},{ttl}"));
        }
    }
    command.arg(format!("--host-record={STATUS},198.51.100.70"));
    command.stdout(Stdio::null()).stderr(log);
    Ok(command)
}
