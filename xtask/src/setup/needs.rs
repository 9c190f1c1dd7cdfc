//! What the tasks need beside Rust, and how to see whether it is here.

use std::path::Path;

use crate::clang;
use crate::machine::find_program;

use super::For;

/// Stands for the newest supported clang that the package archive has.
pub(super) const CLANG_NEWEST: &str = "clang-14..19";
/// What to name where the archive has not been asked: its default clang.
pub(super) const CLANG_ANY: &str = "clang";

/// The oldest that the objects build with.
pub(super) const CLANG_OLDEST: &str = "clang-14";

/// A package and what it is for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Need {
    pub(super) package: &'static str,
    pub(super) purpose: &'static str,
    probe: Probe,
}

#[derive(Clone, Copy, Debug)]
enum Probe {
    Clang,
    OldestClang,
    Program(&'static str),
    File(&'static str),
}

const NEEDS: [Need; 13] = [
    need(
        CLANG_NEWEST,
        "compiles the BPF programs (the newest of 14 to 19)",
        Probe::Clang,
    ),
    need(
        "libelf-dev",
        "libbpf reads objects with it",
        Probe::File("/usr/include/gelf.h"),
    ),
    need(
        "zlib1g-dev",
        "libbpf unpacks sections with it",
        Probe::File("/usr/include/zlib.h"),
    ),
    need(
        "linux-libc-dev",
        "headers of the kernel's own interface",
        Probe::File("/usr/include/linux/bpf.h"),
    ),
    need("make", "libbpf is built with it", Probe::Program("make")),
    need("gcc", "libbpf is compiled with it", Probe::Program("cc")),
    need(
        "g++",
        "the fuzzer's engine is compiled with it",
        Probe::Program("c++"),
    ),
    need(
        "pkg-config",
        "libbpf is found with it",
        Probe::Program("pkg-config"),
    ),
    need(
        "iproute2",
        "lays the tests' namespaces and links",
        Probe::Program("ip"),
    ),
    need(
        "iputils-ping",
        "tests ask with it who answers, and with what",
        Probe::Program("ping"),
    ),
    need(
        "tcpdump",
        "the tests' witness of what a link carries",
        Probe::Program("tcpdump"),
    ),
    need(
        "dnsmasq-base",
        "the name server of the demo and of tests; starts no service",
        Probe::Program("dnsmasq"),
    ),
    need(
        "bind9-dnsutils",
        "tests ask the DNS proxy with its dig",
        Probe::Program("dig"),
    ),
];

const OLDEST: Need = need(
    CLANG_OLDEST,
    "the oldest clang that the objects build with",
    Probe::OldestClang,
);

const GUEST: [Need; 2] = [
    need(
        "qemu-system-x86",
        "emulates the machine that the old kernel runs on",
        Probe::Program("qemu-system-x86_64"),
    ),
    need(
        "busybox-static",
        "mounts and loads modules in the guest",
        Probe::Program("busybox"),
    ),
];

const DNS: [Need; 2] = [
    need("dnsperf", "asks the DNS proxy", Probe::Program("dnsperf")),
    need("strace", "counts system calls", Probe::Program("strace")),
];

const fn need(package: &'static str, purpose: &'static str, probe: Probe) -> Need {
    Need {
        package,
        purpose,
        probe,
    }
}

/// What this machine lacks.
pub(super) fn missing(purpose: For) -> Vec<Need> {
    let needs: [&[Need]; 2] = match purpose {
        For::Work => [&NEEDS, &[]],
        For::Ci => [&NEEDS, &[OLDEST]],
        For::Dns => [&[], &DNS],
        For::Vm => [&NEEDS, &GUEST],
    };
    needs
        .into_iter()
        .flatten()
        .copied()
        .filter(|need| !is_here(need.probe))
        .collect()
}

fn is_here(probe: Probe) -> bool {
    match probe {
        Probe::Clang => !clang::installed().is_empty(),
        Probe::OldestClang => clang::installed()
            .iter()
            .any(|clang| clang.version == clang::OLDEST),
        Probe::Program(name) => find_program(name).is_some(),
        Probe::File(path) => Path::new(path).exists(),
    }
}
