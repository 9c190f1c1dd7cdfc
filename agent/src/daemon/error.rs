use std::io;
use std::path::PathBuf;

use palisade_datapath::{attach, maps, netlink};
use thiserror::Error;

use super::interfaces::InterfaceError;
use super::state::StateError;
use crate::policies::ReadError;

/// What ends the agent, or keeps it from starting.
#[derive(Debug, Error)]
#[non_exhaustive]
pub(crate) enum DaemonError {
    /// A program cannot be put on a device.
    #[error(transparent)]
    Attach(#[from] attach::Error),
    /// The datapath cannot be opened or cleared.
    #[error(transparent)]
    Datapath(#[from] palisade_datapath::Error),
    /// The node is not set up as it must be.
    #[error(transparent)]
    Interface(#[from] InterfaceError),
    /// A map cannot be read or written.
    #[error("the datapath does not do what it is told; what is in force stays")]
    Maps(#[from] maps::Error),
    /// The BPF file system cannot be mounted or unmounted.
    #[error("{}: cannot {doing} a BPF file system", path.display())]
    Mount {
        /// What was about to be done.
        doing: &'static str,
        /// Where.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The kernel's network configuration.
    #[error(transparent)]
    Netlink(#[from] netlink::Error),
    /// The node does not take what it must take.
    #[error(transparent)]
    Node(#[from] palisade_node::Error),
    /// Policies are refused and there are none to fall back on; the reasons have been printed.
    #[error("{count} policy files are refused, and nothing was in force before")]
    Policies {
        /// How many.
        count: usize,
    },
    /// The DNS proxy cannot listen.
    #[error(transparent)]
    ProxyBind(#[from] palisade_proxy::BindError),
    /// The DNS proxy cannot run.
    #[error(transparent)]
    ProxyRun(#[from] palisade_proxy::RunError),
    /// The policies cannot be read, and there are none to fall back on.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// State cannot be kept.
    #[error(transparent)]
    State(#[from] StateError),
    /// Something of the process itself.
    #[error("cannot {doing}")]
    System {
        /// What was about to be done.
        doing: &'static str,
        /// Why not.
        source: io::Error,
    },
}

impl DaemonError {
    /// 2: what was given is wrong. 3: it is our fault, or the machine's.
    pub(crate) fn status(&self) -> u8 {
        match self {
            Self::Policies { .. } | Self::Read(_) | Self::State(StateError::Locked { .. }) => 2,
            Self::Datapath(error) => match error {
                palisade_datapath::Error::Layout { .. }
                | palisade_datapath::Error::UnknownMap { .. }
                | palisade_datapath::Error::Version { .. } => 2,
                _ => 3,
            },
            Self::Attach(_)
            | Self::Interface(_)
            | Self::Maps(_)
            | Self::Mount { .. }
            | Self::Netlink(_)
            | Self::Node(_)
            | Self::ProxyBind(_)
            | Self::ProxyRun(_)
            | Self::State(_)
            | Self::System { .. } => 3,
        }
    }
}

/// Names what a system call was for.
pub(super) fn system(doing: &'static str) -> impl FnOnce(io::Error) -> DaemonError {
    move |source| DaemonError::System { doing, source }
}
