//! The source files of the checkout.

use std::fs;
use std::path::{Path, PathBuf};

use crate::cargo::root;
use crate::failure::Failure;

/// A source file, by its path in the checkout.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) path: String,
    pub(super) text: String,
}

impl Source {
    pub(super) fn is_rust(&self) -> bool {
        self.has_extension("rs")
    }

    pub(super) fn is_c(&self) -> bool {
        self.has_extension("c") || self.has_extension("h")
    }

    /// Whether the file holds tests only.
    pub(super) fn is_test(&self) -> bool {
        // The first part is the crate's folder, and one of these is called `benches`.
        let mut parts = self.path.split('/').skip(1);
        parts.any(|part| ["benches", "fuzz_targets", "tests", "tests.rs"].contains(&part))
    }

    fn has_extension(&self, extension: &str) -> bool {
        Path::new(&self.path)
            .extension()
            .is_some_and(|found| found == extension)
    }
}

/// Every Rust and C file that is ours.
pub(super) fn sources() -> Result<Vec<Source>, Failure> {
    let root = root();
    let mut paths = Vec::new();
    collect(&root, &mut paths)?;
    paths.sort();
    let mut sources = Vec::new();
    for path in paths {
        let text = fs::read_to_string(&path).map_err(Failure::file(&path))?;
        let path = path
            .strip_prefix(&root)
            .unwrap_or(&path)
            .to_string_lossy()
            .into_owned();
        sources.push(Source { path, text });
    }
    sources.retain(|source| (source.is_rust() || source.is_c()) && !is_foreign(&source.path));
    Ok(sources)
}

/// Headers of the kernel's own interface are copies.
fn is_foreign(path: &str) -> bool {
    path.contains("/bpf/uapi/")
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) -> Result<(), Failure> {
    for entry in fs::read_dir(folder)
        .map_err(Failure::file(folder))?
        .flatten()
    {
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy();
        if path.is_dir() {
            if name != "target" && !name.starts_with('.') {
                collect(&path, paths)?;
            }
        } else if [".rs", ".c", ".h"].iter().any(|end| name.ends_with(end)) {
            paths.push(path);
        }
    }
    Ok(())
}
