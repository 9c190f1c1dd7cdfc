//! A proxy from its sockets to its end.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use palisade_abi::Port;
use thiserror::Error;

use crate::bind::{BindError, Listeners};
use crate::config::Config;
use crate::entropy::Entropy;
use crate::policy::Policy;
use crate::share::Shares;
use crate::shared::Shared;
use crate::stats::{Counters, Stats};
use crate::stop::Stop;
use crate::tcp;
use crate::udp;

/// A proxy that listens but does not serve yet: what comes in waits for [`start`](Self::start).
#[derive(Debug)]
pub struct Proxy {
    config: Config,
    listeners: Listeners,
    entropy: Entropy,
    stop: Stop,
}

impl Proxy {
    /// Opens the sockets, UDP and TCP on every address, all on one port.
    ///
    /// # Errors
    /// [`BindError`] if a socket cannot be had; then none is kept.
    pub fn bind(config: Config) -> Result<Self, BindError> {
        let resource = |what| move |source| BindError::Resource { what, source };
        Ok(Self {
            listeners: Listeners::bind(&config)?,
            entropy: Entropy::open().map_err(resource("the source of random numbers"))?,
            stop: Stop::new().map_err(resource("an event descriptor"))?,
            config,
        })
    }

    /// The port that it listens on.
    pub fn port(&self) -> Port {
        self.listeners.port
    }

    /// The addresses that it listens on, UDP and TCP.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.listeners.addresses
    }

    /// Starts to serve, on threads of its own.
    ///
    /// # Errors
    /// [`RunError`] if a thread or a descriptor cannot be had.
    pub fn start(self, policy: Arc<dyn Policy>) -> Result<Running, RunError> {
        let Self {
            config,
            listeners,
            entropy,
            stop,
        } = self;
        let Listeners {
            port,
            addresses,
            udp,
            tcp,
        } = listeners;
        let limits = config.limits;
        let shared = Arc::new(Shared {
            policy,
            listeners: addresses,
            counters: Counters::default(),
            queries: Shares::new(limits.in_flight, limits.in_flight_per_client),
            connections: Shares::new(limits.connections, limits.connections_per_client),
            entropy: Mutex::new(entropy),
            stop,
            config,
        });
        let mut running = Running {
            port,
            shared: Arc::clone(&shared),
            threads: vec![],
        };
        let udp: Vec<_> = udp.into_iter().map(Arc::new).collect();
        for _ in 0..shared.config.threads.max(1) {
            let datagrams = udp::Loop::new(Arc::clone(&shared), udp.clone());
            let datagrams = datagrams.map_err(|source| RunError::Start {
                thread: UDP_THREAD,
                source,
            })?;
            running.spawn(UDP_THREAD, move || datagrams.run())?;
        }
        running.spawn(TCP_THREAD, move || tcp::run(&shared, &tcp))?;
        Ok(running)
    }
}

/// A proxy at work. It stops when dropped.
#[derive(Debug)]
pub struct Running {
    port: Port,
    shared: Arc<Shared>,
    threads: Vec<(&'static str, JoinHandle<io::Result<()>>)>,
}

impl Running {
    /// The port that it listens on.
    pub fn port(&self) -> Port {
        self.port
    }

    /// The addresses that it listens on, UDP and TCP.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.shared.listeners
    }

    /// What it has done so far.
    pub fn stats(&self) -> Stats {
        self.shared.stats()
    }

    /// Whether a thread has ended although nobody asked it to; [`stop`](Self::stop) tells why.
    pub fn is_broken(&self) -> bool {
        self.threads.iter().any(|(_, thread)| thread.is_finished())
    }

    /// Stops serving, closes every socket and waits for all threads.
    ///
    /// Queries under way and answers still held get no reply.
    ///
    /// # Errors
    /// [`RunError`] if a thread had ended with an error or a panic of the embedder's code.
    pub fn stop(mut self) -> Result<(), RunError> {
        self.end()
    }

    fn spawn(
        &mut self,
        name: &'static str,
        body: impl FnOnce() -> io::Result<()> + Send + 'static,
    ) -> Result<(), RunError> {
        let thread = thread::Builder::new()
            .name(name.into())
            .spawn(body)
            .map_err(|source| RunError::Start {
                thread: name,
                source,
            })?;
        self.threads.push((name, thread));
        Ok(())
    }

    fn end(&mut self) -> Result<(), RunError> {
        // Threads that do not hear of it are left alone: to wait for them would be to wait forever.
        self.shared
            .stop
            .raise()
            .map_err(|source| RunError::Stop { source })?;
        let mut ended = Ok(());
        for (name, thread) in self.threads.drain(..) {
            let result = match thread.join() {
                Ok(Ok(())) => Ok(()),
                Ok(Err(source)) => Err(RunError::Serve {
                    thread: name,
                    source,
                }),
                Err(_) => Err(RunError::Panicked { thread: name }),
            };
            ended = ended.and(result);
        }
        ended
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Whoever wants to know how it ended calls `stop`.
        self.end().ok();
    }
}

/// Why a proxy does not serve.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RunError {
    /// A thread ended in a panic.
    #[error("thread {thread} panicked")]
    Panicked {
        /// The thread's name.
        thread: &'static str,
    },
    /// The kernel refused to wait for events.
    #[error("thread {thread} cannot wait for events")]
    Serve {
        /// The thread's name.
        thread: &'static str,
        /// The kernel's reason.
        #[source]
        source: io::Error,
    },
    /// A thread could not be started.
    #[error("cannot start thread {thread}")]
    Start {
        /// The thread's name.
        thread: &'static str,
        /// The kernel's reason.
        #[source]
        source: io::Error,
    },
    /// The threads could not be told to stop.
    #[error("cannot tell the threads to stop")]
    Stop {
        /// The kernel's reason.
        #[source]
        source: io::Error,
    },
}

const UDP_THREAD: &str = "dns-udp";
const TCP_THREAD: &str = "dns-tcp";
