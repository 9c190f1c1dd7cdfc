//! A lab on loopback: DNS messages by hand, a server that can lie, a policy that records.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use palisade_abi::{Identity, Protocol};
use palisade_proxy::{
    Config, Decision, Event, Held, Outcome, Policy, Proxy, Query, Reject, Rejection, RuleToken,
    Running,
};

pub(crate) const A: u16 = 1;
pub(crate) const IDENTITY: Identity = Identity::new(4711);
/// Longer than anything a test waits for, shorter than anybody's patience.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// Where nobody listens.
pub(crate) const NOBODY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 66, 0, 1)), 9);
pub(crate) const NOERROR: u8 = 0;
pub(crate) const FORMERR: u8 = 1;
pub(crate) const SERVFAIL: u8 = 2;
pub(crate) const NOTIMP: u8 = 4;
pub(crate) const REFUSED: u8 = 5;

/// A query with recursion desired.
pub(crate) fn query(id: u16, name: &str, qtype: u16) -> Vec<u8> {
    let mut message = id.to_be_bytes().to_vec();
    message.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    message.extend(wire_name(name));
    message.extend(qtype.to_be_bytes());
    message.extend([0, 1]);
    message
}

/// The same with an OPT record that offers 1,232 bytes and asks for DNSSEC.
pub(crate) fn edns_query(id: u16, name: &str, qtype: u16) -> Vec<u8> {
    let mut message = query(id, name, qtype);
    message[11] = 1;
    message.extend([0, 0, 41, 4, 208, 0, 0, 0x80, 0, 0, 0]);
    message
}

pub(crate) fn wire_name(name: &str) -> Vec<u8> {
    let mut wire = vec![];
    for label in name.split('.').filter(|label| !label.is_empty()) {
        wire.push(u8::try_from(label.len()).unwrap());
        wire.extend(label.as_bytes());
    }
    wire.push(0);
    wire
}

/// Answers a query with A records.
pub(crate) fn answer(query: &[u8], addresses: &[Ipv4Addr]) -> Vec<u8> {
    let mut message = bare_answer(query, NOERROR);
    message[6..8].copy_from_slice(&u16::try_from(addresses.len()).unwrap().to_be_bytes());
    for address in addresses {
        message.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 30, 0, 4]);
        message.extend(address.octets());
    }
    message
}

/// Answers a query with nothing but a code.
pub(crate) fn bare_answer(query: &[u8], code: u8) -> Vec<u8> {
    let mut message = query[..question_end(query)].to_vec();
    message[2] |= 0x80;
    message[3] = 0x80 | code;
    message[6..12].fill(0);
    message
}

/// Answers a query with one TXT-like record that makes it `len` bytes long.
pub(crate) fn long_answer(query: &[u8], len: usize) -> Vec<u8> {
    let mut message = bare_answer(query, NOERROR);
    message[7] = 1;
    let rest = len - message.len() - 12;
    message.extend([0xc0, 12, 0, 16, 0, 1, 0, 0, 0, 30]);
    message.extend(u16::try_from(rest).unwrap().to_be_bytes());
    message.extend((0..rest).map(|n| u8::try_from(n % 251).unwrap()));
    message
}

pub(crate) fn question_end(message: &[u8]) -> usize {
    let mut at = 12;
    while message[at] != 0 {
        at += 1 + usize::from(message[at]);
    }
    at + 5
}

pub(crate) fn code(message: &[u8]) -> u8 {
    message[3] & 15
}

pub(crate) fn id(message: &[u8]) -> u16 {
    u16::from_be_bytes([message[0], message[1]])
}

/// The name in a message's question, as text.
pub(crate) fn name(message: &[u8]) -> String {
    let mut labels = vec![];
    let mut at = 12;
    while message[at] != 0 {
        let end = at + 1 + usize::from(message[at]);
        labels.push(String::from_utf8_lossy(&message[at + 1..end]).into_owned());
        at = end;
    }
    labels.join(".")
}

/// What a server does with a query: messages to send back, in order.
pub(crate) type Behaviour = dyn Fn(&[u8], Protocol) -> Vec<Vec<u8>> + Send + Sync;

