//! What a node needs of rtnetlink: devices, addresses, routes, neighbours, rules; and sysctls.
//!
//! A [`Netlink`] acts in the network namespace that its thread was in when it was opened, whatever
//! thread uses it later. To add what is there and to remove what is gone are no errors.

mod address;
mod link;
mod qdisc;
mod rule;
mod sysctl;

use std::io;

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use nix::errno::Errno;
use thiserror::Error as ThisError;

pub use self::address::Route;
pub use self::link::{Device, Veth};
pub(crate) use self::rule::Rule;
pub use self::sysctl::set_sysctl;

/// Why the kernel's network configuration could not be read or changed.
#[derive(Debug, ThisError)]
#[non_exhaustive]
pub enum Error {
    /// No conversation with the kernel.
    #[error("rtnetlink does not answer")]
    Socket(#[source] io::Error),
    /// The kernel refused a request.
    #[error("could not {request}")]
    Refused {
        /// What was asked for.
        request: String,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// The kernel answered in a way that this crate cannot read.
    #[error("the answer to `{request}` cannot be read: {problem}")]
    Answer {
        /// What was asked for.
        request: String,
        /// What is wrong with the answer.
        problem: String,
    },
    /// A kernel setting could not be written.
    #[error("could not set {name} to {value}")]
    Sysctl {
        /// The setting.
        name: String,
        /// The value.
        value: String,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
}

/// A conversation with the kernel about one network namespace.
///
/// ```no_run
/// use palisade_datapath::netlink::Netlink;
///
/// let mut netlink = Netlink::open()?;
/// if let Some(device) = netlink.device("eth0")? {
///     netlink.set_up(device.ifindex)?;
/// }
/// # Ok::<(), palisade_datapath::netlink::Error>(())
/// ```
#[derive(Debug)]
pub struct Netlink {
    socket: Socket,
    sequence: u32,
}

impl Netlink {
    /// Opens a conversation about the calling thread's namespace.
    ///
    /// # Errors
    /// [`Error::Socket`].
    pub fn open() -> Result<Self, Error> {
        let mut socket = Socket::new(NETLINK_ROUTE).map_err(Error::Socket)?;
        socket.bind_auto().map_err(Error::Socket)?;
        let kernel = SocketAddr::new(0, 0);
        socket.connect(&kernel).map_err(Error::Socket)?;
        Ok(Self {
            socket,
            sequence: 0,
        })
    }

    /// Asks for a change; whether it was one. `settled` lists the errors that mean it was none.
    fn change(
        &mut self,
        request: &str,
        message: RouteNetlinkMessage,
        flags: u16,
        settled: &[Errno],
    ) -> Result<bool, Error> {
        match self.ask(request, message, NLM_F_ACK | flags) {
            Ok(_) => Ok(true),
            Err(Error::Refused { source, .. })
                if settled.iter().any(|errno| is(&source, *errno)) =>
            {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Asks for every object of a kind.
    fn dump(
        &mut self,
        request: &str,
        message: RouteNetlinkMessage,
    ) -> Result<Vec<RouteNetlinkMessage>, Error> {
        self.ask(request, message, NLM_F_DUMP)
    }

    /// Sends a request and takes its answers, up to the last.
    fn ask(
        &mut self,
        request: &str,
        message: RouteNetlinkMessage,
        flags: u16,
    ) -> Result<Vec<RouteNetlinkMessage>, Error> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | flags;
        header.sequence_number = self.sequence;
        let mut message = NetlinkMessage::new(header, NetlinkPayload::from(message));
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        self.socket.send(&bytes, 0).map_err(Error::Socket)?;
        let mut answers = Vec::new();
        loop {
            let (datagram, _) = self.socket.recv_from_full().map_err(Error::Socket)?;
            if self.read(request, &datagram, &mut answers)? {
                return Ok(answers);
            }
        }
    }

    /// Takes the messages of a datagram; whether the last one was among them.
    fn read(
        &self,
        request: &str,
        datagram: &[u8],
        answers: &mut Vec<RouteNetlinkMessage>,
    ) -> Result<bool, Error> {
        let mut rest = datagram;
        while !rest.is_empty() {
            let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(rest);
            let message = message.map_err(|error| Error::Answer {
                request: request.into(),
                problem: error.to_string(),
            })?;
            // Netlink messages start at multiples of 4 bytes.
            let length = (message.header.length as usize).next_multiple_of(4).max(16);
            rest = rest.get(length..).unwrap_or_default();
            if message.header.sequence_number != self.sequence {
                continue;
            }
            match message.payload {
                NetlinkPayload::Done(_) => return Ok(true),
                NetlinkPayload::Error(error) => {
                    return match error.code {
                        None => Ok(true),
                        Some(_) => Err(Error::Refused {
                            request: request.into(),
                            source: error.to_io(),
                        }),
                    };
                }
                NetlinkPayload::InnerMessage(inner) => answers.push(inner),
                _ => {}
            }
        }
        Ok(false)
    }
}

fn is(error: &io::Error, errno: Errno) -> bool {
    error.raw_os_error() == Some(errno as i32)
}
