//! A name server that knows one address for every name, as fast as one thread can be: what a proxy
//! before it is measured against.
//!
//! Prints the address that it listens on and serves until it is killed.

use std::error::Error;
use std::io::IoSliceMut;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::AsRawFd;

use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrIn, recvmmsg, sendmmsg};

/// Datagrams per system call.
const BATCH: usize = 64;
/// Bytes of the longest query that it answers.
const ROOM: usize = 512;
/// The answer: the name in question, type A, class IN, 30 s, four bytes.
const RECORD: [u8; 16] = [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 30, 0, 4, 192, 0, 2, 1];

#[expect(clippy::print_stdout, reason = "the address is its output")]
fn main() -> Result<(), Box<dyn Error>> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    println!("{}", socket.local_addr()?);
    let mut buffers = vec![[0; ROOM]; BATCH];
    loop {
        let asked = receive(&socket, &mut buffers)?;
        answer(&socket, &mut buffers, &asked);
    }
}

/// Waits for queries and takes what has come together: how long each is, and from whom.
fn receive(
    socket: &UdpSocket,
    buffers: &mut [[u8; ROOM]],
) -> Result<Vec<(usize, Option<SockaddrIn>)>, nix::Error> {
    let mut headers = MultiHeaders::preallocate(BATCH, None);
    let mut parts: Vec<_> = buffers
        .iter_mut()
        .map(|buffer| [IoSliceMut::new(buffer)])
        .collect();
    // What follows the first is not waited for.
    let flags = MsgFlags::MSG_WAITFORONE;
    let received = recvmmsg(
        socket.as_raw_fd(),
        &mut headers,
        parts.iter_mut(),
        flags,
        None,
    )?;
    Ok(received
        .map(|datagram| (datagram.bytes, datagram.address))
        .collect())
}

fn answer(socket: &UdpSocket, buffers: &mut [[u8; ROOM]], asked: &[(usize, Option<SockaddrIn>)]) {
    let mut replies = Vec::with_capacity(BATCH);
    let mut clients = Vec::with_capacity(BATCH);
    for (buffer, (length, client)) in buffers.iter_mut().zip(asked) {
        if let Some(end) = question_end(buffer, *length) {
            replies.push(reply(buffer, end));
            clients.push(*client);
        }
    }
    let parts: Vec<_> = replies
        .iter()
        .map(|reply| [std::io::IoSlice::new(reply)])
        .collect();
    let mut headers = MultiHeaders::preallocate(parts.len(), None);
    // A reply that cannot leave is one that the client asks for again.
    let _sent = sendmmsg(
        socket.as_raw_fd(),
        &mut headers,
        &parts,
        &clients,
        [],
        MsgFlags::empty(),
    );
}

/// Where the only question of a query ends; `None` for what is no query or too long.
fn question_end(query: &[u8], length: usize) -> Option<usize> {
    let query = query.get(..length.min(ROOM - RECORD.len()))?;
    let mut at = 12;
    while let label @ 1.. = usize::from(*query.get(at)?) {
        at += 1 + label;
    }
    let end = at + 5;
    (end <= query.len() && query.get(2)? & 0x80 == 0).then_some(end)
}

/// The query made an answer in place.
fn reply(buffer: &mut [u8; ROOM], end: usize) -> &[u8] {
    let counts = [0x80, 0, 1, 0, 1, 0, 0, 0, 0];
    if let Some(flags) = buffer.get_mut(2) {
        *flags |= 0x80;
    }
    for (place, byte) in buffer.iter_mut().skip(3).zip(counts) {
        *place = byte;
    }
    for (place, byte) in buffer.iter_mut().skip(end).zip(RECORD) {
        *place = byte;
    }
    buffer.get(..end + RECORD.len()).unwrap_or_default()
}
