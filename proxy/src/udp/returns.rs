//! Sockets that answers leave from, each with the address of a server.

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};

use palisade_abi::Mark;

use crate::socket;

/// A bounded cache of sockets bound to the addresses of servers.
///
/// A server on this very node is the exception: an unconnected socket beside its own would take
/// its queries away, so there each answer gets a socket connected to the one client.
#[derive(Debug)]
pub(crate) struct Returns {
    limit: usize,
    mark: Mark,
    cache: Mutex<Cache>,
}

#[derive(Debug, Default)]
struct Cache {
    entries: HashMap<SocketAddr, Entry>,
    /// Counts uses, so that the entry unused for longest is known.
    clock: u64,
}

#[derive(Debug)]
struct Entry {
    way: Way,
    used: u64,
}

/// How an answer leaves in the name of a server.
#[derive(Clone, Debug)]
pub(crate) enum Way {
    /// Out of a socket with the address of a server elsewhere.
    Foreign(Arc<UdpSocket>),
    /// The server is on this node.
    ThisNode { server: SocketAddr, mark: Mark },
}

impl Returns {
    pub(crate) fn new(limit: usize, mark: Mark) -> Self {
        Self {
            limit: limit.max(1),
            mark,
            cache: Mutex::default(),
        }
    }

    /// How answers leave in the name of a server.
    pub(crate) fn way(&self, server: SocketAddr) -> io::Result<Way> {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        cache.clock += 1;
        let used = cache.clock;
        if let Some(entry) = cache.entries.get_mut(&server) {
            entry.used = used;
            return Ok(entry.way.clone());
        }
        let way = self.open(server)?;
        if cache.entries.len() >= self.limit {
            let oldest = cache.entries.iter().min_by_key(|(_, entry)| entry.used);
            if let Some(server) = oldest.map(|(server, _)| *server) {
                cache.entries.remove(&server);
            }
        }
        let entry = Entry {
            way: way.clone(),
            used,
        };
        cache.entries.insert(server, entry);
        Ok(way)
    }

    fn open(&self, server: SocketAddr) -> io::Result<Way> {
        // Without transparency only an address of this node can be bound.
        if UdpSocket::bind((server.ip(), 0)).is_ok() {
            let mark = self.mark;
            return Ok(Way::ThisNode { server, mark });
        }
        Ok(Way::Foreign(Arc::new(socket::udp_return(
            server, self.mark,
        )?)))
    }
}

impl Way {
    /// Sends a message to a client.
    pub(crate) fn send(&self, client: SocketAddr, message: &[u8]) -> io::Result<()> {
        match self {
            Self::Foreign(socket) => socket.send_to(message, client)?,
            Self::ThisNode { server, mark } => {
                let socket = socket::udp_return(*server, *mark)?;
                socket.connect(client)?;
                socket.send(message)?
            }
        };
        Ok(())
    }
}
