//! A node in a namespace with an agent on it, and pods around it.

pub(crate) mod dns;

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::Duration;

use nix::sys::signal::Signal;
use palisade_testkit::{Namespace, Process, wait_for, wait_some};
use serde_json::Value;
use tempfile::TempDir;

/// How long things may take that should happen at once.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// How long a packet is waited for that must not come.
const SILENCE: Duration = Duration::from_millis(400);

/// A node, its pods and its agent; everything goes with it.
pub(crate) struct Lab {
    pub(crate) node: Namespace,
    pub(crate) folder: TempDir,
    pods: BTreeMap<String, Pod>,
    network: u8,
    extra: String,
    agent: Option<Process>,
}

struct Pod {
    is_endpoint: bool,
    namespace: Option<Namespace>,
    number: u8,
}

impl Lab {
    /// A node with pods of these names, which are their labels `app` too. Nothing runs yet.
    ///
    /// `network` tells the addresses of labs apart that stand side by side.
    pub(crate) fn new(network: u8, pods: &[&str]) -> Self {
        let pods = pods.iter().zip(2..).map(|(name, number)| {
            let namespace = Some(Namespace::new(name).unwrap());
            let pod = Pod {
                is_endpoint: true,
                namespace,
                number,
            };
            ((*name).to_owned(), pod)
        });
        let lab = Self {
            node: Namespace::new("node").unwrap(),
            folder: TempDir::new().unwrap(),
            pods: pods.collect(),
            network,
            extra: String::new(),
            agent: None,
        };
        fs::create_dir(lab.policies()).unwrap();
        lab
    }

    /// Keeps a namespace from being an endpoint of the node.
    pub(crate) fn leave_out(&mut self, name: &str) {
        self.pods.get_mut(name).unwrap().is_endpoint = false;
    }

    /// Adds lines to the node's description.
    pub(crate) fn with(mut self, extra: &str) -> Self {
        self.extra.push_str(extra);
        self
    }

    pub(crate) fn policies(&self) -> PathBuf {
        self.folder.path().join("policies")
    }

    /// Writes a policy file in one step, as editors do.
    pub(crate) fn write(&self, file: &str, text: &str) {
        let new = self.folder.path().join("new");
        fs::write(&new, text).unwrap();
        fs::rename(new, self.policies().join(file)).unwrap();
    }

    /// Writes a policy file and waits until it is in force.
    pub(crate) fn apply(&self, file: &str, text: &str) {
        let before = self.revision();
        self.write(file, text);
        wait_for("the new revision", PATIENCE, || self.revision() > before).unwrap();
    }

    pub(crate) fn pod(&self, name: &str) -> &Namespace {
        self.pods[name].namespace.as_ref().unwrap()
    }

    /// Removes the namespace of a pod, with everything in it.
    pub(crate) fn remove_pod(&mut self, name: &str) {
        self.pods.get_mut(name).unwrap().namespace = None;
    }

    /// Makes a namespace anew that was removed, under the name that it had.
    pub(crate) fn bring_back(&mut self, name: &str, path: &std::path::Path) {
        let namespace = Namespace::new(name).unwrap();
        std::os::unix::fs::symlink(namespace.path(), path).unwrap();
        self.pods.get_mut(name).unwrap().namespace = Some(namespace);
    }

    /// The IPv4 address of a pod with a port.
    pub(crate) fn at(&self, name: &str, port: u16) -> SocketAddr {
        let number = self.pods[name].number;
        format!("10.{}.0.{number}:{port}", self.network)
            .parse()
            .unwrap()
    }

    /// The IPv6 address of a pod with a port.
    pub(crate) fn at6(&self, name: &str, port: u16) -> SocketAddr {
        let number = self.pods[name].number;
        format!("[fd00:{}::{number}]:{port}", self.network)
            .parse()
            .unwrap()
    }

