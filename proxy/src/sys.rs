//! Many datagrams with one system call, which no safe interface offers for buffers that are kept.
//!
//! The calls are the only unsafe code; addresses and control messages are put together and taken
//! apart as plain bytes.
#![expect(
    unsafe_code,
    reason = "recvmmsg, sendmmsg and io_uring take tables of raw pointers"
)]

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::io;
use std::mem;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::ptr;
use std::time::Duration;

use io_uring::types::{CancelBuilder, Fd, SubmitArgs, Timespec};
use io_uring::{IoUring, cqueue, opcode, squeue};
use nix::libc;

use crate::address::{ADDRESS_ROOM, read_address, read_destination, write_address, write_source};

/// Room for datagrams that were received together.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    bytes: Vec<u8>,
    ends: Vec<Ends>,
    lengths: Vec<Lengths>,
}

/// A datagram that was received.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Datagram<'a> {
    pub(crate) message: &'a [u8],
    /// Who sent it; `None` for a family that is neither IPv4 nor IPv6.
    pub(crate) source: Option<SocketAddr>,
    /// What it was meant for, where the socket was asked to tell.
    pub(crate) destination: Option<SocketAddr>,
}

/// A datagram to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Parcel<M> {
    pub(crate) message: M,
    /// Where it goes; `None` out of a connected socket.
    pub(crate) target: Option<SocketAddr>,
    /// From which of this machine's addresses, which a wildcard socket needs.
    pub(crate) source: Option<IpAddr>,
}

/// Aligned as the kernel wants it.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(8))]
struct Ends {
    address: [u8; ADDRESS_ROOM],
    control: [u8; CONTROL_ROOM],
}

impl Ends {
    const NONE: Self = Self {
        address: [0; ADDRESS_ROOM],
        control: [0; CONTROL_ROOM],
    };
}

#[derive(Clone, Copy, Debug, Default)]
struct Lengths {
    message: usize,
    address: usize,
    control: usize,
}

impl Inbox {
    pub(crate) fn new() -> Self {
        Self {
            bytes: vec![0; BATCH * ROOM],
            ends: vec![Ends::NONE; BATCH],
            lengths: Vec::with_capacity(BATCH),
        }
    }

    /// Takes what has arrived at a socket, up to [`BATCH`], without waiting, in place of what was
    /// there.
    pub(crate) fn receive(&mut self, socket: &UdpSocket) -> io::Result<usize> {
        self.lengths.clear();
        let mut parts = [NO_PART; BATCH];
        let mut headers = [no_header(); BATCH];
        let places = self.bytes.chunks_exact_mut(ROOM).zip(&mut self.ends);
        for ((bytes, ends), (part, header)) in places.zip(parts.iter_mut().zip(&mut headers)) {
            part.iov_base = bytes.as_mut_ptr().cast();
            part.iov_len = bytes.len();
            header.msg_hdr.msg_iov = ptr::from_mut(part);
            header.msg_hdr.msg_iovlen = 1;
            header.msg_hdr.msg_name = ends.address.as_mut_ptr().cast();
            header.msg_hdr.msg_namelen = ADDRESS_LENGTH;
            header.msg_hdr.msg_control = ends.control.as_mut_ptr().cast();
            header.msg_hdr.msg_controllen = size_of_val(&ends.control);
        }
        // SAFETY: every header points to a part, an address and a control buffer of its own, which
        // are as long as it says and outlive the call; the count is that of the headers.
        let count = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                headers.as_mut_ptr(),
                COUNT,
                libc::MSG_DONTWAIT,
                ptr::null_mut(),
            )
        };
        let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
        let lengths = headers.iter().take(count).map(|header| Lengths {
            message: usize::try_from(header.msg_len).unwrap_or(usize::MAX),
            address: usize::try_from(header.msg_hdr.msg_namelen).unwrap_or(usize::MAX),
            control: header.msg_hdr.msg_controllen,
        });
        self.lengths.extend(lengths);
        Ok(count)
    }

    /// A datagram of those that were received last.
    pub(crate) fn get(&self, index: usize) -> Option<Datagram<'_>> {
        let lengths = self.lengths.get(index)?;
        let start = index * ROOM;
        let message = self.bytes.get(start..start + lengths.message.min(ROOM))?;
        let ends = self.ends.get(index)?;
        Some(Datagram {
            message,
            source: read_address(ends.address.get(..lengths.address)?),
            destination: read_destination(ends.control.get(..lengths.control)?),
        })
    }
}

