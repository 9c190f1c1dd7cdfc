//! Compiles the programs and writes their skeleton.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use libbpf_cargo::SkeletonBuilder;

/// Versions that the programs are known to build with, newest first.
const CLANG_VERSIONS: [u32; 6] = [19, 18, 17, 16, 15, 14];

/// One object for each kind of hook.
const OBJECTS: [&str; 3] = ["endpoint", "host", "overlay"];

fn main() -> ExitCode {
    println!("cargo::rerun-if-changed=bpf");
    println!("cargo::rerun-if-env-changed=CLANG");
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    let Some(clang) = clang() else {
        println!("cargo::error=no clang found: install clang (14 to 19) or set CLANG");
        return ExitCode::FAILURE;
    };
    tell(&clang);
    for object in OBJECTS {
        let built = SkeletonBuilder::new()
            .source(format!("bpf/{object}.bpf.c"))
            .clang(&clang)
            .clang_args(arguments())
            .build_and_generate(out.join(format!("{object}.skel.rs")));
        if let Err(error) = built {
            for line in format!("{error:?}").lines() {
                println!("cargo::error={line}");
            }
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// For build scripts of crates whose programs use our headers and maps.
fn tell(clang: &Path) {
    println!("cargo::metadata=clang={}", clang.display());
    let arguments = arguments();
    let arguments: Vec<_> = arguments
        .iter()
        .map(|word| word.to_string_lossy())
        .collect();
    println!("cargo::metadata=arguments={}", arguments.join(" "));
    let crate_folder = env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default();
    let headers = Path::new(&crate_folder).join("bpf");
    println!("cargo::metadata=headers={}", headers.display());
}

/// `CLANG`, or the newest known version installed, or whatever `clang` is.
fn clang() -> Option<PathBuf> {
    if let Some(named) = env::var_os("CLANG") {
        return Some(named.into());
    }
    CLANG_VERSIONS
        .iter()
        .map(|version| format!("clang-{version}"))
        .chain(["clang".to_owned()])
        .map(PathBuf::from)
        .find(|name| runs(name))
}

fn runs(clang: &Path) -> bool {
    Command::new(clang)
        .arg("--version")
        .output()
        .is_ok_and(|output| output.status.success())
}

fn arguments() -> Vec<OsString> {
    let mut arguments: Vec<OsString> = [
        "-mcpu=v3",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-Wno-unused-parameter",
    ]
    .map(OsString::from)
    .into();
    // Debian keeps <asm/types.h> in a folder of the architecture, which the BPF target does not search.
    let arch = env::var("CARGO_CFG_TARGET_ARCH").unwrap_or_default();
    let multiarch = format!("/usr/include/{arch}-linux-gnu");
    if Path::new(&multiarch).is_dir() {
        arguments.push("-idirafter".into());
        arguments.push(multiarch.into());
    }
    arguments
}
