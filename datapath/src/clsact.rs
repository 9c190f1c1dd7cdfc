//! Programs as filters of a clsact qdisc, where the kernel has no links of tcx.
//!
//! A filter stands at handle 1 and priority 1. Replacing it there is atomic: every packet meets the
//! old program or the new one.

use std::io;
use std::os::fd::AsFd;

use libbpf_rs::query::ProgInfoIter;
use libbpf_rs::{TcAttachPoint, TcHook, TcHookBuilder};

use crate::Program;
use crate::netlink::Netlink;

/// Who made a device's qdisc.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Maker {
    /// This crate: it goes with the last filter.
    Us,
    /// Somebody else.
    Other,
}

impl Maker {
    /// What a marker says, in place of the path that it would lead to.
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Us => "clsact-made",
            Self::Other => "clsact-found",
        }
    }

    pub(crate) fn from_text(text: &str) -> Self {
        if text == Self::Us.text() {
            Self::Us
        } else {
            Self::Other
        }
    }
}

/// Sees to it that the device has the qdisc.
pub(crate) fn prepare(ifindex: u32) -> io::Result<Maker> {
    let made = netlink()?.add_clsact(ifindex).map_err(io::Error::other)?;
    Ok(if made { Maker::Us } else { Maker::Other })
}

/// Removes the qdisc unless filters hang on it; where the device is gone there is nothing to do.
pub(crate) fn remove_if_empty(ifindex: u32) -> io::Result<()> {
    let mut netlink = netlink()?;
    // A device that is gone lists no filter and has no qdisc.
    if netlink.has_filters(ifindex).unwrap_or_default() {
        return Ok(());
    }
    netlink
        .delete_clsact(ifindex)
        .map(drop)
        .map_err(io::Error::other)
}

/// Puts a program at its place, or in place of one of its name.
pub(crate) fn attach(program: &Program, ifindex: u32, side: TcAttachPoint) -> io::Result<()> {
    let mut hook = hook(program, ifindex, side)?;
    match quietly(|| name_at(&mut hook)) {
        Some(name) if name != program.name() => Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            format!("the filter of handle 1 and priority 1 is program {name}"),
        )),
        _ => match quietly(|| hook.attach()) {
            Ok(_) => Ok(()),
            Err(error) => Err(io::Error::other(error.to_string())),
        },
    }
}

/// Whether the filter at the place is a program of this name.
pub(crate) fn is_attached(program: &Program, ifindex: u32, side: TcAttachPoint) -> bool {
    is_named(program, program.name(), ifindex, side)
}

/// Takes the program of a name away, if it is there.
pub(crate) fn detach(name: &str, ifindex: u32, side: TcAttachPoint) {
    // A filter is found by its place; the descriptor does not count.
    let any = io::stderr();
    if is_named(&any, name, ifindex, side)
        && let Ok(mut hook) = hook(&any, ifindex, side)
    {
        // Gone in between, with its device: nothing is left to do.
        drop(quietly(|| hook.detach()));
    }
}

fn is_named(any: &impl AsFd, name: &str, ifindex: u32, side: TcAttachPoint) -> bool {
    let found = hook(any, ifindex, side).map(|mut hook| quietly(|| name_at(&mut hook)));
    found.is_ok_and(|found| found.as_deref() == Some(name))
}

/// The name of the program at the hook's place.
fn name_at(hook: &mut TcHook) -> Option<String> {
    let id = hook.query().ok()?;
    let program = ProgInfoIter::default().find(|program| program.id == id)?;
    Some(program.name.to_string_lossy().into_owned())
}

fn hook(program: &impl AsFd, ifindex: u32, side: TcAttachPoint) -> io::Result<TcHook> {
    let ifindex = i32::try_from(ifindex).map_err(|_| io::ErrorKind::InvalidInput)?;
    let mut builder = TcHookBuilder::new(program.as_fd());
    builder.ifindex(ifindex).replace(true).handle(1).priority(1);
    Ok(builder.hook(side))
}

/// libbpf tells on standard error of everything that it does not find.
fn quietly<T>(work: impl FnOnce() -> T) -> T {
    let print = libbpf_rs::set_print(None);
    let result = work();
    libbpf_rs::set_print(print);
    result
}

fn netlink() -> io::Result<Netlink> {
    Netlink::open().map_err(io::Error::other)
}
