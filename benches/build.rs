//! Compiles the programs of the benches that run in the kernel, with the datapath's own headers.

use std::process::ExitCode;

#[cfg(not(feature = "kernel"))]
fn main() -> ExitCode {
    ExitCode::SUCCESS
}

#[cfg(feature = "kernel")]
fn main() -> ExitCode {
    use std::env;
    use std::path::PathBuf;

    use libbpf_cargo::SkeletonBuilder;

    println!("cargo::rerun-if-changed=bpf");
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    // What the datapath was built with; cargo hands it on.
    let told = |name| env::var(format!("DEP_PALISADE_PROGRAMS_{name}")).unwrap_or_default();
    let headers = told("HEADERS");
    println!("cargo::rerun-if-changed={headers}");
    let arguments = told("ARGUMENTS");
    let arguments = arguments.split(' ').map(str::to_owned);
    let built = SkeletonBuilder::new()
        .source("bpf/blocks.bpf.c")
        .clang(told("CLANG"))
        .clang_args(arguments.chain([format!("-I{headers}")]))
        .build_and_generate(out.join("blocks.skel.rs"));
    if let Err(error) = built {
        for line in format!("{error:?}").lines() {
            println!("cargo::error={line}");
        }
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
