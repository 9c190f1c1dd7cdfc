//! Sockets that answers leave from, each with the address of a server.

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;

use palisade_abi::Mark;

use crate::socket;

/// A bounded cache of sockets bound to the addresses of servers.
#[derive(Debug)]
pub(crate) struct Returns {
    limit: usize,
    mark: Mark,
    entries: HashMap<SocketAddr, Entry>,
    /// Counts uses, so that the entry unused for longest is known.
    clock: u64,
}

#[derive(Debug)]
struct Entry {
    socket: Arc<UdpSocket>,
    used: u64,
}

impl Returns {
    pub(crate) fn new(limit: usize, mark: Mark) -> Self {
        Self {
            limit: limit.max(1),
            mark,
            entries: HashMap::new(),
            clock: 0,
        }
    }

    /// The socket by which a client is answered in the name of a server.
    pub(crate) fn get(&mut self, server: SocketAddr) -> io::Result<Arc<UdpSocket>> {
        self.clock += 1;
        let used = self.clock;
        if let Some(entry) = self.entries.get_mut(&server) {
            entry.used = used;
            return Ok(Arc::clone(&entry.socket));
        }
        let socket = Arc::new(socket::udp_return(server, self.mark)?);
        if self.entries.len() >= self.limit {
            let oldest = self.entries.iter().min_by_key(|(_, entry)| entry.used);
            if let Some(server) = oldest.map(|(server, _)| *server) {
                self.entries.remove(&server);
            }
        }
        self.entries.insert(
            server,
            Entry {
                socket: Arc::clone(&socket),
                used,
            },
        );
        Ok(socket)
    }
}
