use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use thiserror::Error;

/// Why a task did not succeed.
#[derive(Debug, Error)]
pub(crate) enum Failure {
    /// The command line is not one of ours.
    #[error("no such task: {words}\n\n{help}")]
    Usage { words: String, help: &'static str },
    /// Something that the task needs is missing here; the text says what to run.
    #[error("{0}")]
    Stopped(String),
    /// A command said no.
    #[error("`{command}` failed")]
    Command { command: String },
    /// A check found something.
    #[error("{0}")]
    Finding(String),
    /// Some steps failed.
    #[error("failed: {}", .0.join(", "))]
    Steps(Vec<String>),
    /// A program could not be started.
    #[error("`{program}` could not be started: {source}")]
    Start { program: String, source: io::Error },
    /// A file could not be used.
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    /// Another program's output was not what it has always been.
    #[error("{what} could not be understood: {source}")]
    Json {
        what: &'static str,
        source: serde_json::Error,
    },
}

impl Failure {
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Command { .. } | Self::Finding(_) | Self::Steps(_) => 1,
            Self::Usage { .. } | Self::Stopped(_) => 2,
            Self::Start { .. } | Self::File { .. } | Self::Json { .. } => 3,
        })
    }

    /// For `map_err` on what the standard library says about a path.
    pub(crate) fn file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { path, source }
    }
}