/// A DNS server for UDP and TCP that does what its behaviour says. Its threads end with the test.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    seen: Receiver<Seen>,
}

/// A query as a server saw it.
pub(crate) struct Seen {
    pub(crate) message: Vec<u8>,
    pub(crate) from: SocketAddr,
}

impl Server {
    pub(crate) fn new(
        ip: impl Into<IpAddr>,
        behaviour: impl Fn(&[u8], Protocol) -> Vec<Vec<u8>> + Send + Sync + 'static,
    ) -> Self {
        let (udp, tcp) = sockets(ip.into());
        Self::with(udp, tcp, Arc::new(behaviour))
    }

    pub(crate) fn with(udp: UdpSocket, tcp: TcpListener, behaviour: Arc<Behaviour>) -> Self {
        let (sender, seen) = channel();
        let address = udp.local_addr().unwrap();
        let (datagrams, segments) = (sender.clone(), sender);
        let also = Arc::clone(&behaviour);
        thread::spawn(move || serve_udp(&udp, &datagrams, &*behaviour));
        thread::spawn(move || {
            for stream in tcp.incoming().map_while(Result::ok) {
                let (seen, behaviour) = (segments.clone(), Arc::clone(&also));
                thread::spawn(move || serve_tcp(stream, &seen, &*behaviour));
            }
        });
        Self { address, seen }
    }

    /// One that answers every query with one address.
    pub(crate) fn honest(ip: impl Into<IpAddr>) -> Self {
        Self::new(ip, |query, _| {
            vec![answer(query, &[Ipv4Addr::new(192, 0, 2, 1)])]
        })
    }

    /// The next query that it saw.
    pub(crate) fn next(&self) -> Seen {
        self.seen
            .recv_timeout(PATIENCE)
            .expect("the server sees a query")
    }

    /// Every query that it saw and nobody has looked at.
    pub(crate) fn all(&self) -> Vec<Seen> {
        self.seen.try_iter().collect()
    }
}

/// A UDP and a TCP socket on one port.
pub(crate) fn sockets(ip: IpAddr) -> (UdpSocket, TcpListener) {
    loop {
        let udp = UdpSocket::bind((ip, 0)).unwrap();
        if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()) {
            return (udp, tcp);
        }
    }
}

fn serve_udp(socket: &UdpSocket, seen: &Sender<Seen>, behaviour: &Behaviour) {
    let mut buffer = vec![0; 65_535];
    while let Ok((len, from)) = socket.recv_from(&mut buffer) {
        // Nobody listens once the test is over.
        seen.send(Seen {
            message: buffer[..len].to_vec(),
            from,
        })
        .ok();
        for reply in behaviour(&buffer[..len], Protocol::UDP) {
            socket.send_to(&reply, from).ok();
        }
    }
}

fn serve_tcp(mut stream: TcpStream, seen: &Sender<Seen>, behaviour: &Behaviour) {
    let from = stream.peer_addr().unwrap();
    while let Some(message) = read_message(&mut stream) {
        seen.send(Seen {
            message: message.clone(),
            from,
        })
        .ok();
        for reply in behaviour(&message, Protocol::TCP) {
            write_message(&mut stream, &reply);
        }
    }
}

pub(crate) fn read_message(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut length = [0; 2];
    stream.read_exact(&mut length).ok()?;
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut message).ok()?;
    Some(message)
}

pub(crate) fn write_message(stream: &mut TcpStream, message: &[u8]) {
    let length = u16::try_from(message.len()).unwrap().to_be_bytes();
    // The other side may be gone already, which is what some tests are about.
    stream.write_all(&[&length, message].concat()).ok();
}

/// A client's UDP socket.
pub(crate) struct Client(pub(crate) UdpSocket);

impl Client {
    pub(crate) fn new(ip: impl Into<IpAddr>, proxy: SocketAddr) -> Self {
        let socket = UdpSocket::bind((ip.into(), 0)).unwrap();
        socket.connect(proxy).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(socket)
    }

    pub(crate) fn send(&self, message: &[u8]) {
        self.0.send(message).unwrap();
    }