/// Sends datagrams out of one socket without waiting. Says how many have left: an error is that of
/// the first one that has not.
pub(crate) fn send<M: AsRef<[u8]>>(
    socket: &UdpSocket,
    parcels: &[Parcel<M>],
) -> (usize, Option<io::Error>) {
    let mut sent = 0;
    while let Some(rest) = parcels.get(sent..).filter(|rest| !rest.is_empty()) {
        match send_some(socket, rest) {
            Ok(count) if count > 0 => sent += count,
            Ok(_) => return (sent, Some(io::ErrorKind::WouldBlock.into())),
            Err(error) => return (sent, Some(error)),
        }
    }
    (sent, None)
}

fn send_some<M: AsRef<[u8]>>(socket: &UdpSocket, parcels: &[Parcel<M>]) -> io::Result<usize> {
    let mut letters = Letters::default();
    let count = letters.write(parcels);
    // SAFETY: the first `count` headers point to parts, addresses and control messages that are as
    // long as they say and outlive the call.
    let sent = unsafe {
        libc::sendmmsg(
            socket.as_raw_fd(),
            letters.headers.as_mut_ptr(),
            count,
            SEND_FLAGS,
        )
    };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// Datagrams as the kernel reads them. Once written it must not move: it points to itself.
struct Letters {
    ends: [Ends; BATCH],
    parts: [libc::iovec; BATCH],
    headers: [libc::mmsghdr; BATCH],
}

impl Default for Letters {
    fn default() -> Self {
        Self {
            ends: [Ends::NONE; BATCH],
            parts: [NO_PART; BATCH],
            headers: [no_header(); BATCH],
        }
    }
}

impl Letters {
    /// Writes up to [`BATCH`] parcels. Says how many.
    fn write<M: AsRef<[u8]>>(&mut self, parcels: &[Parcel<M>]) -> libc::c_uint {
        let mut count = 0;
        let headers = self.parts.iter_mut().zip(&mut self.headers);
        let places = self.ends.iter_mut().zip(headers);
        for (parcel, (ends, (part, header))) in parcels.iter().zip(places) {
            let message = parcel.message.as_ref();
            // The kernel only reads what is sent.
            part.iov_base = message.as_ptr().cast_mut().cast();
            part.iov_len = message.len();
            header.msg_hdr.msg_iov = ptr::from_mut(part);
            header.msg_hdr.msg_iovlen = 1;
            if let Some(target) = parcel.target {
                let length = write_address(target, &mut ends.address);
                header.msg_hdr.msg_name = ends.address.as_mut_ptr().cast();
                header.msg_hdr.msg_namelen = length;
            }
            if let Some(source) = parcel.source {
                let length = write_source(source, &mut ends.control);
                header.msg_hdr.msg_control = ends.control.as_mut_ptr().cast();
                header.msg_hdr.msg_controllen = length;
            }
            count += 1;
        }
        count
    }
}

/// A queue to the kernel: one call sends datagrams, and waits for what comes in.
///
/// Needs Linux 6.1, and `io_uring` not to be forbidden.
pub(crate) struct Ring {
    /// Before the room, which it must not outlive.
    queues: IoUring,
    /// Where datagrams arrive. The kernel writes there while it is called, and at no other time.
    room: Vec<u8>,
    receivers: HashMap<u64, RawFd>,
    done: VecDeque<cqueue::Entry>,
    /// Whether entries are left over that the kernel must not read any more.
    broken: bool,
}

/// A datagram to be sent, and out of which socket.
#[derive(Debug)]
pub(crate) struct Leaving<'a> {
    pub(crate) socket: BorrowedFd<'a>,
    pub(crate) parcel: Parcel<&'a [u8]>,
}

