//! A server, a client and the program between them.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{ChildStderr, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::Uid;
use palisade_testkit::Process;
use tempfile::TempDir;

pub(crate) const SERVFAIL: u8 = 2;
pub(crate) const NXDOMAIN: u8 = 3;
pub(crate) const REFUSED: u8 = 5;

/// What every name resolves to.
pub(crate) const ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

const PATIENCE: Duration = Duration::from_secs(20);
/// Who owns nothing.
const NOBODY: u32 = 65_534;

/// A server for UDP and TCP; its threads end with the test.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    asked: Arc<AtomicUsize>,
}

impl Server {
    pub(crate) fn start() -> Self {
        let (udp, tcp) = loop {
            let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()) {
                break (udp, tcp);
            }
        };
        let server = Self {
            address: udp.local_addr().unwrap(),
            asked: Arc::default(),
        };
        let asked = server.asked.clone();
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok((length, client)) = udp.recv_from(&mut buffer) {
                asked.fetch_add(1, Ordering::Relaxed);
                let mut reply = answer(&buffer[..length]);
                if reply.len() > 1232 {
                    reply.truncate(question_end(&reply));
                    reply[2] |= 2;
                    reply[6..12].fill(0);
                }
                udp.send_to(&reply, client).unwrap();
            }
        });
        let asked = server.asked.clone();
        thread::spawn(move || {
            for mut stream in tcp.incoming().map_while(Result::ok) {
                let asked = asked.clone();
                thread::spawn(move || {
                    while let Some(query) = read_message(&mut stream) {
                        asked.fetch_add(1, Ordering::Relaxed);
                        write_message(&mut stream, &answer(&query));
                    }
                });
            }
        });
        server
    }

    /// What it says to a query over TCP.
    #[expect(clippy::unused_self, reason = "reads as what it is about")]
    pub(crate) fn answer_to(&self, query: &[u8]) -> Vec<u8> {
        answer(query)
    }

    /// How many queries it got.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

/// One address for every name; a name that begins with `large` has a long text before it.
fn answer(query: &[u8]) -> Vec<u8> {
    let mut message = query[..question_end(query)].to_vec();
    message[2] |= 0x80;
    message[3] = 0x80;
    message[6..12].fill(0);
    if message[13..].starts_with(b"large") {
        message[7] = 1;
        message.extend([0xc0, 12, 0, 16, 0, 1, 0, 0, 0, 30]);
        message.extend(5000_u16.to_be_bytes());
        message.resize(message.len() + 5000, b'x');
    }
    message[7] += 1;
    message.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 30, 0, 4]);
    message.extend(ADDRESS.octets());
    message
}

/// The program at work.
pub(crate) struct Proxy {
    address: SocketAddr,
    process: Process,
    told: BufReader<ChildStderr>,
    printed: ChildStdout,
    rules: PathBuf,
    /// Removed with the proxy.
    folder: Option<TempDir>,
}

impl Proxy {
    pub(crate) fn start(upstream: SocketAddr, rules: &str, more: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = command(env!("CARGO_BIN_EXE_palisade"), upstream, folder.path());
        command.args(more);
        let mut proxy = Self::run(command, rules, folder.path());
        proxy.folder = Some(folder);
        proxy
    }

    /// The same as somebody who may do nothing; without root, as whoever runs the test.
    pub(crate) fn start_as_nobody(upstream: SocketAddr, rules: &str, folder: &TempDir) -> Self {
        // Where the program is built may be closed to others.
        let program = folder.path().join("palisade");
        fs::copy(env!("CARGO_BIN_EXE_palisade"), &program).unwrap();
        let mut command = command(program.to_str().unwrap(), upstream, folder.path());
        if Uid::effective().is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        Self::run(command, rules, folder.path())
    }

