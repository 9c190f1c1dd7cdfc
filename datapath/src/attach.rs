//! Programs on devices: links pinned in a folder, adopted and updated after a restart.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use libbpf_rs::query::LinkTypeInfo;
use libbpf_rs::{Link, TC_EGRESS, TC_INGRESS, TcAttachPoint};
use thiserror::Error as ThisError;

use crate::clsact::{self, Maker};
use crate::load::Programs;
use crate::{Program, sys};

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
    /// The qdisc that programs hung on could not be removed.
    #[error("the empty clsact of device {ifindex} could not be removed")]
    Qdisc {
        /// The device.
        ifindex: u32,
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

/// What a device is to this node, and with that the two programs that it gets.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Role {
    /// The host-side veth of an endpoint.
    Endpoint,
    /// It leads to other machines.
    Network,
    /// It takes packets to other nodes through tunnels.
    Overlay,
}

impl Role {
    const fn sides(self) -> [Side; 2] {
        match self {
            Self::Endpoint => [Side::FromContainer, Side::ToContainer],
            Self::Network => [Side::FromNetwork, Side::ToNetwork],
            Self::Overlay => [Side::FromOverlay, Side::ToOverlay],
        }
    }
}

/// A side of a device.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Side {
    FromContainer,
    ToContainer,
    FromNetwork,
    ToNetwork,
    FromOverlay,
    ToOverlay,
}

impl Side {
    const ALL: [Self; 6] = [
        Self::FromContainer,
        Self::ToContainer,
        Self::FromNetwork,
        Self::ToNetwork,
        Self::FromOverlay,
        Self::ToOverlay,
    ];

    const fn suffix(self) -> &'static str {
        match self {
            Self::FromContainer => "from",
            Self::ToContainer => "to",
            Self::FromNetwork => "from-network",
            Self::ToNetwork => "to-network",
            Self::FromOverlay => "from-overlay",
            Self::ToOverlay => "to-overlay",
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::FromContainer => "from_container",
            Self::ToContainer => "to_container",
            Self::FromNetwork => "from_network",
            Self::ToNetwork => "to_network",
            Self::FromOverlay => "from_overlay",
            Self::ToOverlay => "to_overlay",
        }
    }

    const fn tcx(self) -> libbpf_sys::bpf_attach_type {
        match self {
            Self::FromContainer | Self::FromNetwork | Self::FromOverlay => {
                libbpf_sys::BPF_TCX_INGRESS
            }
            Self::ToContainer | Self::ToNetwork | Self::ToOverlay => libbpf_sys::BPF_TCX_EGRESS,
        }
    }

    const fn clsact(self) -> TcAttachPoint {
        match self {
            Self::FromContainer | Self::FromNetwork | Self::FromOverlay => TC_INGRESS,
            Self::ToContainer | Self::ToNetwork | Self::ToOverlay => TC_EGRESS,
        }
    }

    const fn program(self, programs: &Programs) -> &Program {
        match self {
            Self::FromContainer => &programs.from_container,
            Self::ToContainer => &programs.to_container,
            Self::FromNetwork => &programs.from_network,
            Self::ToNetwork => &programs.to_network,
            Self::FromOverlay => &programs.from_overlay,
            Self::ToOverlay => &programs.to_overlay,
        }
    }
}

/// The folder of pinned links: `<ifindex>-from` and `<ifindex>-to` of each endpoint's device,
/// `<ifindex>-from-network` and `<ifindex>-to-network` of each that leads to other machines,
/// `<ifindex>-from-overlay` and `<ifindex>-to-overlay` of the overlay's.
///
/// A filter of clsact has no link; a symbolic link to nowhere takes the place of its pin, and says
/// who made the qdisc.
#[derive(Debug)]
pub(crate) struct Links {
    folder: PathBuf,
    hook: Hook,
}

/// What holds a program on a device.
enum Held {
    Link(Link),
    Filter(Maker),
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
    pub(crate) fn attach(
        &self,
        programs: &Programs,
        ifindex: u32,
        role: Role,
    ) -> Result<(), Error> {
        let attached = role
            .sides()
            .into_iter()
            .try_for_each(|side| self.attach_side(programs, ifindex, side));
        if attached.is_err() {
            // One program alone would be neither the old state nor the new one.
            drop(self.detach(ifindex));
        }
        attached
    }

