//! Programs on devices: links pinned in a folder, adopted and updated after a restart.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use libbpf_rs::query::LinkTypeInfo;
use libbpf_rs::{Link, TC_EGRESS, TC_INGRESS, TcAttachPoint, TcHook, TcHookBuilder};
use thiserror::Error as ThisError;

use crate::load::Programs;
use crate::sys;

/// Why a device could not be given its programs, or be freed of them.
#[derive(Debug, ThisError)]
#[non_exhaustive]
pub enum Error {
    /// The kernel refused a program on a device.
    #[error("program {program} could not be attached to device {ifindex}")]
    Attach {
        /// The program.
        program: &'static str,
        /// The device.
        ifindex: u32,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// A pinned link could not be given the new program.
    #[error("the link {} could not be updated", path.display())]
    Update {
        /// The pin.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// A pin of a link could not be made, read or removed.
    #[error("the pin {} could not be used", path.display())]
    Pin {
        /// The pin.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
}

/// The kind of hook that programs hang on.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Hook {
    /// tcx where the kernel has it, else clsact.
    #[default]
    Auto,
    /// Links of tcx. Minimum kernel version: 6.6.
    Tcx,
    /// Filters of a clsact qdisc, at handle 1 and priority 1.
    Clsact,
}

/// The two sides of a host-side veth.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Side {
    From,
    To,
}

impl Side {
    const BOTH: [Self; 2] = [Self::From, Self::To];

    const fn suffix(self) -> &'static str {
        match self {
            Self::From => "from",
            Self::To => "to",
        }
    }

    const fn tcx(self) -> libbpf_sys::bpf_attach_type {
        match self {
            Self::From => libbpf_sys::BPF_TCX_INGRESS,
            Self::To => libbpf_sys::BPF_TCX_EGRESS,
        }
    }

    const fn clsact(self) -> TcAttachPoint {
        match self {
            Self::From => TC_INGRESS,
            Self::To => TC_EGRESS,
        }
    }

    const fn program(self, programs: &Programs) -> &crate::Program {
        match self {
            Self::From => &programs.from_container,
            Self::To => &programs.to_container,
        }
    }
}

/// The folder of pinned links: `<ifindex>-from` and `<ifindex>-to` of each device.
///
/// A filter of clsact has no link; a symbolic link to nowhere takes the place of its pin.
#[derive(Debug)]
pub(crate) struct Links {
    folder: PathBuf,
    hook: Hook,
}

/// What holds a program on a device.
enum Held {
    Link(Link),
    Filter,
}

impl Links {
    pub(crate) fn new(folder: PathBuf, hook: Hook) -> Self {
        let hook = match hook {
            Hook::Auto if sys::has_tcx() => Hook::Tcx,
            Hook::Auto => Hook::Clsact,
            chosen => chosen,
        };
        Self { folder, hook }
    }

    /// Puts both programs on a device, or the new ones in place of those that are there.
    pub(crate) fn attach(&self, programs: &Programs, ifindex: u32) -> Result<(), Error> {
        let attached = Side::BOTH
            .into_iter()
            .try_for_each(|side| self.attach_side(programs, ifindex, side));
        if attached.is_err() {
            // One program alone would be neither the old state nor the new one.
            drop(self.detach(ifindex));
        }
        attached
    }

    /// Takes both programs off a device; whether there was one.
    pub(crate) fn detach(&self, ifindex: u32) -> Result<bool, Error> {
        let mut found = false;
        for side in Side::BOTH {
            let path = self.path(ifindex, side);
            if let Some(held) = held(&path)? {
                release(&held, ifindex, side);
                remove(&path)?;
                found = true;
            }
        }
        Ok(found)
    }

    /// Gives the programs to every device that has a pin; pins of devices that are gone are removed.
    pub(crate) fn adopt(&self, programs: &Programs) -> Result<(), Error> {
        for ifindex in self.pinned()? {
            for side in Side::BOTH {
                let path = self.path(ifindex, side);
                match held(&path)? {
                    Some(Held::Link(link)) if device(&link) == Some(ifindex) => {
                        update(&link, side.program(programs).as_fd(), &path)?;
                    }
                    Some(Held::Filter) if attach_filter(side, programs, ifindex).is_ok() => {}
                    Some(Held::Filter | Held::Link(_)) => remove(&path)?,
                    None => {}
                }
            }
        }
        Ok(())
    }

