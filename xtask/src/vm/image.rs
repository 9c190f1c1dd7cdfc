//! The guest's file system: tests, tools, libraries and modules at the paths they have here.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cargo::check;
use crate::failure::Failure;
use crate::machine::find_program;

use super::archive::Archive;
use super::guest::{END, STATUS};
use super::kernel::Kernel;
use super::tests::Test;

/// Modules that the tests use; what they depend on comes by itself.
const MODULES: [&str; 5] = ["veth", "dummy", "vxlan", "sch_ingress", "cls_bpf"];
/// Programs that the tests start.
const TOOLS: [&str; 7] = [
    "ip", "nsenter", "ping", "readlink", "sleep", "tc", "tcpdump",
];
/// Whom tcpdump becomes once it listens.
const USERS: (&str, &str) = ("/etc/passwd", "root:x:0:0::/:/bin/sh\ntcpdump:x:1:1::/:\n");
/// The groups of these users.
const GROUPS: (&str, &str) = ("/etc/group", "root:x:0:\ntcpdump:x:1:\n");
/// File systems of the kernel's own; for the rest, what was unpacked serves.
const MOUNTS: [(&str, &str); 5] = [
    ("proc", "/proc"),
    ("sysfs", "/sys"),
    ("devtmpfs", "/dev"),
    ("bpf", "/sys/fs/bpf"),
    ("cgroup2", "/sys/fs/cgroup"),
];
/// Empty folders.
const FOLDERS: [&str; 5] = ["/proc", "/sys", "/dev", "/run", "/tmp"];

pub(super) fn write(
    path: &Path,
    kernel: &Kernel,
    tests: &[Test],
    filters: &[String],
) -> Result<(), Failure> {
    let mut archive = Archive::create(path)?;
    for folder in FOLDERS {
        archive.folder(Path::new(folder))?;
    }
    let busybox = program("busybox")?;
    let tools = TOOLS.iter().map(|name| program(name));
    let mut programs: Vec<PathBuf> = tools.collect::<Result<_, _>>()?;
    programs.push(busybox.clone());
    for program in &programs {
        archive.copy(program)?;
        libraries(&mut archive, program)?;
    }
    for (path, content) in [USERS, GROUPS] {
        archive.file(Path::new(path), content.as_bytes())?;
    }
    for test in tests {
        archive.file(&test.program, &stripped(&test.program, path)?)?;
        libraries(&mut archive, &test.program)?;
    }
    let modules = kernel.modules(&MODULES)?;
    for module in &modules {
        archive.copy(module)?;
    }
    let script = script(&busybox, &modules, tests, filters);
    archive.file(Path::new("/init"), script.as_bytes())?;
    archive.finish()
}

fn program(name: &str) -> Result<PathBuf, Failure> {
    find_program(name).ok_or_else(|| Failure::Stopped(format!("vm: no program {name} is here")))
}

/// A program without its symbols, which are most of it and would be unpacked into memory.
fn stripped(program: &Path, beside: &Path) -> Result<Vec<u8>, Failure> {
    let path = beside.with_extension("stripped");
    check(Command::new("strip").arg("-o").args([&path, program]))?;
    let content = std::fs::read(&path).map_err(Failure::file(&path));
    drop(std::fs::remove_file(&path));
    content
}

/// The shared libraries of a program, and what loads them.
fn libraries(archive: &mut Archive, program: &Path) -> Result<(), Failure> {
    // Of a program that is whole by itself, `ldd` says so and fails.
    let listed = Command::new("ldd").arg(program).output();
    let listed = listed.map_err(|source| Failure::Start {
        program: "ldd".to_owned(),
        source,
    })?;
    for library in paths(&String::from_utf8_lossy(&listed.stdout)) {
        archive.copy(Path::new(library))?;
    }
    Ok(())
}

/// The paths in what `ldd` prints: `name => /path (address)` or `/path (address)`.
fn paths(listed: &str) -> impl Iterator<Item = &str> {
    listed.lines().filter_map(|line| {
        let (before, _) = line.rsplit_once(" (")?;
        let path = before.rsplit_once("=> ").map_or(before, |(_, path)| path);
        let path = path.trim();
        path.starts_with('/').then_some(path)
    })
}

/// What the guest runs in place of an init: mounts, modules, tests, the end.
fn script(busybox: &Path, modules: &[PathBuf], tests: &[Test], filters: &[String]) -> String {
    let busybox = busybox.display();
    let mut lines = vec![
        format!("#!{busybox} sh"),
        "export PATH=/usr/sbin:/usr/bin:/sbin:/bin TMPDIR=/tmp RUST_BACKTRACE=0".to_owned(),
    ];
    for (kind, at) in MOUNTS {
        lines.push(format!("{busybox} mount -t {kind} {kind} {at}"));
    }
    for module in modules {
        lines.push(format!(
            "{busybox} insmod {}",
            quoted(&module.to_string_lossy())
        ));
    }
    let filters: Vec<String> = filters.iter().map(|word| quoted(word)).collect();
    let filters = filters.join(" ");
    for test in tests {
        let program = quoted(&test.program.to_string_lossy());
        lines.push(format!(
            "echo; echo {}",
            quoted(&format!("==> {}", test.name))
        ));
        lines.push(format!("{program} --test-threads=2 {filters}"));
        lines.push(format!("echo \"{STATUS} $? {}\"", test.name));
    }
    lines.push(format!("echo '{END}'"));
    lines.push(format!("{busybox} poweroff -f"));
    lines.push(String::new());
    lines.join("\n")
}

fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_found_in_what_ldd_prints() {
        let listed = "\tlinux-vdso.so.1 (0x00007ffc)\n\
                      \tlibelf.so.1 => /lib/x86_64-linux-gnu/libelf.so.1 (0x00007f1f)\n\
                      \tlibgone.so => not found\n\
                      \t/lib64/ld-linux-x86-64.so.2 (0x00007f20)\n";
        let found: Vec<&str> = paths(listed).collect();
        assert_eq!(
            found,
            [
                "/lib/x86_64-linux-gnu/libelf.so.1",
                "/lib64/ld-linux-x86-64.so.2"
            ]
        );
    }

    #[test]
    fn every_test_is_followed_by_its_status() {
        let test = Test {
            name: "palisade-x root_y".to_owned(),
            program: "/t/root_y-1".into(),
        };
        let script = script(
            Path::new("/bin/busybox"),
            &[],
            &[test],
            &["it's".to_owned()],
        );
        let expected = "'/t/root_y-1' --test-threads=2 'it'\\''s'\n\
                        echo \"vm-status $? palisade-x root_y\"\n";
        assert!(script.contains(expected), "{script}");
    }
}
