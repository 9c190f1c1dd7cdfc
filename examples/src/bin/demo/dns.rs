//! A DNS client just large enough to ask for an address and to read the answer.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use palisade_fqdn::wire::{Message, Rcode};

/// What came back.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Answer {
    /// The response code.
    pub(crate) code: Rcode,
    /// The first address.
    pub(crate) address: Option<IpAddr>,
}

/// Asks for the IPv4 address of a name; nothing if no answer comes in time.
pub(crate) fn ask(
    server: SocketAddr,
    name: &str,
    patience: Duration,
) -> io::Result<Option<Answer>> {
    let any: SocketAddr = match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any)?;
    socket.connect(server)?;
    socket.set_read_timeout(Some(patience))?;
    socket.send(&question(name))?;
    let mut buffer = [0; 1500];
    match socket.recv(&mut buffer) {
        Ok(length) => Ok(read(buffer.get(..length).unwrap_or_default())),
        Err(_) => Ok(None),
    }
}

/// A question for the IPv4 address of a name. Its number need not be secret here.
pub(crate) fn question(name: &str) -> Vec<u8> {
    let mut message = vec![0x50, 0x41, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        message.push(u8::try_from(label.len()).unwrap_or_default());
        message.extend(label.as_bytes());
    }
    message.extend([0, 0, 1, 0, 1]);
    message
}

/// The code and the first address of an answer; nothing if it is none.
pub(crate) fn read(message: &[u8]) -> Option<Answer> {
    let message = Message::parse(message).ok()?;
    let addresses = message.resolution().ok()?.addresses;
    message.header().is_response().then(|| Answer {
        code: message.header().rcode(),
        address: addresses.first().copied(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_from_an_answer() {
        let mut message = question("ok.domain.com");
        message[2] = 0x81;
        message[7] = 1;
        message.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 4, 0, 4, 198, 51, 100, 7]);
        let answer = read(&message).unwrap();
        assert_eq!(answer.code, Rcode::NOERROR);
        assert_eq!(answer.address, Some([198, 51, 100, 7].into()));
    }

    #[test]
    fn a_question_is_no_answer() {
        assert_eq!(read(&question("ok.domain.com")), None);
    }
}
