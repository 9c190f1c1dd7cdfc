//! Every crate has a front page that runs, inherits the lints, and stands in the README's map;
//! links between pages lead somewhere.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::cargo::root;
use crate::failure::Failure;

use super::Outcome;

/// Crates that nobody embeds.
const NOT_LIBRARIES: [&str; 2] = ["benches", "examples"];

/// The pages whose links are followed.
const PAGES: [&str; 4] = [
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
];

pub(super) fn check(metadata: &Value) -> Result<Outcome, Failure> {
    let mut outcome = Outcome::default();
    let root = root();
    let readme = read(&root.join("README.md"))?;
    let packages = metadata.get("packages").and_then(Value::as_array);
    for package in packages.into_iter().flatten() {
        let manifest = package
            .get("manifest_path")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let Some(folder) = Path::new(manifest).parent() else {
            continue;
        };
        let name = folder
            .strip_prefix(&root)
            .unwrap_or(folder)
            .display()
            .to_string();
        let library = folder.join("src/lib.rs");
        let is_library = library.is_file() && !NOT_LIBRARIES.contains(&name.as_str());
        if is_library && !has_doctest(&read(&library)?) {
            outcome
                .findings
                .push(format!("{name}/src/lib.rs has no example that runs"));
        }
        if !read(Path::new(manifest))?.contains("[lints]\nworkspace = true") {
            outcome
                .findings
                .push(format!("{name}/Cargo.toml does not inherit the lints"));
        }
        if !readme.contains(&format!("({name}/)")) {
            outcome
                .findings
                .push(format!("README.md: the crate map lacks {name}/"));
        }
    }
    for page in PAGES {
        for link in links(&read(&root.join(page))?) {
            if !root.join(&link).exists() {
                outcome
                    .findings
                    .push(format!("{page}: the link to {link} leads nowhere"));
            }
        }
    }
    Ok(outcome)
}

fn read(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path).map_err(Failure::file(path))
}

/// Whether the page at the top of a library holds an example that is compiled.
fn has_doctest(text: &str) -> bool {
    let page = text.lines().take_while(|line| line.starts_with("//!"));
    let fences = page.filter_map(|line| line.strip_prefix("//! ```"));
    // Every other fence closes; of the opening ones, a bare or `no_run` one is compiled.
    fences
        .step_by(2)
        .any(|info| info.is_empty() || info == "no_run" || info == "rust")
}

/// The targets of relative links.
fn links(text: &str) -> Vec<String> {
    let parts = text.split("](").skip(1);
    parts
        .filter_map(|part| part.split([')', '#']).next())
        .filter(|link| !link.is_empty() && !link.contains("://"))
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drawing_is_no_example() {
        assert!(has_doctest(
            "//! Text.\n//! ```text\n//! a\n//! ```\n//! ```\n//! f();\n//! ```\n"
        ));
        assert!(!has_doctest(
            "//! Text.\n//! ```text\n//! a\n//! ```\nmod a;\n"
        ));
    }

    #[test]
    fn links_to_elsewhere_and_to_headings_are_not_followed() {
        let page = "[a](docs/a.md#b) [c](https://example.org) [d](#e) [f](f/)";
        assert_eq!(links(page), ["docs/a.md", "f/"]);
    }
}
