//! The way back to a client.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use crate::shared::{Origin, Shared};
use crate::socket;

/// Where a client's reply goes.
#[derive(Clone, Debug)]
pub(crate) enum Sink {
    /// Out of the socket that the query came in by, from the address that it was sent to.
    Listener {
        socket: Arc<UdpSocket>,
        local: SocketAddr,
    },
    /// Out of a socket with the server's address, opened when the query came, so that it does not
    /// matter in whose network namespace the embedder releases the answer.
    Return(Arc<UdpSocket>),
    /// To the thread that serves the client's connection and waits for exactly one reply.
    Stream(SyncSender<Vec<u8>>),
}

impl Sink {
    /// Sends without ever waiting. A reply that cannot leave is counted, and the client asks again.
    pub(crate) fn send(&self, shared: &Shared, origin: &Origin, message: &[u8]) {
        let sent = match self {
            Self::Listener { socket, local } => {
                socket::send_from(socket, *local, origin.client, message)
            }
            Self::Return(socket) => socket.send_to(message, origin.client).map(drop),
            Self::Stream(replies) => replies
                .try_send(message.into())
                .map_err(|_| io::ErrorKind::BrokenPipe.into()),
        };
        if sent.is_err() {
            shared.counters.unsent.add();
        }
    }
}
