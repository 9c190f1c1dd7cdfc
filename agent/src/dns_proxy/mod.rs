//! The DNS proxy by itself: a file of rules, one server, no agent and no privilege.

mod policy;
mod rules;

use std::fmt;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::SignalFd;
use palisade_proxy::{BindError, Config, Proxy, RunError, Running, Stats};
use thiserror::Error;

use self::policy::FilePolicy;
pub(crate) use self::rules::RulesError;
use self::rules::read;
use crate::cli::DnsProxyArgs;
use crate::error::chain;
use crate::print;

/// Why the proxy did not start, or ended.
#[derive(Debug, Error)]
#[non_exhaustive]
pub(crate) enum DnsProxyError {
    /// It cannot listen.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The rules cannot be used.
    #[error(transparent)]
    Rules(#[from] RulesError),
    /// A thread of it failed.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The kernel refused what every process may have.
    #[error("cannot {doing}")]
    System {
        /// What was about to be done.
        doing: &'static str,
        /// Why not.
        source: io::Error,
    },
}

impl DnsProxyError {
    /// Whether the caller can mend it.
    pub(crate) fn is_misuse(&self) -> bool {
        match self {
            Self::Bind(_) | Self::Rules(_) => true,
            Self::Run(_) | Self::System { .. } => false,
        }
    }
}

/// Serves until it is told to end. A hang-up has it read the rules again.
pub(crate) fn run(args: &DnsProxyArgs) -> Result<(), DnsProxyError> {
    let system = |doing| move |errno: Errno| system(doing, errno);
    // Blocked before there are threads, so that all of them inherit it.
    let signals = SigSet::from_iter([Signal::SIGHUP, Signal::SIGINT, Signal::SIGTERM]);
    signals.thread_block().map_err(system("block signals"))?;
    let signals = SignalFd::new(&signals).map_err(system("wait for signals"))?;
    let rules = read(&args.rules)?;
    let count = rules.count;
    let policy = Arc::new(FilePolicy::new(args, rules));
    let proxy = Proxy::bind(Config::forward(args.listen, args.upstream))?.start(policy.clone())?;
    for address in proxy.addresses() {
        log(format_args!(
            "listening on {address}, UDP and TCP; asking {}; {}",
            args.upstream,
            print::count(count, "rule", "rules")
        ));
    }
    while let Some(signal) = wait(&signals, &proxy).map_err(system("wait for signals"))? {
        if signal != Signal::SIGHUP {
            log(format_args!("{}", Summary(proxy.stats())));
            break;
        }
        reread(&args.rules, &policy);
    }
    Ok(proxy.stop()?)
}

/// Puts the rules in the file in force; rules that are wrong leave those in force that were.
fn reread(path: &Path, policy: &FilePolicy) {
    match read(path) {
        Ok(rules) => {
            let count = print::count(rules.count, "rule", "rules");
            policy.set(rules);
            log(format_args!("{count} in force"));
        }
        Err(error) => {
            print::complaint(&chain(&error));
            log(format_args!("the rules that were in force stay"));
        }
    }
}

/// The next signal, or `None` once the proxy has ended by itself.
fn wait(signals: &SignalFd, proxy: &Running) -> Result<Option<Signal>, Errno> {
    while !proxy.is_broken() {
        let mut ready = [PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
        match poll(&mut ready, PollTimeout::from(LOOK_AROUND)) {
            Ok(0) | Err(Errno::EINTR) => continue,
            Ok(_) => {}
            Err(errno) => return Err(errno),
        }
        if let Some(info) = signals.read_signal()? {
            let number = i32::try_from(info.ssi_signo).unwrap_or_default();
            return Signal::try_from(number).map(Some);
        }
    }
    Ok(None)
}

fn system(doing: &'static str, errno: Errno) -> DnsProxyError {
    DnsProxyError::System {
        doing,
        source: errno.into(),
    }
}

/// Says what happens, on standard error.
fn log(text: fmt::Arguments<'_>) {
    print::complaint(&format!("palisade: {text}"));
}

/// What a proxy did, in one line.
struct Summary(Stats);

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Stats {
            asked,
            refused,
            released,
            timeout,
            unreachable,
            ..
        } = self.0;
        write!(
            f,
            "{asked} asked: {released} answered, {refused} refused, {timeout} timed out, \
             {unreachable} unreachable"
        )
    }
}

/// Milliseconds after which the proxy's threads are looked after.
const LOOK_AROUND: u16 = 500;
