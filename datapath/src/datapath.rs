use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use nix::sys::statfs::{BPF_FS_MAGIC, statfs};
use palisade_abi::{DatapathConfig, DatapathState, Mode, Table, TableSizes, Write};
use thiserror::Error as ThisError;

use crate::attach::{self, Hook, Links, Role};
use crate::conntrack::Connection;
use crate::events::Events;
use crate::load::{self, Programs};
use crate::maps::{self, Map, Maps};

/// What a datapath is opened with.
#[derive(Clone, Debug)]
pub struct Config {
    /// The folder of a BPF file system that everything is pinned below.
    pub root: PathBuf,
    /// Sizes of the tables.
    pub sizes: TableSizes,
    /// What the programs are told: mode, timeouts, identities of the world.
    pub programs: DatapathConfig,
    /// The kind of hook.
    pub hook: Hook,
}

impl Config {
    /// The default timeouts and the best hook, pinned below `root`.
    pub fn new(root: impl Into<PathBuf>, sizes: TableSizes, mode: Mode) -> Self {
        Self {
            root: root.into(),
            sizes,
            programs: DatapathConfig::new(sizes, mode),
            hook: Hook::Auto,
        }
    }
}

/// Why a datapath could not be opened or cleared.
#[derive(Debug, ThisError)]
#[non_exhaustive]
pub enum Error {
    /// A folder of pins could not be made, read or removed.
    #[error("the folder {} could not be used", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// The root does not lie in a BPF file system.
    #[error(
        "{} is in no BPF file system; `mount -t bpf bpf {}` makes it one",
        path.display(),
        path.display()
    )]
    NoBpfFs {
        /// The root.
        path: PathBuf,
    },
    /// What is pinned has a map that differs from ours.
    #[error(
        "what is pinned at {} has another layout; `palisade agent --clear` removes it, and \
         connections with it",
        root.display()
    )]
    Layout {
        /// The root.
        root: PathBuf,
        /// What differs.
        #[source]
        source: maps::Error,
    },
    /// What is pinned was made by another version.
    #[error(
        "what is pinned at {} has layout {found}, this program has {}; `palisade agent --clear` \
         removes it, and connections with it",
        root.display(),
        DatapathState::LAYOUT
    )]
    Version {
        /// The root.
        root: PathBuf,
        /// The version that is pinned.
        found: u32,
    },
    /// A map is pinned that this version does not know.
    #[error(
        "{} is a map of another version; `palisade agent --clear` removes it, and connections \
         with it",
        path.display()
    )]
    UnknownMap {
        /// The pin.
        path: PathBuf,
    },
    /// The maps could not be made.
    #[error("the maps could not be set up")]
    Maps(#[source] maps::Error),
    /// The programs could not be loaded.
    #[error("the programs could not be set up")]
    Load(#[from] load::Error),
    /// A device that has the programs could not be given the new ones.
    #[error("the devices could not be taken over")]
    Attach(#[from] attach::Error),
}

/// Whether a datapath was found or made.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Origin {
    /// All tables are empty.
    New,
    /// Tables, connections and devices are those of an earlier run.
    Adopted,
}

/// The datapath of a node: pinned maps, programs, and the devices they are attached to.
///
/// Dropping it leaves everything in force; [`Datapath::clear`] removes it. Everything acts in the
/// network namespace of the calling thread.
#[derive(Debug)]
pub struct Datapath {
    maps: Maps,
    programs: Programs,
    links: Links,
    origin: Origin,
}

impl Datapath {
    /// Loads the programs over new maps, or over those pinned by an earlier run with all they hold.
    ///
    /// Programs of an earlier run are replaced device by device, each atomically, so that every
    /// packet meets the old one or the new one.
    ///
    /// # Errors
    /// What stood in the way; a layout that is not ours is refused with the command that clears it.
    pub fn open(config: &Config) -> Result<Self, Error> {
        let pins = Pins::prepare(&config.root)?;
        let (maps, origin) = pins.maps(config)?;
        let programs = Programs::load(&maps, &config.programs)?;
        let links = Links::new(pins.links, config.hook);
        links.adopt(&programs)?;
        Ok(Self {
            maps,
            programs,
            links,
            origin,
        })
    }

    /// Loads the programs anew with another configuration, and replaces those on every device, each
    /// atomically.
    ///
    /// # Errors
    /// What the kernel said; devices that have not been reached keep the programs that they have.
    pub fn reconfigure(&mut self, config: &DatapathConfig) -> Result<(), Error> {
        let programs = Programs::load(&self.maps, config)?;
        self.links.adopt(&programs)?;
        self.programs = programs;
        Ok(())
    }

    /// Detaches all devices and removes everything that is pinned below a root.
    ///
    /// # Errors
    /// [`Error::Folder`] or [`Error::Attach`].
    pub fn clear(root: &Path) -> Result<(), Error> {
        let pins = Pins::below(root);
        if pins.links.is_dir() {
            let links = Links::new(pins.links.clone(), Hook::Auto);
            for ifindex in links.pinned()? {
                links.detach(ifindex)?;
            }
        }
        for folder in [&pins.links, &pins.maps] {
            remove_folder(folder)?;
        }
        Ok(())
    }

    /// Whether the maps were found or made.
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// The maps, for reading.
    pub fn maps(&self) -> &Maps {
        &self.maps
    }

    /// The programs.
    pub fn programs(&self) -> &Programs {
        &self.programs
    }

    /// The writes that would recreate what the tables hold; see [`Maps::dump`].
    ///
    /// # Errors
    /// [`maps::Error::Read`].
    pub fn dump(&self) -> Result<Vec<Write>, maps::Error> {
        self.maps.dump()
    }

    /// The connections that have not run out.
    ///
    /// # Errors
    /// [`maps::Error::Read`].
    pub fn connections(&self) -> Result<Vec<Connection>, maps::Error> {
        self.maps.connections()
    }

    /// Opens the reader of the event ring; there can be only one at a time.
    ///
    /// # Errors
    /// [`maps::Error::Mapping`].
    pub fn events(&self) -> Result<Events, maps::Error> {
        Events::open(&self.maps)
    }

    /// Puts both programs on a host-side veth and pins them there.
    ///
    /// A device that already has them is given these, each atomically.
    ///
    /// # Errors
    /// What the kernel said; then the device has neither.
    pub fn attach(&mut self, ifindex: u32) -> Result<(), attach::Error> {
        self.links.attach(&self.programs, ifindex, Role::Endpoint)
    }

    /// Puts both programs on a device that leads to other machines and pins them there.
    ///
    /// What comes from there with an address of this node or its endpoints is dropped from then on;
    /// masquerade and the host's own policies act on such devices. The device must have link
    /// addresses, as Ethernet has them.
    ///
    /// # Errors
    /// What the kernel said; then the device has neither.
    pub fn attach_network(&mut self, ifindex: u32) -> Result<(), attach::Error> {
        self.links.attach(&self.programs, ifindex, Role::Network)
    }

    /// Puts both programs on the overlay's device and pins them there; see [`crate::overlay`].
    ///
    /// # Errors
    /// What the kernel said; then the device has neither.
    pub fn attach_overlay(&mut self, ifindex: u32) -> Result<(), attach::Error> {
        self.links.attach(&self.programs, ifindex, Role::Overlay)
    }

    /// Takes all programs off a device; whether it had one.
    ///
    /// # Errors
    /// [`attach::Error::Pin`] or [`attach::Error::Qdisc`].
    pub fn detach(&mut self, ifindex: u32) -> Result<bool, attach::Error> {
        self.links.detach(ifindex)
    }

    /// The host-side veths that have both programs.
    ///
    /// # Errors
    /// [`attach::Error::Pin`].
    pub fn attached(&self) -> Result<Vec<u32>, attach::Error> {
        self.links.attached(&self.programs, Role::Endpoint)
    }

    /// The devices leading to other machines that have both programs.
    ///
    /// # Errors
    /// [`attach::Error::Pin`].
    pub fn attached_network(&self) -> Result<Vec<u32>, attach::Error> {
        self.links.attached(&self.programs, Role::Network)
    }

    /// The overlay's devices that have both programs.
    ///
    /// # Errors
    /// [`attach::Error::Pin`].
    pub fn attached_overlay(&self) -> Result<Vec<u32>, attach::Error> {
        self.links.attached(&self.programs, Role::Overlay)
    }
}

impl Table for Datapath {
    type Error = maps::Error;

    fn apply(&mut self, write: &Write) -> Result<(), maps::Error> {
        self.maps.apply(write)
    }
}

/// The folders below a root.
struct Pins {
    root: PathBuf,
    maps: PathBuf,
    links: PathBuf,
}

impl Pins {
    fn below(root: &Path) -> Self {
        Self {
            root: root.into(),
            maps: root.join("maps"),
            links: root.join("links"),
        }
    }

    fn prepare(root: &Path) -> Result<Self, Error> {
        let pins = Self::below(root);
        fs::create_dir_all(root).map_err(folder(root))?;
        let system = statfs(root).map_err(|errno| folder(root)(errno.into()))?;
        if system.filesystem_type() != BPF_FS_MAGIC {
            return Err(Error::NoBpfFs { path: root.into() });
        }
        for path in [&pins.maps, &pins.links] {
            fs::create_dir_all(path).map_err(folder(path))?;
        }
        Ok(pins)
    }

    fn maps(&self, config: &Config) -> Result<(Maps, Origin), Error> {
        self.refuse_unknown()?;
        let root = || self.root.clone();
        let layout = |source| Error::Layout {
            root: root(),
            source,
        };
        match pinned_layout(&self.maps).map_err(layout)? {
            0 => self.create(config),
            DatapathState::LAYOUT => {
                let maps = Maps::open_pinned(&self.maps, config.sizes).map_err(layout)?;
                Ok((maps, Origin::Adopted))
            }
            found => Err(Error::Version {
                root: root(),
                found,
            }),
        }
    }

    /// Makes and pins new maps, in place of what a start left that did not come this far.
    fn create(&self, config: &Config) -> Result<(Maps, Origin), Error> {
        for map in Map::ALL {
            let path = self.maps.join(map.name());
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(folder(&path)(error));
                }
                _ => {}
            }
        }
        let maps = Maps::create(config.sizes).map_err(Error::Maps)?;
        maps.pin(&self.maps).map_err(Error::Maps)?;
        maps.state.complete();
        Ok((maps, Origin::New))
    }

    fn refuse_unknown(&self) -> Result<(), Error> {
        for entry in fs::read_dir(&self.maps).map_err(folder(&self.maps))? {
            let entry = entry.map_err(folder(&self.maps))?;
            let name = entry.file_name();
            if !Map::ALL.iter().any(|map| name == map.name()) {
                return Err(Error::UnknownMap { path: entry.path() });
            }
        }
        Ok(())
    }
}

/// The layout version of what is pinned; 0 if nothing is, or not all of it.
fn pinned_layout(folder: &Path) -> Result<u32, maps::Error> {
    match maps::State::open_pinned(&folder.join(Map::State.name())) {
        Ok(state) => Ok(state.get().layout),
        Err(maps::Error::Pin { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error),
    }
}

fn folder(path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.into();
    move |source| Error::Folder { path, source }
}

fn remove_folder(path: &Path) -> Result<(), Error> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(folder(path)(error)),
    };
    for entry in entries {
        let pin = entry.map_err(folder(path))?.path();
        fs::remove_file(&pin).map_err(folder(&pin))?;
    }
    fs::remove_dir(path).map_err(folder(path))
}
