//! The command line.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Identity-based network policy for one node, and the same verdicts offline.
#[derive(Debug, Parser)]
#[command(
    name = "palisade",
    version,
    arg_required_else_help = true,
    before_help = "Example: palisade agent --config node.yaml"
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// How a list is printed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub(crate) enum Format {
    /// One value, with stable names.
    Json,
    /// For people.
    #[default]
    Text,
}

/// Where the agent is and how to print what it says.
#[derive(Args, Clone, Debug)]
pub(crate) struct Reach {
    /// The socket of the agent.
    #[arg(long, default_value = "/run/palisade/palisade.sock")]
    pub(crate) socket: PathBuf,
    /// How to print.
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: Format,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Runs the agent of the node that this process stands in.
    #[command(before_help = "Example: palisade agent --config node.yaml")]
    Agent {
        /// The description of the node.
        #[arg(long)]
        config: PathBuf,
        /// Removes what is pinned instead of running: programs, maps, state.
        #[arg(long)]
        clear: bool,
    },
    /// Removes what an agent left in force: programs, maps, state, interfaces it made.
    #[command(before_help = "Example: palisade detach --config node.yaml")]
    Detach {
        /// The description of the node.
        #[arg(long)]
        config: PathBuf,
    },
    /// Runs the DNS proxy by itself: a file of rules, one server, no agent, no root.
    #[command(
        before_help = "Example: palisade dns-proxy --listen 127.0.0.1:5300 --upstream 9.9.9.9 --rules rules.txt"
    )]
    DnsProxy(DnsProxyArgs),
    /// The endpoints of the node.
    #[command(subcommand)]
    Endpoint(EndpointCommand),
    /// What is known of DNS names.
    #[command(subcommand)]
    Fqdn(FqdnCommand),
    /// The security identities.
    #[command(subcommand)]
    Identity(IdentityCommand),
    /// Shows flows as they are decided.
    #[command(before_help = "Example: palisade observe -f")]
    Observe {
        /// Goes on with what comes.
        #[arg(short, long)]
        follow: bool,
        /// How many past flows to show.
        #[arg(long, default_value_t = 20)]
        last: usize,
        #[command(flatten)]
        reach: Reach,
    },
    /// The policies in force, and policies in files.
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// How the agent is.
    #[command(before_help = "Example: palisade status")]
    Status {
        #[command(flatten)]
        reach: Reach,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum EndpointCommand {
    /// Lists them.
    #[command(before_help = "Example: palisade endpoint list")]
    List {
        #[command(flatten)]
        reach: Reach,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum IdentityCommand {
    /// Lists them.
    #[command(before_help = "Example: palisade identity list -o json")]
    List {
        #[command(flatten)]
        reach: Reach,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum FqdnCommand {
    /// The addresses that were learnt.
    #[command(subcommand)]
    Cache(CacheCommand),
    /// Says which rules and answers make a name or an address reachable, or what is missing.
    #[command(before_help = "Example: palisade fqdn explain www.example.com")]
    Explain {
        /// A name or an address.
        subject: String,
        #[command(flatten)]
        reach: Reach,
    },
    /// The patterns that rules select addresses by.
    #[command(before_help = "Example: palisade fqdn names")]
    Names {
        #[command(flatten)]
        reach: Reach,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum CacheCommand {
    /// Forgets them, whatever connections there are: these are cut unless asked for anew.
    #[command(before_help = "Example: palisade fqdn cache clean --pattern '*.example.com'")]
    Clean {
        /// Only those of names that this pattern selects.
        #[arg(short, long)]
        pattern: Option<String>,
        #[command(flatten)]
        reach: Reach,
    },
    /// Lists them.
    #[command(before_help = "Example: palisade fqdn cache list")]
    List {
        #[command(flatten)]
        reach: Reach,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Reads files and says what is wrong with them.
    #[command(before_help = "Example: palisade policy check policies/")]
    Check {
        /// Files and folders.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// Refuses what is legal but surely not meant, too.
        #[arg(long)]
        strict: bool,
        /// Compiles the policies for the pods in these files and says what the tables hold, and
        /// which rules take how much of them.
        #[arg(long)]
        budget: bool,
    },
    /// Says what is decided for a flow, and why.
    #[command(
        before_help = "Example: palisade policy explain shop/cart shop/pay:8443 -f manifests/"
    )]
    Explain {
        #[command(flatten)]
        flow: FlowArgs,
    },
    /// The policies in force on the node.
    #[command(before_help = "Example: palisade policy get")]
    Get {
        #[command(flatten)]
        reach: Reach,
    },
    /// Says what is decided for many flows, given as JSON lines.
    #[command(
        before_help = "Example: palisade policy matrix --config node.yaml --probes probes.jsonl -o json"
    )]
    Matrix {
        /// The description of the node: its endpoints and its folder of policies.
        #[arg(long)]
        config: PathBuf,
        /// The probes, one JSON object a line; `-` or none reads them from standard input.
        #[arg(long)]
        probes: Option<PathBuf>,
        /// How to print.
        #[arg(short, long, value_enum, default_value_t)]
        output: Format,
    },
    /// Says what is decided for a flow.
    #[command(
        before_help = "Example: palisade policy verdict shop/cart shop/pay:8443 -f manifests/"
    )]
    Verdict {
        #[command(flatten)]
        flow: FlowArgs,
    },
}

/// Whom a DNS proxy serves, and by which rules.
#[derive(Args, Debug)]
pub(crate) struct DnsProxyArgs {
    /// Where to listen, UDP and TCP: `ADDRESS` or `ADDRESS:PORT`; port 0 takes a free one.
    #[arg(long, value_name = "ADDR", value_parser = server)]
    pub(crate) listen: SocketAddr,
    /// The server to ask: `ADDRESS` or `ADDRESS:PORT`.
    #[arg(long, value_name = "ADDR", value_parser = server)]
    pub(crate) upstream: SocketAddr,
    /// The names that may be asked for, one `matchName` or `matchPattern` a line; `#` begins a
    /// comment. Read again on SIGHUP.
    #[arg(long, value_name = "FILE")]
    pub(crate) rules: PathBuf,
    /// What is told whose name no rule allows.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) reject: Reject,
    /// Prints every query and what became of it.
    #[arg(short, long)]
    pub(crate) verbose: bool,
}

/// What is told whose name no rule allows.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub(crate) enum Reject {
    /// There is no such name: stubs go on with their search list.
    Nxdomain,
    /// The server will not say.
    #[default]
    Refused,
}

/// An address with a port, or the port of DNS.
fn server(text: &str) -> Result<SocketAddr, String> {
    let alone = text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 53));
    let with_port = || text.parse::<SocketAddr>();
    alone
        .or_else(|_| with_port())
        .map_err(|_| "neither ADDRESS nor ADDRESS:PORT".into())
}

/// A flow, and what it is judged by.
#[derive(Args, Debug)]
pub(crate) struct FlowArgs {
    /// Who sends: `NAMESPACE/POD` or an address.
    pub(crate) source: String,
    /// To whom: `NAMESPACE/POD` or an address, then `:PORT` and `/PROTOCOL`; TCP if none is said.
    pub(crate) destination: String,
    /// Files and folders of policies, pods and namespaces; the folder of the node's description if
    /// none are given.
    #[arg(short, long = "file")]
    pub(crate) files: Vec<PathBuf>,
    /// The description of the node, for endpoints beside the pods in the files.
    #[arg(short, long)]
    pub(crate) endpoints: Option<PathBuf>,
    /// A name that the destination's address was learnt for.
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Ends with status 1 if something else is decided.
    #[arg(long, value_enum)]
    pub(crate) expect: Option<Expected>,
    /// How to print.
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: Format,
}

/// What a flow is expected to meet.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Expected {
    /// It passes, be it through a proxy.
    Allow,
    /// It is dropped.
    Deny,
}
