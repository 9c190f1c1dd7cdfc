use std::fs;
use std::io;
use std::mem::{offset_of, size_of};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use crate::skel::endpoint::types;
use crate::sys;

/// A loaded program.
#[derive(Debug)]
pub struct Program {
    name: &'static str,
    fd: OwnedFd,
}

/// The packet that a program is run with, and where it comes from.
#[derive(Clone, Copy, Debug, Default)]
pub struct Frame<'a> {
    /// The packet with its link header.
    pub data: &'a [u8],
    /// The packet's mark.
    pub mark: u32,
    /// A device of the calling thread's namespace; 0 for loopback.
    pub ifindex: u32,
}

/// What a program did with a packet.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Outcome {
    /// What the kernel is told to do with it.
    pub action: TcAction,
    /// The packet as the program left it.
    pub data: Vec<u8>,
    /// The packet's mark as the program left it.
    pub mark: u32,
    /// How long the run took; the mean, if there was more than one.
    pub nanoseconds: u32,
}

/// What the kernel counts of a program.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Statistics {
    /// Instructions that the verifier went through, of the million that it does.
    pub verified_instructions: u32,
    /// Runs since the program was loaded; counted only while `kernel.bpf_stats_enabled` is 1.
    pub runs: u64,
    /// What these runs took, the taking of the time included.
    pub run_time: Duration,
}

impl Statistics {
    /// What the kernel counts of any program.
    ///
    /// Minimum kernel version: 5.16.
    ///
    /// # Errors
    /// What kept the kernel's list from being read.
    pub fn of(program: &impl AsFd) -> io::Result<Self> {
        let path = format!("/proc/self/fdinfo/{}", program.as_fd().as_raw_fd());
        let text = fs::read_to_string(path)?;
        let number = |name: &str| {
            let value = text.lines().find_map(|line| line.strip_prefix(name))?;
            value.trim().parse::<u64>().ok()
        };
        let found = number("verified_insns:").zip(number("run_cnt:").zip(number("run_time_ns:")));
        let (verified, (runs, time)) = found.ok_or(io::ErrorKind::Unsupported)?;
        Ok(Self {
            verified_instructions: u32::try_from(verified).unwrap_or(u32::MAX),
            runs,
            run_time: Duration::from_nanos(time),
        })
    }
}

/// What a program tells the kernel to do with a packet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum TcAction {
    /// `TC_ACT_OK`: it goes on.
    Pass,
    /// `TC_ACT_SHOT`: it is dropped.
    Drop,
    /// `TC_ACT_REDIRECT`: it goes to another device.
    Redirect,
    /// Any other number.
    Other(u32),
}

impl From<u32> for TcAction {
    fn from(number: u32) -> Self {
        match number {
            0 => Self::Pass,
            2 => Self::Drop,
            7 => Self::Redirect,
            other => Self::Other(other),
        }
    }
}

impl Program {
    pub(crate) fn new(name: &'static str, fd: OwnedFd) -> Self {
        Self { name, fd }
    }

    /// The program's name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// What the kernel counts of the program.
    ///
    /// # Errors
    /// As [`Statistics::of`].
    pub fn statistics(&self) -> io::Result<Statistics> {
        Statistics::of(self)
    }

    /// Runs the program with a packet, against the maps it was loaded with, sending nothing.
    ///
    /// Minimum kernel version: 5.15.
    ///
    /// # Errors
    /// What the kernel said: EINVAL for a packet shorter than a link header or an unknown device.
    pub fn run(&self, frame: &Frame<'_>) -> io::Result<Outcome> {
        self.run_repeatedly(frame, 1)
    }

    /// As [`Program::run`], several times in a row with one packet, for a mean time.
    ///
    /// # Errors
    /// As [`Program::run`].
    pub fn run_repeatedly(&self, frame: &Frame<'_>, times: i32) -> io::Result<Outcome> {
        let mut context = [0; size_of::<types::__sk_buff>()];
        put(&mut context, offset_of!(types::__sk_buff, mark), frame.mark);
        let ifindex = offset_of!(types::__sk_buff, ifindex);
        put(&mut context, ifindex, frame.ifindex);
        let run = sys::test_run(self.fd.as_fd(), frame.data, &mut context, times)?;
        Ok(Outcome {
            action: run.result.into(),
            data: run.data,
            mark: take(&context, offset_of!(types::__sk_buff, mark)),
            nanoseconds: run.nanoseconds,
        })
    }
}

fn put(context: &mut [u8], offset: usize, number: u32) {
    if let Some(place) = context.get_mut(offset..offset + size_of::<u32>()) {
        place.copy_from_slice(&number.to_ne_bytes());
    }
}

fn take(context: &[u8], offset: usize) -> u32 {
    let bytes = context.get(offset..).and_then(<[u8]>::first_chunk);
    bytes.map_or(0, |bytes| u32::from_ne_bytes(*bytes))
}

impl AsFd for Program {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