/// What a thread that waits is told.
#[derive(Debug)]
pub(crate) enum Done {
    /// A datagram arrived at the socket of this key.
    Arrived(u64, Vec<u8>),
    /// The socket of this key told of an error.
    Failed(u64),
    /// What has this key can be read.
    Ready(u64),
    /// The datagram in this place did not leave.
    Unsent(usize),
}

/// Who else waits for the same.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Sharing {
    /// All who wait are told.
    All,
    /// Of the threads that wait one is enough.
    One,
}

#[derive(Clone, Copy)]
enum Wait {
    Ever,
    Not,
    Until(Duration),
}

impl Ring {
    /// Opens a ring, which only the thread that does may use.
    pub(crate) fn new() -> io::Result<Self> {
        let mut builder = IoUring::builder();
        builder.setup_submit_all();
        builder.setup_single_issuer().setup_defer_taskrun();
        let mut ring = Self {
            queues: builder.build(ENTRIES)?,
            room: vec![0; usize::from(ROOMS) * ROOM],
            receivers: HashMap::new(),
            done: VecDeque::new(),
            broken: false,
        };
        ring.provide(0, ROOMS)?;
        ring.submit(Wait::Not)?;
        if ring.queues.completion().is_empty() {
            return Ok(ring);
        }
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Tells once that something can be read; from then on until it is asked again, nothing.
    pub(crate) fn watch(&mut self, what: &impl AsFd, key: u64, sharing: Sharing) -> io::Result<()> {
        let flags = match sharing {
            Sharing::All => libc::EPOLLIN,
            Sharing::One => libc::EPOLLIN | libc::EPOLLEXCLUSIVE,
        };
        let fd = Fd(what.as_fd().as_raw_fd());
        let entry = opcode::PollAdd::new(fd, flags.cast_unsigned()).build();
        // SAFETY: the entry points nowhere.
        unsafe { self.push(&entry.user_data(READY | key)) }
    }

    /// Receives what arrives at a socket, until it is forgotten.
    pub(crate) fn receive(&mut self, socket: &UdpSocket, key: u64) -> io::Result<()> {
        self.receivers.insert(key, socket.as_raw_fd());
        self.receive_more(key)
    }

    /// Receives nothing more at a socket, which the ring keeps open otherwise.
    pub(crate) fn forget(&mut self, key: u64) -> io::Result<()> {
        self.receivers.remove(&key);
        let entry = opcode::AsyncCancel::new(ARRIVED | key).build();
        let entry = entry.flags(squeue::Flags::SKIP_SUCCESS).user_data(NOTHING);
        // SAFETY: the entry points nowhere.
        unsafe { self.push(&entry) }
    }

    /// Sends datagrams without waiting for it, and then waits until something is done.
    pub(crate) fn exchange(
        &mut self,
        leaving: &[Leaving<'_>],
        timeout: Option<Duration>,
    ) -> io::Result<()> {
        let wait = timeout.map_or(Wait::Ever, Wait::Until);
        if leaving.is_empty() {
            return self.submit(wait);
        }
        let chunks = leaving.chunks(BATCH).zip((0..).step_by(BATCH));
        let last = (leaving.len() - 1) / BATCH * BATCH;
        for (chunk, start) in chunks {
            self.send(chunk, start, if start == last { wait } else { Wait::Not })?;
        }
        Ok(())
    }

    /// Tells what is done, in order.
    pub(crate) fn done(&mut self, events: &mut Vec<Done>) -> io::Result<()> {
        self.collect();
        let mut used = Vec::new();
        let mut ended = Vec::new();
        for entry in mem::take(&mut self.done) {
            let (kind, key) = (entry.user_data() & KINDS, entry.user_data() & !KINDS);
            match (kind, entry.result()) {
                (READY, 0..) => events.push(Done::Ready(key)),
                (READY, code) if code != -libc::ECANCELED => {
                    return Err(io::Error::from_raw_os_error(-code));
                }
                (UNSENT, _) => events.push(Done::Unsent(usize::try_from(key).unwrap_or_default())),
                (ARRIVED, result) => {
                    if let Some(place) = cqueue::buffer_select(entry.flags()) {
                        used.push(place);
                    }
                    events.extend(self.arrived(key, result, entry.flags()));
                    if !cqueue::more(entry.flags()) {
                        ended.push(key);
                    }
                }
                _ => {}
            }
        }
        for run in used.chunk_by(|a, b| a.checked_add(1) == Some(*b)) {
            let count = u16::try_from(run.len()).unwrap_or(ROOMS);
            self.provide(run.first().copied().unwrap_or_default(), count)?;
        }
        ended.into_iter().try_for_each(|key| self.receive_more(key))
    }

    /// Lets go of every socket, which otherwise happens at some time after the ring is closed.
    pub(crate) fn close(mut self) -> io::Result<()> {
        self.submit(Wait::Not)?;
        let patience = Some(Timespec::from(Duration::from_secs(1)));
        let cancelled = self
            .queues
            .submitter()
            .register_sync_cancel(patience, CancelBuilder::any());
        // The kernel ends what was cancelled as it tells of it.
        self.submit(Wait::Until(Duration::ZERO))?;
        match cancelled {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn send(&mut self, leaving: &[Leaving<'_>], start: usize, wait: Wait) -> io::Result<()> {
        let mut letters = Letters::default();
        let parcels: Vec<_> = leaving
            .iter()
            .map(|leaving| leaving.parcel.clone())
            .collect();
        letters.write(&parcels);
        for ((leaving, header), place) in leaving.iter().zip(&letters.headers).zip(0..) {
            let fd = Fd(leaving.socket.as_raw_fd());
            let place = u64::try_from(start + place).unwrap_or_default();
            let entry = opcode::SendMsg::new(fd, &raw const header.msg_hdr)
                .flags(SEND_FLAGS.cast_unsigned())
                .build();
            let entry = entry.flags(squeue::Flags::SKIP_SUCCESS);
            // SAFETY: what the header points to outlives the call below. By its end the kernel has
            // read it: it sends at once or not at all, as the flags say.
            unsafe { self.push(&entry.user_data(UNSENT | place))? };
        }
        self.submit(wait)
    }

    fn receive_more(&mut self, key: u64) -> io::Result<()> {
        let Some(fd) = self.receivers.get(&key) else {
            return Ok(());
        };
        let entry = opcode::RecvMulti::new(Fd(*fd), GROUP).build();
        // SAFETY: the kernel writes to the room that it was given, which the ring keeps.
        unsafe { self.push(&entry.user_data(ARRIVED | key)) }
    }

    fn arrived(&self, key: u64, result: i32, flags: u32) -> Option<Done> {
        if !self.receivers.contains_key(&key) {
            return None;
        }
        let Ok(length) = usize::try_from(result) else {
            // Without room it is told again once there is some.
            let passing = [
                -libc::ENOBUFS,
                -libc::ECANCELED,
                -libc::EINTR,
                -libc::EAGAIN,
            ];
            return (!passing.contains(&result)).then_some(Done::Failed(key));
        };
        let start = usize::from(cqueue::buffer_select(flags)?) * ROOM;
        let message = self.room.get(start..start + length.min(ROOM))?;
        Some(Done::Arrived(key, message.to_vec()))
    }

    /// Gives the kernel pieces of the room to write to.
    fn provide(&mut self, first: u16, count: u16) -> io::Result<()> {
        let Some(room) = self.room.get_mut(usize::from(first) * ROOM..) else {
            return Ok(());
        };
        let length = i32::try_from(ROOM).unwrap_or_default();
        let entry = opcode::ProvideBuffers::new(room.as_mut_ptr(), length, count, GROUP, first);
        let entry = entry.build().flags(squeue::Flags::SKIP_SUCCESS);
        // SAFETY: the pieces lie in the room, which outlives the ring and is read only where the
        // kernel has given a piece back.
        unsafe { self.push(&entry.user_data(NOTHING)) }
    }

    /// # Safety
    /// What the entry points to stays until it is submitted, and for as long as the kernel keeps
    /// it after that.
    unsafe fn push(&mut self, entry: &squeue::Entry) -> io::Result<()> {
        if self.queues.submission().is_full() {
            self.submit(Wait::Not)?;
        }
        // SAFETY: as the caller promises.
        let pushed = unsafe { self.queues.submission().push(entry) };
        pushed.map_err(|_| io::ErrorKind::StorageFull.into())
    }

    fn submit(&mut self, wait: Wait) -> io::Result<()> {
        if self.broken {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        for _ in 0..ATTEMPTS {
            match self
                .enter(wait)
                .map_err(|error| (error.raw_os_error(), error))
            {
                Ok(_) | Err((Some(libc::EINTR | libc::ETIME), _)) => {}
                // Too much is done and not told.
                Err((Some(libc::EAGAIN | libc::EBUSY), _)) => self.collect(),
                Err((_, error)) => {
                    self.broken = true;
                    return Err(error);
                }
            }
            if self.queues.submission().is_empty() {
                return Ok(());
            }
        }
        self.broken = true;
        Err(io::ErrorKind::ResourceBusy.into())
    }

    fn enter(&self, wait: Wait) -> io::Result<usize> {
        let submitter = self.queues.submitter();
        match wait {
            Wait::Ever => submitter.submit_and_wait(1),
            Wait::Not => submitter.submit(),
            Wait::Until(time) => {
                let time = Timespec::from(time);
                submitter.submit_with_args(1, &SubmitArgs::new().timespec(&time))
            }
        }
    }

    fn collect(&mut self) {
        self.done.extend(self.queues.completion());
    }
}

impl fmt::Debug for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ring")
            .field("receivers", &self.receivers)
            .finish_non_exhaustive()
    }
}

fn no_header() -> libc::mmsghdr {
    // SAFETY: all zeros are a header that points nowhere: null pointers and lengths of zero.
    unsafe { mem::zeroed() }
}

/// Datagrams of one call.
pub(crate) const BATCH: usize = 32;
const COUNT: u32 = 32;
/// The longest datagram.
const ROOM: usize = 1 << 16;
const ADDRESS_LENGTH: libc::socklen_t = 32;
const CONTROL_ROOM: usize = 64;
const SEND_FLAGS: libc::c_int = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
/// Room of a ring for what is to be done.
const ENTRIES: u32 = 256;
/// Datagrams that a ring receives before the thread looks at them.
const ROOMS: u16 = 64;
const GROUP: u16 = 0;
/// How often a ring that is short of room is tried.
const ATTEMPTS: u32 = 64;
/// What an entry is about, besides its key.
const KINDS: u64 = 3 << 62;
const READY: u64 = 0;
const ARRIVED: u64 = 1 << 62;
const UNSENT: u64 = 2 << 62;
const NOTHING: u64 = 3 << 62;
const NO_PART: libc::iovec = libc::iovec {
    iov_base: ptr::null_mut(),
    iov_len: 0,
};
const _: () = assert!(COUNT as usize == BATCH);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_arrives_whole_and_in_order() {
        let (from, to) = (
            UdpSocket::bind("127.0.0.1:0").unwrap(),
            UdpSocket::bind("127.0.0.1:0").unwrap(),
        );
        let parcels: Vec<Parcel<Vec<u8>>> = (0..40_u8)
            .map(|n| Parcel {
                message: vec![n; usize::from(n) * 9],
                target: to.local_addr().ok(),
                source: Some([127, 0, 0, 1].into()),
            })
            .collect();
        assert!(matches!(send(&from, &parcels), (40, None)));
        let mut inbox = Inbox::new();
        let mut seen = 0;
        for count in [32, 8] {
            assert_eq!(inbox.receive(&to).unwrap(), count);
            for index in 0..count {
                let datagram = inbox.get(index).unwrap();
                assert_eq!(datagram.message, parcels[seen].message);
                assert_eq!(datagram.source, from.local_addr().ok());
                seen += 1;
            }
            assert!(inbox.get(count).is_none());
        }
        let empty = inbox.receive(&to).unwrap_err();
        assert_eq!(empty.kind(), io::ErrorKind::WouldBlock);
    }
}