    pub(crate) fn receive(&self) -> Vec<u8> {
        let mut buffer = vec![0; 65_535];
        let len = self.0.recv(&mut buffer).expect("the client gets a reply");
        buffer.truncate(len);
        buffer
    }

    pub(crate) fn ask(&self, message: &[u8]) -> Vec<u8> {
        self.send(message);
        self.receive()
    }
}

/// Opens a client's TCP connection.
pub(crate) fn connect(proxy: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(proxy).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Sends a message over a connection and reads the reply.
pub(crate) fn ask_tcp(stream: &mut TcpStream, message: &[u8]) -> Vec<u8> {
    write_message(stream, message);
    read_message(stream).expect("the client gets a reply")
}

/// What a proxy told its embedder.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Told {
    Answered(String, Outcome, Duration),
    Asked(String, bool),
    Rejected(Reject),
}

/// Allows every name that does not begin with `no`, and hands answers to a closure.
pub(crate) struct Recorder {
    on_answer: Box<dyn Fn(Held) + Send + Sync>,
    told: Mutex<Sender<Told>>,
}

impl Policy for Recorder {
    fn decide(&self, query: &Query<'_>) -> Decision {
        let rule = RuleToken::new(7);
        if allows(&query.name.to_string()) {
            Decision::Allow {
                identity: IDENTITY,
                rule,
            }
        } else {
            Decision::Refuse {
                rejection: Rejection::Refused,
                rule,
            }
        }
    }

    fn answer(&self, held: Held) {
        (self.on_answer)(held);
    }

    fn observe(&self, event: &Event<'_>) {
        let told = match event {
            Event::Answered {
                answer,
                outcome,
                held,
                ..
            } => Told::Answered(answer.query.name.to_string(), *outcome, *held),
            Event::Asked { query, decision } => Told::Asked(
                query.name.to_string(),
                matches!(decision, Decision::Allow { .. }),
            ),
            Event::Rejected { reason, .. } => Told::Rejected(*reason),
            other => panic!("an event that this lab does not know: {other:?}"),
        };
        self.told.lock().unwrap().send(told).ok();
    }
}

impl Recorder {
    pub(crate) fn new(
        told: Sender<Told>,
        on_answer: impl Fn(Held) + Send + Sync + 'static,
    ) -> Self {
        Self {
            on_answer: Box::new(on_answer),
            told: Mutex::new(told),
        }
    }
}

/// The rule of the lab.
pub(crate) fn allows(name: &str) -> bool {
    !name.starts_with("no")
}

/// A proxy at work and what it told.
pub(crate) struct Lab {
    pub(crate) proxy: Running,
    pub(crate) told: Receiver<Told>,
}

impl Lab {
    pub(crate) fn new(config: Config, on_answer: impl Fn(Held) + Send + Sync + 'static) -> Self {
        let (sender, told) = channel();
        let policy = Arc::new(Recorder::new(sender, on_answer));
        let proxy = Proxy::bind(config).unwrap().start(policy).unwrap();
        Self { proxy, told }
    }

    /// A proxy before a server, which releases every answer at once.
    pub(crate) fn before(server: &Server) -> Self {
        Self::new(forward(server.address), |held| {
            held.release();
        })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.proxy.addresses()[0]
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(Ipv4Addr::LOCALHOST, self.address())
    }

    /// Waits for something that the proxy is to tell.
    pub(crate) fn await_told(&self, what: impl Fn(&Told) -> bool) -> Told {
        loop {
            let told = self
                .told
                .recv_timeout(PATIENCE)
                .expect("the proxy tells what happened");
            if what(&told) {
                return told;
            }
        }
    }
}

/// The configuration of a proxy on loopback.
pub(crate) fn forward(upstream: SocketAddr) -> Config {
    let mut config = Config::forward((Ipv4Addr::LOCALHOST, 0).into(), upstream);
    config.waiting = crate::WAITING;
    config
}

/// Waits for a condition, with a deadline.
pub(crate) fn wait(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "in vain: {what}");
        thread::sleep(Duration::from_millis(1));
    }
}
