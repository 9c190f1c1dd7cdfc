//! Replies that leave together.

use std::cell::RefCell;
use std::mem;
use std::net::UdpSocket;
use std::os::fd::AsFd;
use std::sync::Arc;

use crate::stats::Counters;
use crate::sys::{self, BATCH, Leaving, Parcel};

/// A reply and the socket that it leaves from.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) socket: Arc<UdpSocket>,
    pub(crate) parcel: Parcel<Vec<u8>>,
}

impl Reply {
    pub(crate) fn leaving(&self) -> Leaving<'_> {
        let Parcel {
            message,
            target,
            source,
        } = &self.parcel;
        Leaving {
            socket: self.socket.as_fd(),
            parcel: Parcel {
                message,
                target: *target,
                source: *source,
            },
        }
    }
}

thread_local! {
    /// The replies of this thread, if it sends them together: the threads that serve UDP do, and
    /// an answer that the embedder releases at once is released there.
    static WAITING: RefCell<Option<Vec<Reply>>> = const { RefCell::new(None) };
}

/// Lets replies of this thread wait for [`flush`] from now on.
pub(crate) fn open() {
    WAITING.set(Some(Vec::with_capacity(BATCH)));
}

/// Lets a reply wait; gives it back on a thread that sends at once.
pub(crate) fn push(reply: Reply) -> Result<(), Reply> {
    WAITING.with_borrow_mut(|waiting| match waiting {
        Some(waiting) => {
            waiting.push(reply);
            Ok(())
        }
        None => Err(reply),
    })
}

/// Sends what waits. A reply that cannot leave is counted, and the client asks again.
pub(crate) fn flush(counters: &Counters) {
    let mut waiting = take();
    let mut rest = waiting.drain(..).peekable();
    while let Some(Reply { socket, parcel }) = rest.next() {
        let mut parcels = vec![parcel];
        while let Some(next) = rest.next_if(|next| Arc::ptr_eq(&next.socket, &socket)) {
            parcels.push(next.parcel);
        }
        let mut left = parcels.as_slice();
        while !left.is_empty() {
            let (sent, error) = sys::send(&socket, left);
            if error.is_some() {
                counters.unsent.add();
            }
            // What could not leave is passed over.
            left = left.get(sent + 1..).unwrap_or_default();
        }
    }
    drop(rest);
    put_back(waiting);
}

/// Takes what waits, for someone else to send.
pub(crate) fn take() -> Vec<Reply> {
    WAITING.with_borrow_mut(|waiting| waiting.as_mut().map(mem::take).unwrap_or_default())
}

/// Gives back what was taken once it is sent, so that its room is used again.
pub(crate) fn put_back(mut sent: Vec<Reply>) {
    sent.clear();
    WAITING.with_borrow_mut(|waiting| {
        if let Some(waiting) = waiting {
            *waiting = sent;
        }
    });
}
