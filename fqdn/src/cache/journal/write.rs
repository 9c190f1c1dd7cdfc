//! Entries into bytes.

use palisade_abi::{Address, EndpointId};

use super::checksum;
use super::entry::{ADDRESSES, ENDPOINT_GONE, FRAME, GONE, HEADER, LEARNT, NAME_GONE};
use crate::cache::moment::Moment;
use crate::name::DnsName;

/// Collects entries until they are taken.
#[derive(Clone, Debug, Default)]
pub(in crate::cache) struct Recorder {
    bytes: Vec<u8>,
}

impl Recorder {
    /// With what every journal begins with.
    pub(super) fn begin() -> Self {
        Self {
            bytes: HEADER.to_vec(),
        }
    }

    pub(super) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }

    pub(in crate::cache) fn learnt(
        &mut self,
        endpoint: EndpointId,
        name: &DnsName,
        held: impl Iterator<Item = (Address, Moment)>,
    ) {
        let mut held = held.peekable();
        while let Some((first, expires)) = held.next() {
            self.frame(LEARNT, endpoint, Some(name), |bytes| {
                bytes.extend(expires.nanos().to_le_bytes());
                bytes.extend(first.as_bytes());
                for _ in 1..ADDRESSES {
                    let Some((next, _)) = held.next_if(|(_, also)| *also == expires) else {
                        break;
                    };
                    bytes.extend(next.as_bytes());
                }
            });
        }
    }

    pub(in crate::cache) fn gone(
        &mut self,
        endpoint: EndpointId,
        name: &DnsName,
        addresses: impl Iterator<Item = Address>,
    ) {
        let mut addresses = addresses.peekable();
        while addresses.peek().is_some() {
            self.frame(GONE, endpoint, Some(name), |bytes| {
                for address in addresses.by_ref().take(ADDRESSES) {
                    bytes.extend(address.as_bytes());
                }
            });
        }
    }

    pub(in crate::cache) fn name_gone(&mut self, endpoint: EndpointId, name: &DnsName) {
        self.frame(NAME_GONE, endpoint, Some(name), |_| {});
    }

    pub(in crate::cache) fn endpoint_gone(&mut self, endpoint: EndpointId) {
        self.frame(ENDPOINT_GONE, endpoint, None, |_| {});
    }

    /// Length, checksum of length and entry, entry.
    fn frame(
        &mut self,
        kind: u8,
        endpoint: EndpointId,
        name: Option<&DnsName>,
        rest: impl FnOnce(&mut Vec<u8>),
    ) {
        let start = self.bytes.len();
        self.bytes.extend([0; FRAME]);
        self.bytes.push(kind);
        self.bytes.extend(endpoint.get().to_le_bytes());
        self.bytes
            .extend(name.map(DnsName::as_wire).unwrap_or_default());
        rest(&mut self.bytes);
        let Some((frame, entry)) = self
            .bytes
            .get_mut(start..)
            .and_then(|bytes| bytes.split_first_chunk_mut::<FRAME>())
        else {
            return;
        };
        let length = u32::try_from(entry.len()).unwrap_or(u32::MAX).to_le_bytes();
        let checksum = checksum::of(&[&length, entry]).to_le_bytes();
        for (place, byte) in frame.iter_mut().zip(length.into_iter().chain(checksum)) {
            *place = byte;
        }
    }
}
