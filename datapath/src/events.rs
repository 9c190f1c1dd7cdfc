use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use libbpf_rs::{MapHandle, MapInfo, RingBuffer, RingBufferBuilder};
use palisade_abi::RawEvent;
use zerocopy::FromBytes;

use crate::maps::{Error, Map, Maps};

/// The reader of the event ring; there can be only one at a time.
///
/// Minimum kernel version: 5.8.
pub struct Events {
    ring: RingBuffer<'static>,
    received: Arc<Mutex<Vec<RawEvent>>>,
}

impl Events {
    /// Opens the ring of a set of maps.
    ///
    /// # Errors
    /// [`Error::Mapping`].
    pub fn open(maps: &Maps) -> Result<Self, Error> {
        let received = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&received);
        let ring = open(maps, move |bytes| {
            // Records of another length are not ours to read.
            if let Ok(event) = RawEvent::read_from_bytes(bytes) {
                let mut received = sink.lock().unwrap_or_else(PoisonError::into_inner);
                received.push(event);
            }
            0
        });
        let ring = ring.map_err(|error| Error::Mapping {
            map: Map::Events,
            source: io::Error::other(error.to_string()),
        })?;
        Ok(Self { ring, received })
    }

    /// Waits up to `timeout` for events and takes all that are there.
    ///
    /// # Errors
    /// [`Error::Read`]; an interrupted wait is none.
    pub fn poll(&mut self, timeout: Duration) -> Result<Vec<RawEvent>, Error> {
        let polled = self.ring.poll_raw(timeout);
        if polled < 0 && polled != -nix::libc::EINTR {
            return Err(Error::Read {
                map: Map::Events,
                source: io::Error::from_raw_os_error(-polled),
            });
        }
        let mut received = self.received.lock();
        let received = received
            .as_deref_mut()
            .map_or_else(|_| Vec::new(), std::mem::take);
        Ok(received)
    }
}

fn open(
    maps: &Maps,
    sink: impl FnMut(&[u8]) -> i32 + 'static,
) -> libbpf_rs::Result<RingBuffer<'static>> {
    let id = MapInfo::new(maps.fd(Map::Events))?.info.id;
    let map = MapHandle::from_map_id(id)?;
    let mut builder = RingBufferBuilder::new();
    builder.add(&map, sink)?;
    builder.build()
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").finish_non_exhaustive()
    }
}
