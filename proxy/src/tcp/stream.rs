//! Messages over a connection, each with a deadline.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::stop::Stop;

/// A connection whose every wait ends at a deadline or when the proxy stops.
#[derive(Debug)]
pub(crate) struct Stream {
    stream: TcpStream,
    stop: Stop,
}

/// Why nothing more comes of a connection.
#[derive(Debug)]
pub(crate) enum End {
    /// The other side closed it or broke it off.
    Closed,
    /// The proxy stops.
    Stopped,
    /// The deadline has passed.
    TimedOut,
    /// The next message is longer than may be.
    TooLong,
}

impl Stream {
    /// Wraps a connection that does not block, established or on its way.
    pub(crate) fn new(stream: TcpStream, stop: Stop) -> Self {
        Self { stream, stop }
    }

    /// Waits until a connection on its way stands.
    pub(crate) fn establish(&self, deadline: Instant) -> Result<(), End> {
        self.wait(PollFlags::POLLOUT, deadline)?;
        match self.stream.take_error() {
            Ok(None) => Ok(()),
            Ok(Some(_)) | Err(_) => Err(End::Closed),
        }
    }

    /// Reads one message of up to `limit` bytes, first byte to last before the deadline.
    pub(crate) fn read_message(&mut self, limit: usize, deadline: Instant) -> Result<Vec<u8>, End> {
        let mut length = [0; 2];
        self.read(&mut length, deadline)?;
        let length = usize::from(u16::from_be_bytes(length));
        if length > limit {
            return Err(End::TooLong);
        }
        let mut message = vec![0; length];
        self.read(&mut message, deadline)?;
        Ok(message)
    }

    /// Writes one message, first byte to last before the deadline.
    pub(crate) fn write_message(&mut self, message: &[u8], deadline: Instant) -> Result<(), End> {
        let length = u16::try_from(message.len()).map_err(|_| End::TooLong)?;
        // In one piece, since some servers take the first segment for the whole.
        let framed = [&length.to_be_bytes(), message].concat();
        let mut rest = framed.as_slice();
        while !rest.is_empty() {
            match self.stream.write(rest) {
                Ok(written) => rest = rest.get(written..).unwrap_or_default(),
                Err(error) if is_retry(&error) => self.wait(PollFlags::POLLOUT, deadline)?,
                Err(_) => return Err(End::Closed),
            }
        }
        Ok(())
    }

    fn read(&mut self, mut buffer: &mut [u8], deadline: Instant) -> Result<(), End> {
        while !buffer.is_empty() {
            match self.stream.read(buffer) {
                Ok(0) => return Err(End::Closed),
                Ok(read) => buffer = buffer.get_mut(read..).unwrap_or_default(),
                Err(error) if is_retry(&error) => self.wait(PollFlags::POLLIN, deadline)?,
                Err(_) => return Err(End::Closed),
            }
        }
        Ok(())
    }

    fn wait(&self, flags: PollFlags, deadline: Instant) -> Result<(), End> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(End::TimedOut);
            }
            let mut fds = [
                PollFd::new(self.stop.as_fd(), PollFlags::POLLIN),
                PollFd::new(self.stream.as_fd(), flags),
            ];
            // The kernel counts whole milliseconds: rounded down, the last one would be spun away.
            let timeout = PollTimeout::try_from(left + Duration::from_millis(1));
            match poll(&mut fds, timeout.unwrap_or(PollTimeout::MAX)) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(_) => return Err(End::Closed),
            }
            let [stop, stream] = fds.map(|fd| fd.any().unwrap_or(true));
            if stop {
                return Err(End::Stopped);
            }
            if stream {
                return Ok(());
            }
        }
    }
}

fn is_retry(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}