    /// Takes all programs off a device; whether there was one.
    pub(crate) fn detach(&self, ifindex: u32) -> Result<bool, Error> {
        let mut found = false;
        let mut made = false;
        for side in Side::ALL {
            let path = self.path(ifindex, side);
            if let Some(held) = held(&path)? {
                release(&held, ifindex, side);
                remove(&path)?;
                found = true;
                made |= matches!(held, Held::Filter(Maker::Us));
            }
        }
        if made {
            clsact::remove_if_empty(ifindex).map_err(|source| Error::Qdisc { ifindex, source })?;
        }
        Ok(found)
    }

    /// Gives the programs to every device that has a pin; pins of devices that are gone are removed.
    pub(crate) fn adopt(&self, programs: &Programs) -> Result<(), Error> {
        for ifindex in self.pinned()? {
            for side in Side::ALL {
                let path = self.path(ifindex, side);
                match held(&path)? {
                    Some(Held::Link(link)) if device(&link) == Some(ifindex) => {
                        update(&link, side.program(programs).as_fd(), &path)?;
                    }
                    Some(Held::Filter(_)) if is_filter(side, programs, ifindex) => {
                        attach_filter(side, programs, ifindex)?;
                    }
                    Some(Held::Filter(_) | Held::Link(_)) => remove(&path)?,
                    None => {}
                }
            }
        }
        Ok(())
    }

    /// Devices that have both programs of a role.
    pub(crate) fn attached(&self, programs: &Programs, role: Role) -> Result<Vec<u32>, Error> {
        let mut attached = self.pinned()?;
        attached.retain(|ifindex| {
            role.sides()
                .iter()
                .all(|side| match held(&self.path(*ifindex, *side)) {
                    Ok(Some(Held::Link(link))) => device(&link) == Some(*ifindex),
                    Ok(Some(Held::Filter(_))) => is_filter(*side, programs, *ifindex),
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
            Some(Held::Filter(_)) => return attach_filter(side, programs, ifindex),
            Some(Held::Link(_)) => remove(&path)?,
            None => {}
        }
        if self.hook == Hook::Clsact {
            let maker = clsact::prepare(ifindex).map_err(refused(program, ifindex))?;
            // First, so that no filter is ever without its marker.
            symlink(maker.text(), &path).map_err(|source| Error::Pin { path, source })?;
            return attach_filter(side, programs, ifindex);
        }
        let link = sys::link_create(program.as_fd(), ifindex, side.tcx())
            .map_err(refused(program, ifindex))?;
        sys::pin(link.as_fd(), &path).map_err(|source| Error::Pin { path, source })
    }

    fn path(&self, ifindex: u32, side: Side) -> PathBuf {
        self.folder.join(format!("{ifindex}-{}", side.suffix()))
    }
}

fn held(path: &Path) -> Result<Option<Held>, Error> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_symlink() => {
            let text = fs::read_link(path).unwrap_or_default();
            Ok(Some(Held::Filter(Maker::from_text(
                &text.to_string_lossy(),
            ))))
        }
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

fn is_filter(side: Side, programs: &Programs, ifindex: u32) -> bool {
    clsact::is_attached(side.program(programs), ifindex, side.clsact())
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
        Held::Link(link) => drop(link.detach()),
        Held::Filter(_) => clsact::detach(side.name(), ifindex, side.clsact()),
    }
}

fn attach_filter(side: Side, programs: &Programs, ifindex: u32) -> Result<(), Error> {
    let program = side.program(programs);
    clsact::attach(program, ifindex, side.clsact()).map_err(refused(program, ifindex))
}

fn refused(program: &Program, ifindex: u32) -> impl FnOnce(io::Error) -> Error {
    let program = program.name();
    move |source| Error::Attach {
        program,
        ifindex,
        source,
    }
}

fn remove(path: &Path) -> Result<(), Error> {
    fs::remove_file(path).map_err(|source| Error::Pin {
        path: path.into(),
        source,
    })
}
