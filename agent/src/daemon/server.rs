//! Answers the command line over a unix socket.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, sync_channel};
use std::thread;
use std::time::Duration;

use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use nix::unistd::geteuid;
use palisade_fqdn::{Level, MatchPattern};

use super::Message;
use super::shared::Shared;
use crate::protocol::{CleanReport, FlowRow, Reply, Request};

/// How many connections are served at once.
const CONNECTIONS: usize = 32;
/// A request is one short line.
const MAX_REQUEST: u64 = 4_096;
/// A client that does not read is not waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// Serves at `path`, which only the agent's own user can open.
pub(super) fn start(path: &Path, shared: Arc<Shared>, send: Sender<Message>) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    // The lock on the state folder says that no other agent of this node is alive.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    let accept = move || {
        let served = Arc::new(AtomicUsize::new(0));
        for stream in listener.incoming().flatten() {
            if served.fetch_add(1, Ordering::AcqRel) >= CONNECTIONS {
                served.fetch_sub(1, Ordering::AcqRel);
                continue;
            }
            let (shared, counted) = (shared.clone(), served.clone());
            let send = send.clone();
            let serve = move || {
                // A client that went away is no matter.
                drop(serve(&stream, &shared, &send));
                counted.fetch_sub(1, Ordering::AcqRel);
            };
            if thread::Builder::new()
                .name("client".into())
                .spawn(serve)
                .is_err()
            {
                served.fetch_sub(1, Ordering::AcqRel);
            }
        }
    };
    thread::Builder::new().name("socket".into()).spawn(accept)?;
    Ok(())
}

fn serve(stream: &UnixStream, shared: &Shared, to: &Sender<Message>) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let peer = getsockopt(stream, PeerCredentials)?;
    if peer.uid() != 0 && peer.uid() != geteuid().as_raw() {
        return send(stream, &Reply::Error("only root may ask".into()));
    }
    let mut line = String::new();
    BufReader::new(stream.take(MAX_REQUEST)).read_line(&mut line)?;
    let request: Request = match serde_json::from_str(&line) {
        Ok(request) => request,
        Err(error) => return send(stream, &Reply::Error(format!("not understood: {error}"))),
    };
    match request {
        Request::Observe { last, follow } => observe(stream, shared, last, follow),
        Request::Endpoints => answer(stream, &shared.endpoint_rows()),
        Request::FqdnCache => answer(stream, &shared.name_rows()),
        Request::FqdnClean { pattern } => clean(stream, pattern.as_deref(), to),
        Request::FqdnExplain { subject } => explain(stream, shared, &subject),
        Request::FqdnNames => answer(stream, &shared.selector_rows()),
        Request::Identities => answer(stream, &shared.identity_rows()),
        Request::Policies => answer(stream, &shared.policy_report()),
        Request::Status => answer(stream, &shared.status()),
    }
}

fn explain(stream: &UnixStream, shared: &Shared, subject: &str) -> io::Result<()> {
    if let Some(report) = shared.explain_name(subject) {
        return answer(stream, &report);
    }
    let reason = format!("`{subject}` is neither a name nor an address");
    send(stream, &Reply::Error(reason))
}

/// Has the event loop forget names, and waits until it has.
fn clean(stream: &UnixStream, pattern: Option<&str>, to: &Sender<Message>) -> io::Result<()> {
    let pattern = match MatchPattern::parse(pattern.unwrap_or("*"), Level::Cluster) {
        Ok(pattern) => pattern,
        Err(error) => return send(stream, &Reply::Error(error.to_string())),
    };
    let (done, forgotten) = sync_channel(1);
    drop(to.send(Message::ForgetNames(pattern, done)));
    match forgotten.recv_timeout(PATIENCE) {
        Ok(forgotten) => answer(stream, &CleanReport { forgotten }),
        Err(_) => send(stream, &Reply::Error("the agent is busy or ending".into())),
    }
}

fn observe(stream: &UnixStream, shared: &Shared, last: usize, follow: bool) -> io::Result<()> {
    let mut next = shared.flows.back(last);
    loop {
        let patience = if follow { PATIENCE } else { Duration::ZERO };
        let batch = shared.flows.after(next, patience);
        next = batch.next;
        for flow in &batch.flows {
            let row = FlowRow {
                text: flow.compact().to_string(),
                flow: serde_json::from_str(&flow.json()).map_err(io::Error::other)?,
            };
            answer(stream, &row)?;
        }
        if !follow || (batch.flows.is_empty() && hung_up(stream)) {
            return Ok(());
        }
    }
}

/// Whether the client has closed its end; it has nothing more to say otherwise.
fn hung_up(stream: &UnixStream) -> bool {
    let mut byte = [0];
    let quiet = stream.set_nonblocking(true).is_ok();
    let read = (&mut &*stream).read(&mut byte);
    let back = stream.set_nonblocking(false).is_ok();
    !quiet || !back || matches!(read, Ok(0))
}

fn answer<T: serde::Serialize>(stream: &UnixStream, value: &T) -> io::Result<()> {
    let value = serde_json::to_value(value).map_err(io::Error::other)?;
    send(stream, &Reply::Value(value))
}

fn send(mut stream: &UnixStream, reply: &Reply) -> io::Result<()> {
    let mut line = serde_json::to_vec(reply).map_err(io::Error::other)?;
    line.push(b'\n');
    stream.write_all(&line)
}
