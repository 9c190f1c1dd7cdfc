use std::io;
use std::path::PathBuf;

use nix::errno::Errno;
use thiserror::Error as ThisError;

/// Why a part of a test's network could not be made or used.
#[derive(Debug, ThisError)]
#[non_exhaustive]
pub enum Error {
    /// The namespace could not be created; creating one takes root.
    #[error("no network namespace could be created, which takes root")]
    Create {
        /// What the kernel said.
        #[source]
        source: Errno,
    },
    /// The namespace or a file system could not be mounted where it should stand.
    #[error("{} could not be mounted", path.display())]
    Mount {
        /// Where it should stand.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        source: Errno,
    },
    /// A directory or file of the test's own could not be used.
    #[error("{} could not be used", path.display())]
    File {
        /// The directory or file.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// A thread could not enter the namespace.
    #[error("namespace {namespace} could not be entered")]
    Enter {
        /// Its name.
        namespace: String,
        /// What the kernel said.
        #[source]
        source: Errno,
    },
    /// A program could not be started.
    #[error("{program} could not be started")]
    Spawn {
        /// The program.
        program: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A program ended with a failure.
    #[error("`{command}` failed: {output}")]
    Failed {
        /// The program with its arguments.
        command: String,
        /// What it wrote to its standard error.
        output: String,
    },
    /// A socket of a test server could not be used.
    #[error("no server could listen at {address}")]
    Listen {
        /// The address that was asked for.
        address: std::net::SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}
