//! Calls of cargo and of what cargo built.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::failure::Failure;

/// The checkout.
pub(crate) fn root() -> PathBuf {
    let own = env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    own.parent().map(Path::to_owned).unwrap_or(own)
}

/// A call of cargo in the checkout.
pub(crate) fn cargo<'a>(words: impl IntoIterator<Item = &'a str>) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root()).args(words);
    // What the call of xtask itself set; a build script that looks at it would run anew each time.
    for name in [
        "CARGO_MANIFEST_DIR",
        "CARGO_MANIFEST_PATH",
        "CARGO_PKG_NAME",
    ] {
        command.env_remove(name);
    }
    command
}

/// Runs a command to its end, with its output on ours.
pub(crate) fn check(command: &mut Command) -> Result<(), Failure> {
    let status = command.status().map_err(start(command))?;
    if status.success() {
        return Ok(());
    }
    Err(Failure::Command {
        command: line(command),
    })
}

/// Runs a command to its end and returns its output; what it has to complain about is shown.
pub(crate) fn output(command: &mut Command) -> Result<String, Failure> {
    let output = command.stderr(Stdio::inherit()).output();
    let output = output.map_err(start(command))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(Failure::Command {
        command: line(command),
    })
}

/// What cargo knows about the workspace: its members, their dependencies and the target folder.
pub(crate) fn metadata() -> Result<Value, Failure> {
    let text = output(&mut cargo([
        "metadata",
        "--no-deps",
        "--format-version",
        "1",
    ]))?;
    serde_json::from_str(&text).map_err(|source| Failure::Json {
        what: "the output of `cargo metadata`",
        source,
    })
}

/// Where builds go.
pub(crate) fn target() -> Result<PathBuf, Failure> {
    let metadata = metadata()?;
    let target = metadata.get("target_directory").and_then(Value::as_str);
    Ok(target.map_or_else(|| root().join("target"), PathBuf::from))
}

fn start(command: &Command) -> impl FnOnce(std::io::Error) -> Failure + use<> {
    let program = command.get_program().to_string_lossy().into_owned();
    move |source| Failure::Start { program, source }
}

fn line(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let words = [program.file_name().unwrap_or(command.get_program())];
    words
        .into_iter()
        .chain(command.get_args())
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}
