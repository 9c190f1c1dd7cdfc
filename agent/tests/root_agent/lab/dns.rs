//! A DNS server that knows one address for every name under `good.test`, and a stub resolver.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use palisade_testkit::Namespace;

/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(3);

/// A server that answers until its test ends; counts what it was asked.
pub(crate) struct Server {
    asked: Arc<AtomicUsize>,
}

impl Server {
    /// Answers every query of type A with `address`, to be used for `ttl` seconds.
    pub(crate) fn start(
        namespace: &Namespace,
        at: SocketAddr,
        address: Ipv4Addr,
        ttl: u32,
    ) -> Self {
        let socket = namespace.run(|| UdpSocket::bind(at)).unwrap().unwrap();
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = asked.clone();
        thread::spawn(move || {
            let mut buffer = [0; 512];
            while let Ok((length, client)) = socket.recv_from(&mut buffer) {
                counted.fetch_add(1, Ordering::Relaxed);
                let answer = answer(&buffer[..length], address, ttl);
                drop(socket.send_to(&answer, client));
            }
        });
        Self { asked }
    }

    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

/// What became of a question.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Reply {
    Address(Ipv4Addr),
    Code(u8),
    Silence,
}

/// Asks a server for the IPv4 address of a name.
pub(crate) fn ask(from: &Namespace, server: SocketAddr, name: &str) -> Reply {
    let mut query = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        query.push(u8::try_from(label.len()).unwrap());
        query.extend(label.as_bytes());
    }
    query.extend([0, 0, 1, 0, 1]);
    send(from, server, &query)
}

/// Sends any bytes to a server.
pub(crate) fn send(from: &Namespace, server: SocketAddr, bytes: &[u8]) -> Reply {
    let any = (Ipv4Addr::UNSPECIFIED, 0);
    let socket = from.run(|| UdpSocket::bind(any)).unwrap().unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.connect(server).unwrap();
    socket.send(bytes).unwrap();
    let mut buffer = [0; 512];
    let Ok(length) = socket.recv(&mut buffer) else {
        return Reply::Silence;
    };
    let answer = &buffer[..length];
    match answer[3] & 0x0f {
        0 => {
            let address: [u8; 4] = answer[length - 4..].try_into().unwrap();
            Reply::Address(address.into())
        }
        code => Reply::Code(code),
    }
}

/// The query turned into an answer with one record.
fn answer(query: &[u8], address: Ipv4Addr, ttl: u32) -> Vec<u8> {
    let mut answer = query.to_vec();
    answer[2] |= 0x80;
    answer[7] = 1;
    answer.extend([0xc0, 12, 0, 1, 0, 1]);
    answer.extend(ttl.to_be_bytes());
    answer.extend([0, 4]);
    answer.extend(address.octets());
    answer
}
