//! From a configuration to a running agent, and to nothing.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::{Arc, mpsc};
use std::thread;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::utsname::uname;
use palisade_abi::{DatapathConfig as ProgramsConfig, EndpointId, Port};
use palisade_datapath::netlink::Netlink;
use palisade_datapath::{Config as DatapathConfig, Datapath, Features, Origin, route};
use palisade_node::{Config as NodeConfig, Event, Node};
use palisade_policy::{HostFirewall, Proxy as PolicyProxy, ProxyPorts};
use palisade_proxy::{Config as ProxyConfig, Proxy};

use super::agent::Agent;
use super::dns::DnsPolicy;
use super::error::{DaemonError, system};
use super::policy_files::PolicyFiles;
use super::shared::Shared;
use super::state::State;
use super::{Message, events, interfaces, log, mount, server, watch};
use crate::config::{Config, Dns, HostAddresses, OnExit, OnLate};
use crate::policies;
use crate::print;
use crate::protocol::DatapathStatus;

/// The DNS proxy has a socket for every server that is asked at a time. Where the limit stays as it
/// is, the proxy makes do with what there is.
fn raise_descriptor_limit() {
    if let Ok((_, most)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _raised = setrlimit(Resource::RLIMIT_NOFILE, most, most);
    }
}

/// Runs the agent until it is told to end.
pub(crate) fn run(config: Config) -> Result<(), DaemonError> {
    // Blocked before there are threads, so that all of them inherit it.
    let signals = SigSet::from_iter([Signal::SIGINT, Signal::SIGTERM]);
    signals
        .thread_block()
        .map_err(|errno| system("block signals")(errno.into()))?;
    raise_descriptor_limit();
    let state = State::open(&config.state)?;
    let files = files(&config, &state)?;
    let mut netlink = Netlink::open()?;
    let proxy = bind(&state, &config.dns)?;
    mount::ensure(&config.bpffs)?;
    let hosts = host_addresses(&config, &mut netlink)?;
    let mut opening = DatapathConfig::new(&config.bpffs, config.tables, config.mode);
    opening.programs = programs(&config, &mut netlink, &hosts)?;
    let datapath = Datapath::open(&opening)?;
    let found = datapath.dump()?;
    let checkpoint = state.checkpoint()?.unwrap_or_default();
    let limits = config.dns.limits;
    let mut setup = NodeConfig::new(config.options.clone(), config.tables, limits);
    setup.host_labels = config.node_labels.clone();
    let mut node = Node::restore(setup, &checkpoint, &state.names()?, found)?;
    let journal = state.begin_names(&node.start_journal())?;
    let ports = ProxyPorts::from_iter([(PolicyProxy::Dns, proxy.port())]);
    for event in [
        Event::Proxy(ports),
        Event::HostAddresses(hosts),
        Event::Policies(files.set()),
    ] {
        // Nothing is planned before everything is handed in.
        let _plan = node.handle(event, super::time::now())?;
    }
    let status = datapath_status(&config, &datapath);
    let shared = Arc::new(Shared::new(config, node, files, status));
    route::add(&mut netlink)?;
    let (send, receive) = mpsc::channel();
    let events = datapath.events()?;
    let told = opening.programs;
    let mut agent = Agent::new(shared.clone(), datapath, told, state, journal, netlink);
    agent.begin()?;
    let policy = Arc::new(DnsPolicy::new(shared.clone(), send.clone()));
    let proxy = proxy.start(policy)?;
    events::start(events, shared.clone()).map_err(system("start a thread"))?;
    watch::start(shared.config.policies.clone(), send.clone()).map_err(system("start a thread"))?;
    wait_for(signals, send.clone()).map_err(system("start a thread"))?;
    server::start(&shared.config.socket, shared.clone(), send.clone())
        .map_err(system("serve the socket"))?;
    // Whatever changed while nobody looked.
    drop(send.send(Message::Folder));
    log(format_args!("ready"));
    let ended = agent.run(&receive);
    drop(proxy);
    finish(&shared.config, &agent.into_state(), ended)
}

/// What the programs are told; the node speaks with the first address of each family.
pub(super) fn programs(
    config: &Config,
    netlink: &mut Netlink,
    hosts: &BTreeSet<IpAddr>,
) -> Result<ProgramsConfig, DaemonError> {
    let addresses = speaking(config, netlink, hosts)?;
    let mut programs = ProgramsConfig::new(config.tables, config.mode);
    programs.deny_answer = config.deny_answer as u32;
    programs.masquerade = config.masquerade.into();
    if config.options.host_firewall == HostFirewall::Enabled {
        programs.host_endpoint = EndpointId::HOST.get().into();
    }
    if let Some(v4) = addresses.iter().find(|address| address.is_ipv4()) {
        programs.node_ipv4 = (*v4).into();
    }
    if let Some(v6) = addresses.iter().find(|address| address.is_ipv6()) {
        programs.node_ipv6 = (*v6).into();
    }
    Ok(programs)
}

