//! Every refusal of a corpus of bad documents, word for word.
//!
//! `refusals/X.yaml` must be refused as `refusals/X.txt` says, and `warnings/X.yaml` warned of as
//! `warnings/X.txt` says. After a wanted change, run with `BLESS=1` and read the difference.

#![expect(
    clippy::unwrap_used,
    reason = "a test that meets something unexpected fails"
)]

use std::fs;
use std::path::{Path, PathBuf};

use palisade_policy::{Level, Options, Strictness, ingest};

#[test]
fn bad_documents_are_refused_with_every_reason_at_its_place() {
    let files = corpus("refusals");
    assert!(files.len() >= 28, "the corpus is gone");
    compare(&files, |file| refusal(file, &Options::default()));
}

#[test]
fn what_was_surely_not_meant_is_a_warning_and_on_request_an_error() {
    let files = corpus("warnings");
    assert_eq!(files.len(), 2, "the corpus is gone");
    let options = |file: &Path| Options {
        level: if file.ends_with("agent.yaml") {
            Level::Agent
        } else {
            Level::Cluster
        },
        ..Options::default()
    };
    compare(&files, |file| {
        let text = fs::read_to_string(file).unwrap();
        let read = ingest::read(&name(file), &text, &options(file)).unwrap();
        let warnings = read.warnings.iter();
        warnings.map(|warning| warning.render(&text)).collect()
    });
    for file in files {
        let strict = Options {
            strictness: Strictness::Strict,
            ..options(&file)
        };
        let warnings = fs::read_to_string(file.with_extension("txt")).unwrap();
        let errors = warnings.replace("warning[", "error[");
        assert_eq!(refusal(&file, &strict), errors);
    }
}

/// Holds what is found about each file to the text beside it, or writes that.
fn compare(files: &[PathBuf], find: impl Fn(&Path) -> String) {
    let bless = std::env::var_os("BLESS").is_some();
    let mut wrong = Vec::new();
    for file in files {
        let found = find(file);
        let expected = file.with_extension("txt");
        if bless {
            fs::write(&expected, &found).unwrap();
        } else if fs::read_to_string(&expected).unwrap_or_default() != found {
            wrong.push(format!("{}\n{found}", file.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_agent_takes_what_only_the_schema_refuses() {
    let agent = Options {
        level: Level::Agent,
        ..Options::default()
    };
    for name in ["empty-values", "world-families"] {
        let file = folder("refusals").join(name).with_extension("yaml");
        assert_eq!(refusal(&file, &agent), "", "{name}");
        assert_ne!(refusal(&file, &Options::default()), "", "{name}");
    }
}

fn corpus(name: &str) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(folder(name))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "yaml")
        })
        .collect();
    files.sort();
    files
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests")
        .join(name)
}

fn name(file: &Path) -> String {
    format!("policies/{}", file.file_name().unwrap().display())
}

fn refusal(file: &Path, options: &Options) -> String {
    let text = fs::read_to_string(file).unwrap();
    match ingest::read(&name(file), &text, options) {
        Ok(_) => String::new(),
        Err(errors) => errors.iter().map(|error| error.render(&text)).collect(),
    }
}