    fn run(mut command: Command, rules: &str, folder: &Path) -> Self {
        let file = folder.join("rules.txt");
        fs::write(&file, rules).unwrap();
        command.stderr(Stdio::piped()).stdout(Stdio::piped());
        let mut process = Process::spawn(&mut command).unwrap();
        let mut told = BufReader::new(process.child().stderr.take().unwrap());
        let printed = process.child().stdout.take().unwrap();
        let line = await_line(&mut told, "listening on ");
        let address = line.split("listening on ").nth(1).unwrap();
        let address = address.split(',').next().unwrap().parse().unwrap();
        Self {
            address,
            process,
            told,
            printed,
            rules: file,
            folder: None,
        }
    }

    pub(crate) fn rules(&self) -> &Path {
        &self.rules
    }

    pub(crate) fn signal(&mut self, signal: Signal) {
        self.process.signal(signal).unwrap();
    }

    /// Reads what the program tells until a line holds this.
    pub(crate) fn await_line(&mut self, part: &str) {
        await_line(&mut self.told, part);
    }

    /// The status at the end, and everything that was printed.
    pub(crate) fn end(mut self) -> (Option<i32>, String) {
        let status = self.process.wait().unwrap();
        let mut printed = String::new();
        self.printed.read_to_string(&mut printed).unwrap();
        (status.code(), printed)
    }

    pub(crate) fn ask_udp(&self, query: &[u8]) -> Vec<u8> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.connect(self.address).unwrap();
        socket.send(query).unwrap();
        let mut buffer = vec![0; 65_535];
        let length = socket.recv(&mut buffer).unwrap();
        buffer.truncate(length);
        buffer
    }

    pub(crate) fn ask_tcp(&self, query: &[u8]) -> Vec<u8> {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write_message(&mut stream, query);
        read_message(&mut stream).unwrap()
    }
}

fn command(program: &str, upstream: SocketAddr, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .args(["dns-proxy", "--listen", "127.0.0.1:0", "--upstream"])
        .arg(upstream.to_string())
        .arg("--rules")
        .arg(folder.join("rules.txt"));
    command
}

fn await_line(told: &mut BufReader<ChildStderr>, part: &str) -> String {
    let mut all = String::new();
    loop {
        let mut line = String::new();
        let length = told.read_line(&mut line).unwrap();
        assert!(
            length > 0,
            "the program ended without a line with {part:?}:\n{all}"
        );
        if line.contains(part) {
            return line;
        }
        all.push_str(&line);
    }
}

/// How the program ends with a file of rules that it cannot use, and what it says.
pub(crate) fn status_of(rules: &Path) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_palisade"))
        .args(["dns-proxy", "--listen", "127.0.0.1:0"])
        .args(["--upstream", "127.0.0.1", "--rules"])
        .arg(rules)
        .output()
        .unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    (output.status.code(), told)
}

/// A query of type A with an OPT record.
pub(crate) fn query(name: &str) -> Vec<u8> {
    let mut message = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1];
    for label in name.split('.') {
        message.push(u8::try_from(label.len()).unwrap());
        message.extend(label.as_bytes());
    }
    message.extend([0, 0, 1, 0, 1]);
    message.extend([0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0]);
    message
}

pub(crate) fn code(message: &[u8]) -> u8 {
    message[3] & 15
}

/// The extended error in a message's OPT record, which must be its only record.
pub(crate) fn extended_error(message: &[u8]) -> Option<u16> {
    let record = &message[question_end(message)..];
    if message[6..12] != [0, 0, 0, 0, 0, 1] || record[..3] != [0, 0, 41] {
        return None;
    }
    // Option 15, its length, the code.
    let option = &record[11..];
    (option[..2] == [0, 15]).then(|| u16::from_be_bytes([option[4], option[5]]))
}

fn question_end(message: &[u8]) -> usize {
    let mut at = 12;
    while message[at] != 0 {
        at += 1 + usize::from(message[at]);
    }
    at + 5
}

fn read_message(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut length = [0; 2];
    stream.read_exact(&mut length).ok()?;
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut message).ok()?;
    Some(message)
}

fn write_message(stream: &mut TcpStream, message: &[u8]) {
    let length = u16::try_from(message.len()).unwrap().to_be_bytes();
    // The other side may be gone, as the end of a test.
    stream.write_all(&[&length, message].concat()).ok();
}