    /// Devices that have both programs.
    pub(crate) fn attached(&self) -> Result<Vec<u32>, Error> {
        let mut attached = self.pinned()?;
        attached.retain(|ifindex| {
            Side::BOTH
                .iter()
                .all(|side| match held(&self.path(*ifindex, *side)) {
                    Ok(Some(Held::Link(link))) => device(&link) == Some(*ifindex),
                    Ok(Some(Held::Filter)) => true,
                    Ok(None) | Err(_) => false,
                })
        });
        Ok(attached)
    }

    /// Devices that have a pin.
    pub(crate) fn pinned(&self) -> Result<Vec<u32>, Error> {
        let entries = fs::read_dir(&self.folder).map_err(|source| Error::Pin {
            path: self.folder.clone(),
            source,
        })?;
        let mut devices: Vec<u32> = entries
            .filter_map(|entry| {
                let name = entry.ok()?.file_name();
                name.to_str()?.split_once('-')?.0.parse().ok()
            })
            .collect();
        devices.sort_unstable();
        devices.dedup();
        Ok(devices)
    }

    fn attach_side(&self, programs: &Programs, ifindex: u32, side: Side) -> Result<(), Error> {
        let path = self.path(ifindex, side);
        let program = side.program(programs);
        match held(&path)? {
            Some(Held::Link(link)) if device(&link) == Some(ifindex) => {
                return update(&link, program.as_fd(), &path);
            }
            Some(Held::Filter) => return attach_filter(side, programs, ifindex),
            Some(Held::Link(_)) => remove(&path)?,
            None => {}
        }
        if self.hook == Hook::Clsact {
            attach_filter(side, programs, ifindex)?;
            return symlink("clsact", &path).map_err(|source| Error::Pin { path, source });
        }
        let link = sys::link_create(program.as_fd(), ifindex, side.tcx()).map_err(|source| {
            Error::Attach {
                program: program.name(),
                ifindex,
                source,
            }
        })?;
        sys::pin(link.as_fd(), &path).map_err(|source| Error::Pin { path, source })
    }

    fn path(&self, ifindex: u32, side: Side) -> PathBuf {
        self.folder.join(format!("{ifindex}-{}", side.suffix()))
    }
}

fn held(path: &Path) -> Result<Option<Held>, Error> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_symlink() => Ok(Some(Held::Filter)),
        Ok(_) => {
            let link = Link::open(path).map_err(|error| Error::Pin {
                path: path.into(),
                source: io::Error::other(error.to_string()),
            })?;
            Ok(Some(Held::Link(link)))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::Pin {
            path: path.into(),
            source,
        }),
    }
}

/// The device of a link; a link outlives its device with none.
fn device(link: &Link) -> Option<u32> {
    match link.info().ok()?.info {
        LinkTypeInfo::Tcx(tcx) => (tcx.ifindex != 0).then_some(tcx.ifindex),
        _ => None,
    }
}

fn update(link: &Link, program: BorrowedFd<'_>, path: &Path) -> Result<(), Error> {
    sys::link_update(link.as_fd(), program).map_err(|source| Error::Update {
        path: path.into(),
        source,
    })
}

/// Takes a program off its device; where the device is gone there is nothing left to do.
fn release(held: &Held, ifindex: u32, side: Side) {
    match held {
        Held::Link(link) => {
            drop(link.detach());
        }
        Held::Filter => {
            // A filter is found by its place; the program's descriptor does not count.
            let any = io::stderr();
            if let Some(mut hook) = filter(any.as_fd(), ifindex, side) {
                drop(hook.detach());
            }
        }
    }
}

fn attach_filter(side: Side, programs: &Programs, ifindex: u32) -> Result<(), Error> {
    let program = side.program(programs);
    let failed = |source| Error::Attach {
        program: program.name(),
        ifindex,
        source,
    };
    let mut hook = filter(program.as_fd(), ifindex, side)
        .ok_or_else(|| failed(io::ErrorKind::InvalidInput.into()))?;
    // The qdisc may be there already, from the other side or from someone else; libbpf would say so
    // on standard error.
    let print = libbpf_rs::set_print(None);
    drop(hook.create());
    libbpf_rs::set_print(print);
    match hook.attach() {
        Ok(_) => Ok(()),
        Err(error) => Err(failed(io::Error::other(error.to_string()))),
    }
}

fn filter(program: BorrowedFd<'_>, ifindex: u32, side: Side) -> Option<TcHook> {
    let mut builder = TcHookBuilder::new(program);
    builder
        .ifindex(i32::try_from(ifindex).ok()?)
        .replace(true)
        .handle(1)
        .priority(1);
    Some(builder.hook(side.clsact()))
}

fn remove(path: &Path) -> Result<(), Error> {
    fs::remove_file(path).map_err(|source| Error::Pin {
        path: path.into(),
        source,
    })
}
