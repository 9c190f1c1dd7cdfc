//! Every refusal of a corpus of bad documents, word for word.
//!
//! `refusals/X.yaml` must be refused as `refusals/X.txt` says. After a wanted change, run with
//! `BLESS=1` and read the difference.

#![expect(
    clippy::unwrap_used,
    reason = "a test that meets something unexpected fails"
)]

use std::fs;
use std::path::{Path, PathBuf};

use palisade_policy::{Level, Options, ingest};

#[test]
fn bad_documents_are_refused_with_every_reason_at_its_place() {
    let bless = std::env::var_os("BLESS").is_some();
    let mut wrong = Vec::new();
    for file in corpus() {
        let found = refusal(&file, &Options::default());
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
        let file = folder().join(name).with_extension("yaml");
        assert_eq!(refusal(&file, &agent), "", "{name}");
        assert_ne!(refusal(&file, &Options::default()), "", "{name}");
    }
}

fn corpus() -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "yaml")
        })
        .collect();
    files.sort();
    assert!(files.len() >= 20, "the corpus is gone");
    files
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/refusals")
}

fn refusal(file: &Path, options: &Options) -> String {
    let text = fs::read_to_string(file).unwrap();
    let name = format!("policies/{}", file.file_name().unwrap().display());
    match ingest::read(&name, &text, options) {
        Ok(_) => String::new(),
        Err(errors) => errors.iter().map(|error| error.render(&text)).collect(),
    }
}
