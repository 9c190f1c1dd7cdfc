//! The responder and the proxy at work, and what the proxy uses.

use std::env;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{self, Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::cargo::check;
use crate::failure::Failure;

/// How long a tracer may take to write its summary.
const PATIENCE: Duration = Duration::from_secs(10);

/// A folder that goes with its guard.
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new(name: &str) -> Result<Self, Failure> {
        let path = env::temp_dir().join(format!("{name}-{}", process::id()));
        fs::create_dir(&path).map_err(Failure::file(&path))?;
        Ok(Self(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

/// A child that ends with its guard.
struct Guard(Child);

impl Drop for Guard {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// The server that answers everything.
pub(super) struct Responder {
    pub(super) address: SocketAddr,
    _child: Guard,
}

impl Responder {
    pub(super) fn start(program: &Path) -> Result<Self, Failure> {
        let mut child = spawn(Command::new(program).stdout(Stdio::piped()))?;
        let line = child.0.stdout.take().map(first_line);
        Ok(Self {
            address: address(program, line.as_deref())?,
            _child: child,
        })
    }
}

/// The program that is measured.
pub(super) struct Proxy {
    pub(super) address: SocketAddr,
    child: Guard,
    summary: PathBuf,
}

impl Proxy {
    pub(super) fn start(
        program: &Path,
        upstream: &Responder,
        rules: &Path,
    ) -> Result<Self, Failure> {
        Self::spawn(Command::new(program), program, upstream, rules)
    }

    /// The same with its system calls counted. The tracer is no parent of it, so that it can be
    /// ended like the other.
    pub(super) fn start_traced(
        program: &Path,
        upstream: &Responder,
        rules: &Path,
    ) -> Result<Self, Failure> {
        let mut command = Command::new("strace");
        command.args(["-D", "-f", "-c", "-o"]);
        command.arg(summary(rules)).arg(program);
        drop(fs::remove_file(summary(rules)));
        Self::spawn(command, program, upstream, rules)
    }

    fn spawn(
        mut command: Command,
        program: &Path,
        upstream: &Responder,
        rules: &Path,
    ) -> Result<Self, Failure> {
        command.args(["dns-proxy", "--listen", "127.0.0.1:0", "--upstream"]);
        command.arg(upstream.address.to_string());
        command.arg("--rules").arg(rules).stderr(Stdio::piped());
        let mut child = spawn(&mut command)?;
        let line = child.0.stderr.take().map(first_line);
        let words = line.as_deref().and_then(|line| {
            let (_, rest) = line.split_once("listening on ")?;
            rest.split_once(',').map(|(address, _)| address)
        });
        Ok(Self {
            address: address(program, words)?,
            child,
            summary: summary(rules),
        })
    }

    /// What its threads have spent so far.
    pub(super) fn cpu(&self) -> Result<Duration, Failure> {
        let tasks = PathBuf::from(format!("/proc/{}/task", self.child.0.id()));
        let mut spent = Duration::ZERO;
        for task in fs::read_dir(&tasks)
            .map_err(Failure::file(&tasks))?
            .flatten()
        {
            let path = task.path().join("schedstat");
            let text = fs::read_to_string(&path).map_err(Failure::file(&path))?;
            let nanos = text.split(' ').next().and_then(|word| word.parse().ok());
            spent += Duration::from_nanos(nanos.unwrap_or_default());
        }
        Ok(spent)
    }

    /// The most memory that it had, in bytes.
    pub(super) fn most_memory(&self) -> Result<f64, Failure> {
        let path = PathBuf::from(format!("/proc/{}/status", self.child.0.id()));
        let text = fs::read_to_string(&path).map_err(Failure::file(&path))?;
        let mut lines = text.lines();
        let line = lines.find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
        kilobytes
            .map(|kilobytes| kilobytes * 1024.0)
            .ok_or_else(|| Failure::Finding(format!("{} tells no peak of memory", path.display())))
    }

    /// Ends it and says how many system calls it made.
    pub(super) fn end_traced(self) -> Result<f64, Failure> {
        check(Command::new("kill").arg(self.child.0.id().to_string()))?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let text = fs::read_to_string(&self.summary).unwrap_or_default();
            if let Some(calls) = total(&text) {
                return Ok(calls);
            }
            if Instant::now() > deadline {
                return Err(Failure::Finding(
                    "the tracer wrote no summary of system calls".to_owned(),
                ));
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}

fn summary(rules: &Path) -> PathBuf {
    rules.with_file_name("calls.txt")
}

/// The calls in the last line of the tracer's table.
fn total(summary: &str) -> Option<f64> {
    let line = summary.lines().find(|line| line.ends_with(" total"))?;
    line.split_whitespace().nth(3)?.parse().ok()
}

fn spawn(command: &mut Command) -> Result<Guard, Failure> {
    let child = command.stdin(Stdio::null()).spawn();
    child.map(Guard).map_err(|source| Failure::Start {
        program: command.get_program().to_string_lossy().into_owned(),
        source,
    })
}

/// The first line of a stream; the rest is thrown away as it comes, lest the program wait.
fn first_line(stream: impl std::io::Read + Send + 'static) -> String {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    // Nothing is read from a program that ended at once.
    drop(stream.read_line(&mut line));
    thread::spawn(move || std::io::copy(&mut stream, &mut std::io::sink()));
    line
}

fn address(program: &Path, text: Option<&str>) -> Result<SocketAddr, Failure> {
    let parsed = text.and_then(|text| text.trim().parse().ok());
    parsed.ok_or_else(|| {
        Failure::Finding(format!(
            "{} did not say where it listens",
            program.display()
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tracers_total_is_found() {
        let text = "\
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 50.00    0.001234           1       600           recvmmsg
------ ----------- ----------- --------- --------- ----------------
100.00    0.002468           2      1200         3 total
";
        assert_eq!(total(text), Some(1200.0));
        assert_eq!(total("no table"), None);
    }
}
