//! The Palisade agent and its command line.
//!
//! Only wiring: what is decided, is decided in the libraries. `config` reads the description of a
//! node, `policies` a folder of policies, `offline` answers from files alone, `client` asks a
//! running agent over its socket, `daemon` (feature `kernel`) is that agent, and `dns_proxy` is the
//! proxy without one.
#![forbid(unsafe_code)]

mod cli;
mod client;
mod config;
#[cfg(feature = "kernel")]
mod daemon;
mod dns_proxy;
mod error;
mod offline;
mod policies;
mod print;
mod protocol;

use std::process::ExitCode;

use clap::Parser;
use palisade_policy::Strictness;

use crate::cli::{
    CacheCommand, Cli, Command, EndpointCommand, FqdnCommand, IdentityCommand, PolicyCommand,
};
use crate::client::ClientError;
use crate::error::Error;
use crate::protocol::Request;

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => error.report(),
    }
}

fn run(command: Command) -> Result<(), Error> {
    match command {
        Command::Agent { config, clear } => daemon(&config, clear),
        Command::Detach { config } => daemon(&config, true),
        Command::DnsProxy(args) => Ok(dns_proxy::run(&args)?),
        Command::Endpoint(EndpointCommand::List { reach }) => {
            Ok(client::show(&reach, &Request::Endpoints, print::endpoints)?)
        }
        Command::Fqdn(command) => Ok(fqdn(command)?),
        Command::Identity(IdentityCommand::List { reach }) => Ok(client::show(
            &reach,
            &Request::Identities,
            print::identities,
        )?),
        Command::Observe {
            follow,
            last,
            reach,
        } => Ok(client::observe(&reach, last, follow)?),
        Command::Policy(command) => policy(command),
        Command::Status { reach } => Ok(client::show(&reach, &Request::Status, print::status)?),
    }
}

fn fqdn(command: FqdnCommand) -> Result<(), ClientError> {
    match command {
        FqdnCommand::Cache(CacheCommand::Clean { pattern, reach }) => {
            client::show(&reach, &Request::FqdnClean { pattern }, print::cleaned)
        }
        FqdnCommand::Cache(CacheCommand::List { reach }) => {
            client::show(&reach, &Request::FqdnCache, |rows: &Vec<_>, out| {
                print::names(rows, out);
            })
        }
        FqdnCommand::Explain { subject, reach } => client::show(
            &reach,
            &Request::FqdnExplain { subject },
            print::name_report,
        ),
        FqdnCommand::Names { reach } => {
            client::show(&reach, &Request::FqdnNames, |rows: &Vec<_>, out| {
                print::selectors(rows, out);
            })
        }
    }
}

fn policy(command: PolicyCommand) -> Result<(), Error> {
    match command {
        PolicyCommand::Check {
            files,
            strict,
            budget,
        } => {
            let strictness = if strict {
                Strictness::Strict
            } else {
                Strictness::Lenient
            };
            offline::check(&files, strictness)?;
            if budget {
                offline::budget(&files)?;
            }
        }
        PolicyCommand::Explain { flow } => offline::explain(&flow)?,
        PolicyCommand::Get { reach } => {
            client::show(&reach, &Request::Policies, print::policy_report)?;
        }
        PolicyCommand::Matrix {
            config,
            probes,
            output,
        } => offline::matrix(&config, probes.as_deref(), output)?,
        PolicyCommand::Verdict { flow } => offline::verdict(&flow)?,
    }
    Ok(())
}

#[cfg(feature = "kernel")]
fn daemon(config: &std::path::Path, clear: bool) -> Result<(), Error> {
    let config = config::Config::read(config)?;
    if clear {
        Ok(daemon::clear(&config)?)
    } else {
        Ok(daemon::run(config)?)
    }
}

#[cfg(not(feature = "kernel"))]
fn daemon(_config: &std::path::Path, _clear: bool) -> Result<(), Error> {
    Err(Error::NoKernel)
}
