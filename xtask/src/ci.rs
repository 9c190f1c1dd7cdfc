//! `cargo xtask ci`: all that is asked of a change before it lands.

use std::env;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{self, Command};

use crate::cargo::{cargo, check, root};
use crate::clang;
use crate::failure::Failure;
use crate::leftovers::Before;
use crate::machine::{is_program, is_root, line_as_root};
use crate::steps::Steps;
use crate::{demo, fuzz, report, setup, test, tidy};

pub(crate) fn run() -> Result<(), Failure> {
    if !is_root() {
        return Err(Failure::Stopped(format!(
            "the packet tests and the demo need root. Run\n  {}",
            line_as_root("ci")
        )));
    }
    setup::run(setup::For::Ci)?;
    let before = Before::look();
    let mut steps = Steps::new();
    steps.run("format", format);
    steps.run("tidy", tidy::run);
    steps.run("clippy", || {
        let words = "clippy --workspace --all-targets --all-features --keep-going -- -D warnings";
        check(&mut cargo(words.split(' ')))
    });
    steps.run("documentation", || {
        let words = "doc --workspace --all-features --no-deps --keep-going";
        check(cargo(words.split(' ')).env("RUSTDOCFLAGS", "-D warnings"))
    });
    test::all(&mut steps);
    steps.run(
        "objects of the oldest clang, on packets (root)",
        oldest_clang,
    );
    steps.run("without feature `kernel`, clang hidden", without_kernel);
    steps.run("fuzz smoke", || fuzz::smoke(fuzz::SECONDS));
    steps.run("conformance", conformance);
    steps.run("examples", examples);
    steps.run("demo and its report", demo_report);
    steps.run("nothing left behind", || before.compare());
    steps.finish()
}

fn format() -> Result<(), Failure> {
    check(&mut cargo(["fmt", "--all", "--check"]))?;
    check(&mut cargo([
        "fmt",
        "--manifest-path",
        "fuzz/Cargo.toml",
        "--check",
    ]))
}

/// The newest clang built what was tested before; here the other end of the range.
fn oldest_clang() -> Result<(), Failure> {
    let installed = clang::installed();
    let (Some(newest), Some(oldest)) = (installed.first(), installed.last()) else {
        return Err(Failure::Finding("no clang is here".to_owned()));
    };
    println!(
        "clang {} built the objects so far, now clang {}",
        newest.version, oldest.version
    );
    if newest.version == oldest.version {
        println!("no other supported clang can be had on this machine");
        return Ok(());
    }
    check(test::rooted("--package palisade-datapath").env("CLANG", &oldest.program))
}

/// What embeds the pure crates builds on a machine without clang.
fn without_kernel() -> Result<(), Failure> {
    let hidden = Hidden::new("clang")?;
    let packages =
        "build -p palisade -p palisade-examples -p palisade-benches --no-default-features";
    let mut command = cargo(packages.split(' '));
    command
        .env("PATH", &hidden.path)
        .env("CLANG", "/nonexistent/clang");
    check(&mut command)?;
    let kernel = ["libbpf-sys", "palisade-datapath"];
    let tree = "tree -p palisade -p palisade-examples -p palisade-benches --no-default-features -e normal,build --prefix none";
    let tree = crate::cargo::output(&mut cargo(tree.split(' ')))?;
    match kernel
        .iter()
        .find(|name| tree.lines().any(|line| line.starts_with(**name)))
    {
        Some(name) => Err(Failure::Finding(format!(
            "{name} is built without feature `kernel`"
        ))),
        None => Ok(()),
    }
}

/// A folder of links to every program of the path but those whose names begin with a word.
struct Hidden {
    path: PathBuf,
}

impl Hidden {
    fn new(beginning: &str) -> Result<Self, Failure> {
        let path = env::temp_dir().join(format!("xtask-path-{}", process::id()));
        fs::create_dir(&path).map_err(Failure::file(&path))?;
        let hidden = Self { path };
        for folder in env::split_paths(&env::var_os("PATH").unwrap_or_default()) {
            for program in fs::read_dir(folder).into_iter().flatten().flatten() {
                let name = program.file_name();
                if is_program(&program.path()) && !name.to_string_lossy().starts_with(beginning) {
                    // A name met before comes from a folder that is searched first.
                    drop(symlink(program.path(), hidden.path.join(name)));
                }
            }
        }
        Ok(hidden)
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        // A guard cannot report; the folder is one of links in the system's own place for such.
        drop(fs::remove_dir_all(&self.path));
    }
}

/// The vectors that the project keeps, and those beside the checkout.
fn conformance() -> Result<(), Failure> {
    let runner = demo::build()?.join("conformance");
    check(Command::new(&runner).args(vectors(&root().join("examples/corpus/policy"))?))?;
    let beside = root().join("../shared/conformance/connectivity");
    if !beside.is_dir() {
        println!("{} is not here: not run", beside.display());
        return Ok(());
    }
    // Other projects' manifests stay where they are; they are no part of this one.
    check(Command::new(&runner).args(vectors(&beside)?))
}

fn vectors(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let entries = fs::read_dir(folder).map_err(Failure::file(folder))?;
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.retain(|path| path.to_string_lossy().contains(".jsonl"));
    files.sort();
    Ok(files)
}

/// One program per kind of user, as its front page says to run it.
fn examples() -> Result<(), Failure> {
    let release = demo::build()?;
    for example in ["custom_agent", "dns_filter", "own_maps"] {
        check(Command::new(release.join(example)).current_dir(root()))?;
    }
    let mut explain = Command::new(release.join("explain_flow"));
    check(
        explain
            .args(["examples/policies", "web", "pay:8443"])
            .current_dir(root()),
    )
}

fn demo_report() -> Result<(), Failure> {
    let release = demo::build()?;
    let path = env::temp_dir().join(format!("xtask-demo-{}.json", process::id()));
    let mut command = Command::new(release.join("demo"));
    let ran = check(command.arg("--json").arg(&path).current_dir(root()));
    let text = fs::read_to_string(&path).map_err(Failure::file(&path));
    drop(fs::remove_file(&path));
    ran?;
    report::check(&text?)
}