    /// Starts the agent and waits until it answers.
    pub(crate) fn start(&mut self) {
        self.describe();
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.log_file());
        let mut command = Command::new(env!("CARGO_BIN_EXE_palisade"));
        command.arg("agent").arg("--config").arg(self.config());
        command.stderr(log.unwrap());
        self.agent = Some(self.node.spawn(&mut command).unwrap());
        let ready = wait_for("the agent", PATIENCE, || {
            self.try_ask(&["status"]).is_some()
        });
        assert!(ready.is_ok(), "{}", self.log());
    }

    /// Runs the agent until it ends by itself.
    pub(crate) fn start_in_vain(&self) -> Output {
        self.describe();
        let mut command = Command::new(env!("CARGO_BIN_EXE_palisade"));
        command.arg("agent").arg("--config").arg(self.config());
        self.node.output(&mut command).unwrap()
    }

    /// Kills the agent, which can do nothing about it.
    pub(crate) fn kill(&mut self) {
        self.agent.take().unwrap().kill().unwrap();
    }

    /// Asks the agent to end and waits until it has.
    pub(crate) fn end(&mut self) {
        let mut agent = self.agent.take().unwrap();
        agent.signal(Signal::SIGTERM).unwrap();
        let ended = || agent.ended().unwrap();
        let status = wait_some("the agent's end", PATIENCE, ended).unwrap();
        assert!(status.success(), "{}", self.log());
    }

    /// What the command line answers, as JSON.
    pub(crate) fn ask(&self, words: &[&str]) -> Value {
        self.try_ask(words)
            .unwrap_or_else(|| panic!("{words:?}\n{}", self.log()))
    }

    pub(crate) fn revision(&self) -> u64 {
        self.ask(&["status"])["policy"]["revision"]
            .as_u64()
            .unwrap()
    }

    pub(crate) fn trouble(&self) -> String {
        self.ask(&["status"])["trouble"].to_string()
    }

    /// What the agent has said so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    /// The flows that the agent remembers, in the compact form.
    pub(crate) fn flows(&self) -> Vec<String> {
        let output = self.palisade(&["observe", "--last", "1000"]);
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.folder.path().join("node.yaml")
    }

    /// Runs the command line against the agent's socket.
    pub(crate) fn palisade(&self, words: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_palisade"));
        command.args(words).arg("--socket");
        command.arg(self.folder.path().join("socket"));
        command.output().unwrap()
    }

    fn try_ask(&self, words: &[&str]) -> Option<Value> {
        let output = self.palisade(&[words, &["-o", "json"]].concat());
        serde_json::from_slice(&output.stdout).ok()
    }

    fn log_file(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    fn describe(&self) {
        let mut text = format!(
            "node: lab{}\nbpffs: bpf\nsocket: socket\nstate: state\npolicies: policies\n{}endpoints:\n",
            self.network, self.extra
        );
        for (name, pod) in self.pods.iter().filter(|(_, pod)| pod.is_endpoint) {
            let netns = pod
                .namespace
                .as_ref()
                .map(|it| it.path().display().to_string());
            let addresses = [self.at(name, 0).ip(), self.at6(name, 0).ip()];
            let netns = netns.unwrap_or_else(|| "/nowhere".into());
            let endpoint = format!(
                "- {{name: shop/{name}, netns: '{netns}', labels: {{app: {name}}}, \
                 addresses: {addresses:?}}}\n",
            );
            text.push_str(&endpoint);
        }
        fs::write(self.config(), text).unwrap();
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        drop(self.agent.take());
        let mut command = Command::new(env!("CARGO_BIN_EXE_palisade"));
        command.arg("detach").arg("--config").arg(self.config());
        drop(self.node.output(&mut command));
    }
}

/// An open TCP connection whose other end sends everything back.
pub(crate) struct Connection(TcpStream);

impl Connection {
    /// Connects from a namespace, or says that nothing answers.
    pub(crate) fn open(from: &Namespace, to: SocketAddr) -> io::Result<Self> {
        let stream = from
            .run(|| TcpStream::connect_timeout(&to, SILENCE))
            .unwrap()?;
        stream.set_read_timeout(Some(SILENCE))?;
        let mut connection = Self(stream);
        connection.echo()?;
        Ok(connection)
    }

    /// Sends a byte and waits for it to come back.
    pub(crate) fn echo(&mut self) -> io::Result<()> {
        self.0.write_all(b"x")?;
        let mut byte = [0];
        self.0.read_exact(&mut byte)
    }
}

/// A policy that lets pods of one label reach a port of another.
pub(crate) fn allow(to: &str, from: &str, port: u16) -> String {
    format!(
        "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {{name: {to}, namespace: shop}}\n\
         spec:\n  endpointSelector: {{matchLabels: {{app: {to}}}}}\n  ingress:\n  \
         - fromEndpoints: [{{matchLabels: {{app: {from}}}}}]\n    toPorts:\n    \
         - ports: [{{port: '{port}', protocol: TCP}}]\n"
    )
}