/// The addresses that the node may speak with, the best first: those of its devices towards other
/// machines, then any.
fn speaking(
    config: &Config,
    netlink: &mut Netlink,
    hosts: &BTreeSet<IpAddr>,
) -> Result<Vec<IpAddr>, DaemonError> {
    let mut addresses = Vec::new();
    for name in &config.devices {
        if let Some(device) = netlink.device(name)? {
            let found = netlink.addresses(device.ifindex)?;
            addresses.extend(found.into_iter().map(|(address, _)| address));
        }
    }
    addresses.extend(hosts);
    addresses.retain(|address| match address {
        IpAddr::V4(v4) => !v4.is_link_local(),
        IpAddr::V6(v6) => !v6.is_unicast_link_local(),
    });
    Ok(addresses)
}

/// Leaves the node as the configuration asks, or after a failure as it is.
fn finish(
    config: &Config,
    state: &State,
    ended: Result<(), DaemonError>,
) -> Result<(), DaemonError> {
    drop(std::fs::remove_file(&config.socket));
    ended?;
    match config.on_exit {
        OnExit::Detach => {
            remove_everything(config, state)?;
            log(format_args!("detached"));
        }
        OnExit::Keep => log(format_args!("ended; the datapath stays in force")),
    }
    Ok(())
}

/// Removes what an agent left in force.
pub(crate) fn clear(config: &Config) -> Result<(), DaemonError> {
    let state = State::open(&config.state)?;
    remove_everything(config, &state)
}

fn remove_everything(config: &Config, state: &State) -> Result<(), DaemonError> {
    let mut netlink = Netlink::open()?;
    // Interfaces first: with them goes the traffic that the programs still judge.
    for endpoint in &config.endpoints {
        interfaces::remove(&mut netlink, endpoint)?;
    }
    if config.bpffs.is_dir() {
        Datapath::clear(&config.bpffs)?;
        mount::release(&config.bpffs)?;
    }
    route::remove(&mut netlink)?;
    state.clear()?;
    Ok(())
}

/// The policies that were in force, or at the first start those of the folder.
fn files(config: &Config, state: &State) -> Result<PolicyFiles, DaemonError> {
    let options = config.options.clone();
    if let Some(accepted) = state.policies()? {
        return Ok(PolicyFiles::restore(options, accepted));
    }
    let files = PolicyFiles::new(options).with(policies::read(&config.policies)?);
    let refused = files.refused().count();
    if refused > 0 {
        for (_, reasons) in files.refused() {
            print::complaint(reasons);
        }
        return Err(DaemonError::Policies { count: refused });
    }
    state.set_policies(&files.accepted())?;
    Ok(files)
}

/// Listens on the port that the datapath redirects to, if it does already.
fn bind(state: &State, dns: &Dns) -> Result<Proxy, DaemonError> {
    let before = state.proxy_port()?;
    let mut config = ProxyConfig::transparent();
    config.limits.in_flight_per_client = dns.queries;
    config.timing.hold = dns.hold;
    config.on_late = match dns.on_late {
        OnLate::Release => palisade_proxy::OnLate::Release,
        OnLate::Servfail => palisade_proxy::OnLate::ServFail,
    };
    config.port = before.and_then(|port| Port::new(port).ok());
    let proxy = match Proxy::bind(config.clone()) {
        Err(error) if before.is_some() => {
            log(format_args!("the DNS proxy needs another port: {error}"));
            config.port = None;
            Proxy::bind(config)?
        }
        bound => bound?,
    };
    state.set_proxy_port(proxy.port().get())?;
    Ok(proxy)
}

/// The node's own addresses.
pub(super) fn host_addresses(
    config: &Config,
    netlink: &mut Netlink,
) -> Result<BTreeSet<IpAddr>, DaemonError> {
    if let HostAddresses::List(list) = &config.host_addresses {
        return Ok(list.iter().copied().collect());
    }
    let all = netlink.all_addresses()?.into_iter();
    Ok(all
        .map(|(_, address, _)| address)
        .filter(|address| !address.is_loopback())
        .collect())
}

fn datapath_status(config: &Config, datapath: &Datapath) -> DatapathStatus {
    let tcx = Features::probe().tcx;
    DatapathStatus {
        kernel: uname().map_or_else(
            |_| "unknown".into(),
            |name| name.release().to_string_lossy().into_owned(),
        ),
        attached: if tcx { "tcx" } else { "clsact" }.into(),
        pinned: config.bpffs.display().to_string(),
        found: match datapath.origin() {
            Origin::Adopted => "adopted",
            Origin::New => "new",
        }
        .into(),
    }
}

/// Ends the event loop at a signal.
fn wait_for(signals: SigSet, send: mpsc::Sender<Message>) -> std::io::Result<()> {
    let wait = move || {
        // An interrupted wait ends the agent too, which is better than one that cannot be ended.
        let _signal = signals.wait();
        drop(send.send(Message::Stop));
    };
    thread::Builder::new().name("signal".into()).spawn(wait)?;
    Ok(())
}
