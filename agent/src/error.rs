//! What ends the program early, and with which status.

use std::error::Error as Cause;
use std::fmt::Write;
use std::process::ExitCode;

use thiserror::Error;

use crate::client::ClientError;
use crate::config::ConfigError;
use crate::dns_proxy::DnsProxyError;
use crate::offline::OfflineError;
use crate::print;

/// Why a command failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub(crate) enum Error {
    /// The agent could not be asked.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The description of the node is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The agent ended.
    #[cfg(feature = "kernel")]
    #[error(transparent)]
    Daemon(#[from] crate::daemon::DaemonError),
    /// The DNS proxy did not start, or ended.
    #[error(transparent)]
    DnsProxy(#[from] DnsProxyError),
    /// This program was built without what the agent needs.
    #[cfg(not(feature = "kernel"))]
    #[error("this build has no agent: it was built without the feature `kernel`")]
    NoKernel,
    /// There is no answer from files.
    #[error(transparent)]
    Offline(#[from] OfflineError),
}

impl Error {
    /// Says what is wrong, once, and how the program ends.
    pub(crate) fn report(&self) -> ExitCode {
        print::complaint(&format!("error: {}", chain(self)));
        ExitCode::from(self.status())
    }

    /// 1: the answer is no. 2: what was given is wrong. 3: it is our fault, or the machine's.
    fn status(&self) -> u8 {
        match self {
            Self::Offline(OfflineError::Expectation { .. }) => 1,
            Self::Config(_) | Self::Offline(_) => 2,
            Self::Client(ClientError::Connect { .. } | ClientError::Refused(_)) => 2,
            Self::Client(_) => 3,
            Self::DnsProxy(error) if error.is_misuse() => 2,
            Self::DnsProxy(_) => 3,
            #[cfg(feature = "kernel")]
            Self::Daemon(error) => error.status(),
            #[cfg(not(feature = "kernel"))]
            Self::NoKernel => 2,
        }
    }
}

/// An error with its causes, in one line.
pub(crate) fn chain(error: &dyn Cause) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        // Writing to a string cannot fail.
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    text
}
