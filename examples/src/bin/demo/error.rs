use std::error::Error as _;
use std::io;

use thiserror::Error as ThisError;

/// Why the demo could not go on. That a probe disagrees is no error but a finding.
#[derive(Debug, ThisError)]
pub(crate) enum Error {
    /// A namespace, link or process of the stage.
    #[error("the stage could not be set")]
    Stage(#[from] palisade_testkit::Error),
    /// Something that must come did not.
    #[error(transparent)]
    Timeout(#[from] palisade_testkit::Timeout),
    /// A file, socket or process.
    #[error("{what}")]
    Io { what: String, source: io::Error },
    /// What the agent printed is not what it says it prints.
    #[error("{what} printed `{text}`")]
    Answer {
        what: String,
        text: String,
        source: serde_json::Error,
    },
    /// A command of the agent failed.
    #[error("`palisade {words}` failed: {output}")]
    Command { words: String, output: String },
    /// The agent ended by itself.
    #[error("the agent ended ({status}); it said:\n{log}")]
    Ended { status: String, log: String },
    /// The predictions do not fit the probes.
    #[error("{predictions} predictions for {probes} probes")]
    Predictions { predictions: usize, probes: usize },
}

impl Error {
    /// For `map_err`, naming what was used.
    pub(crate) fn io<E: Into<io::Error>>(what: impl Into<String>) -> impl FnOnce(E) -> Self {
        let what = what.into();
        move |source| Self::Io {
            what,
            source: source.into(),
        }
    }
}

/// An error with its causes, outermost first.
pub(crate) fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
