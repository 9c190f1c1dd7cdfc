//! The side of the command line that asks a running agent.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use serde::de::DeserializeOwned;
use thiserror::Error;

use crate::cli::{Format, Reach};
use crate::print;
use crate::protocol::{FlowRow, Reply, Request};

/// Why the agent's answer could not be had.
#[derive(Debug, Error)]
#[non_exhaustive]
pub(crate) enum ClientError {
    /// Nobody listens at the socket.
    #[error("no agent answers at {}; is it running, and is this its socket?", socket.display())]
    Connect {
        /// The socket.
        socket: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The connection broke.
    #[error("the agent's answer broke off")]
    Broken(#[source] io::Error),
    /// The agent said something that this program does not understand.
    #[error("the agent's answer is not understood; is it of another version?")]
    Answer(#[source] serde_json::Error),
    /// The agent said why not.
    #[error("{0}")]
    Refused(String),
}

/// Asks for one thing and prints it.
pub(crate) fn show<T: DeserializeOwned>(
    reach: &Reach,
    request: &Request,
    text: impl Fn(&T, &mut String),
) -> Result<(), ClientError> {
    ask(reach, request, |value| {
        let line = match reach.output {
            Format::Json => value.to_string(),
            Format::Text => {
                let mut out = String::new();
                text(
                    &serde_json::from_value(value).map_err(ClientError::Answer)?,
                    &mut out,
                );
                out
            }
        };
        print::line(line.trim_end()).map_err(ClientError::Broken)
    })
}

/// Asks for flows and prints them as they come.
pub(crate) fn observe(reach: &Reach, last: usize, follow: bool) -> Result<(), ClientError> {
    ask(reach, &Request::Observe { last, follow }, |value| {
        let row: FlowRow = serde_json::from_value(value).map_err(ClientError::Answer)?;
        let line = match reach.output {
            Format::Json => row.flow.to_string(),
            Format::Text => row.text,
        };
        print::line(&line).map_err(ClientError::Broken)
    })
}

fn ask(
    reach: &Reach,
    request: &Request,
    mut each: impl FnMut(serde_json::Value) -> Result<(), ClientError>,
) -> Result<(), ClientError> {
    let mut stream = UnixStream::connect(&reach.socket).map_err(|source| ClientError::Connect {
        socket: reach.socket.clone(),
        source,
    })?;
    let mut line = serde_json::to_string(request).map_err(ClientError::Answer)?;
    line.push('\n');
    stream
        .write_all(line.as_bytes())
        .map_err(ClientError::Broken)?;
    for line in BufReader::new(stream).lines() {
        let line = line.map_err(ClientError::Broken)?;
        match serde_json::from_str(&line).map_err(ClientError::Answer)? {
            Reply::Value(value) => each(value)?,
            Reply::Error(reason) => return Err(ClientError::Refused(reason)),
        }
    }
    Ok(())
}
