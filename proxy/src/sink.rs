//! The way back to a client.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use crate::shared::{Origin, Shared};
use crate::sys::{self, Parcel};
use crate::udp::outbox::{self, Reply};

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
        let (socket, source) = match self {
            Self::Listener { socket, local } => (socket, Some(local.ip())),
            Self::Return(socket) => (socket, None),
            Self::Stream(replies) => {
                if replies.try_send(message.into()).is_err() {
                    shared.counters.unsent.add();
                }
                return;
            }
        };
        let parcel = Parcel {
            message: message.to_vec(),
            target: Some(origin.client),
            source,
        };
        let socket = Arc::clone(socket);
        let Err(Reply { socket, parcel }) = outbox::push(Reply { socket, parcel }) else {
            return;
        };
        let (_, error) = sys::send(&socket, &[parcel]);
        if error.is_some() {
            shared.counters.unsent.add();
        }
    }
}
